"""When rewards are paid: the one scheduler that every view calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import isfinite

import numpy as np

from lmgym.errors import LmgymError
from lmgym.rewards.source import RewardBatch, RewardLevel, RewardSource, VerdictSource
from lmgym.task import Verdict
from lmgym.transcript import Transcript

__all__ = ["Payment", "RewardSchedule"]


@dataclass(frozen=True, slots=True)
class Payment:
    """What an episode is paid at a boundary.

    Attributes:
        reward: the amount.
        parts: named parts of the outcome.
        is_scored: False where the source could give no reward.
    """

    reward: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)
    is_scored: bool = True


_NOTHING = Payment()


class RewardSchedule:
    """Pays finished turns and episodes, in one call of the source a batch.

    Args:
        source: scores them; None pays nothing.

    Example:
        >>> from lmgym.rewards import VerifierReward
        >>> RewardSchedule(VerifierReward()).pay([Transcript.from_strings("1+1=", "2")])[0].reward
        0.0
    """

    def __init__(self, source: RewardSource | None) -> None:
        """Keep the source."""
        self.source = source
        self.pays_turns = source is not None and source.level is RewardLevel.TURN
        self._by_verdict = self._payments_by_verdict()

    def pay(self, transcripts: Sequence[Transcript]) -> list[Payment]:
        """The payments of transcripts that stand at the end of a turn, in their order.

        Outcome rewards are paid where the episode is over, turn rewards at every turn's end.
        """
        due = [i for i, t in enumerate(transcripts) if self.pays_turns or t.verdict is not None]
        payments = [_NOTHING] * len(transcripts)
        if self.source is None or not due:
            return payments
        batch = self.source.score([transcripts[i] for i in due])
        _check_size(batch, len(due))
        for row, index in enumerate(due):
            payments[index] = self._payment(
                batch, row, is_over=transcripts[index].verdict is not None
            )
        return payments

    def pay_ended(
        self,
        verdicts: Sequence[Verdict | None],
        transcripts: Callable[[Sequence[int]], list[Transcript]],
    ) -> list[Payment]:
        """As `pay`, but transcripts are made only where there is something to read in them.

        Args:
            verdicts: of transcripts that stand at the end of a turn.
            transcripts: makes those at some indices.
        """
        worth = self._by_verdict
        if worth is not None:
            return [_NOTHING if verdict is None else worth[verdict] for verdict in verdicts]
        payments = [_NOTHING] * len(verdicts)
        due = [i for i, v in enumerate(verdicts) if self.pays_turns or v is not None]
        if self.source is not None and due:
            for index, payment in zip(due, self.pay(transcripts(due)), strict=True):
                payments[index] = payment
        return payments

    def _payments_by_verdict(self) -> dict[Verdict, Payment] | None:
        """What each verdict is paid, where the source looks at nothing else."""
        if not isinstance(self.source, VerdictSource) or _is_overridden(self.source):
            return None
        batch = self.source.score_verdicts(list(Verdict))
        return {v: self._payment(batch, row, is_over=True) for row, v in enumerate(Verdict)}

    def _payment(self, batch: RewardBatch, row: int, *, is_over: bool) -> Payment:
        if batch.unscored is not None and batch.unscored[row]:
            return Payment(is_scored=False)
        is_due = is_over or not self.pays_turns  # the outcome and its parts are paid once
        parts = {name: float(values[row]) for name, values in batch.parts.items() if is_due}
        reward = float(batch.outcome[row]) if is_due else 0.0
        if self.pays_turns and batch.dense is not None:
            reward += float(batch.dense[row][-1])
        if not isfinite(reward):
            raise LmgymError(
                f"the reward source returned {reward}, which is not finite; mark what it cannot"
                " score as unscored"
            )
        return Payment(reward, parts)


def _is_overridden(source: VerdictSource) -> bool:
    """Whether transcripts are scored anew, and verdicts as by what was built upon."""
    if "score" in vars(source):
        return True
    order = type(source).__mro__
    return _first_with("score", order) is not _first_with("score_verdicts", order)


def _first_with(name: str, order: Sequence[type]) -> type | None:
    return next((kind for kind in order if name in vars(kind)), None)


def _check_size(batch: RewardBatch, n: int) -> None:
    if np.shape(batch.outcome) != (n,):
        raise LmgymError(
            f"the reward source returned outcomes of shape {np.shape(batch.outcome)} for {n}"
            " transcripts; it must return one number for each"
        )
