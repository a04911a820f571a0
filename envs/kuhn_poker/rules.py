"""Kuhn poker: the smallest poker, solved by hand (Kuhn 1950, "Simplified two-person poker")."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmgym.games.game import Game, IllegalMoveError
from lmgym.task import NoArgs

__all__ = ["ACTIONS", "Hand", "KuhnPoker"]

CARDS = ("jack", "queen", "king")
ACTIONS = ("check", "bet", "call", "fold")
_DEALS = tuple(permutations(range(3), 2))
_OPEN = {"": (0, 1), "k": (0, 1), "b": (2, 3), "kb": (2, 3)}
"""What is allowed after each course of the game: k is check, b bet, c call, f fold."""
_LETTERS = "kbcf"
_PATHS = ("", "k", "b", "kb", "kk", "bc", "bf", "kbc", "kbf")


class Hand(NamedTuple):
    """A game.

    Attributes:
        cards: of both players, 0 to 2.
        path: what was done, a letter each.
    """

    cards: tuple[int, int]
    path: str


class KuhnPoker(Game[Hand]):
    """Each has a card and one chip in the pot, and may bet one more; the higher card wins.

    The first player loses 1/18 of a chip a game on average if both play as well as they can.

    Example:
        >>> game = KuhnPoker()
        >>> print(game.observe(Hand((2, 0), "kb"), 0))
        Your card: king. You check, opponent bets. Your turn: call or fold.
        >>> game.returns(Hand((2, 0), "kbc"))
        (2.0, -2.0)
    """

    name = "kuhn_poker"
    n_actions = 4
    n_features = 3 + len(_PATHS) + 1
    max_moves = 3
    max_text = 128
    lowest, highest = -2.0, 2.0

    def __init__(self, args: NoArgs | None = None) -> None:
        super().__init__(args or NoArgs())

    def start(self, rng: np.random.Generator) -> Hand:
        """Deal a card each."""
        return Hand(_DEALS[int(rng.integers(len(_DEALS)))], "")

    def deals(self) -> Sequence[tuple[float, Hand]]:
        """All six, equally likely."""
        return [(1 / len(_DEALS), Hand(cards, "")) for cards in _DEALS]

    def mover(self, state: Hand) -> int | None:
        """One after the other."""
        return len(state.path) % 2 if state.path in _OPEN else None

    def legal(self, state: Hand) -> Sequence[int]:
        """Check or bet; after a bet, call or fold."""
        return _OPEN[state.path]

    def play(self, state: Hand, action: int) -> Hand:
        """Do it."""
        return Hand(state.cards, state.path + _LETTERS[action])

    def returns(self, state: Hand) -> tuple[float, float]:
        """Chips won; who folds loses the one that everybody puts in."""
        path = state.path
        if path in _OPEN:
            return (0.0, 0.0)
        if path.endswith("f"):
            won = 1.0 if len(path) == 2 else -1.0  # the player after the bet has folded
        else:
            stake = 2.0 if "c" in path else 1.0
            won = stake if state.cards[0] > state.cards[1] else -stake
        return (won, -won)

    def observe(self, state: Hand, player: int) -> str:
        """One's card, and what was done; both cards where they are shown at the end."""
        said = [f"Your card: {CARDS[state.cards[player]]}."]
        if state.path:
            done = ", ".join(
                f"{'you' if i % 2 == player else 'opponent'} {_does(letter, i % 2 == player)}"
                for i, letter in enumerate(state.path)
            )
            said.append(f"{done[0].upper()}{done[1:]}.")
        mover = self.mover(state)
        if mover is None:
            if not state.path.endswith("f"):
                said.append(f"Opponent's card: {CARDS[state.cards[1 - player]]}.")
            said.append("The game is over.")
        elif mover == player:
            said.append(f"Your turn: {' or '.join(ACTIONS[i] for i in self.legal(state))}.")
        else:
            said.append("Wait.")
        return " ".join(said)

    def features(self, state: Hand, player: int) -> NDArray[np.float32]:
        """A 1 for one's card, a 1 for what was done, and the seat."""
        seen = np.zeros(self.n_features, np.float32)
        seen[state.cards[player]] = seen[3 + _PATHS.index(state.path)] = 1
        seen[-1] = player
        return seen

    def say(self, state: Hand, action: int) -> str:
        """A word."""
        del state
        return ACTIONS[action]

    def read(self, state: Hand, text: str) -> int:
        """The last such word in a message."""
        words = "".join(c if c.isalpha() else " " for c in text.lower()).split()
        found = [word for word in words if word in ACTIONS]
        allowed = " or ".join(ACTIONS[i] for i in self.legal(state))
        if not found:
            raise IllegalMoveError(f"no move in {text[:40]!r}; write {allowed}")
        action = ACTIONS.index(found[-1])
        if action not in self.legal(state):
            raise IllegalMoveError(f"you cannot {found[-1]} now; write {allowed}")
        return action

    def rules(self, player: int) -> str:
        """How to play."""
        seat = ("first", "second")[player]
        return (
            "Kuhn poker. There are three cards: jack, queen and king, the king is the highest. Each"
            " player gets one and puts one chip into the pot. One may check or bet a chip; who is"
            " faced with a bet calls it or folds. If nobody folds, the higher card takes the pot."
            f" You play {seat}. Answer with one word: check, bet, call or fold."
        )


def _does(letter: str, is_own: bool) -> str:
    word = ACTIONS[_LETTERS.index(letter)]
    return word if is_own else f"{word}s"
