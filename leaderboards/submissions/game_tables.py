"""How two tables of games play: chances of moves, whatever the numbers are that they come from.

Adding a number to a row, or putting rows in another order, changes the file and no move.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError

from .game_weights import POLICY_FILE, read_description
from .tensor_files import WEIGHTS_FILE, each_array, read_header

__all__ = ["Chances", "chances_of", "play_distance"]

Chances = Mapping[str, NDArray[np.float64]]
"""The chance of each move, by what a player knows."""

_LEAST_SHARED = 0.5


def chances_of(folder: Path) -> Chances | None:
    """The chances of a table of a game; None for what is none."""
    if not (folder / POLICY_FILE).is_file():
        return None
    try:
        described = read_description(folder)
        header = read_header(folder / WEIGHTS_FILE)
    except LmgymError:
        return None
    if described["kind"] != "tabular":
        return None
    n_actions, known = described["arguments"]["n_actions"], described["arguments"]["known"]
    arrays = dict(each_array(folder / WEIGHTS_FILE, header))
    names = sorted(arrays, key=lambda name: int(name.rpartition(".")[2]))  # blocks.0, blocks.1, ...
    table = np.concatenate([arrays[name].astype(np.float64) for name in names])
    rows = table.reshape(-1, n_actions)[: len(known)]
    return dict(zip(known, _softmax(rows), strict=True))


def play_distance(own: Chances, other: Chances) -> float:
    """How far two tables play apart, as a share of how far they play from equal chances.

    0 for the same play, about 1 for two that have nothing in common. Only rows that both have are
    compared; infinite where those are few, or the games differ.

    Example:
        >>> sure, unsure = np.array([1.0, 0.0]), np.array([0.75, 0.25])
        >>> play_distance({"jack": sure}, {"jack": unsure})
        0.5
    """
    shared = [words for words in own if words in other]
    if not shared or len(shared) < _LEAST_SHARED * min(len(own), len(other)):
        return math.inf
    if own[shared[0]].shape != other[shared[0]].shape:
        return math.inf
    mine = np.stack([own[words] for words in shared])
    theirs = np.stack([other[words] for words in shared])
    apart = float(np.abs(mine - theirs).sum())
    equal = 1 / mine.shape[1]
    ways = np.maximum(np.abs(mine - equal).sum(1), np.abs(theirs - equal).sum(1))
    return apart / float(ways.sum()) if ways.any() else 0.0


def _softmax(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    raised: NDArray[np.float64] = np.exp(rows - rows.max(axis=1, keepdims=True))
    chances: NDArray[np.float64] = raised / raised.sum(axis=1, keepdims=True)
    return chances
