"""Games by the ids of their worlds: the rules behind `lmgym/Nim-v0`, with their arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NamedTuple, TypeAlias

from lmgym.errors import LmgymError, unknown
from lmgym.games.game import Game
from lmgym.games.task import GameTask
from lmgym.registry import WORLDS, WorldSpec, find_world
from lmgym.training.records import plain_value

__all__ = ["GameWorld", "Plain", "as_game_world", "find_game", "game_class_of", "game_ids"]

Plain: TypeAlias = str | int | float | bool | None
"""What the arguments of a game are in a record."""


class GameWorld(NamedTuple):
    """The rules of a game, and where they come from.

    Attributes:
        env: the world's id; the game's name where it is of no world.
        game: the rules.
    """

    env: str
    game: Game[Any]

    @property
    def args(self) -> dict[str, Plain]:
        """The game's arguments as plain values; of objects the names of their types."""
        given = self.game.args
        return {f.name: _plain(getattr(given, f.name)) for f in fields(type(self.game).Args)}


def find_game(env: str, args: Mapping[str, Any] | None = None) -> GameWorld:
    """The game of a world, with arguments of the game.

    Example:
        >>> find_game("lmgym/Nim-v0", {"heaps": 2}).args
        {'heaps': 2, 'most': 7}
    """
    spec = find_world(env)
    game_class = game_class_of(spec)
    given = dict(args or {})
    known = [field.name for field in fields(game_class.Args)]
    for name in given:
        if name not in known:
            raise unknown(f"argument of {spec.id}", name, known)
    return GameWorld(spec.id, game_class(game_class.Args(**given)))


def as_game_world(game: GameWorld | Game[Any] | str) -> GameWorld:
    """What was given, or what it stands for: a world's id, or the rules alone."""
    if isinstance(game, GameWorld):
        return game
    return find_game(game) if isinstance(game, str) else GameWorld(game.name, game)


def game_class_of(spec: WorldSpec) -> type[Game[Any]]:
    """The rules of a world.

    Raises:
        LmgymError: for a world that is no game; it says which are.
    """
    task_class = spec.task_class
    if not issubclass(task_class, GameTask):
        raise LmgymError(
            f"{spec.id} is no game for several players; games are {', '.join(game_ids())}"
        )
    return task_class.game_class


def game_ids() -> list[str]:
    """The registered worlds that are games."""
    return [id_ for id_, spec in WORLDS.items() if issubclass(spec.task_class, GameTask)]


def _plain(value: Any) -> Plain:
    if value is not None and not isinstance(value, str | int | float):
        return f"<{type(value).__name__}>"
    plain: Plain = plain_value(value)
    return plain
