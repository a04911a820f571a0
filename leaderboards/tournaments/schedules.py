"""Who meets whom: everybody everybody, by points so far, or where a result says most.

Players are numbers from 0 on, and pairs have the smaller one first. What is to be played next
follows from the results before it alone, so an interrupted tournament goes on as it would have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from lmgym.errors import LmgymError, unknown

__all__ = ["SCHEDULES", "Pair", "Played", "RoundRobin", "Schedule", "make_schedule"]

Pair = tuple[int, int]

SCHEDULES = ("round-robin", "swiss", "active")
"""The schedules by name."""

_MOST_ROUNDS = 1_000_000


class Played(NamedTuple):
    """What came of a pairing.

    Attributes:
        first: a player.
        second: the other one, whose number is greater.
        wins: games that the first won.
        draws: games that nobody won.
        losses: games that the second won.
    """

    first: int
    second: int
    wins: int
    draws: int
    losses: int

    @property
    def share(self) -> float:
        """The first player's mean points of a game, a draw half a point."""
        return (self.wins + self.draws / 2) / (self.wins + self.draws + self.losses)


class Schedule(Protocol):
    """Says who meets whom, round by round."""

    @property
    def n_rounds(self) -> int:
        """How many rounds there are."""
        ...

    @property
    def n_pairings(self) -> int:
        """Pairings of all rounds."""
        ...

    def pairs(self, rounds: Sequence[Sequence[Played]]) -> list[Pair]:
        """The pairs of the round after these."""
        ...


@dataclass(frozen=True)
class RoundRobin:
    """Everybody meets everybody once, in one round without waiting.

    The order is that of the circle method (Berger 1895), so that at every moment all have met about
    as many others.

    Example:
        >>> RoundRobin(4).pairs([])
        [(0, 3), (1, 2), (0, 2), (1, 3), (0, 1), (2, 3)]
    """

    n_players: int
    n_rounds: int = 1

    @property
    def n_pairings(self) -> int:
        """Pairings of all rounds."""
        return self.n_players * (self.n_players - 1) // 2

    def pairs(self, rounds: Sequence[Sequence[Played]]) -> list[Pair]:
        """All pairs."""
        del rounds
        n = self.n_players + self.n_players % 2
        circle = list(range(n))
        found: list[Pair] = []
        for _ in range(n - 1):
            for a, b in zip(circle[: n // 2], reversed(circle[n // 2 :]), strict=True):
                if max(a, b) < self.n_players:
                    found.append((min(a, b), max(a, b)))
            circle.insert(1, circle.pop())
        return found


def make_schedule(
    name: str, n_players: int, n_rounds: int | None, n_games: int, seed: int
) -> Schedule:
    """A schedule by its name.

    Args:
        name: one of `SCHEDULES`.
        n_players: at least 2.
        n_rounds: by default the logarithm of the number of players to base 2 for "swiss", which
            finds a winner, and half as many as a round robin has for "active".
        n_games: of a pairing.
        seed: breaks ties.
    """
    from .active import ActiveSchedule
    from .swiss import SwissSchedule

    if name not in SCHEDULES:
        raise unknown("schedule", name, SCHEDULES)
    if name == "round-robin":
        if n_rounds is not None:
            raise LmgymError(
                f"rounds={n_rounds!r:.40}: in a round robin everybody meets everybody once; for"
                " more matches give more games"
            )
        return RoundRobin(n_players)
    if n_rounds is None:
        full = n_players - 1 + n_players % 2
        n_rounds = math.ceil(math.log2(n_players) if name == "swiss" else full / 2)
    if type(n_rounds) is not int or not 1 <= n_rounds <= _MOST_ROUNDS:
        raise LmgymError(
            f"rounds={n_rounds!r:.40}: a whole number from 1 to {_MOST_ROUNDS} is needed"
        )
    if name == "swiss":
        return SwissSchedule(n_players, n_rounds, seed)
    return ActiveSchedule(n_players, n_rounds, n_games)
