"""What a tournament has played so far, in a folder, so that it goes on after any interruption.

`plan.json` says what is played, `matches.jsonl` has the records in the order of the plan's matches,
one a line: the line is the match's number. A line that was cut off is dropped. So nothing can be
lost or counted twice, and in the end the file is the same as without interruptions.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from lmgym.commands.files import write_json
from lmgym.errors import LmgymError
from lmgym.games.records import MatchRecord
from lmgym.games.strict_json import parse

from .plan import TournamentPlan

__all__ = [
    "MATCHES_FILE",
    "PLAN_FILE",
    "STANDINGS_FILE",
    "Journal",
    "Kept",
    "MatchJournal",
    "read_journal",
]

PLAN_FILE = "plan.json"
MATCHES_FILE = "matches.jsonl"
STANDINGS_FILE = "standings.json"

_SYNC_SECONDS = 1.0


class MatchJournal(Protocol):
    """Where a tournament finds what was played of it, and keeps what is played."""

    @property
    def records(self) -> Sequence[MatchRecord]:
        """What is there, in the order of the plan's matches."""
        ...

    def begin(self) -> None:
        """Called before the first match is played, with players who have been checked."""
        ...

    def append(self, record: MatchRecord) -> None:
        """Keep the next record."""
        ...


class Kept(NamedTuple):
    """What a folder holds."""

    plan: TournamentPlan
    records: list[MatchRecord]


class Journal:
    """The journal in a folder; no other process can use it at the same time.

    A plan that no match was played of yet may be replaced by another one.

    Args:
        folder: is made where there is none.
        plan: of the tournament.

    Attributes:
        records: what was played.

    Raises:
        LmgymError: where the folder is another tournament's, is in use, or holds no journal.
    """

    def __init__(self, folder: str | Path, plan: TournamentPlan) -> None:
        self.folder, self.plan = Path(folder), plan
        if self.folder.exists() and not self.folder.is_dir():
            raise LmgymError(f"{str(folder)!r} is a file; a tournament is kept in a folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self.folder / MATCHES_FILE, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        try:
            _lock(self._file, self.folder)
            lines, n_bytes = _whole_lines(self.folder / MATCHES_FILE)
            self._check_plan(is_empty=not lines)
            self.records = _records(self.folder, lines)
            os.ftruncate(self._file, n_bytes)
        except BaseException:
            self.close()
            raise
        self._synced = time.monotonic()

    def begin(self) -> None:
        """Write the plan, if it isn't there."""
        if not self.records:
            write_json(self.folder / PLAN_FILE, self.plan.as_dict())

    def append(self, record: MatchRecord) -> None:
        """Keep the next record; it outlives this process, and soon a loss of power."""
        line = f"{record.as_line()}\n".encode()
        while line:
            line = line[os.write(self._file, line) :]
        self.records.append(record)
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            os.fsync(self._file)
            self._synced = time.monotonic()

    def close(self) -> None:
        """Leave the folder to others."""
        if self._file >= 0:
            os.fsync(self._file)
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _check_plan(self, *, is_empty: bool) -> None:
        """Raise where matches of another plan are there, or of none."""
        file = self.folder / PLAN_FILE
        if not file.exists():
            if not is_empty:
                raise LmgymError(f"{str(self.folder)!r} has matches, and no {PLAN_FILE} of them")
            return
        differences = list(_read_plan(self.folder).differences(self.plan))
        if differences and not is_empty:
            name, before, now = differences[0]
            more = f", and {len(differences) - 1} more" if len(differences) > 1 else ""
            raise LmgymError(
                f"{str(self.folder)!r} holds another tournament, whose {name} is {before!r:.200};"
                f" now it is {now!r:.200}{more}. Give the same to go on with it, or another folder"
            )


def read_journal(folder: str | Path) -> Kept:
    """What a folder holds; of a tournament that is being played, what is there so far.

    Raises:
        LmgymError: where it is no tournament's; it says which file and line is wrong.
    """
    place = Path(folder)
    if not (place / PLAN_FILE).is_file():
        raise LmgymError(
            f"{str(folder)!r} has no {PLAN_FILE}, so it is not the folder of a tournament; give the"
            " --out of lmgym tournament run"
        )
    plan = _read_plan(place)
    matches = place / MATCHES_FILE
    return Kept(plan, _records(place, _whole_lines(matches)[0] if matches.exists() else []))


def _read_plan(folder: Path) -> TournamentPlan:
    file = folder / PLAN_FILE
    try:
        return TournamentPlan.from_dict(parse(file.read_text(encoding="utf-8")))
    except (LmgymError, UnicodeDecodeError) as error:
        raise LmgymError(f"{str(file)!r} is no plan of a tournament: {error}") from None


def _whole_lines(file: Path) -> tuple[list[bytes], int]:
    """The lines that are whole, and their bytes in all."""
    data = file.read_bytes()
    n_bytes = data.rfind(b"\n") + 1
    return data[:n_bytes].split(b"\n")[:-1], n_bytes


def _records(folder: Path, lines: Sequence[bytes]) -> list[MatchRecord]:
    found, known = [], dict[bytes, int]()
    for number, line in enumerate(lines, 1):
        if (earlier := known.setdefault(line, number)) < number:
            raise LmgymError(
                f"line {number} of {str(folder / MATCHES_FILE)!r} is line {earlier} once more; take"
                " it out, since a game counts once"
            )
        try:
            found.append(MatchRecord.from_line(line.decode()))
        except (LmgymError, UnicodeDecodeError) as error:
            raise LmgymError(f"line {number} of {str(folder / MATCHES_FILE)!r}: {error}") from None
    return found


def _lock(file: int, folder: Path) -> None:
    """Take the file for this process, until it is closed; where the system can do that."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LmgymError(
            f"the tournament in {str(folder)!r} is being played by another process; see how far it"
            f" is with lmgym tournament show {folder}"
        ) from None
