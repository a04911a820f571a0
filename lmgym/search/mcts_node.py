"""`Node`: a state in the tree of a search, and what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["Node"]


class Node:
    """A state, and what is known of it.

    Attributes:
        low: what the first player is proved to get at least.
        high: what the first player is proved to get at most.
        n: simulations that came through.
        totals: what each player won in them.
        visits: simulations that went on with each move.
    """

    __slots__ = (
        "actions",
        "children",
        "high",
        "low",
        "mover",
        "n",
        "parents",
        "priors",
        "state",
        "totals",
        "visits",
    )

    def __init__(
        self, state: Any, mover: int | None, low: float, high: float, n_players: int
    ) -> None:
        self.state, self.mover, self.low, self.high = state, mover, low, high
        self.n = 0
        self.totals = [0.0] * n_players
        self.children: list[Node] | None = None
        self.parents: list[Node] = []
        self.actions: tuple[int, ...] = ()
        self.visits: list[int] = []
        self.priors: list[float] = []

    @property
    def is_solved(self) -> bool:
        """Whether nothing is left to find out."""
        return self.low == self.high or self.mover is None

    @property
    def is_known(self) -> bool:
        """Whether there is a value."""
        return self.n > 0 or self.is_solved

    def add(self, values: Sequence[float]) -> None:
        """Note the end of a simulation."""
        self.n += 1
        for seat, value in enumerate(values):
            self.totals[seat] += value

    def bounds(self, seat: int) -> tuple[float, float]:
        """What a player is proved to get at least, and at most."""
        return (self.low, self.high) if seat == 0 else (-self.high, -self.low)

    def value(self, seat: int) -> float:
        """What a player has won on average, within what is proved."""
        low, high = self.bounds(seat)
        return min(max(self.totals[seat] / self.n if self.n else 0.0, low), high)
