"""`Accounts`: what the rows of a batch were paid, and how their worlds graded them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lmgym.rewards.schedule import Payment, RewardSchedule
from lmgym.task import Task, Verdict
from lmgym.transcript import Transcript, with_gold_rewards
from lmgym.vector.buffers import Rows

__all__ = ["Accounts"]


class Accounts:
    """Pays N rows, in one call of the reward source and one of the world's grading a step.

    Args:
        schedule: says when what is paid.
        task: the world.
        n_rows: how many rows.

    Attributes:
        gold_rewards: the world's graded ground truth of each row; None while it goes on, and where
            the world has none.
    """

    def __init__(self, schedule: RewardSchedule, task: Task[Any], n_rows: int) -> None:
        """Open accounts."""
        self.schedule = schedule
        self.gold_rewards: list[float | None] = [None] * n_rows
        self._task = task
        self._n_paid = np.zeros(n_rows, np.intp)

    def start(self, rows: Rows) -> None:
        """Begin episodes in some rows."""
        if self.schedule.is_dense:
            self._n_paid[rows] = 0
        if self._task.has_gold_reward:
            for row in rows.tolist():
                self.gold_rewards[row] = None

    def fork(self, sources: Rows, targets: Rows) -> None:
        """Make `targets` copies of `sources`."""
        self._n_paid[targets] = self._n_paid[sources]
        for source, target in zip(sources.tolist(), targets.tolist(), strict=True):
            self.gold_rewards[target] = self.gold_rewards[source]

    def pay(
        self,
        rows: Sequence[int],
        verdicts: Sequence[Verdict | None],
        transcript: Callable[[int], Transcript],
    ) -> list[Payment]:
        """Pay rows that stand at the end of a turn, step or id; those that are over are graded.

        Args:
            rows: which.
            verdicts: of the rows.
            transcript: what happened in a row.
        """
        graded = self._graded(rows, verdicts, transcript)
        is_dense = self.schedule.is_dense
        payments = self.schedule.pay_rows(
            verdicts,
            lambda due: [graded.get(rows[i]) or transcript(rows[i]) for i in due],
            self._n_paid[rows].tolist() if is_dense else None,
        )
        if is_dense:
            self._n_paid[rows] += [len(payment.units) for payment in payments]
        return payments

    def _graded(
        self,
        rows: Sequence[int],
        verdicts: Sequence[Verdict | None],
        transcript: Callable[[int], Transcript],
    ) -> dict[int, Transcript]:
        """The transcripts of the rows that are over, where the world grades them."""
        if not self._task.has_gold_reward:
            return {}
        over = [row for row, verdict in zip(rows, verdicts, strict=True) if verdict is not None]
        graded = with_gold_rewards(self._task, [transcript(row) for row in over])
        for row, ended in zip(over, graded, strict=True):
            self.gold_rewards[row] = ended.gold_reward
        return dict(zip(over, graded, strict=True))
