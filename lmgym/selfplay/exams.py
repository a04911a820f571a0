"""What is measured of policies: exploitability, win rates, and facts of games with themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from lmgym.games.game import Game
from lmgym.games.players import RandomPlayer
from lmgym.games.policies import GamePolicy
from lmgym.selfplay.playing import PlayerChooser, PolicyChooser, deal_states, fixed_deals
from lmgym.selfplay.trees import GameTree
from lmgym.selfplay.win_rates import WinRate, self_play_facts, win_rate

__all__ = ["Exam"]

_TURNS = 50_000
"""Turns of a game's tree at most; in larger ones no best response is sought."""


class Exam:
    """Measures policies on deals of one split, always the same ones.

    Args:
        game: the rules.
        split: of the deals; games whose deals are listed have no splits.
        n_deals: on which best responses are found, where deals cannot be listed.
        n_matches: deals of a match, each of which is played in every seat.
        seed: of moves, and of deals that are drawn from a list.

    Attributes:
        tree: the game on the deals, played through; None where it is too large for that.
    """

    def __init__(
        self, game: Game[Any], split: str, n_deals: int, n_matches: int, seed: int
    ) -> None:
        self.game, self.split, self.seed = game, split, seed
        self.tree = _tree(game, split, n_deals)
        self.starts = _starts(game, split, n_matches, seed)

    @torch.no_grad()
    def exploitability(self, policy: GamePolicy) -> float | None:
        """What best responses win against a policy; None where the game is too large."""
        if self.tree is None:
            return None
        return self.tree.exploitability(self.tree.logits(policy).double().softmax(1).cpu().numpy())

    def against(self, policy: GamePolicy, opponent: GamePolicy | None = None) -> WinRate:
        """How often a policy beats another one, or random moves."""
        other = PlayerChooser(RandomPlayer()) if opponent is None else PolicyChooser(opponent)
        rng = np.random.default_rng([self.seed, 1])
        return win_rate(self.game, PolicyChooser(policy), other, self.starts, rng)

    def facts(self, policy: GamePolicy) -> dict[str, float]:
        """Of what share of games that a policy plays with itself the game's facts are true."""
        rng = np.random.default_rng([self.seed, 2])
        return self_play_facts(self.game, PolicyChooser(policy), self.starts, rng)


def _tree(game: Game[Any], split: str, n_deals: int) -> GameTree | None:
    if len(game.players) != 2 or not game.is_zero_sum:
        return None
    tree = GameTree(game, fixed_deals(game, n_deals, split), _TURNS)
    return tree if tree.is_whole else None


def _starts(game: Game[Any], split: str, n: int, seed: int) -> Sequence[Any]:
    if game.deals() is None:
        return [state for _, state in fixed_deals(game, n, split)]
    return deal_states(game, np.random.default_rng([seed, 0]), n, split)
