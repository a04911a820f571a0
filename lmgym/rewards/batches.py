"""What sources that are made of other sources share: their level, and sums over batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.rewards.source import RewardBatch, RewardLevel, RewardSource
from lmgym.transcript import Transcript

__all__ = ["any_unscored", "changed", "common_level", "score_due", "scored_rows", "totals"]

Floats = NDArray[np.float64]


def common_level(sources: Iterable[RewardSource]) -> RewardLevel:
    """The level at which sources can be paid together: outcomes go with any one dense level.

    Raises:
        LmgymError: for two different dense levels.
    """
    dense = sorted({source.level for source in sources} - {RewardLevel.OUTCOME})
    if len(dense) > 1:
        raise LmgymError(
            f"rewards of the levels {' and '.join(dense)} cannot be paid together; combine sources"
            " of one dense level, and any of level outcome"
        )
    return dense[0] if dense else RewardLevel.OUTCOME


def score_due(
    source: RewardSource, transcripts: Sequence[Transcript], level: RewardLevel
) -> RewardBatch:
    """What `source` pays as a part of a source of `level`.

    Next to dense rewards, an outcome is asked for where the episode is over and is 0 elsewhere:
    a model is called once an episode, not once a unit.
    """
    is_due = [level is source.level or t.verdict is not None for t in transcripts]
    return scored_rows(source, transcripts, is_due)


def scored_rows(
    source: RewardSource, transcripts: Sequence[Transcript], asked: Iterable[bool]
) -> RewardBatch:
    """The rewards of some transcripts, in a batch of all; the others get 0, and are not read.

    Dense rewards are there for every unit: zeros, where the source leaves them out.
    """
    rows = [row for row, is_one in enumerate(asked) if is_one]
    n = len(transcripts)
    is_asked = bool(rows) or not n
    scored = source.score([transcripts[r] for r in rows]) if is_asked else RewardBatch(np.zeros(0))
    std, unscored = scored.std, scored.unscored
    return RewardBatch(
        _spread(scored.outcome, rows, n),
        _spread_dense(scored, rows, transcripts, source.level),
        {name: _spread(values, rows, n) for name, values in scored.parts.items()},
        None if unscored is None else _spread(unscored, rows, n).astype(np.bool_),
        None if std is None else _spread(std, rows, n),
    )


def totals(batch: RewardBatch) -> Floats:
    """What each episode is paid in total, shape (n,): its outcome and the sum of the rest."""
    if batch.dense is None:
        return np.asarray(batch.outcome, np.float64)
    return batch.outcome + np.array([float(np.sum(units)) for units in batch.dense], np.float64)


def changed(
    batch: RewardBatch,
    outcome: Callable[[Floats], Floats],
    dense: Callable[[Floats], Floats],
    spread: float = 1.0,
) -> RewardBatch:
    """The batch with other numbers; `spread` is the factor by which its std changes."""
    return replace(
        batch,
        outcome=outcome(batch.outcome),
        dense=None if batch.dense is None else [dense(units) for units in batch.dense],
        std=None if batch.std is None else spread * batch.std,
    )


def any_unscored(batches: Iterable[RewardBatch]) -> NDArray[np.bool_] | None:
    """True where one of the batches could not score, shape (n,); None where all could."""
    known = [batch.unscored for batch in batches if batch.unscored is not None]
    return np.logical_or.reduce(known) if known else None


def _spread(values: NDArray[np.generic], rows: Sequence[int], n: int) -> Floats:
    full = np.zeros(n)
    full[rows] = values
    return full


def _spread_dense(
    scored: RewardBatch, rows: Sequence[int], transcripts: Sequence[Transcript], level: RewardLevel
) -> list[Floats] | None:
    if level is RewardLevel.OUTCOME:
        return None
    full = [np.zeros(transcript.n_units(level)) for transcript in transcripts]
    for place, (row, units) in enumerate(zip(rows, scored.dense or [], strict=False)):
        if np.shape(units) == full[row].shape:
            full[row] = units
        elif scored.unscored is None or not scored.unscored[place]:
            raise LmgymError(
                f"a source returned dense rewards of shape {np.shape(units)} for a transcript of"
                f" {len(full[row])} units of level {level}; it must return one number for each"
            )
    return full
