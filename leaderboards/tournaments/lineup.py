"""Matches of a tournament, played wherever they are sent: the players are made there.

What is sent is small and plain, and a match follows from it alone: not from the process, nor from
what was played there before. Players are made when they are first needed and kept for later
matches, so they must not let one game change how they play the next one.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable
from uuid import uuid4

import numpy as np

from lmgym.errors import LmgymError
from lmgym.games.deals import draw_deal
from lmgym.games.matches import Fixture, play_match
from lmgym.games.players import Player, find_player
from lmgym.games.records import MatchRecord
from lmgym.games.run import Turn
from lmgym.games.worlds import GameWorld, Plain, find_game

__all__ = ["AnyPlayer", "Lineup", "MatchSpec", "PlayerFactory", "pair_fixtures"]

_MOST_KEPT = 16
"""Players that are kept in a process at most."""


@runtime_checkable
class PlayerFactory(Protocol):
    """Makes a player in the process that it plays in; must be picklable, as dataclasses are.

    The player may have a method `check(game)`, which raises where it cannot play, and a method
    `close()`, called once it isn't needed any more; players given as objects are left open.
    """

    def make(self) -> Player:
        """The player."""
        ...


AnyPlayer: TypeAlias = str | Player | PlayerFactory
"""A player by name, itself, or what makes it."""


class MatchSpec(NamedTuple):
    """A match that is to be played.

    Attributes:
        players: the names of both; the first one's side is 0.
        fixture: deal, seed, and who sits where.
    """

    players: tuple[str, str]
    fixture: Fixture

    def fits(self, record: MatchRecord) -> bool:
        """Whether a record is of this match."""
        deal, seed, sides = self.fixture
        seated = tuple(self.players[side] for side in sides)
        return (record.deal, record.seed, record.sides, record.players) == (
            deal, seed, sides, seated,
        )  # fmt: skip


def pair_fixtures(
    seed: int, players: tuple[str, str], start: int, n_games: int, split: str
) -> list[Fixture]:
    """Games of two players from a number on, each deal in both seatings.

    A game follows from the tournament's seed, the players' names and its number among their games,
    so no schedule, order or other player changes it.

    Args:
        seed: of the tournament.
        players: both names.
        start: the number of the first game, even.
        n_games: how many, even.
        split: where deals are drawn from.

    Example:
        >>> later = pair_fixtures(0, ("ann", "bob"), 2, 2, "test")
        >>> pair_fixtures(0, ("ann", "bob"), 0, 4, "test")[2:] == later
        True
    """
    found: list[Fixture] = []
    for number in range(start, start + n_games, 2):
        rng = np.random.default_rng(_digest(seed, *players, number))
        deal = draw_deal(rng, split)
        found += [Fixture(deal, int(rng.integers(2**31)), sides) for sides in ((0, 1), (1, 0))]
    return found


class Lineup:
    """Plays matches between some players; it can be sent to other processes.

    Args:
        env: the game's world.
        args: the game's arguments.
        players: by name.

    Example:
        >>> lineup = Lineup("lmgym/Nim-v0", {}, {"ann": "best", "bob": "random"})
        >>> record = lineup(MatchSpec(("ann", "bob"), Fixture(deal=3, seed=0, sides=(0, 1))))
        >>> record.players, record.returns
        (('ann', 'bob'), (1.0, -1.0))
        >>> lineup.close()
    """

    def __init__(
        self, env: str, args: Mapping[str, Plain], players: Mapping[str, AnyPlayer]
    ) -> None:
        self.env, self.args, self.players = env, dict(args), dict(players)
        self._key = uuid4().hex

    def __call__(self, spec: MatchSpec) -> MatchRecord:
        """Play a match."""
        cast = self._cast()
        deal, seed, sides = spec.fixture
        names = [spec.players[side] for side in sides]
        seated = [cast.player(name) for name in names]
        cast.use_one_thread()
        return play_match(cast.world, seated, deal, seed, names=names, sides=sides)

    def check(self) -> None:
        """Make each player once.

        Raises:
            LmgymError: where the game isn't one of two players, or a player cannot be made or
                cannot play it; it names the player.
        """
        game = find_game(self.env, self.args).game
        if len(game.players) != 2:
            raise LmgymError(
                f"{game.name} has {len(game.players)} players; tournaments are of games of two"
            )
        for name, player in self.players.items():
            try:
                _close(player, _made(player, game))
            except Exception as error:
                kind = "" if isinstance(error, LmgymError) else f"{type(error).__name__}: "
                raise LmgymError(f"player {name!r:.80} cannot play: {kind}{error}") from error

    def close(self) -> None:
        """Close the players that this process has made."""
        cast = _CASTS.pop(self._key, None)
        if cast is not None:
            cast.close()

    def _cast(self) -> _Cast:
        if self._key not in _CASTS:
            close_casts()  # a process plays one tournament at a time
            _CASTS[self._key] = _Cast(find_game(self.env, self.args), self.players)
        return _CASTS[self._key]


class _Cast:
    """Players that are there to play."""

    def __init__(self, world: GameWorld, players: Mapping[str, AnyPlayer]) -> None:
        self.world = world
        self._players = players
        self._kept: OrderedDict[str, Player] = OrderedDict()
        self._threads: int | None = None

    def player(self, name: str) -> Player:
        """A player by its name in the tournament; those used least lately make room."""
        if name not in self._kept:
            self._kept[name] = self._try_to_make(name)
        self._kept.move_to_end(name)
        if len(self._kept) > _MOST_KEPT:
            self._drop(*self._kept.popitem(last=False))
        return self._kept[name]

    def use_one_thread(self) -> None:
        """Let torch compute in one thread, where a player has loaded it.

        Several processes would share the cores, and sums in another order give other numbers.
        """
        torch: Any = sys.modules.get("torch")
        if torch is not None and torch.get_num_threads() != 1:
            self._threads = torch.get_num_threads()
            torch.set_num_threads(1)

    def close(self) -> None:
        """End the players, and leave torch as it was."""
        while self._kept:
            self._drop(*self._kept.popitem())
        if self._threads is not None:
            sys.modules["torch"].set_num_threads(self._threads)

    def _drop(self, name: str, player: Player) -> None:
        _close(self._players[name], player)

    def _try_to_make(self, name: str) -> Player:
        try:
            return _made(self._players[name], self.world.game)
        except Exception as error:  # noqa: BLE001 - a player that breaks here loses its games
            return _BrokenPlayer(error)


class _BrokenPlayer:
    """Cannot be made any more, and forfeits."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def act(self, turn: Turn, rng: np.random.Generator) -> int:
        del turn, rng
        raise self._error


_CASTS: dict[str, _Cast] = {}
"""Of the lineup that this process plays."""


def close_casts() -> None:
    """Close all players that this process has made for tournaments."""
    while _CASTS:
        _CASTS.popitem()[1].close()


def _made(player: AnyPlayer, game: Any) -> Player:
    if isinstance(player, PlayerFactory):
        player = player.make()
    found: Any = find_player(player, game)
    if hasattr(found, "check"):
        found.check(game)
    chosen: Player = found
    return chosen


def _close(given: AnyPlayer, player: Any) -> None:
    """Close a player that was made here."""
    if isinstance(given, PlayerFactory) and hasattr(player, "close"):
        with suppress(Exception):  # what it has played stands, however it ends
            player.close()


def _digest(*parts: object) -> int:
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=16).digest(), "big")
