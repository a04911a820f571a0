"""Several judges of the same thing, and what to believe when they disagree."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lmgym.errors import LmgymError, unknown
from lmgym.rewards.batches import Compound, any_unscored, scored_by, totals
from lmgym.rewards.names import as_source
from lmgym.rewards.source import Reward, RewardBatch
from lmgym.transcript import Transcript

__all__ = ["REDUCTIONS", "EnsembleReward", "reduce_members"]

REDUCTIONS = ("mean", "wco", "uwo")
"""Mean; worst-case optimisation, the minimum; uncertainty-weighted optimisation, the mean less a
multiple of the variance (Coste et al., 2024)."""


def reduce_members(
    scores: ArrayLike, reduce: str = "mean", coefficient: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What K members make of n transcripts, and how far they disagree.

    Args:
        scores: of the members, shape (K, n).
        reduce: one of the `REDUCTIONS`.
        coefficient: of the variance, for "uwo".

    Returns:
        The rewards and the (population) standard deviations over the members, both of shape (n,).

    Example:
        >>> reduce_members([[1.0, 2.0], [3.0, 2.0]], "uwo", coefficient=0.5)
        (array([1.5, 2. ]), array([1., 0.]))
    """
    members = np.asarray(scores, np.float64)
    if members.ndim != 2 or not len(members):
        raise LmgymError(
            f"the scores have the shape {members.shape}; give (K, n), a row for each of K members"
        )
    _check(reduce, coefficient)
    mean, variance = members.mean(axis=0), members.var(axis=0)
    if reduce == "wco":
        return members.min(axis=0), np.sqrt(variance)
    return (mean - coefficient * variance if reduce == "uwo" else mean), np.sqrt(variance)


class EnsembleReward(Compound):
    """Sources that judge the same, reduced to one; `std` is how far their totals disagree.

    `parts` are the members' mean and what their disagreement takes from it. An episode that one
    of them cannot score is unscored.

    Args:
        members: sources of one level.
        reduce: "mean", "wco" (the minimum) or "uwo" (the mean less a multiple of the variance).
        coefficient: of the variance, for "uwo".

    Example:
        >>> def strict(prompts, completions):
        ...     return [0.0 for _ in completions]
        >>> def mild(prompts, completions):
        ...     return [1.0 for _ in completions]
        >>> batch = EnsembleReward([strict, mild]).score([Transcript.from_strings("?", "!")])
        >>> batch.outcome, batch.std
        (array([0.25]), array([0.5]))
    """

    def __init__(
        self, members: Sequence[Reward], reduce: str = "uwo", coefficient: float = 1.0
    ) -> None:
        """Check that the members judge at one level."""
        self.members = [as_source(member) for member in members]
        self._sources = tuple(self.members)
        levels = sorted({member.level for member in self.members})
        if len(levels) != 1:
            raise LmgymError(
                f"the members pay at the levels {', '.join(levels)}; give sources of one level"
                if levels
                else "an ensemble without members judges nothing; give at least one source"
            )
        _check(reduce, coefficient)
        self.reduce, self.coefficient = reduce, coefficient
        self.level = levels[0]
        self.is_causal = all(member.is_causal for member in self.members)

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """Ask all members, and reduce."""
        batches = [scored_by(member, transcripts) for member in self.members]
        outcome = self._reduced([batch.outcome for batch in batches])
        mean = np.mean([batch.outcome for batch in batches], axis=0)
        dense = [batch.dense for batch in batches if batch.dense is not None]
        return RewardBatch(
            outcome,
            [self._reduced(units) for units in zip(*dense, strict=True)] if dense else None,
            {"mean": mean, "disagreement": outcome - mean},
            any_unscored(batches),
            np.std([totals(batch) for batch in batches], axis=0),
        )

    def _reduced(self, scores: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        return reduce_members(scores, self.reduce, self.coefficient)[0]


def _check(reduce: str, coefficient: float) -> None:
    if reduce not in REDUCTIONS:
        raise unknown("reduction of an ensemble", reduce, REDUCTIONS)
    if not (isfinite(coefficient) and coefficient >= 0):
        raise LmgymError(f"coefficient={coefficient} is out of range; give a number from 0 up")
