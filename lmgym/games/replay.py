"""Records played again, without the players: a record is true if the game goes as it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from lmgym import __version__
from lmgym.errors import LmgymError
from lmgym.games.deals import start_of
from lmgym.games.records import MatchRecord, RecordedMove
from lmgym.games.run import GameRun, Turn
from lmgym.games.worlds import GameWorld, find_game
from lmgym.registry import WORLDS
from lmgym.training.records import plain_value

__all__ = ["Shown", "game_of", "replay", "steps", "unanswered"]

_MOST_SHOWN = 200
_LOADS = (":", "/", "\\")
"""In an argument these name a file, a model or a host."""


class Shown(NamedTuple):
    """A move of a record, and what its player was asked."""

    turn: Turn
    move: RecordedMove


def replay(record: MatchRecord, world: GameWorld | None = None) -> GameRun[Any]:
    """Play a record again; returns the game at its end.

    Args:
        record: a game that was played, by anybody.
        world: the game; by default the registered one that the record names.

    Raises:
        LmgymError: where the game goes otherwise; it names the first difference.

    Example:
        >>> from dataclasses import replace
        >>> from lmgym.games.matches import play_match
        >>> record = play_match("lmgym/Nim-v0", ["best", "random"], deal=3, seed=0)
        >>> replay(record).returns
        (1.0, -1.0)
        >>> replay(replace(record, returns=(-1.0, 1.0)))
        Traceback (most recent call last):
        ...
        lmgym.errors.LmgymError: returns: the game gives [1.0, -1.0], the record says [-1.0, 1.0]
    """
    run = _start(record, world)
    for _ in _told_versions(record, run):
        pass
    return run


def steps(record: MatchRecord, world: GameWorld | None = None) -> Iterator[Shown]:
    """The moves of a record as they are played again; arguments and errors as for `replay`."""
    return _told_versions(record, _start(record, world))


def unanswered(record: MatchRecord, world: GameWorld | None = None) -> Turn | None:
    """What the player was asked that forfeited without a move; None where none did.

    Arguments and errors as for `replay`.
    """
    forfeit = record.forfeit
    if forfeit is None or forfeit.cause == "illegal":
        return None
    run = _start(record, world)
    for _ in _moves(record, run):
        pass
    _compare("the seat that forfeits", run.mover, forfeit.seat)
    return run.turn()


def game_of(record: MatchRecord) -> GameWorld:
    """The game that a record names.

    Records may come from strangers, so nothing is imported or loaded for one: its world must be
    registered, and its arguments must not name a file or a model.
    """
    if record.env not in WORLDS:
        raise LmgymError(
            f"the record is of {record.env!r:.80}, which is not registered here; name the world"
            " yourself, as --env MODULE:ID"
        )
    for name, value in record.args.items():
        if isinstance(value, str) and any(mark in value for mark in _LOADS):
            raise LmgymError(
                f"the record was played with {name}={value!r:.80}, which may load something; if you"
                " trust it, name the world and this argument yourself"
            )
    try:
        return find_game(record.env, record.args)
    except TypeError as error:  # from the arguments of somebody's own world
        raise LmgymError(f"the game cannot be made with the record's arguments: {error}") from None


def _start(record: MatchRecord, world: GameWorld | None) -> GameRun[Any]:
    """The start of the game, if the record is of it."""
    if world is None:
        world = game_of(record)
    else:
        _compare("the world", world.env, record.env)
        _compare("arguments of the world", world.args, record.args)
    _compare("the number of players", len(world.game.players), len(record.players))
    return GameRun(world.game, start_of(world.game, record.deal))


def _told_versions(record: MatchRecord, run: GameRun[Any]) -> Iterator[Shown]:
    """The moves; a difference tells the versions where they differ, too."""
    try:
        yield from _play(record, run)
    except LmgymError as error:
        if record.version == __version__:
            raise
        versions = f"it was recorded by lmgym {record.version!r:.40}, this is {__version__}"
        raise LmgymError(f"{error}; {versions}") from None


def _play(record: MatchRecord, run: GameRun[Any]) -> Iterator[Shown]:
    yield from _moves(record, run)
    _end(record, run)
    _compare("returns", run.returns, record.returns)
    facts = {} if run.forfeited is not None else plain_value(run.facts())
    for name in sorted({*facts, *record.facts}):
        _compare(f"the fact {name!r:.40}", facts.get(name), record.facts.get(name))


def _moves(record: MatchRecord, run: GameRun[Any]) -> Iterator[Shown]:
    for number, move in enumerate(record.moves, 1):
        _compare(f"the seat of move {number}", run.mover, move.player)
        turn = run.turn()
        said = move.said.ljust(move.length) if isinstance(move.said, str) else move.said
        run.act(said)
        kept = run.moves[-1]
        _compare(f"the complaint about move {number}", kept.complaint, move.complaint)
        _compare(f"what is kept of move {number}", kept.said, move.said)
        yield Shown(turn, move)


def _end(record: MatchRecord, run: GameRun[Any]) -> None:
    """Bring the game to its recorded end; an end that no move brings about is taken over."""
    forfeit = record.forfeit
    if forfeit is not None and forfeit.cause != "illegal":
        _compare("the seat that forfeits", run.mover, forfeit.seat)
        run.forfeit(forfeit.seat, forfeit.reason)
        return
    _compare("the seat to move after the last move", run.mover, None)
    told = None if forfeit is None else (forfeit.seat, forfeit.reason)
    found = None if run.forfeited is None else (run.forfeited, run.complaint)
    _compare("the forfeit", found, told)


def _compare(what: str, found: Any, told: Any) -> None:
    ours, theirs = (json.dumps(value, sort_keys=True) for value in (found, told))
    if ours != theirs:
        raise LmgymError(f"{what}: the game gives {_short(ours)}, the record says {_short(theirs)}")


def _short(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
