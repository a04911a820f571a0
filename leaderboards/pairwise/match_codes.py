"""Matches as columns of whole numbers: who met, and who won."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lmgym.errors import LmgymError

__all__ = ["MatchCodes", "check_names", "match_codes"]


class MatchCodes(NamedTuple):
    """M matches, in their order.

    Attributes:
        first: the index of the player named first, shape (M,).
        second: that of the other, shape (M,).
        outcome: 1 where the first won, 0 for a draw, -1 where it lost, shape (M,).
    """

    first: NDArray[Any]
    second: NDArray[Any]
    outcome: NDArray[Any]


def match_codes(
    first: ArrayLike, second: ArrayLike, outcome: ArrayLike, names: Sequence[str]
) -> MatchCodes:
    """Matches whose codes have been checked.

    Raises:
        LmgymError: where a match is none; it says which, counted from 0.

    Example:
        >>> match_codes([0, 1], [1, 0], [1, 2], names=["ann", "bob"])
        Traceback (most recent call last):
            ...
        lmgym.errors.LmgymError: match 1: outcome 2; allowed are whole numbers from -1 to 1
    """
    check_names(names)
    given = MatchCodes(*map(np.asarray, (first, second, outcome)))
    shapes = [column.shape for column in given]
    if len(set(shapes)) > 1 or len(shapes[0]) != 1:
        raise LmgymError(f"first, second and outcome have one entry a match; given shapes {shapes}")
    most = len(names) - 1
    codes = MatchCodes(
        _whole("first player", given.first, 0, most),
        _whole("second player", given.second, 0, most),
        _whole("outcome", given.outcome, -1, 1),
    )
    itself = codes.first == codes.second
    if itself.any():
        match = int(np.argmax(itself))
        player = int(codes.first[match])
        raise LmgymError(
            f"match {match}: player {player} ({names[player]!r}) meets itself; leave such matches"
            " out"
        )
    return codes


def check_names(names: Sequence[str]) -> None:
    """Raise unless there are players, and all are named differently."""
    if not len(names):
        raise LmgymError("there are no players; give the name of at least one")
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise LmgymError(f"player {name!r} is named {times} times; give each one name")


def _whole(what: str, column: NDArray[Any], least: int, most: int) -> NDArray[Any]:
    """The column as whole numbers within a range."""
    if not len(column):
        return column.astype(np.int64)
    if column.dtype.kind not in "iuf":
        raise LmgymError(f"{what}: must be whole numbers; given {column.dtype}")
    if column.dtype.kind != "f" and least <= int(column.min()) and int(column.max()) <= most:
        return column.astype(np.int64) if column.dtype.kind == "u" else column
    right = (column >= least) & (column <= most) & (column == np.round(column))
    if not right.all():
        match = int(np.argmin(right))
        raise LmgymError(
            f"match {match}: {what} {column[match]}; allowed are whole numbers from {least} to"
            f" {most}"
        )
    return column.astype(np.int64)
