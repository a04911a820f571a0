"""Infos of a batch: columns of some rows, and what gymnasium and others make of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmgym.vector.buffers import Rows

__all__ = ["InfoColumns", "batched_infos", "infos_by_row", "step_infos"]


_MANY = 12
"""So many values are put in their places faster by numpy than one at a time."""


class InfoColumns(NamedTuple):
    """Entries of the infos of some rows: for each key as many values as rows."""

    rows: Rows
    columns: dict[str, list[Any]]

    def of(self, is_kept: NDArray[np.bool_]) -> InfoColumns:
        """The part that belongs to the rows where a mask of all rows is True."""
        kept = is_kept[self.rows].nonzero()[0]
        if len(kept) == len(self.rows):
            return self
        if not len(kept):
            return InfoColumns(kept, {})
        listed = kept.tolist()
        columns = {key: [values[i] for i in listed] for key, values in self.columns.items()}
        return InfoColumns(self.rows[kept], columns)


def infos_by_row(parts: Iterable[InfoColumns]) -> dict[int, dict[str, Any]]:
    """What single environments would tell, by row.

    Example:
        >>> infos_by_row([InfoColumns(np.array([1, 4]), {"n_tokens": [3, 2]})])
        {1: {'n_tokens': 3}, 4: {'n_tokens': 2}}
    """
    infos: dict[int, dict[str, Any]] = {}
    for part in parts:
        rows = part.rows.tolist()
        for key, values in part.columns.items():
            for row, value in zip(rows, values, strict=True):
                infos.setdefault(row, {})[key] = value
    return infos


def batched_infos(n_rows: int, parts: Iterable[InfoColumns]) -> dict[str, Any]:
    """What `gymnasium.vector.SyncVectorEnv` makes of the infos of single environments.

    Each key has an array of all rows, and under the key after an underscore a mask of the rows
    that have it; a key of dictionaries has a dictionary of the same form. Keys of the same rows
    share their mask.

    Example:
        >>> batched_infos(2, [InfoColumns(np.array([1]), {"n_tokens": [3]})])
        {'_n_tokens': array([False,  True]), 'n_tokens': array([0, 3])}
    """
    batched: dict[str, Any] = {}
    for part in parts:
        if len(part.rows):
            mask = np.zeros(n_rows, np.bool_)
            mask[part.rows] = True
            columns = _columns(n_rows, part, mask)
            if batched.keys().isdisjoint(columns):
                batched.update(columns)
            else:
                batched = _merged(batched, columns)
    return batched


def step_infos(
    n_rows: int,
    ended: Iterable[InfoColumns],
    begun: Iterable[InfoColumns],
    finals: Mapping[int, Any],
) -> dict[str, Any]:
    """The infos of a step in gymnasium's form.

    Args:
        n_rows: of the batch.
        ended: of rows whose turn or episode ended.
        begun: what `reset` tells of rows that started again.
        finals: in mode same_step, the last observations of the rows that are over.
    """
    if not finals:
        return batched_infos(n_rows, [*ended, *begun])
    is_over = np.zeros(n_rows, np.bool_)
    is_over[list(finals)] = True
    going_on = [part.of(~is_over) for part in ended]
    final_obs = np.empty(n_rows, object)
    final_obs[list(finals)] = np.fromiter(finals.values(), object, len(finals))
    return batched_infos(n_rows, [*going_on, *begun]) | {
        "final_obs": final_obs,
        "_final_obs": is_over,
        "final_info": batched_infos(n_rows, [part.of(is_over) for part in ended]),
        "_final_info": is_over.copy(),
    }


def _columns(n_rows: int, part: InfoColumns, mask: NDArray[np.bool_]) -> dict[str, Any]:
    """The entries of a part as arrays of all rows, each with the mask of its rows."""
    rows = part.rows.tolist()
    columns: dict[str, Any] = {}
    for key, values in part.columns.items():
        kind = type(values[0])
        columns[f"_{key}"] = mask
        if kind is dict:
            inner = _inner(part.rows, values)
            is_one = len(inner) == 1
            columns[key] = (
                _columns(n_rows, inner[0], mask) if is_one else batched_infos(n_rows, inner)
            )
            continue
        is_number = kind is int or kind is float or kind is bool
        columns[key] = column = np.zeros(n_rows, kind) if is_number else np.empty(n_rows, object)
        if len(rows) < _MANY:
            for row, value in zip(rows, values, strict=True):
                column[row] = value
        else:  # `fromiter` takes tuples as they are, where an assignment would look into them
            column[part.rows] = np.fromiter(values, column.dtype, len(rows))
    return columns


def _inner(rows: Rows, values: list[dict[str, Any]]) -> list[InfoColumns]:
    """Dictionaries of some rows as columns, those with the same keys together."""
    first = values[0].keys()
    if all(value.keys() == first for value in values):  # as nearly always
        return [InfoColumns(rows, {key: [value[key] for value in values] for key in first})]
    groups: dict[tuple[str, ...], list[int]] = {}
    for index, value in enumerate(values):
        groups.setdefault(tuple(value), []).append(index)
    return [
        InfoColumns(rows[kept], {key: [values[index][key] for index in kept] for key in keys})
        for keys, kept in groups.items()
    ]


def _merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Two batched infos of different rows as one."""
    merged = first | second
    for key in first.keys() & second.keys():
        if isinstance(first[key], dict):
            merged[key] = _merged(first[key], second[key])
        elif key.startswith("_"):
            merged[key] = first[key] | second[key]
        else:
            merged[key] = np.where(second[f"_{key}"], second[key], first[key])
    return merged
