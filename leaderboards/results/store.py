"""A season's results: appended to a chained file, looked up in an index that can be made anew."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from lmgym.errors import LmgymError

from ..season import Phase
from ..tournaments.standings import MatchResult, match_result
from .chain import ChainRow, Head, append, has_head, read_chain
from .rows import EntryRow, EpisodesRow, ResultRow, SeasonRow, as_fields, result_row

__all__ = ["Cell", "Pair", "Results"]

_SCHEMA = 3
_TABLES = """
CREATE TABLE IF NOT EXISTS head (season TEXT PRIMARY KEY, n INTEGER, hash TEXT, size INTEGER);
CREATE TABLE IF NOT EXISTS entry (season TEXT, entry TEXT, offset INTEGER,
    PRIMARY KEY (season, entry));
CREATE TABLE IF NOT EXISTS cell (season TEXT, phase TEXT, track TEXT, entry TEXT, k INTEGER,
    scores TEXT, offset INTEGER, PRIMARY KEY (season, phase, track, entry, k));
CREATE TABLE IF NOT EXISTS pair (season TEXT, phase TEXT, track TEXT, a TEXT, b TEXT,
    games TEXT, offset INTEGER, PRIMARY KEY (season, phase, track, a, b));
"""


class Cell(NamedTuple):
    """An entry's episodes of one seed.

    Attributes:
        entry: whose.
        k: the seed's number.
        scores: of the episodes.
        failed: the places of those in which the agent failed.
        answers: digests of what was written in each.
        offset: of the row in the file.
    """

    entry: str
    k: int
    scores: list[float]
    failed: list[int]
    answers: list[str]
    offset: int


class Pair(NamedTuple):
    """The games of two entries."""

    a: str
    b: str
    games: list[MatchResult]
    offset: int


class Results:
    """The results of a season in a board's folder.

    Args:
        board: the folder.
        season: the season's id.
        trusts_index: use the board's index; else one is made anew from the rows, in memory.

    Raises:
        LmgymError: where a row is not as it was written.
    """

    def __init__(self, board: Path, season: str, *, trusts_index: bool = True) -> None:
        self.path = board / "results" / f"{season}.jsonl"
        self.season = season
        self._index = _open_index(board / "cache.sqlite") if trusts_index else _new_index()
        self.refresh()

    def __enter__(self) -> Results:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the index."""
        self._index.close()

    @property
    def head(self) -> Head:
        """Where the rows end."""
        found = self._index.execute(
            "SELECT n, hash, size FROM head WHERE season = ?", (self.season,)
        ).fetchone()
        return Head(*found) if found else Head()

    def append(self, rows: Sequence[ResultRow]) -> None:
        """Write rows, all or none of them."""
        append(self.path, [as_fields(row) for row in rows])
        self.refresh()

    def refresh(self) -> None:
        """Take in what was written since; all of it anew where the file is another one."""
        head = self.head
        if not has_head(self.path, head):
            self._forget()
            head = Head()
        if self.path.exists() and self.path.stat().st_size > head.size:
            with self._index:
                self._take_in(read_chain(self.path, head), head)

    def entries(self) -> dict[str, EntryRow]:
        """The entries by "name@version", in the order of their rows."""
        found = self._index.execute(
            "SELECT offset FROM entry WHERE season = ? ORDER BY offset", (self.season,)
        ).fetchall()
        rows = [self.row(offset) for (offset,) in found]
        return {row.entry: row for row in rows if isinstance(row, EntryRow)}

    def season_row(self) -> SeasonRow | None:
        """The first row; None where there is none."""
        found = self.row(0) if self.head.n_rows else None
        return found if isinstance(found, SeasonRow) else None

    def has_phase(self, phase: Phase) -> bool:
        """Whether anything was played in a phase."""
        return any(
            self._index.execute(
                f"SELECT 1 FROM {table} WHERE season = ? AND phase = ? LIMIT 1",
                (self.season, phase),
            ).fetchone()
            for table in ("cell", "pair")
        )

    def cells(self, track: str, phase: Phase) -> list[Cell]:
        """What was played in a single-player track."""
        found = self._index.execute(
            "SELECT entry, k, scores, offset FROM cell WHERE season = ? AND phase = ? AND track = ?"
            " ORDER BY offset",
            (self.season, phase, track),
        )
        rows = ((entry, k, json.loads(told), at) for entry, k, told, at in found)
        return [
            Cell(entry, k, scores, failed, answers, at)
            for entry, k, (scores, failed, answers), at in rows
        ]

    def pairs(self, track: str, phase: Phase) -> list[Pair]:
        """What was played in a two-player track."""
        found = self._index.execute(
            "SELECT a, b, games, offset FROM pair WHERE season = ? AND phase = ? AND track = ?"
            " ORDER BY offset",
            (self.season, phase, track),
        )
        return [
            Pair(a, b, [_result(*game) for game in json.loads(games)], at)
            for a, b, games, at in found
        ]

    def row(self, offset: int) -> ResultRow:
        """A row in full."""
        with self.path.open("rb") as file:
            file.seek(offset)
            fields = json.loads(file.readline())
        fields = {k: v for k, v in fields.items() if k not in ("n", "prev", "hash")}
        return result_row(ChainRow(0, fields, "", offset, 0))

    def _forget(self) -> None:
        with self._index:
            for table in ("head", "entry", "cell", "pair"):
                self._index.execute(f"DELETE FROM {table} WHERE season = ?", (self.season,))

    def _take_in(self, rows: Iterable[ChainRow], head: Head) -> None:
        for row in rows:
            try:
                self._note(row, result_row(row))
            except LmgymError as error:
                raise LmgymError(f"line {row.number + 1} of {self.path}: {error}") from None
            head = Head(row.number + 1, row.hash, row.offset + row.size)
        self._index.execute(
            "INSERT OR REPLACE INTO head VALUES (?, ?, ?, ?)",
            (self.season, head.n_rows, head.hash, head.size),
        )

    def _note(self, at: ChainRow, row: ResultRow) -> None:
        if isinstance(row, SeasonRow):
            if row.season != self.season or at.number:
                raise LmgymError(f"'season': it is {row.season!r:.60}; it stands in row 1 alone")
            return
        values: list[str | int]
        if isinstance(row, EntryRow):
            table = "entry"
            values = [row.entry]
        elif isinstance(row, EpisodesRow):
            scores = [e.score for e in row.episodes]
            failed = [i for i, e in enumerate(row.episodes) if e.failure is not None]
            table = "cell"
            told = json.dumps([scores, failed, [_digest(e.texts) for e in row.episodes]])
            values = [row.phase, row.track, row.entry, row.k, told]
        else:
            games = [match_result(record) for record in row.records]
            table = "pair"
            values = [row.phase, row.track, *row.entries, json.dumps(games)]
        marks = ", ".join("?" * (len(values) + 2))
        try:
            self._index.execute(
                f"INSERT INTO {table} VALUES ({marks})", (self.season, *values, at.offset)
            )
        except sqlite3.IntegrityError:
            raise LmgymError("what it tells stands in an earlier row already") from None


def _result(names: list[str], returns: list[float], loser: str, cause: str) -> MatchResult:
    (first, second), (won, lost) = names, returns
    return MatchResult((first, second), (won, lost), loser, cause)


def _digest(texts: Sequence[str]) -> str:
    return blake2b(json.dumps(texts).encode(), digest_size=8).hexdigest()


def _new_index() -> sqlite3.Connection:
    index = sqlite3.connect(":memory:")
    index.executescript(_TABLES)
    return index


def _open_index(path: Path) -> sqlite3.Connection:
    """The index; an old or broken one is made anew."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise LmgymError(f"{path} is a folder; take it away, it is made anew as a file")
    for _ in range(2):
        index = sqlite3.connect(path)
        try:
            (version,) = index.execute("PRAGMA user_version").fetchone()
            if version in (0, _SCHEMA):
                index.executescript(_TABLES)
                index.execute(f"PRAGMA user_version = {_SCHEMA}")
                return index
        except sqlite3.DatabaseError:
            pass
        index.close()
        path.unlink(missing_ok=True)
    raise LmgymError(f"{path} cannot be made; it needs a folder that can be written to")
