"""Iterated matching pennies: the game in which learners go round in circles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.games.game import Game, IllegalMoveError

__all__ = ["MatchingPennies", "MatchingPenniesArgs", "Pennies"]

SIDES = ("heads", "tails")
_SHOWN = 8
"""Rounds back that features tell of."""


@dataclass(frozen=True)
class MatchingPenniesArgs:
    """Arguments of `lmgym/MatchingPennies-v0`."""

    rounds: int = 5
    """Rounds of a game."""

    def __post_init__(self) -> None:
        """Raise where a value is not allowed."""
        rounds = self.rounds
        if isinstance(rounds, bool) or not isinstance(rounds, int) or not 1 <= rounds <= 100:
            raise LmgymError(f"rounds={rounds!r} is out of range; allowed are 1 to 100")


class Pennies(NamedTuple):
    """A game.

    Attributes:
        rounds: what both have shown in each round.
        hidden: what the first player has chosen in this round; None before.
    """

    rounds: tuple[tuple[int, int], ...] = ()
    hidden: int | None = None


class MatchingPennies(Game[Pennies]):
    """Both show a side of a penny at once: the first wins equal sides, the second different ones.

    Example:
        >>> game = MatchingPennies()
        >>> print(game.observe(Pennies(((0, 1),)), 1)[:27])
        You win where sides differ.
        >>> game.returns(Pennies(((0, 1), (0, 0), (1, 0))))
        (-1.0, 1.0)
    """

    Args = MatchingPenniesArgs
    name = "matching_pennies"
    is_simultaneous = True
    n_actions = 2
    n_features = 3 * _SHOWN + 2
    args: MatchingPenniesArgs

    def __init__(self, args: MatchingPenniesArgs | None = None) -> None:
        super().__init__(args or MatchingPenniesArgs())
        rounds = self.args.rounds
        self.max_moves = 2 * rounds
        self.max_text = 100 + 48 * rounds
        self.lowest, self.highest = -float(rounds), float(rounds)

    def start(self, rng: np.random.Generator) -> Pennies:
        """Nothing has been shown."""
        del rng
        return Pennies()

    def deals(self) -> Sequence[tuple[float, Pennies]]:
        """There is one start."""
        return [(1.0, Pennies())]

    def mover(self, state: Pennies) -> int | None:
        """The first chooses, then the second, who is not told what."""
        if len(state.rounds) == self.args.rounds:
            return None
        return 0 if state.hidden is None else 1

    def legal(self, state: Pennies) -> Sequence[int]:
        """Heads or tails."""
        del state
        return (0, 1)

    def play(self, state: Pennies, action: int) -> Pennies:
        """Choose a side; both are shown once both have chosen."""
        if state.hidden is None:
            return Pennies(state.rounds, action)
        return Pennies((*state.rounds, (state.hidden, action)))

    def returns(self, state: Pennies) -> tuple[float, float]:
        """Rounds won less rounds lost."""
        won = float(sum(1 if first == second else -1 for first, second in state.rounds))
        return (won, -won)

    def observe(self, state: Pennies, player: int) -> str:
        """What was shown in each round."""
        said = [f"You win where sides {('are equal', 'differ')[player]}."]
        for number, shown in enumerate(state.rounds, 1):
            is_won = (shown[0] == shown[1]) == (player == 0)
            own, other = SIDES[shown[player]], SIDES[shown[1 - player]]
            result = "won" if is_won else "lost"
            said.append(f"Round {number}: you {own}, opponent {other}, {result}.")
        n_played, n = len(state.rounds), self.args.rounds
        is_over = n_played == n
        said.append(
            "The game is over." if is_over else f"Round {n_played + 1} of {n}: heads or tails."
        )
        return " ".join(said)

    def features(self, state: Pennies, player: int) -> NDArray[np.float32]:
        """The last rounds: whether there was one, who showed tails; the seat; what has passed."""
        seen = np.zeros(self.n_features, np.float32)
        for place, shown in enumerate(state.rounds[: -_SHOWN - 1 : -1]):
            seen[3 * place : 3 * place + 3] = 1, shown[player], shown[1 - player]
        seen[-2:] = player, len(state.rounds) / self.args.rounds
        return seen

    def say(self, state: Pennies, action: int) -> str:
        """A word."""
        del state
        return SIDES[action]

    def read(self, state: Pennies, text: str) -> int:
        """The last such word in a message."""
        del state
        words = "".join(c if c.isalpha() else " " for c in text.lower()).split()
        found = [word for word in words if word in SIDES]
        if not found:
            raise IllegalMoveError(f"no side in {text[:40]!r}; write heads or tails")
        return SIDES.index(found[-1])

    def rules(self, player: int) -> str:
        """How to play."""
        kind = ("equal", "different")[player]
        return (
            "Matching pennies. In each round both players show a side of a penny at once. You win"
            f" the round if the sides are {kind}, and lose it otherwise. Answer heads or tails."
        )
