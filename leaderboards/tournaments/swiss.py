"""Swiss tournaments: those who have as many points meet, and nobody meets the same one again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from .matchings import first_perfect_matching
from .schedules import Pair, Played

__all__ = ["SwissSchedule"]


@dataclass(frozen=True)
class SwissSchedule:
    """The Monrad system: from the top of the table on, each meets the next one it hasn't met.

    A pairing is worth one point, shared by its games. Where the number of players is odd, the last
    one in the table of those with the fewest byes has a bye. That is worth a point here, as FIDE's
    rules (C.04.1) have it, and counts nowhere else. Those with equally many points are in an order
    drawn by lot. Repeats come only where all cannot be paired without; then those who have met
    least often meet again.

    Attributes:
        n_players: at least 2.
        n_rounds: how many rounds.
        seed: draws the lots.

    Example:
        >>> SwissSchedule(5, 3, seed=0).pairs([])
        [(3, 4), (0, 2)]
    """

    n_players: int
    n_rounds: int
    seed: int

    @property
    def n_pairings(self) -> int:
        """Pairings of all rounds."""
        return self.n_rounds * (self.n_players // 2)

    def pairs(self, rounds: Sequence[Sequence[Played]]) -> list[Pair]:
        """The pairs of the round after these."""
        points, byes = self._points(rounds), self._byes(rounds)
        lots = np.random.default_rng((self.seed, len(rounds))).permutation(self.n_players)
        order = sorted(range(self.n_players), key=lambda player: (-points[player], lots[player]))
        if self.n_players % 2:
            fewest = min(byes)
            order.remove(next(p for p in reversed(order) if byes[p] == fewest))
        met = Counter((p.first, p.second) for played in rounds for p in played)
        return _paired(order, points, met)

    def _points(self, rounds: Sequence[Sequence[Played]]) -> list[float]:
        points = [float(n) for n in self._byes(rounds)]
        for played in rounds:
            for pairing in played:
                points[pairing.first] += pairing.share
                points[pairing.second] += 1 - pairing.share
        return [round(value, 9) for value in points]

    def _byes(self, rounds: Sequence[Sequence[Played]]) -> list[int]:
        present = Counter(side for played in rounds for p in played for side in p[:2])
        return [len(rounds) - present[player] for player in range(self.n_players)]


def _paired(order: Sequence[int], points: Sequence[float], met: Counter[Pair]) -> list[Pair]:
    """Pair an even number of players, each at most so often as has to be."""
    places = range(len(order))

    def meetings(a: int, b: int) -> int:
        return met[min(order[a], order[b]), max(order[a], order[b])]

    def wishes(place: int, most: int) -> list[int]:
        others = [b for b in places if b != place and meetings(place, b) <= most]
        far = [abs(points[order[place]] - points[order[b]]) for b in places]
        return sorted(others, key=lambda b: (meetings(place, b), far[b], abs(b - place)))

    found = next(
        matching
        for most in count()
        if (matching := first_perfect_matching([wishes(place, most) for place in places]))
        is not None
    )
    named = [(order[a], order[b]) for a, b in found]
    return [(min(pair), max(pair)) for pair in named]
