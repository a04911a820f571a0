"""`GameTree`: all that can come of some deals, in arrays, for exploitability again and again.

`lmgym.search.exact` finds the same numbers by playing every game through; while a policy learns, it
is asked for them many times on the same deals, so here the games are played through once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmgym.games.game import Game
from lmgym.games.policies import GamePolicy
from lmgym.games.run import Turn
from lmgym.search.exact import Deals

__all__ = ["GameTree"]

_REMEMBERED = 64
"""Policies whose readings of all turns are kept."""
_CHUNK = 1024
"""Turns that a policy is asked at a time."""

Ints = NDArray[np.int64]


class _Edges(NamedTuple):
    """Moves: from where, which, to where; and what the mover knows, by number."""

    parents: Ints
    actions: Ints
    children: Ints
    known: Ints


class GameTree:
    """The states that can come of some deals, of a game of two players.

    Args:
        game: the rules.
        deals: starts with their probabilities.
        limit: of turns at most.

    Attributes:
        turns: all turns, in the order of the probabilities that are asked for.
        is_whole: whether there was room for all turns; else the rest is missing.
        starts: probabilities of the states to start in, shape (states,).
        movers: who moves in each state, -1 where the game is over, shape (states,).
        turn_of: numbers of the turns in which somebody moves, shape (states,).
        children: the state after each action; -1 where it is not allowed, (states, n_actions).
        won: what the first player has won where the game is over, shape (states,).
    """

    def __init__(self, game: Game[Any], deals: Deals, limit: int = 50_000) -> None:
        self.game, self.limit = game, limit
        self.turns: list[Turn] = []
        self._numbers: dict[Any, int] = {}
        self._seats: list[int] = []
        self._returns: list[float] = []
        self._known: list[int] = []
        self._names: dict[Hashable, int] = {}
        self._moves: list[tuple[int, int, int]] = []
        waiting = [state for _, state in deals if self._add(state)]
        while waiting and self.is_whole:
            waiting = [child for state in waiting for child in self._played(state)]
        self._asked: list[tuple[GamePolicy, list[Callable[[], Tensor]]]] = []
        if self.is_whole:
            self.starts = np.zeros(len(self._numbers))
            for chance, state in deals:
                self.starts[self._numbers[state]] += chance
            self._finish()

    @property
    def is_whole(self) -> bool:
        """Whether all turns are there."""
        return len(self.turns) <= self.limit

    def logits(self, policy: GamePolicy) -> Tensor:
        """What a policy says of all turns, shape (turns, n_actions).

        Policies are remembered, so that one that changes reads the turns only once.
        """
        for known, asks in self._asked:
            if known is policy:
                return torch.cat([ask() for ask in asks])
        parts = range(0, len(self.turns), _CHUNK)
        asks = [policy.prepare(self.turns[start : start + _CHUNK]) for start in parts]
        self._asked = [*self._asked[1 - _REMEMBERED :], (policy, asks)]
        return torch.cat([ask() for ask in asks])

    def exploitability(self, chances: NDArray[np.float64]) -> float:
        """What best responses win, on average over the seats.

        Args:
            chances: of all actions in all turns, shape (turns, n_actions).
        """
        return float(np.mean([self.best_response(chances, seat) for seat in (0, 1)]))

    def best_response(self, chances: NDArray[np.float64], seat: int) -> float:
        """What a player wins who knows the other's probabilities, and answers best."""
        levels = self._levels[seat]
        reach = self.starts.copy()
        for edges in reversed(levels):
            weights = np.where(
                self.movers[edges.parents] == seat,
                1.0,
                chances[self.turn_of[edges.parents], edges.actions],
            )
            np.add.at(reach, edges.children, reach[edges.parents] * weights)
        values = self.won * (1.0 if seat == 0 else -1.0)
        worth = np.zeros((len(self._names), self.game.n_actions))
        is_open = np.zeros(worth.shape, np.bool_)
        for edges in levels:
            own = self.movers[edges.parents] == seat
            mine, other = (_Edges(*(part[some] for part in edges)) for some in (own, ~own))
            np.add.at(
                worth, (mine.known, mine.actions), reach[mine.parents] * values[mine.children]
            )
            is_open[mine.known, mine.actions] = True
            rated = np.where(is_open[mine.known], worth[mine.known], -np.inf)
            taken = rated.argmax(1) == mine.actions
            values[mine.parents[taken]] = values[mine.children[taken]]
            weights = chances[self.turn_of[other.parents], other.actions]
            np.add.at(values, other.parents, weights * values[other.children])
        return float(self.starts @ values)

    def _add(self, state: Any) -> bool:
        """Give a state its number; whether it is new."""
        if state in self._numbers:
            return False
        seat = self.game.mover(state)
        self._numbers[state] = len(self._numbers)
        self._seats.append(-1 if seat is None else seat)
        self._returns.append(self.game.returns(state)[0] if seat is None else 0.0)
        known = -1
        if seat is not None:
            name = (seat, self.game.knowledge(state, seat))
            known = self._names.setdefault(name, len(self._names))
            self.turns.append(Turn(self.game, state, seat))
        self._known.append(known)
        return True

    def _played(self, state: Any) -> list[Any]:
        """The new states after one."""
        parent = self._numbers[state]
        if self._seats[parent] < 0 or not self.is_whole:
            return []
        new = []
        for action in self.game.legal(state):
            child = self.game.play(state, action)
            if self._add(child):
                new.append(child)
            self._moves.append((parent, action, self._numbers[child]))
        return new

    def _finish(self) -> None:
        """Turn lists to arrays, and order the moves."""
        self.movers = np.array(self._seats)
        self.won = np.array(self._returns)
        self.turn_of = np.cumsum(self.movers >= 0) - 1
        moves = np.array(self._moves, np.int64).reshape(-1, 3).T
        parents, actions, children = moves
        self.children = np.full((len(self.movers), self.game.n_actions), -1)
        self.children[parents, actions] = children
        edges = _Edges(parents, actions, children, np.array(self._known)[parents])
        self._levels = [self._levels_of(edges, seat) for seat in (0, 1)]

    def _levels_of(self, edges: _Edges, seat: int) -> list[_Edges]:
        """Moves by how far they are from the end, where a player's alike states are equally far."""
        heights = self._heights(edges, seat)[edges.parents]
        return [
            _Edges(*(part[heights == height] for part in edges))
            for height in range(1, int(heights.max(initial=0)) + 1)
        ]

    def _heights(self, edges: _Edges, seat: int) -> Ints:
        """Of each state: 0 where the game is over, else above all that comes after."""
        heights = np.zeros(len(self._seats), np.int64)
        groups = np.where(self.movers[edges.parents] == seat, edges.known, -1)
        is_own = groups >= 0
        alike = np.where(self.movers == seat, self._known, -1)
        for _ in range(len(heights)):  # until nothing changes: once for each move of a game
            new = heights.copy()
            np.maximum.at(new, edges.parents, heights[edges.children] + 1)
            if is_own.any():
                highest = np.zeros(len(self._names), np.int64)
                np.maximum.at(highest, groups[is_own], new[edges.parents[is_own]])
                new = np.where(alike >= 0, highest[alike], new)
            if (new == heights).all():
                return heights
            heights = new
        return heights
