"""What `reset` and `fork` are given, checked before anything changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lmgym.episode_arguments import checked_prefix
from lmgym.errors import LmgymError, unknown
from lmgym.vector.buffers import Rows
from lmgym.vector.episodes import EpisodeBatch
from lmgym.vector.prompts import Started

__all__ = [
    "ResetOptions",
    "check_count",
    "check_listed",
    "checked_fork",
    "masked_rows",
    "per_row",
    "seeds_of",
]

_OPTIONS = ("prefix_ids", "reset_mask", "split", "task_id")


class ResetOptions:
    """The options of `reset`, one value a row.

    Args:
        batch: the episodes.
        options: `split`, `task_id` and `prefix_ids`, one value for all rows or one for each, and
            `reset_mask`.

    Attributes:
        rows: those that start.
        is_default: whether nothing is chosen but the rows.
    """

    def __init__(self, batch: EpisodeBatch, options: Mapping[str, Any] | None) -> None:
        """Check all of them."""
        if options is not None and not isinstance(options, Mapping):
            raise LmgymError(f"options={options!r:.60} is no dictionary of {', '.join(_OPTIONS)}")
        given = dict(options or {})
        for name in given:
            if name not in _OPTIONS:
                raise unknown("reset option", name, _OPTIONS)
        n_rows = batch.n_rows
        self.rows = masked_rows(given.pop("reset_mask", None), n_rows)
        self.is_default = all(value is None for value in given.values())
        self._batch = batch
        splits = per_row("split", given.get("split"), n_rows)
        self._splits = [batch.task.check_split(s or batch.prompts.split) for s in splits]
        self._task_ids = per_row("task_id", given.get("task_id"), n_rows)
        for task_id in set(self._task_ids) - {None}:  # an unknown one is refused here
            batch.task.reset(np.random.default_rng(0), task_id=task_id)
        self._prefixes = _prefixes(given.get("prefix_ids"), batch)

    def openings(self) -> Started:
        """How the rows start."""
        prompts, rows = self._batch.prompts, self.rows.tolist()
        if self.is_default:
            return prompts.take(self.rows)
        splits, task_ids = self._splits, self._task_ids
        return prompts.encoded(
            [prompts.open(row, split=splits[row], task_id=task_ids[row]) for row in rows]
        )

    def prefixes(self) -> list[list[int]]:
        """What the agent's first messages of the rows begin with."""
        return [self._prefixes[row] for row in self.rows.tolist()]


def seeds_of(seed: int | Sequence[int | None] | None, rows: Rows, n_rows: int) -> list[int | None]:
    """The seeds of some rows, from one number, or from a list with one a row."""
    if seed is None:
        return [None] * len(rows)
    if isinstance(seed, (int, np.integer)):
        seeds: list[int | None] = [int(seed) + row for row in rows.tolist()]
    else:
        check_count("seed", seed, n_rows)
        given = [seed[row] for row in rows.tolist()]
        seeds = [int(s) if isinstance(s, np.integer) else s for s in given]
    strange = [s for s in seeds if s is not None and not (isinstance(s, int) and s >= 0)]
    if strange:
        raise LmgymError(f"seed {strange[0]!r} is no whole number from 0 on")
    return seeds


def checked_fork(
    sources: Sequence[int] | Rows, targets: Sequence[int] | Rows, n_rows: int
) -> tuple[Rows, Rows]:
    """Rows to copy and rows that become copies, as arrays.

    Raises:
        LmgymError: where a row does not exist, they are not as many, or a target is overwritten
            twice or copied as well.
    """
    from_rows, to_rows = _existing(sources, n_rows), _existing(targets, n_rows)
    is_target = np.zeros(n_rows, np.bool_)
    is_target[to_rows] = True
    n_targets = len(to_rows)
    if (
        len(from_rows) != n_targets
        or int(is_target.sum()) != n_targets
        or is_target[from_rows].any()
    ):
        raise LmgymError(
            "fork takes as many sources as targets, no target twice and none that is a source;"
            f" given {from_rows.tolist()[:8]} and {to_rows.tolist()[:8]}"
        )
    return from_rows, to_rows


def _existing(rows: Sequence[int] | Rows, n_rows: int) -> Rows:
    array = np.asarray(rows, dtype=None if len(rows) else np.intp)
    is_whole = array.ndim == 1 and array.dtype.kind in "iu"
    if not is_whole or (len(array) and not 0 <= array.min() <= array.max() < n_rows):
        raise LmgymError(
            f"rows {rows!r:.60} do not exist; give a list of numbers from 0 to {n_rows - 1}"
        )
    return array.astype(np.intp, copy=False)


def masked_rows(mask: Any, n_rows: int) -> Rows:
    """The rows that a `reset_mask` names."""
    if mask is None:
        return np.arange(n_rows)
    array = np.asarray(mask)
    if array.shape != (n_rows,) or array.dtype != np.bool_ or not array.any():
        raise LmgymError(
            f"reset_mask has shape {array.shape} and type {array.dtype}; give a boolean array of"
            f" shape ({n_rows},) with at least one True"
        )
    return array.nonzero()[0]


def per_row(name: str, value: str | Sequence[Any] | None, n_rows: int) -> list[Any]:
    """One value a row, from one for all or from a list."""
    if value is None or isinstance(value, str):
        return [value] * n_rows
    check_count(name, value, n_rows)
    strange = [one for one in value if not (one is None or isinstance(one, str))]
    if strange:
        raise LmgymError(f"{name} {strange[0]!r} is no text")
    return list(value)


def _prefixes(given: Any, batch: EpisodeBatch) -> list[list[int]]:
    if given is None:
        return [[]] * batch.n_rows
    check_listed("prefix_ids", given)
    is_per_row = any(ids is None or np.ndim(ids) for ids in given)
    per_row = list(given) if is_per_row else [given] * batch.n_rows
    check_count("prefix_ids", per_row, batch.n_rows)
    return [[] if ids is None else checked_prefix(ids, batch.renderer) for ids in per_row]


def check_listed(name: str, values: Any) -> None:
    """Raise where an option is no list."""
    if isinstance(values, str) or not hasattr(values, "__len__"):
        raise LmgymError(
            f"{name}={values!r:.60} is no list; give one for all rows, or one for each"
        )


def check_count(name: str, values: Sequence[Any], n_rows: int) -> None:
    """Raise where an option is no list of one value a row."""
    check_listed(name, values)
    if len(values) != n_rows:
        raise LmgymError(
            f"{name} has {len(values)} values for {n_rows} rows; give one for all rows, or one for"
            " each"
        )
