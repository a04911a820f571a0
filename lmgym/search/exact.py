"""Exact play in small games: best responses, exploitability, and how often a player wins.

A best response knows how the others play. By how much it beats them, on average over the seats, is
their exploitability (as NashConv divided by the players, Lanctot et al. 2017, "A unified
game-theoretic approach to multiagent reinforcement learning"); an equilibrium has 0. What players
do not see is taken into account: a response does the same in all states that look alike to it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.games.game import Game

__all__ = ["Policy", "best_response", "expected_returns", "exploitability", "uniform"]

Policy = Callable[[Any], Sequence[float] | NDArray[np.float64]]
"""Of a state the mover's probabilities of `game.legal(state)`, which must not tell alike states
apart."""

Deals = Sequence[tuple[float, Any]]


def uniform(game: Game[Any]) -> Policy:
    """Everything that is allowed, equally likely."""

    def policy(state: Any) -> Sequence[float]:
        n = len(game.legal(state))
        return [1 / n] * n

    return policy


def exploitability(game: Game[Any], policy: Policy, deals: Deals | None = None) -> float:
    """What best responses win against a policy, on average over the seats.

    Args:
        game: of two players, zero-sum.
        policy: for both seats.
        deals: starts with their probabilities; by default all there are.

    Example:
        >>> from lmgym.envs.kuhn_poker.rules import KuhnPoker
        >>> round(exploitability(KuhnPoker(), uniform(KuhnPoker())), 3)
        0.458
    """
    if len(game.players) != 2 or not game.is_zero_sum:
        raise LmgymError(f"{game.name} is not a zero-sum game of two players")
    return float(np.mean([best_response(game, policy, seat, deals) for seat in (0, 1)]))


def best_response(game: Game[Any], policy: Policy, seat: int, deals: Deals | None = None) -> float:
    """What a player wins who knows that the others play by a policy, and answers best."""
    return _Response(game, policy, seat).value(_listed(game, deals))


def expected_returns(
    game: Game[Any], policies: Sequence[Policy], deals: Deals | None = None
) -> NDArray[np.float64]:
    """What each player wins on average, shape (players,); a policy for each seat."""

    def value(state: Any) -> NDArray[np.float64]:
        seat = game.mover(state)
        if seat is None:
            return np.asarray(game.returns(state), np.float64)
        chances = zip(game.legal(state), policies[seat](state), strict=True)
        return sum(
            (p * value(game.play(state, action)) for action, p in chances if p),
            start=np.zeros(len(game.players)),
        )

    return sum(
        (p * value(state) for p, state in _listed(game, deals)),
        start=np.zeros(len(game.players)),
    )


class _Response:
    """A best response: what it knows, and what it does there."""

    def __init__(self, game: Game[Any], policy: Policy, seat: int) -> None:
        self.game, self.policy, self.seat = game, policy, seat
        self.alike: dict[Hashable, list[tuple[float, Any]]] = defaultdict(list)
        self.chosen: dict[Hashable, int] = {}
        self.values: dict[Any, float] = {}

    def value(self, deals: Deals) -> float:
        deals = [(chance, state) for chance, state in deals if chance]
        for chance, state in deals:
            self._visit(state, chance)
        return sum(chance * self._worth(state) for chance, state in deals)

    def _visit(self, state: Any, reach: float) -> None:
        """Note all states in which the player moves, with what others and chance contribute."""
        game, seat = self.game, self.game.mover(state)
        if seat is None or not reach:
            return
        if seat == self.seat:
            self.alike[game.knowledge(state, seat)].append((reach, state))
            for action in game.legal(state):
                self._visit(game.play(state, action), reach)
            return
        for action, chance in zip(game.legal(state), self.policy(state), strict=True):
            self._visit(game.play(state, action), reach * chance)

    def _worth(self, state: Any) -> float:
        if state not in self.values:
            self.values[state] = self._found(state)
        return self.values[state]

    def _found(self, state: Any) -> float:
        game, seat = self.game, self.game.mover(state)
        if seat is None:
            return game.returns(state)[self.seat]
        if seat == self.seat:
            return self._worth(game.play(state, self._choice(game.knowledge(state, seat))))
        chances = zip(game.legal(state), self.policy(state), strict=True)
        return float(sum(p * self._worth(game.play(state, a)) for a, p in chances if p))

    def _choice(self, known: Hashable) -> int:
        """What wins most in all states that look like this."""
        if known not in self.chosen:
            alike = self.alike[known]

            def total(action: int) -> float:
                return sum(r * self._worth(self.game.play(state, action)) for r, state in alike)

            self.chosen[known] = max(self.game.legal(alike[0][1]), key=total)
        return self.chosen[known]


def _listed(game: Game[Any], deals: Deals | None) -> Deals:
    listed = game.deals() if deals is None else deals
    if listed is None:
        raise LmgymError(
            f"the deals of {game.name} cannot be listed; give some, with probabilities"
        )
    return listed
