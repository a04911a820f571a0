"""Infos of a batch in gymnasium's form: an array a key, and a mask of the rows that have it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["batched_infos"]

Infos = Mapping[int, Mapping[str, Any]]
"""By row, what the info of a single environment would hold."""


def batched_infos(n_rows: int, infos: Infos) -> dict[str, Any]:
    """What `gymnasium.vector.SyncVectorEnv` makes of the infos of single environments.

    Example:
        >>> batched_infos(2, {1: {"n_tokens": 3}})
        {'n_tokens': array([0, 3]), '_n_tokens': array([False,  True])}
    """
    batched: dict[str, Any] = {}
    for keys, group in _alike(infos).items():
        rows = list(group)
        mask = np.zeros(n_rows, np.bool_)
        mask[rows] = True
        for key in keys:
            values = [info[key] for info in group.values()]
            batched[key] = _column(n_rows, rows, key, values, batched.get(key))
            seen = batched.get(f"_{key}")
            batched[f"_{key}"] = mask.copy() if seen is None else seen | mask
    return batched


def _alike(infos: Infos) -> dict[tuple[str, ...], dict[int, Mapping[str, Any]]]:
    """The infos in groups that have the same keys."""
    groups: dict[tuple[str, ...], dict[int, Mapping[str, Any]]] = {}
    for row, info in infos.items():
        groups.setdefault(tuple(info), {})[row] = info
    return groups


def _column(n_rows: int, rows: list[int], key: str, values: list[Any], column: Any) -> Any:
    """The values of a key, put at their rows of what there is of it already."""
    first = values[0]
    if isinstance(first, dict) and key != "final_obs":
        inner = batched_infos(n_rows, dict(zip(rows, values, strict=True)))
        return inner if column is None else _merged(column, inner)
    if type(first) in (int, float, bool):
        column = np.zeros(n_rows, type(first)) if column is None else column
        column[rows] = values
        return column
    column = np.empty(n_rows, object) if column is None else column
    return _placed(column, rows, values)


def _placed(column: NDArray[Any], rows: Iterable[int], values: Iterable[Any]) -> NDArray[Any]:
    for row, value in zip(rows, values, strict=True):
        column[row] = value
    return column


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
