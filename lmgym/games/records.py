"""Records of matches: one a line, as JSON that is the same in every process.

A record holds all that it takes to play the game again without the players (`lmgym.games.replay`).
Files of strangers are read with care: nothing in them is executed, every field is checked, and what
is wrong is told with the number of its line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from lmgym import __version__
from lmgym.errors import LmgymError
from lmgym.games.deals import N_DEALS
from lmgym.games.strict_json import Row, check_number, check_text, check_whole, parse, told
from lmgym.games.worlds import Plain

__all__ = [
    "MOST_CHARACTERS",
    "N_SEEDS",
    "SCHEMA",
    "Cause",
    "Forfeit",
    "MatchRecord",
    "RecordedMove",
    "read_records",
    "write_records",
]

SCHEMA = 1
"""Of the fields below."""

MOST_CHARACTERS = 2**20
"""A text of a player that is longer is no message."""

Cause: TypeAlias = Literal["illegal", "no move", "error", "time", "protocol", "crash"]
"""Why a game was forfeited: a second try that the rules do not allow, something that is neither a
number nor a message, or an exception of the player's; of a program, what `FailureCause` says."""

N_SEEDS = 2**63
"""Seeds of matches, and numbers of actions, are smaller."""

_MOST_LINE = 2**24  # bytes
_MOST_NAME = 400
_MOST_ARGUMENT = 10_000
_MOST_ENTRIES = 100_000


class RecordedMove(NamedTuple):
    """What a player did.

    Attributes:
        player: its seat.
        said: the action's number, or the message, of which as much is kept as the game allows.
        complaint: why it was not allowed; empty where it was.
        length: characters of a message that was cut; 0 where it is whole.
    """

    player: int
    said: int | str
    complaint: str = ""
    length: int = 0


class Forfeit(NamedTuple):
    """Who could not go on, and why."""

    seat: int
    cause: Cause
    reason: str


@dataclass(frozen=True)
class MatchRecord:
    """A game that was played.

    Attributes:
        env: the world's id.
        args: the game's arguments.
        deal: the number of its start.
        seed: of the players' draws.
        players: their names, in the order of the seats.
        sides: who sits in each seat, where the same players meet again: 0 for the one that was
            named first.
        moves: all that was tried.
        returns: what each seat has won.
        facts: what the game tells of its end; empty where it was forfeited.
        forfeit: why the game was not finished; None where it was.
        version: of this package.

    Example:
        >>> from lmgym.games.matches import play_match
        >>> record = play_match("lmgym/KuhnPoker-v0", ["random", "random"], deal=1, seed=0)
        >>> MatchRecord.from_line(record.as_line()) == record
        True
    """

    env: str
    args: Mapping[str, Plain]
    deal: int
    seed: int
    players: tuple[str, ...]
    sides: tuple[int, ...]
    moves: tuple[RecordedMove, ...]
    returns: tuple[float, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    forfeit: Forfeit | None = None
    version: str = __version__

    def as_line(self) -> str:
        """Canonical JSON on one line: keys in order, no blanks, ASCII."""
        row = self.as_object()
        return json.dumps(row, sort_keys=True, separators=(",", ":"), allow_nan=False)

    def as_object(self) -> dict[str, Any]:
        """The record as JSON can hold it."""
        return {
            "schema": SCHEMA,
            "version": self.version,
            "env": self.env,
            "args": self.args,
            "deal": self.deal,
            "seed": self.seed,
            "players": self.players,
            "sides": self.sides,
            "moves": [_move_row(move) for move in self.moves],
            "returns": self.returns,
            "facts": self.facts,
            "ending": {"kind": "finished"}
            if self.forfeit is None
            else {"kind": "forfeit", **self.forfeit._asdict()},
        }

    @classmethod
    def from_line(cls, line: str) -> MatchRecord:
        """The record of a line.

        Raises:
            LmgymError: where it is no record; it says which field holds what.
        """
        return cls.from_object(parse(line))

    @classmethod
    def from_object(cls, value: Any) -> MatchRecord:
        """The record of an object of JSON; errors as for `from_line`."""
        row = Row(value, "the record")
        schema = row.whole("schema", N_SEEDS)
        if schema != SCHEMA:
            raise LmgymError(f"the record has schema {schema}, and this version reads {SCHEMA}")
        record = cls(
            env=row.text("env", _MOST_NAME),
            args=_args(row.mapping("args")),
            deal=row.whole("deal", N_DEALS),
            seed=row.whole("seed", N_SEEDS),
            players=row.each("players", lambda value: check_text(value, _MOST_NAME)),
            sides=row.each("sides", lambda value: check_whole(value, _MOST_ENTRIES)),
            moves=row.each("moves", _move),
            returns=row.each("returns", check_number),
            facts=row.mapping("facts"),
            forfeit=_forfeit(row.mapping("ending")),
            version=row.text("version", _MOST_NAME),
        )
        row.check_empty()
        _check_seats(record)
        return record


def write_records(path: str | Path, records: Iterable[MatchRecord]) -> None:
    """Replace a file by records, one a line, in one step."""
    from lmgym.commands.files import write_text

    write_text(path, "".join(f"{record.as_line()}\n" for record in records))


def read_records(path: str | Path) -> Iterator[tuple[int, MatchRecord]]:
    """The records of a file with the numbers of their lines, from 1 on.

    Raises:
        LmgymError: at the first line that is no record; it names the line.
    """
    number = 0
    with Path(path).open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(_MOST_LINE + 1), b""), 1):
            try:
                record = MatchRecord.from_line(_decoded(line))
            except LmgymError as error:
                raise LmgymError(f"line {number} of {str(path)!r}: {error}") from None
            yield number, record
    if not number:
        raise LmgymError(f"{str(path)!r} is empty; records of matches stand there one a line")


def _decoded(line: bytes) -> str:
    if len(line) > _MOST_LINE:
        raise LmgymError(f"it is longer than {_MOST_LINE} bytes, as no record is")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise LmgymError("it is no UTF-8, as records are") from None


def _args(given: Mapping[str, Any]) -> dict[str, Plain]:
    for name, value in given.items():
        is_long = isinstance(value, str) and len(value) > _MOST_ARGUMENT
        if is_long or isinstance(value, dict | list):
            raise LmgymError(f"the argument {name[:40]!r} is {told(value)}, which none may be")
    return dict(given)


def _move(value: Any) -> RecordedMove:
    row = Row(value, "the move")
    player = row.whole("player", _MOST_ENTRIES)
    said = row.take("said", _said)
    complaint = row.text("complaint", MOST_CHARACTERS) if "complaint" in row else ""
    length = row.whole("length", MOST_CHARACTERS + 1) if "length" in row else 0
    row.check_empty()
    return RecordedMove(player, said, complaint, length)


def _move_row(move: RecordedMove) -> dict[str, Any]:
    """Without what is empty."""
    row = move._asdict()
    return {name: value for name, value in row.items() if name in ("player", "said") or value}


def _forfeit(ending: Mapping[str, Any]) -> Forfeit | None:
    row = Row(ending, "the ending")
    kind = row.text("kind", _MOST_NAME)
    if kind not in ("finished", "forfeit"):
        raise LmgymError(f"the ending is {kind!r:.40}; it is finished or forfeit")
    found = None
    if kind == "forfeit":
        cause: Any = row.text("cause", _MOST_NAME)
        if cause not in get_args(Cause):
            raise LmgymError(f"the cause is {cause!r:.40}; known are {', '.join(get_args(Cause))}")
        seat = row.whole("seat", _MOST_ENTRIES)
        found = Forfeit(seat, cause, row.text("reason", MOST_CHARACTERS))
    row.check_empty()
    return found


def _check_seats(record: MatchRecord) -> None:
    """Raise unless there is one of everything for each seat."""
    n = len(record.players)
    if n < 1 or len(record.returns) != n or sorted(record.sides) != list(range(n)):
        raise LmgymError(
            f"there are {n} players, {len(record.returns)} returns and sides"
            f" {list(record.sides)!s:.40}; each seat has one of each"
        )
    seats = [move.player for move in record.moves]
    seats += [] if record.forfeit is None else [record.forfeit.seat]
    if seats and max(seats) >= n:
        raise LmgymError(f"there is no seat {max(seats)}; they end at {n - 1}")


def _said(value: Any) -> int | str:
    if isinstance(value, str):
        return check_text(value, MOST_CHARACTERS)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= N_SEEDS:
        raise LmgymError(f"it is {told(value)}; a number of an action or a message is allowed")
    return value
