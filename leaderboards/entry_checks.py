"""Rows of entries checked against earlier rows, the season, and the folders of submissions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, asdict, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from lmgym.errors import LmgymError

from .evaluation import current_entries
from .references import reference_rows
from .results.rows import EntryRow
from .results.store import Results
from .season import Season
from .submissions.checking import CURVE_FILE, read_curve
from .submissions.copies import copies_of
from .submissions.files import hash_files
from .submissions.manifest import (
    MANIFEST_FILE,
    Endpoint,
    Manifest,
    Process,
    Training,
    Weights,
    read_manifest,
)

__all__ = ["EntryChecks", "author_flags"]

_PARTS: Mapping[str, type] = {
    "weights": Weights,
    "process": Process,
    "endpoint": Endpoint,
    "training": Training,
}
_BY_OTHERS = " was by others"


class EntryChecks:
    """Checks rows of entries in their order.

    Args:
        board: the folder.
        season: as its file says.

    Attributes:
        rows: those so far, by "name@version".
        replaced: entries whose folder holds a higher version, and that version's name.
    """

    def __init__(self, board: Path, season: Season) -> None:
        self._submissions, self._season = board / "submissions", season
        self._last_day = ""
        self.rows: dict[str, EntryRow] = {}
        self.replaced: dict[str, str] = {}

    @cached_property
    def _references(self) -> Sequence[EntryRow]:
        return reference_rows(self._season)

    def problems(self, row: EntryRow, *, is_late: bool) -> Iterator[str]:
        """What is wrong with the next row.

        Args:
            row: of an entry.
            is_late: whether the seeds were revealed before it.
        """
        earlier = list(self.rows.values())
        if row.entry in self.rows:
            yield f"'entry': {row.entry} was entered before"
        self.rows[row.entry] = row
        if row.source == "reference":
            if not any(_is_same_reference(row, other) for other in self._references):
                yield f"{row.entry} is no reference of season {self._season.id}"
            return
        if any(row.manifest["name"] == other.manifest["name"] for other in self._references):
            yield f"'entry': {row.entry} has the name of a reference"
        if is_late:
            yield f"{row.entry} was entered after the seeds were revealed"
        yield from self._day_problems(row)
        yield from self._author_problems(row, earlier)
        yield from self._file_problems(row, earlier)

    def shown_problems(self) -> Iterator[str]:
        """Once all rows were read: entries that are on show, and whose files are others now.

        A version that was entered in another season has rightly taken the folder.
        """
        shown: dict[str, list[str]] = {}
        for track in self._season.tracks:
            for row in current_entries(self.rows, track.id):
                shown.setdefault(row.entry, []).append(track.id)
        elsewhere = self._entered_elsewhere() if self.replaced else set()
        for entry, newer in self.replaced.items():
            if entry in shown and newer not in elsewhere:
                yield (
                    f"{self._folder(entry) / MANIFEST_FILE} is of {newer}, and {entry} is still on"
                    f" show in {', '.join(shown[entry])}; submit {newer} to season"
                    f" {self._season.id}, or put back the files that {entry} was entered with"
                )

    def _entered_elsewhere(self) -> set[str]:
        """The entries of the board's other seasons."""
        board, found = self._submissions.parent, set[str]()
        for path in sorted((board / "results").glob("*.jsonl")):
            if path.stem != self._season.id:
                with (
                    suppress(LmgymError),  # a season that cannot be read is told by itself
                    Results(board, path.stem, trusts_index=False) as results,
                ):
                    found |= results.entries().keys()
        return found

    def lacking_references(self) -> list[str]:
        """References of the season that were not entered."""
        return [row.entry for row in self._references if row.entry not in self.rows]

    def _folder(self, entry: str) -> Path:
        return self._submissions / entry.rpartition("@")[0]

    def _day_problems(self, row: EntryRow) -> Iterator[str]:
        closes = self._season.closes
        if closes is not None and row.at > closes.isoformat():
            yield (
                f"'at': {row.entry} was entered on {row.at}, and season {self._season.id} has"
                f" closed on {closes}"
            )
        if row.at < self._last_day:
            yield f"'at': {row.entry} was entered on {row.at}, before the entry above it"
        self._last_day = row.at

    def _author_problems(self, row: EntryRow, earlier: Sequence[EntryRow]) -> Iterator[str]:
        """Whether the row says that its name was somebody else's before, and rightly so."""
        wanted = set(author_flags(row.manifest["name"], row.manifest["authors"], earlier))
        told = {flag for flag in row.flags if flag.endswith(_BY_OTHERS)}
        yield from _flag_problems(row, told, wanted)

    def _file_problems(self, row: EntryRow, earlier: Sequence[EntryRow]) -> Iterator[str]:
        """Differences between a submission's folder and what was entered."""
        folder, (name, _, version) = self._folder(row.entry), row.entry.rpartition("@")
        if not folder.is_dir():
            yield f"{folder} is not there, so {row.entry} cannot be evaluated anew"
            return
        present = hash_files(folder)
        is_other = present.get(MANIFEST_FILE) != row.files.get(MANIFEST_FILE)
        if is_other and (now := read_manifest(folder).version) > int(version):
            self.replaced[row.entry] = f"{name}@{now}"
            return
        for file in sorted({*present, *row.files}):
            if present.get(file) != row.files.get(file):
                yield f"{folder / file} is not the file that {row.entry} was entered with"
        if present == dict(row.files):
            yield from _told_problems(row, folder)
            yield from self._copy_problems(row, folder, earlier)

    def _copy_problems(
        self, row: EntryRow, folder: Path, earlier: Sequence[EntryRow]
    ) -> Iterator[str]:
        """Flags of copies that are missing, and such as nothing speaks for."""
        others = {
            other.entry: self._folder(other.entry)
            for other in earlier
            if other.source == "weights" and other.manifest["name"] != row.manifest["name"]
        }
        present = {
            name: path
            for name, path in others.items()
            if (path / MANIFEST_FILE).is_file() and read_manifest(path).entry == name
        }
        wanted = {f"copy of {each.name}" for each in copies_of(folder, present)}
        gone = {f"copy of {name}" for name in others.keys() - present.keys()}
        told = {flag for flag in row.flags if not flag.endswith(_BY_OTHERS)}
        yield from _flag_problems(row, told - gone, wanted)


def author_flags(name: str, authors: Iterable[str], earlier: Iterable[EntryRow]) -> list[str]:
    """What a new version is marked with whose name was somebody else's before.

    Args:
        name: of the entry.
        authors: of the new version.
        earlier: rows of entries before it.
    """
    before = [e for e in earlier if e.manifest["name"] == name and e.source != "reference"]
    if before and not set(authors) & set(before[-1].manifest["authors"]):
        return [f"{before[-1].entry}{_BY_OTHERS}"]
    return []


def _flag_problems(row: EntryRow, told: set[str], wanted: set[str]) -> Iterator[str]:
    for flag in sorted(wanted - told):
        yield f"'flags' of {row.entry} lack {flag!r}"
    for flag in sorted(told - wanted):
        yield f"'flags' of {row.entry} say {flag!r:.80}, and nothing is found of it"


def _told_problems(row: EntryRow, folder: Path) -> Iterator[str]:
    """Differences between what the row says of an entry and what its folder says."""
    manifest = read_manifest(folder)
    curve = read_curve(folder) if CURVE_FILE in row.files else None
    told: tuple[tuple[str, object, object], ...] = (
        ("entry", row.entry, manifest.entry),
        ("source", row.source, manifest.kind),
        ("manifest", _filled(row.manifest), _plain(asdict(manifest))),
        ("curve", row.curve, curve),
    )
    for name, theirs, ours in told:
        if theirs != ours:
            yield f"{name!r} of {row.entry} is not what {folder} says"


def _filled(told: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest of a row; what an earlier version did not know of has its default."""
    full = {**_defaults(Manifest), **told}
    for name, part in _PARTS.items():
        if isinstance(full[name], dict):
            full[name] = {**_defaults(part), **full[name]}
    return full


def _defaults(cls: type) -> Any:
    return _plain({f.name: f.default for f in fields(cls) if f.default is not MISSING})


def _plain(value: Any) -> Any:
    """As rows hold it."""
    return json.loads(json.dumps(value))


def _is_same_reference(row: EntryRow, other: EntryRow) -> bool:
    """Whether rows are of one reference; another version may say other words of it."""
    words = {"summary": other.manifest["summary"]}
    return replace(row, manifest={**row.manifest, **words}) == other
