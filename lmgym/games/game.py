"""`Game`: a game for several players, in plain Python.

A game deals a start, says who moves and what is allowed, and makes a state of a state and a move.
It knows no PettingZoo, no tokens and no players' programs. States are immutable values, so a game
is cloned by copying a reference, and searched by playing on.

Where players move at once, they move one after the other here, and none is shown what the others
have chosen in the same round.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.task import NoArgs

__all__ = ["Game", "IllegalMoveError"]

S = TypeVar("S")

_NUMBERS = (int, np.integer)


class IllegalMoveError(LmgymError):
    """A move that the rules do not allow; the text says why, for the player to read."""


class Game(ABC, Generic[S]):
    """The rules of a game.

    Attributes:
        name: in addresses and in PettingZoo, as "kuhn_poker".
        players: their names, in the order of the seats.
        is_simultaneous: whether all players move at once.
        is_zero_sum: whether what one player wins the others lose.
        is_perfect_information: whether every player sees the whole state, and moves in turn.
        n_actions: different moves, those that are not allowed now among them.
        n_features: numbers that a player sees.
        max_moves: moves of all players in a game at most.
        max_text: characters of what a player reads at most.
        max_message: bytes of a player's message in UTF-8; longer ones are illegal.
        lowest: what a player can lose at worst; a forfeit costs it.
        highest: what a player can win at best.
    """

    Args: ClassVar[type] = NoArgs
    name: ClassVar[str]
    players: tuple[str, ...] = ("player_0", "player_1")
    is_simultaneous: ClassVar[bool] = False
    is_zero_sum: ClassVar[bool] = True
    is_perfect_information: ClassVar[bool] = False
    n_actions: int
    n_features: int
    max_moves: int
    max_text: int = 2048
    max_message: int = 1024
    lowest: float = -1.0
    highest: float = 1.0

    def __init__(self, args: Any) -> None:
        """Keep the arguments, an instance of `Args`."""
        self.args = args

    @abstractmethod
    def start(self, rng: np.random.Generator) -> S:
        """Deal: the only chance in a game."""

    @abstractmethod
    def mover(self, state: S) -> int | None:
        """The seat that moves next; None once the game is over."""

    @abstractmethod
    def legal(self, state: S) -> Sequence[int]:
        """What the mover may do, in ascending order; never empty."""

    @abstractmethod
    def play(self, state: S, action: int) -> S:
        """The state after the mover's action, which is legal."""

    @abstractmethod
    def returns(self, state: S) -> tuple[float, ...]:
        """What each player has won so far."""

    @abstractmethod
    def observe(self, state: S, player: int) -> str:
        """All that a player knows, in words; the same words mean the same knowledge."""

    @abstractmethod
    def features(self, state: S, player: int) -> NDArray[np.float32]:
        """What a player knows, as numbers between 0 and 1, shape (n_features,)."""

    @abstractmethod
    def say(self, state: S, action: int) -> str:
        """An action of the mover in words, as `read` takes them."""

    @abstractmethod
    def read(self, state: S, text: str) -> int:
        """The mover's action in a message.

        Raises:
            IllegalMoveError: where the message holds no action, or one that is not allowed.
        """

    @abstractmethod
    def rules(self, player: int) -> str:
        """The rules and what to write, in words, for a player who does not know the game."""

    def tell(self, state: S, text: str) -> S:
        """The state after the mover's message; a game may keep more of it than the action.

        Raises:
            IllegalMoveError: as `read`.
        """
        return self.play(state, self.read(state, text))

    def knowledge(self, state: S, player: int) -> Hashable:
        """All that a player knows: states that are alike to a player have the same."""
        return self.observe(state, player)

    def key(self, state: S) -> Hashable:
        """What decides how a game can go on; equal for states that differ in names alone.

        Whatever can be won from a state, by whom, can be won from all with its key, by moves that
        may have other numbers. Searches look at only one of them.
        """
        return state

    def deals(self) -> Sequence[tuple[float, S]] | None:
        """Every start with its probability; None where they are too many to list."""
        return None

    def best(self, state: S) -> int | None:
        """A move of the mover that wins as much as can be won, where the game knows one."""
        del state
        return None

    def facts(self, state: S) -> Mapping[str, Any]:
        """What is told of a game that is over, besides what was won."""
        del state
        return {}

    def forfeit(self, player: int) -> tuple[float, ...]:
        """What everybody wins where a player breaks the rules."""
        others = -self.lowest if self.is_zero_sum else 0.0
        return tuple(self.lowest if i == player else others for i in range(len(self.players)))

    def check_action(self, state: S, action: Any) -> int:
        """An action that is allowed, as a Python number.

        Raises:
            IllegalMoveError: for any other.
        """
        legal = self.legal(state)
        is_number = isinstance(action, _NUMBERS) and not isinstance(action, bool)
        if is_number and action in legal:
            return int(action)
        allowed = ", ".join(f"{i} ({self.say(state, i)})" for i in legal[:8])
        more = ", ..." if len(legal) > 8 else ""
        raise IllegalMoveError(f"action {action!r:.40} is not allowed; allowed: {allowed}{more}")
