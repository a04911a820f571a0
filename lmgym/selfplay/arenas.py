"""Where a policy plays the games that it learns from: state by state, or in arrays.

Small games that list their deals are played in the arrays of their `GameTree`, dozens of times as
fast; all others by playing their states on, with a forward pass a ply.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmgym.games.game import Game
from lmgym.games.policies import GamePolicy
from lmgym.games.run import Turn
from lmgym.selfplay.opponents import Pairing
from lmgym.selfplay.playing import Chooser, PolicyChooser, deal_states, drawn, play_out
from lmgym.selfplay.trees import GameTree

__all__ = ["Arena", "Played", "StateArena", "TreeArena", "make_arena"]

_TURNS_IN_ARRAYS = 5_000
"""Turns of a tree at most that are asked for each batch."""


@dataclass(frozen=True)
class Played:
    """A batch of games, and the moves of the policy that learns.

    Attributes:
        returns: of all seats, as shares of the most that can be won, shape (B, players).
        is_own: which seats the policy had, shape (B, players).
        games: of each move, which game it was made in, shape (moves,).
        seats: whose move it was, shape (moves,).
        logprobs: of the moves, with their graph, shape (moves,).
        entropies: of what could have been done, in nats, with their graph, shape (moves,).
    """

    returns: NDArray[np.float64]
    is_own: NDArray[np.bool_]
    games: NDArray[np.int64]
    seats: NDArray[np.int64]
    logprobs: Tensor
    entropies: Tensor

    def means(self) -> NDArray[np.float64]:
        """Mean returns of the policy in each seat, shape (players,)."""
        totals = (self.returns * self.is_own).sum(0)
        means: NDArray[np.float64] = totals / np.maximum(1, self.is_own.sum(0))
        return means

    def shares_won(self) -> NDArray[np.float64]:
        """Of each game 1 where the policy has beaten the others, 1/2 for a tie, shape (B,)."""
        own = np.where(self.is_own, self.returns, -np.inf).max(1)
        other = np.where(self.is_own, -np.inf, self.returns).max(1)
        shares: NDArray[np.float64] = (np.sign(own - other) + 1) / 2
        return shares


class Arena(ABC):
    """Where games are played to learn from."""

    @abstractmethod
    def play(self, policy: GamePolicy, pairing: Pairing, rng: np.random.Generator) -> Played:
        """A batch of games on training deals; the policy is number 0 in the pairing."""


class StateArena(Arena):
    """Plays states on."""

    def __init__(self, game: Game[Any]) -> None:
        self.game = game

    def play(self, policy: GamePolicy, pairing: Pairing, rng: np.random.Generator) -> Played:
        """With a forward pass a ply of each policy that is at the table."""
        starts = deal_states(self.game, rng, len(pairing.seats), "train")
        recorder = _Recorder(policy)
        choosers: list[Chooser] = [recorder, *map(PolicyChooser, pairing.opponents)]
        ends = play_out(self.game, starts, choosers, pairing.seats, rng)
        return Played(
            np.array([self.game.returns(end) for end in ends]) / self.game.highest,
            pairing.seats == 0,
            np.array(recorder.games),
            np.array(recorder.seats),
            torch.cat(recorder.logprobs),
            torch.cat(recorder.entropies),
        )


class TreeArena(Arena):
    """Plays in the arrays of a tree that holds all deals."""

    def __init__(self, tree: GameTree) -> None:
        self.tree = tree

    def play(self, policy: GamePolicy, pairing: Pairing, rng: np.random.Generator) -> Played:
        """With a forward pass on all turns of each policy that is at the table."""
        tree = self.tree
        logprobs = tree.logits(policy).log_softmax(1)  # (turns, n_actions)
        with torch.no_grad():
            others = [tree.logits(other).softmax(1) for other in pairing.opponents]
            tables = [logprobs.exp(), *others]
        chances = np.stack([table.detach().double().cpu().numpy() for table in tables])
        live = np.arange(len(pairing.seats))
        at = rng.choice(len(tree.starts), len(live), p=tree.starts)
        moves: list[NDArray[np.int64]] = []
        while len(live):
            seats, turns = tree.movers[at[live]], tree.turn_of[at[live]]
            who = pairing.seats[live, seats]
            actions = drawn(chances[who, turns], rng)
            moves.append(np.stack([live, seats, turns, actions])[:, who == 0])
            at[live] = tree.children[at[live], actions]
            live = live[tree.movers[at[live]] >= 0]
        games, seats, turns, actions = np.concatenate(moves, axis=1)
        won = tree.won[at] / tree.game.highest
        return Played(
            np.stack([won, -won], 1),
            pairing.seats == 0,
            games,
            seats,
            logprobs[turns, actions],
            _entropy(logprobs)[turns],
        )


def make_arena(game: Game[Any], tree: GameTree | None) -> Arena:
    """The arena that suits a game; the tree is of all its deals, if they can be listed."""
    if tree is not None and game.deals() is not None and len(tree.turns) <= _TURNS_IN_ARRAYS:
        return TreeArena(tree)
    return StateArena(game)


class _Recorder:
    """Draws a policy's moves and remembers them, with what a gradient needs."""

    def __init__(self, policy: GamePolicy) -> None:
        self.policy = policy
        self.games: list[int] = []
        self.seats: list[int] = []
        self.logprobs: list[Tensor] = []
        self.entropies: list[Tensor] = []

    def choose(
        self, turns: Sequence[Turn], games: Sequence[int], rng: np.random.Generator
    ) -> Sequence[int]:
        """Moves by the policy's probabilities."""
        logprobs = self.policy(turns).log_softmax(1)  # (B, n_actions)
        actions = drawn(logprobs.detach().exp().double().cpu().numpy(), rng)
        chosen = torch.from_numpy(actions).to(logprobs.device)[:, None]
        self.games += games
        self.seats += [turn.seat for turn in turns]
        self.logprobs.append(logprobs.gather(1, chosen)[:, 0])
        self.entropies.append(_entropy(logprobs))
        found: list[int] = actions.tolist()
        return found


def _entropy(logprobs: Tensor) -> Tensor:
    """In nats, of each row; what is not allowed adds nothing, and no NaN to the gradient."""
    finite = logprobs.masked_fill(logprobs == -torch.inf, 0.0)
    return -(finite.exp() * finite).sum(1)
