"""What sources that are made of other sources share: their level, checks and sums of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.rewards.source import RewardBatch, RewardLevel, RewardSource
from lmgym.transcript import Transcript

__all__ = [
    "Compound",
    "any_unscored",
    "changed",
    "checked",
    "common_level",
    "fingerprint_of",
    "score_due",
    "scored_by",
    "scored_rows",
    "totals",
]

Floats = NDArray[np.float64]


class Compound:
    """A source that is made of others; its `fingerprint` changes when one of theirs does."""

    _sources: tuple[RewardSource, ...]

    @property
    def fingerprint(self) -> str:
        """What tells it apart, for `Cached`."""
        return f"{type(self).__name__}({', '.join(map(fingerprint_of, self._sources))})"


def fingerprint_of(source: RewardSource) -> str:
    """A source's `fingerprint`, or the name of its class."""
    return str(getattr(source, "fingerprint", type(source).__name__))


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
    """The rewards of some transcripts, in a batch of all; the others get 0, and are not read."""
    rows = [row for row, is_one in enumerate(asked) if is_one]
    n = len(transcripts)
    is_asked = bool(rows) or not n
    asking = [transcripts[row] for row in rows]
    scored = scored_by(source, asking) if is_asked else RewardBatch(np.zeros(0))
    std, unscored = scored.std, scored.unscored
    return RewardBatch(
        _spread(scored.outcome, rows, n),
        _spread_dense(scored, rows, transcripts, source.level),
        {name: _spread(values, rows, n) for name, values in scored.parts.items()},
        None if unscored is None else _spread(unscored, rows, n).astype(np.bool_),
        None if std is None else _spread(std, rows, n),
    )


def scored_by(source: RewardSource, transcripts: Sequence[Transcript]) -> RewardBatch:
    """What `source` pays, checked, with dense rewards for every unit of a dense level."""
    level = source.level
    batch = checked(source.score(transcripts), len(transcripts), level)
    if level is RewardLevel.OUTCOME:
        return batch
    rows = enumerate(transcripts)
    return replace(batch, dense=[_checked_units(batch, row, t, level) for row, t in rows])


def checked(batch: RewardBatch, n: int, level: RewardLevel) -> RewardBatch:
    """The batch as arrays, where it is one of n transcripts, finite wherever it is scored.

    Raises:
        LmgymError: for anything else; the units of dense rewards are not looked at.
    """
    if not isinstance(batch, RewardBatch) or not isinstance(batch.parts, Mapping):
        raise LmgymError(
            f"the reward source returned {batch!r:.80}; its score must return a RewardBatch, with"
            " parts by name"
        )
    unscored = _checked_unscored(batch.unscored, n)
    if batch.dense is not None:
        _check_dense(batch.dense, n, level)
    outcome = _column("outcomes", batch.outcome, n, unscored)
    parts = {
        name: outcome if part is batch.outcome else _column(f"parts {name!r}", part, n, unscored)
        for name, part in batch.parts.items()
    }
    return RewardBatch(
        outcome,
        batch.dense,
        parts,
        unscored,
        None if batch.std is None else _column("stds", batch.std, n, unscored),
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


def _checked_unscored(unscored: Any, n: int) -> NDArray[np.bool_] | None:
    if unscored is None:
        return None
    rows = np.asarray(unscored)
    if rows.shape != (n,) or rows.dtype != np.bool_:
        raise LmgymError(
            f"the reward source returned unscored={unscored!r:.80} for {n} transcripts; it must"
            " return an array of one boolean for each, or None"
        )
    return rows


def _check_dense(dense: Sequence[Floats], n: int, level: RewardLevel) -> None:
    if level is RewardLevel.OUTCOME:
        raise LmgymError(
            "the reward source is of level outcome and returned dense rewards; give it the level"
            " turn, step or token, or add them to the outcome"
        )
    if len(dense) != n:
        raise LmgymError(
            f"the reward source returned dense rewards of {len(dense)} transcripts for {n};"
            " it must return one array for each"
        )


def _spread(values: NDArray[np.generic], rows: Sequence[int], n: int) -> Floats:
    full = np.zeros(n)
    full[rows] = values
    return full


def _spread_dense(
    scored: RewardBatch, rows: Sequence[int], transcripts: Sequence[Transcript], level: RewardLevel
) -> list[Floats] | None:
    if level is RewardLevel.OUTCOME:
        return None
    known = dict(zip(rows, scored.dense or (), strict=True))
    return [
        known[row] if row in known else np.zeros(transcript.n_units(level))
        for row, transcript in enumerate(transcripts)
    ]


def _checked_units(
    batch: RewardBatch, row: int, transcript: Transcript, level: RewardLevel
) -> Floats:
    """The dense rewards of every unit of a row; zeros where they are left out.

    Those of an episode that is unscored may be anything, and are zeros where they do not fit.
    """
    n = transcript.n_units(level)
    if batch.dense is None:
        return np.zeros(n)
    units = _numbers("dense rewards", batch.dense[row])
    if units.shape == (n,) and _is_finite(units):
        return units
    if batch.unscored is not None and batch.unscored[row]:
        return np.zeros(n)
    if units.shape == (n,):
        raise _not_finite("dense rewards", units)
    raise LmgymError(
        f"the reward source returned dense rewards of shape {units.shape} for a transcript of {n}"
        f" units of level {level!s}; it must return one number for each"
    )


def _column(name: str, values: Any, n: int, unscored: NDArray[np.bool_] | None) -> Floats:
    """A number for each transcript, finite where it is scored."""
    column = _numbers(name, values)
    if column.shape != (n,):
        raise LmgymError(
            f"the reward source returned {name} of shape {column.shape} for {n} transcripts; it"
            " must return one number for each"
        )
    if not _is_finite(column):
        known = column if unscored is None else column[~unscored]
        if not _is_finite(known):
            raise _not_finite(name, known)
    return column


def _numbers(name: str, values: Any) -> Floats:
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise LmgymError(
            f"the reward source returned {name} {values!r:.80}; they must be arrays of numbers"
        ) from None


def _is_finite(values: Floats) -> bool:
    return all(map(isfinite, values.tolist()))  # batches are small: faster than numpy's


def _not_finite(name: str, values: Floats) -> LmgymError:
    worst = values[~np.isfinite(values)][0]
    return LmgymError(
        f"the reward source returned {worst}, which is not finite; mark what it cannot score as"
        f" unscored (it stands among its {name})"
    )
