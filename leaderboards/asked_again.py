"""Players asked again: whether they do what a record says that they did."""

from __future__ import annotations

from collections.abc import Sequence

from lmgym.errors import LmgymError
from lmgym.games.matches import ask, player_rng
from lmgym.games.players import Player
from lmgym.games.records import Forfeit, MatchRecord, RecordedMove
from lmgym.games.replay import steps, unanswered
from lmgym.games.worlds import GameWorld

__all__ = ["plays_so", "points_of"]


def plays_so(record: MatchRecord, side: int, player: Player, world: GameWorld) -> bool:
    """Whether a player does what is recorded of it, where it is asked as it was in the match.

    It makes the same moves, and where the record says that it had none, it has none for the same
    cause.

    Args:
        record: of the match.
        side: of the player.
        player: who is asked.
        world: the game.
    """
    seat = record.sides.index(side)
    rng = player_rng(record.seed, record.deal, seat)
    try:
        for shown in steps(record, world):
            if shown.turn.seat == seat and not _is_same(ask(player, shown.turn, rng), shown.move):
                return False
        last = unanswered(record, world)
    except LmgymError:  # the record is of no game
        return False
    if record.forfeit is None or last is None or last.seat != seat:
        return True
    said = ask(player, last, rng)
    return isinstance(said, Forfeit) and said.cause == record.forfeit.cause


def points_of(records: Sequence[MatchRecord], side: int) -> float:
    """The mean points of a side: 1 for a game in which it won more, a half for a draw."""
    won = 0.0
    for record in records:
        seat = record.sides.index(side)
        mine, other = record.returns[seat], record.returns[1 - seat]
        won += 0.5 * ((mine > other) + (mine >= other))
    return won / len(records)


def _is_same(said: int | str | Forfeit, move: RecordedMove) -> bool:
    """Whether a move is the recorded one, of which a long message is cut."""
    if isinstance(said, str) and isinstance(move.said, str) and move.length:
        return len(said) == move.length and said.startswith(move.said)
    return said == move.said
