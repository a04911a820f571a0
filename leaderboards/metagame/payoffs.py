"""Payoffs of agents against each other, as the meta-game of a leaderboard."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from lmgym.errors import LmgymError

from ..arrays import Floats

__all__ = ["square_payoffs"]


def square_payoffs(payoffs: ArrayLike) -> Floats:
    """Payoffs of the row against the column, checked: shape (n, n), all numbers finite."""
    table = np.array(payoffs, np.float64)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or not len(table):
        raise LmgymError(f"payoffs must have shape (n, n), n at least 1; given {table.shape}")
    if not np.isfinite(table).all():
        i, j = np.argwhere(~np.isfinite(table))[0]
        raise LmgymError(
            f"payoffs[{i}, {j}] is {table[i, j]}; every agent must have met every other one, so let"
            " them meet or leave agents out"
        )
    return table
