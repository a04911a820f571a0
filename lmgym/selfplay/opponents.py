"""Whom a policy plays with while it learns: itself, its average, or what it was before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lmgym.games.policies import GamePolicy
from lmgym.selfplay.averages import PolicyAverage

__all__ = ["OpponentKind", "Opponents", "Pairing", "make_opponents"]

OpponentKind = Literal["current", "average", "pool", "league"]
"""Whom to play with."""

_FORGETTING = 0.99
"""What an old game counts beside one of a batch later, in the league's win rates."""
_SHARE_OF_ITSELF = 0.5
"""Of the league's games that are played by the policy with itself."""


@dataclass(frozen=True)
class Pairing:
    """Who sits where in a batch of games.

    Attributes:
        opponents: those that play; the learner is number 0, and these follow.
        seats: their numbers, shape (games, players).
    """

    opponents: list[GamePolicy]
    seats: NDArray[np.int64]


class Opponents:
    """Whom a policy plays with: here itself, in all seats, and it learns in all of them."""

    def __init__(self, n_seats: int) -> None:
        self.n_seats = n_seats

    def draw(self, rng: np.random.Generator, n_games: int) -> Pairing:
        """Seats of a batch of games."""
        del rng
        return Pairing([], np.zeros((n_games, self.n_seats), np.int64))

    def keep(self, earlier: Sequence[GamePolicy]) -> None:
        """Remember all policies that there were at checkpoints; they do not change any more."""

    def tell(self, pairing: Pairing, is_won: NDArray[np.float64]) -> None:
        """Take in what share of each game the learner has won, shape (games,)."""

    def _against(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """The learner in each seat in turn, and in the others the opponents of these numbers."""
        seats = np.repeat(numbers[:, None], self.n_seats, axis=1)
        rows = np.arange(len(numbers))
        seats[rows, rows % self.n_seats] = 0
        return seats


class _Average(Opponents):
    """The average over the policies so far, as in fictitious play (Heinrich et al. 2015)."""

    def __init__(self, n_seats: int, average: PolicyAverage) -> None:
        super().__init__(n_seats)
        self.average = average

    def draw(self, rng: np.random.Generator, n_games: int) -> Pairing:
        """The average in all other seats."""
        self.average.refresh()
        return Pairing([self.average.policy], self._against(np.ones(n_games, np.int64)))


class _Pool(Opponents):
    """Earlier policies, all equally likely; one a batch, which costs one forward pass a ply."""

    def __init__(self, n_seats: int) -> None:
        super().__init__(n_seats)
        self.members: Sequence[GamePolicy] = []

    def keep(self, earlier: Sequence[GamePolicy]) -> None:
        """They are the members."""
        self.members = earlier

    def draw(self, rng: np.random.Generator, n_games: int) -> Pairing:
        """One member in all other seats."""
        member = self.members[int(rng.integers(len(self.members)))]
        return Pairing([member], self._against(np.ones(n_games, np.int64)))


class _League(_Pool):
    """Half of the games with itself, half with members that are hard to beat.

    A member that loses a share p of its games is drawn in proportion to (1 - p)^2 (prioritised
    fictitious self-play: Vinyals et al. 2019, "Grandmaster level in StarCraft II").
    """

    def __init__(self, n_seats: int) -> None:
        super().__init__(n_seats)
        self._won: list[float] = []
        self._played: list[float] = []
        self._drawn = 0

    def keep(self, earlier: Sequence[GamePolicy]) -> None:
        """New members are taken to be as good as the learner."""
        n_new = len(earlier) - len(self._won)
        super().keep(earlier)
        self._won += [0.5] * n_new
        self._played += [1.0] * n_new

    def draw(self, rng: np.random.Generator, n_games: int) -> Pairing:
        """The learner in some games, one member in the others."""
        lost = 1 - np.array(self._won) / np.array(self._played)
        weights = lost**2 + 1e-6
        self._drawn = int(rng.choice(len(weights), p=weights / weights.sum()))
        seats = self._against(np.ones(n_games, np.int64))
        seats[: int(n_games * _SHARE_OF_ITSELF)] = 0
        return Pairing([self.members[self._drawn]], seats)

    def tell(self, pairing: Pairing, is_won: NDArray[np.float64]) -> None:
        """Keep count of the member that was drawn."""
        counted = is_won[pairing.seats.max(1) > 0]
        i = self._drawn
        self._won[i] = _FORGETTING * self._won[i] + float(counted.sum())
        self._played[i] = _FORGETTING * self._played[i] + len(counted)


def make_opponents(kind: OpponentKind, n_seats: int, average: PolicyAverage) -> Opponents:
    """The opponents of a name."""
    kinds: dict[str, Callable[[], Opponents]] = {
        "current": lambda: Opponents(n_seats),
        "average": lambda: _Average(n_seats, average),
        "pool": lambda: _Pool(n_seats),
        "league": lambda: _League(n_seats),
    }
    return kinds[kind]()
