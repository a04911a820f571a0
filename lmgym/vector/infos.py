"""Infos of a batch: columns of some rows, and what gymnasium and others make of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["InfoColumns", "batched_infos", "infos_by_row"]


@dataclass(frozen=True, slots=True)
class InfoColumns:
    """Entries of the infos of some rows: for each key as many values as rows."""

    rows: list[int]
    columns: dict[str, list[Any]]

    def of(self, rows: set[int], *, complement: bool = False) -> InfoColumns:
        """The part that belongs to some of the rows, or to all others."""
        kept = [index for index, row in enumerate(self.rows) if (row in rows) != complement]
        if len(kept) == len(self.rows):
            return self
        columns = {key: [values[i] for i in kept] for key, values in self.columns.items()}
        return InfoColumns([self.rows[index] for index in kept], columns)


def infos_by_row(parts: Iterable[InfoColumns]) -> dict[int, dict[str, Any]]:
    """What single environments would tell, by row.

    Example:
        >>> infos_by_row([InfoColumns([1, 4], {"n_tokens": [3, 2]})])
        {1: {'n_tokens': 3}, 4: {'n_tokens': 2}}
    """
    infos: dict[int, dict[str, Any]] = {}
    for part in parts:
        for key, values in part.columns.items():
            for row, value in zip(part.rows, values, strict=True):
                infos.setdefault(row, {})[key] = value
    return infos


def batched_infos(n_rows: int, parts: Iterable[InfoColumns]) -> dict[str, Any]:
    """What `gymnasium.vector.SyncVectorEnv` makes of the infos of single environments.

    Each key has an array of all rows, and under the key after an underscore a mask of the rows
    that have it; a key of dictionaries has a dictionary of the same form.

    Example:
        >>> batched_infos(2, [InfoColumns([1], {"n_tokens": [3]})])
        {'_n_tokens': array([False,  True]), 'n_tokens': array([0, 3])}
    """
    batched: dict[str, Any] = {}
    for part in parts:
        if not part.rows:
            continue
        rows = np.array(part.rows)
        mask = np.zeros(n_rows, np.bool_)
        mask[rows] = True
        for key, values in part.columns.items():
            seen = f"_{key}"
            batched[seen] = batched[seen] | mask if seen in batched else mask.copy()
            if isinstance(values[0], dict):
                inner = batched_infos(n_rows, _inner(part.rows, values))
                batched[key] = _merged(batched.get(key, {}), inner)
            else:
                _put(batched, key, n_rows, rows, values)
    return batched


def _put(
    batched: dict[str, Any], key: str, n_rows: int, rows: NDArray[np.intp], values: list[Any]
) -> None:
    """Put the values of a key at their rows."""
    kind = type(values[0])
    is_number = kind in (int, float, bool)
    if key not in batched:
        batched[key] = np.zeros(n_rows, kind) if is_number else np.empty(n_rows, object)
    # `fromiter` takes tuples as they are, where an assignment would look into them.
    batched[key][rows] = values if is_number else np.fromiter(values, object, len(values))


def _inner(rows: list[int], values: list[dict[str, Any]]) -> list[InfoColumns]:
    """Dictionaries of some rows as columns, those with the same keys together."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for index, value in enumerate(values):
        groups.setdefault(tuple(value), []).append(index)
    return [
        InfoColumns([rows[i] for i in kept], {key: [values[i][key] for i in kept] for key in keys})
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
