"""When rewards are paid: the one scheduler that every view calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lmgym.rewards.batches import checked, scored_by
from lmgym.rewards.source import RewardBatch, RewardLevel, RewardSource, VerdictSource
from lmgym.task import Verdict
from lmgym.transcript import Transcript

__all__ = ["Payment", "RewardSchedule", "token_rewards"]

_NO_UNITS: NDArray[np.float64] = np.zeros(0)


@dataclass(frozen=True, slots=True)
class Payment:
    """What an episode is paid at a boundary.

    Attributes:
        reward: the amount.
        parts: named parts of the outcome.
        is_scored: False where the source could give no reward.
        units: what of the amount is for each turn, step or id that was not paid before.
    """

    reward: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)
    is_scored: bool = True
    units: NDArray[np.float64] = field(default_factory=lambda: _NO_UNITS, compare=False)


_NOTHING = Payment()


class RewardSchedule:
    """Pays finished turns, steps, ids and episodes, in one call of the source a batch.

    An episode is paid for the units that were finished since its last payment, and its outcome
    once it is over. A unit that could not be scored is paid when it can be; an episode is unscored
    where its last units or its outcome are.

    Args:
        source: scores them; None pays nothing.

    Attributes:
        level: what is paid.
        is_dense: whether more than outcomes is.
        pays_within_turns: whether something is paid while a message is being written.

    Example:
        >>> from lmgym.rewards import VerifierReward
        >>> RewardSchedule(VerifierReward()).pay([Transcript.from_strings("1+1=", "2")])[0].reward
        0.0
    """

    def __init__(self, source: RewardSource | None) -> None:
        """Keep the source."""
        self.source = source
        self.level = RewardLevel.OUTCOME if source is None else RewardLevel(source.level)
        self.is_dense = self.level is not RewardLevel.OUTCOME
        self.pays_within_turns = self.level in (RewardLevel.STEP, RewardLevel.TOKEN)
        self._by_verdict = self._payments_by_verdict()

    def pay(
        self, transcripts: Sequence[Transcript], n_paid: Sequence[int] | None = None
    ) -> list[Payment]:
        """The payments of transcripts that stand at the end of a unit, in their order.

        Args:
            transcripts: running ones are paid dense rewards, those that are over outcomes too.
            n_paid: units of each that were paid before; by default none.
        """
        due = [i for i, t in enumerate(transcripts) if self.is_dense or t.verdict is not None]
        payments = [_NOTHING] * len(transcripts)
        if self.source is None or not due:
            return payments
        scored = [transcripts[i] for i in due]
        batch = scored_by(self.source, scored)
        for row, (index, transcript) in enumerate(zip(due, scored, strict=True)):
            paid = 0 if n_paid is None else n_paid[index]
            is_over = transcript.verdict is not None
            units = _NO_UNITS if batch.dense is None else batch.dense[row][paid:]
            payments[index] = self._payment(batch, row, units, is_over=is_over)
        return payments

    def pay_rows(
        self,
        verdicts: Sequence[Verdict | None],
        transcripts: Callable[[Sequence[int]], list[Transcript]],
        n_paid: Sequence[int] | None = None,
    ) -> list[Payment]:
        """As `pay`, but transcripts are made only where there is something to read in them.

        Args:
            verdicts: of transcripts that stand at the end of a unit.
            transcripts: makes those at some indices.
            n_paid: units of each that were paid before.
        """
        worth = self._by_verdict
        if worth is not None:
            return [_NOTHING if verdict is None else worth[verdict] for verdict in verdicts]
        payments = [_NOTHING] * len(verdicts)
        due = [i for i, v in enumerate(verdicts) if self.is_dense or v is not None]
        if self.source is not None and due:
            paid = None if n_paid is None else [n_paid[i] for i in due]
            for index, payment in zip(due, self.pay(transcripts(due), paid), strict=True):
                payments[index] = payment
        return payments

    def _payments_by_verdict(self) -> dict[Verdict, Payment] | None:
        """What each verdict is paid, where the source looks at nothing else."""
        if self.is_dense or not isinstance(self.source, VerdictSource):
            return None
        if _is_overridden(self.source):
            return None
        batch = checked(self.source.score_verdicts(list(Verdict)), len(Verdict), self.level)
        every = enumerate(Verdict)
        return {v: self._payment(batch, row, _NO_UNITS, is_over=True) for row, v in every}

    def _payment(
        self, batch: RewardBatch, row: int, units: NDArray[np.float64], *, is_over: bool
    ) -> Payment:
        if batch.unscored is not None and batch.unscored[row]:
            return Payment(is_scored=False)
        # The outcome and its parts are paid once.
        parts = {name: float(values[row]) for name, values in batch.parts.items() if is_over}
        reward = float(batch.outcome[row]) if is_over else 0.0
        if len(units):
            reward += float(units.sum())
        return Payment(reward, parts, units=units)


def token_rewards(
    transcript: Transcript, payment: Payment, level: RewardLevel
) -> NDArray[np.float64]:
    """What a whole episode was paid at each id that the agent drew; the outcome at the last.

    Args:
        transcript: of the episode.
        payment: for all of it.
        level: of the source.
    """
    places = []
    n_before = 0
    for segment in transcript.require_ids():
        last = np.searchsorted(segment.drawn, segment.unit_ends(level)) - 1
        places.append(n_before + last)
        n_before += len(segment.drawn)
    rewards = np.zeros(n_before)
    if payment.is_scored:
        np.add.at(rewards, np.concatenate(places), payment.units)
        rewards[-1] += payment.reward - payment.units.sum()
    return rewards


def _is_overridden(source: VerdictSource) -> bool:
    """Whether transcripts are scored anew, and verdicts as by what was built upon."""
    if "score" in vars(source):
        return True
    order = type(source).__mro__
    return _first_with("score", order) is not _first_with("score_verdicts", order)


def _first_with(name: str, order: Sequence[type]) -> type | None:
    return next((kind for kind in order if name in vars(kind)), None)
