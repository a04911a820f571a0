"""Elo's (1978) running ratings: after each match, K times the surprise.

They depend on the order of the matches and keep moving by about K, so they suit players that
change, as those of a training run do. Of players that stay the same, `rate` says more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from lmgym.errors import LmgymError

from ..arrays import Floats
from .match_codes import match_codes

__all__ = ["elo_ratings", "expected_score"]


def expected_score(lead: float) -> float:
    """The score, a draw half a win, that is expected of a lead on the Elo scale.

    Example:
        >>> expected_score(0), round(expected_score(400), 4)
        (0.5, 0.9091)
    """
    odds = 10 ** (-abs(lead) / 400)
    return 1 / (1 + odds) if lead >= 0 else odds / (1 + odds)


def elo_ratings(
    first: ArrayLike,
    second: ArrayLike,
    outcome: ArrayLike,
    names: Sequence[str],
    *,
    k: float = 32.0,
    initial_rating: float = 1500.0,
) -> Floats:
    """Ratings after the matches, played in the order given, shape (n,).

    Args:
        first: the index of the player named first in each match, shape (M,).
        second: that of the other, shape (M,).
        outcome: 1 where the first won, 0 for a draw, -1 where it lost, shape (M,).
        names: of the players, by index.
        k: what a surprise of a whole win moves both players by.
        initial_rating: of everybody, and the mean for ever.

    Raises:
        LmgymError: where a match is none; it says which.

    Example:
        >>> elo_ratings([0, 1], [1, 0], [1, 0], names=["ann", "bob"]).round(2)
        array([1514.53, 1485.47])
    """
    if not (math.isfinite(k) and k > 0):
        raise LmgymError(f"k is {k}; give a number above 0, as 32")
    if not math.isfinite(initial_rating):
        raise LmgymError(f"initial_rating is {initial_rating}; give a finite number, as 1500")
    matches = match_codes(first, second, outcome, names)
    ratings = [float(initial_rating)] * len(names)
    rows = zip(*(column.tolist() for column in matches), strict=True)
    for a, b, result in rows:  # each match changes what is expected of the next
        change = k * ((result + 1) / 2 - expected_score(ratings[a] - ratings[b]))
        ratings[a] += change
        ratings[b] -= change
    return np.array(ratings)
