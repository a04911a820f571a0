"""Players of games: what chooses moves, by name."""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeAlias, get_args, runtime_checkable

import numpy as np

from lmgym.errors import LmgymError, unknown
from lmgym.games.game import Game
from lmgym.games.run import Turn
from lmgym.registry import PLAYER_ARGUMENTS, PLAYERS, load

__all__ = [
    "BestPlayer",
    "FailureCause",
    "Player",
    "PlayerFailure",
    "RandomPlayer",
    "find_player",
]

FailureCause: TypeAlias = Literal["time", "protocol", "crash"]
"""Why a program could not move: it took too long, it said what the protocol of its kind does not
know, or it ended."""


class PlayerFailure(LmgymError):  # noqa: N818 - it is what happened, and no error of ours
    """A player that is no code of ours could not move: its game is forfeited, and nothing else.

    Example:
        >>> PlayerFailure("time", "it did not answer in time").cause
        'time'
    """

    def __init__(self, cause: FailureCause, reason: str) -> None:
        super().__init__(reason)
        if cause not in get_args(FailureCause):
            raise unknown("cause", cause, get_args(FailureCause))
        self.cause: FailureCause = cause

    def __reduce__(self) -> tuple[Any, ...]:
        """How it comes home from another process."""
        return type(self), (self.cause, str(self))


@runtime_checkable
class Player(Protocol):
    """Chooses moves. One that cannot play every game has a method `check(game)`, which raises."""

    def act(self, turn: Turn, rng: np.random.Generator) -> int | str:
        """A move: an action's number, or a message."""
        ...


class RandomPlayer:
    """Every move that is allowed is equally likely."""

    def act(self, turn: Turn, rng: np.random.Generator) -> int:
        """A move."""
        legal = turn.game.legal(turn.state)
        return int(legal[int(rng.integers(len(legal)))])


class BestPlayer:
    """What the game itself knows to be best."""

    def check(self, game: Game[Any]) -> None:
        """Raise where a game knows no best moves."""
        if type(game).best is Game.best:
            raise LmgymError(f"{game.name} knows no best moves; take another player than 'best'")

    def act(self, turn: Turn, rng: np.random.Generator) -> int:
        """A move."""
        del rng
        self.check(turn.game)
        action = turn.game.best(turn.state)
        if action is None:
            raise LmgymError(f"{turn.game.name} knows no best move here; take another player")
        return action


def find_player(player: str | Player, game: Game[Any] | None = None) -> Player:
    """A player by its name, with what stands behind a colon, or itself.

    Args:
        player: its name, as "random" or "mcts:100", or an object that chooses moves.
        game: what is to be played; a player by name that cannot play it is refused.

    Example:
        >>> find_player("random")
        <lmgym.games.players.RandomPlayer object at 0x...>
    """
    if not isinstance(player, str):
        if not isinstance(player, Player):
            raise LmgymError(f"{player!r:.80} has no act(turn, rng), as players do")
        return player
    name, colon, argument = player.partition(":")
    if name not in PLAYERS:
        shown = [f"{n}:{PLAYER_ARGUMENTS[n]}" if n in PLAYER_ARGUMENTS else n for n in PLAYERS]
        raise unknown("player", player, shown)
    if bool(argument) != (name in PLAYER_ARGUMENTS):
        wanted = PLAYER_ARGUMENTS.get(name)
        hint = f"write {name}:{wanted}" if wanted else f"{name} takes nothing after it"
        raise LmgymError(f"player {player!r}: {hint}")
    made = load(PLAYERS[name])
    found: Any = made(argument) if colon else made()
    if game is not None and hasattr(found, "check"):
        found.check(game)
    chosen: Player = found
    return chosen
