"""Which players' matches tell how they compare: connected parts, and leads without a bound.

Strengths of players who are not joined by matches cannot be compared at all. Where they are joined,
but some never lost against the others, the likelihood grows with their lead for ever (Ford 1957).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Floats
from .match_counts import PairCounts

__all__ = ["components", "is_bounded", "unbounded_leads"]

_NOWHERE = -np.inf


def components(n_players: int, pairs: PairCounts) -> NDArray[np.int64]:
    """The part of the graph that each player is in, the largest first, shape (n,).

    Players are in one part where a chain of matches joins them. Of parts with equally many players
    the one with the first player comes first.

    Example:
        >>> pairs = PairCounts(np.array([1, 2]), np.array([3, 4]), np.ones((3, 2)))
        >>> components(5, pairs)
        array([2, 0, 1, 0, 1])
    """
    always = np.ones(len(pairs.first), bool)
    labels = np.full(n_players, -1, np.int64)
    n_parts = 0
    while (labels < 0).any():
        start = int(np.argmax(labels < 0))
        labels[_reached(n_players, start, pairs, always, always)] = n_parts
        n_parts += 1
    order = np.argsort(-np.bincount(labels, minlength=n_parts), kind="stable")
    return np.argsort(order, kind="stable")[labels]


def is_bounded(n_players: int, pairs: PairCounts, *, has_draw_strength: bool) -> bool:
    """Whether the likelihood of connected players has a maximum at finite strengths."""
    won, drawn, lost = pairs.outcomes
    down, up = won + drawn > 0, lost + drawn > 0
    both_ways = ((down, up), (up, down))  # from the first player to everybody, and from them to it
    if not all(_reached(n_players, 0, pairs, *ways).all() for ways in both_ways):
        return False
    if not has_draw_strength or ((won > 0) & (lost > 0)).any():
        return True
    return not unbounded_leads(n_players, pairs, has_draw_strength=True).any()


def unbounded_leads(n_players: int, pairs: PairCounts, *, has_draw_strength: bool) -> Bools:
    """Whose lead over whom has no upper bound, shape (n, n).

    The entry [i, j] is true where the likelihood does not fall as i's lead over j grows for ever,
    strengths of the others following suitably. With draws as half wins that is where no chain of
    wins and draws leads from j to i. In Davidson's model a lead may grow together with the strength
    of draws: a win then asks for twice the growth of the latter, a draw allows as much, and the
    leads that this leaves open are those of the heaviest chains.

    Args:
        n_players: how many there are.
        pairs: who met, with what outcomes.
        has_draw_strength: whether the model is Davidson's.
    """
    won, drawn, lost = pairs.outcomes
    best = None
    if has_draw_strength and drawn.any():
        best = _heaviest(_weights(n_players, pairs, (won > 0, drawn > 0, lost > 0), 2.0))
    if best is None:
        best = _heaviest(_weights(n_players, pairs, (won > 0, drawn > 0, lost > 0), 0.0))
        assert best is not None  # no chain weighs more than 0
    return best.T < 0


def _reached(n_players: int, start: int, pairs: PairCounts, down: Bools, up: Bools) -> Bools:
    """Who is reached from a player over pairs that lead down (first to second) or up."""
    reached = np.zeros(n_players, bool)
    reached[start] = True
    count = 0
    while count != (count := int(reached.sum())) and count < n_players:
        reached[pairs.second[down & reached[pairs.first]]] = True
        reached[pairs.first[up & reached[pairs.second]]] = True
    return reached


def _weights(
    n_players: int, pairs: PairCounts, has: tuple[Bools, Bools, Bools], growth: float
) -> Floats:
    """What each lead of the row over the column has to grow by at least, shape (n, n)."""
    won, drawn, lost = has
    weights = np.full((n_players, n_players), _NOWHERE)
    np.fill_diagonal(weights, 0.0)
    for i, j in ((pairs.first, pairs.second), (pairs.second, pairs.first)):
        weights[i[drawn], j[drawn]] = -growth
    weights[pairs.first[won], pairs.second[won]] = growth
    weights[pairs.second[lost], pairs.first[lost]] = growth
    return weights


def _heaviest(weights: Floats) -> Floats | None:
    """The heaviest chains from the row to the column (Floyd 1962); None where a circle gains."""
    best = weights.copy()
    for middle in range(len(best)):
        np.maximum(best, best[:, middle, None] + best[middle], out=best)
        if (best.diagonal() > 0).any():
            return None
    return best
