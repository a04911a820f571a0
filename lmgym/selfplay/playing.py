"""Many games at once: whoever has to move is asked once a ply, for all games together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lmgym.addresses import split_of
from lmgym.errors import LmgymError
from lmgym.games.deals import draw_deal, start_of
from lmgym.games.game import Game
from lmgym.games.players import Player
from lmgym.games.policies import GamePolicy
from lmgym.games.run import Turn

__all__ = [
    "Chooser",
    "PlayerChooser",
    "PolicyChooser",
    "deal_states",
    "drawn",
    "fixed_deals",
    "play_out",
]


class Chooser(Protocol):
    """Chooses moves in many games."""

    def choose(
        self, turns: Sequence[Turn], games: Sequence[int], rng: np.random.Generator
    ) -> Sequence[int]:
        """A move for each turn; `games` says which games they are of."""
        ...


class PlayerChooser:
    """A player, asked one turn after the other."""

    def __init__(self, player: Player) -> None:
        self.player = player

    def choose(
        self, turns: Sequence[Turn], games: Sequence[int], rng: np.random.Generator
    ) -> Sequence[int]:
        """Its moves, by their numbers."""
        del games
        return [self._number(turn, self.player.act(turn, rng)) for turn in turns]

    def _number(self, turn: Turn, said: int | str) -> int:
        if isinstance(said, str):
            raise LmgymError(
                f"{self.player!r:.80} writes messages, which self-play does not read; use lmgym"
                " match"
            )
        return turn.game.check_action(turn.state, said)


class PolicyChooser:
    """A policy, whose moves are drawn."""

    def __init__(self, policy: GamePolicy) -> None:
        self.policy = policy

    def choose(
        self, turns: Sequence[Turn], games: Sequence[int], rng: np.random.Generator
    ) -> Sequence[int]:
        """Moves by the policy's probabilities."""
        del games
        actions: list[int] = drawn(self.policy.probabilities(turns), rng).tolist()
        return actions


def play_out(
    game: Game[Any],
    starts: Sequence[Any],
    choosers: Sequence[Chooser],
    seats: NDArray[np.int64],
    rng: np.random.Generator,
) -> list[Any]:
    """Play games to their ends; returns the last states.

    Args:
        game: the rules.
        starts: of B games.
        choosers: who play.
        seats: which of them sits where, shape (B, players).
        rng: all moves are drawn from it.
    """
    states, sitting = list(starts), seats.tolist()
    live = list(range(len(states)))
    while live:
        asked: defaultdict[int, list[int]] = defaultdict(list)
        turns: defaultdict[int, list[Turn]] = defaultdict(list)
        for i in live:
            seat = game.mover(states[i])
            if seat is not None:
                asked[sitting[i][seat]].append(i)
                turns[sitting[i][seat]].append(Turn(game, states[i], seat))
        for who in sorted(asked):
            actions = choosers[who].choose(turns[who], asked[who], rng)
            for i, action in zip(asked[who], actions, strict=True):
                states[i] = game.play(states[i], action)
        live = sorted(i for games in asked.values() for i in games)
    return states


def deal_states(game: Game[Any], rng: np.random.Generator, n: int, split: str) -> list[Any]:
    """The starts of n games, drawn from a split; games whose deals are listed have no splits."""
    listed = game.deals()
    if listed is None:
        return [start_of(game, draw_deal(rng, split)) for _ in range(n)]
    picked = rng.choice(len(listed), n, p=[chance for chance, _ in listed])
    return [listed[i][1] for i in picked]


def fixed_deals(game: Game[Any], n: int, split: str) -> list[tuple[float, Any]]:
    """Starts with their probabilities: all where they are listed, else the first n of a split."""
    listed = game.deals()
    if listed is not None:
        return list(listed)
    found: list[tuple[float, Any]] = []
    deal = 0
    while len(found) < n:
        if split_of(f"deal/{deal}") == split:
            found.append((1 / n, start_of(game, deal)))
        deal += 1
    return found


def drawn(chances: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """An action for each row of probabilities, shape (B,)."""
    sums = chances.cumsum(1)
    marks = rng.random(len(chances)) * sums[:, -1]
    actions: NDArray[np.int64] = (sums <= marks[:, None]).sum(1)
    return actions
