"""What the rows of results say, taken apart field by field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple, TypeAlias, get_args

from lmgym.errors import LmgymError
from lmgym.games.records import MOST_CHARACTERS, N_SEEDS, MatchRecord
from lmgym.games.strict_json import Row, check_number, check_text, told

from ..season import Phase
from .chain import ChainRow

__all__ = [
    "SOURCES",
    "EntryRow",
    "Episode",
    "EpisodesRow",
    "Failure",
    "MatchesRow",
    "ResultRow",
    "SeasonRow",
    "result_row",
]

SOURCES = ("weights", "process", "endpoint", "reference")
"""What an entry is: the kinds of manifests, and what comes with this package."""

_MOST_TEXT = 1000
_ENTRY = re.compile(r"[a-z0-9][a-z0-9-]{0,59}@[0-9]{1,7}")
_MOST_EPISODES = 100_000


class Failure(NamedTuple):
    """Why an agent could not go on."""

    cause: str
    reason: str


@dataclass(frozen=True, slots=True)
class Episode:
    """What an agent wrote, and what came of it.

    Attributes:
        task_id: the problem.
        texts: the agent's messages, in order.
        score: of the track's metric.
        verdict: the world's.
        failure: why the agent wrote no more; what was missing is played as empty messages.
    """

    task_id: str
    texts: tuple[str, ...]
    score: float
    verdict: str
    failure: Failure | None = None

    def as_dict(self) -> dict[str, Any]:
        """Without what is empty."""
        told: dict[str, Any] = {
            "task_id": self.task_id,
            "texts": list(self.texts),
            "score": self.score,
            "verdict": self.verdict,
        }
        return told if self.failure is None else told | {"failure": self.failure._asdict()}


@dataclass(frozen=True, slots=True)
class SeasonRow:
    """The first row: which season the results are of.

    Attributes:
        season: its id.
        tracks: SHA-256 of what was asked for, the secret left out.
    """

    season: str
    tracks: str
    kind: str = "season"


@dataclass(frozen=True, slots=True)
class EntryRow:
    """Who takes part.

    Attributes:
        entry: "name@version".
        source: one of `SOURCES`.
        at: the day, as 2027-01-31.
        manifest: of the submission, as a table.
        files: SHA-256 of each file.
        flags: what is to be seen beside the name, as "copy of other@1".
        curve: of its training: names of both axes and points.
    """

    entry: str
    source: str
    at: str
    manifest: Mapping[str, Any]
    files: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    curve: Mapping[str, Any] | None = None
    kind: str = "entry"


@dataclass(frozen=True, slots=True)
class EpisodesRow:
    """An entry's episodes of one seed of a track."""

    entry: str
    track: str
    phase: Phase
    k: int
    seed: int
    episodes: tuple[Episode, ...]
    kind: str = "episodes"


@dataclass(frozen=True, slots=True)
class MatchesRow:
    """The games of two entries in a track."""

    entries: tuple[str, str]
    track: str
    phase: Phase
    seed: int
    records: tuple[MatchRecord, ...]
    kind: str = "matches"


ResultRow: TypeAlias = SeasonRow | EntryRow | EpisodesRow | MatchesRow


def as_fields(row: ResultRow) -> dict[str, Any]:
    """The row as JSON takes it."""
    told = {name: getattr(row, name) for name in row.__slots__}
    if isinstance(row, EpisodesRow):
        told["episodes"] = [episode.as_dict() for episode in row.episodes]
    if isinstance(row, MatchesRow):
        told["records"] = [record.as_object() for record in row.records]
    return told


def result_row(row: ChainRow) -> ResultRow:
    """What a row of a chain says.

    Raises:
        LmgymError: where a field is missing, unknown or not of its kind; it names the field.
    """
    fields = Row(row.fields, "the row")
    kind = fields.text("kind", _MOST_TEXT)
    if kind not in _READERS:
        raise LmgymError(f"'kind': it is {kind!r:.40}; known are {', '.join(_READERS)}")
    found: ResultRow = _READERS[kind](fields)
    fields.check_empty()
    return found


def _season(row: Row) -> SeasonRow:
    return SeasonRow(row.text("season", _MOST_TEXT), row.text("tracks", 64))


def _entry(row: Row) -> EntryRow:
    source = row.text("source", _MOST_TEXT)
    if source not in SOURCES:
        raise LmgymError(f"'source': it is {source!r:.40}; known are {', '.join(SOURCES)}")
    entry = row.text("entry", _MOST_TEXT)
    if not _ENTRY.fullmatch(entry):
        raise LmgymError(f"'entry': it is {entry!r:.80}; it has the form name@1")
    return EntryRow(
        entry=entry,
        source=source,
        at=row.take("at", _day),
        manifest=row.take("manifest", _manifest),
        files={name: check_text(value, 64) for name, value in row.mapping("files").items()},
        flags=row.each("flags", lambda value: check_text(value, _MOST_TEXT)),
        curve=row.take("curve", _curve),
    )


def _day(value: Any) -> str:
    text = check_text(value, 10)
    try:
        is_day = str(date.fromisoformat(text)) == text  # other forms of a day do not sort
    except ValueError:
        is_day = False
    if not is_day:
        raise LmgymError(f"it is {told(text)}, which is no day; one is written as 2027-01-31")
    return text


def _curve(value: Any) -> dict[str, Any] | None:
    if value is not None and not isinstance(value, dict):
        raise LmgymError(f"it is {told(value)}; an object is allowed, or null")
    return value


def _manifest(value: Any) -> dict[str, Any]:
    """A manifest with all that tables show of it."""
    if not isinstance(value, dict):
        raise LmgymError("it is no object")
    row = Row(value, "the manifest")
    for name in ("name", "license", "summary", "kind"):
        row.text(name, _MOST_TEXT)
    row.whole("version", 10**7)
    for name in ("authors", "tracks"):
        row.each(name, lambda text: check_text(text, _MOST_TEXT))
    return value


def _episodes(row: Row) -> EpisodesRow:
    episodes = row.each("episodes", _episode)
    if not episodes:
        raise LmgymError("'episodes': there are none")
    return EpisodesRow(
        entry=row.text("entry", _MOST_TEXT),
        track=row.text("track", _MOST_TEXT),
        phase=row.take("phase", _phase),
        k=row.whole("k", 10**6),
        seed=row.whole("seed", N_SEEDS),
        episodes=episodes,
    )


def _episode(value: Any) -> Episode:
    row = Row(value, "the episode")
    failure = Row(row.mapping("failure"), "the failure") if "failure" in row else None
    found = Episode(
        task_id=row.text("task_id", _MOST_TEXT),
        texts=row.each("texts", lambda text: check_text(text, MOST_CHARACTERS)),
        score=row.take("score", check_number),
        verdict=row.text("verdict", _MOST_TEXT),
        failure=None
        if failure is None
        else Failure(failure.text("cause", _MOST_TEXT), failure.text("reason", _MOST_TEXT)),
    )
    row.check_empty()
    if failure is not None:
        failure.check_empty()
    return found


def _matches(row: Row) -> MatchesRow:
    records = row.each("records", MatchRecord.from_object)
    if not records:
        raise LmgymError("'records': there are none")
    names = row.each("entries", lambda value: check_text(value, _MOST_TEXT))
    if len(names) != 2:
        raise LmgymError(f"'entries': there are {len(names)}; a match is between two")
    return MatchesRow(
        entries=(names[0], names[1]),
        track=row.text("track", _MOST_TEXT),
        phase=row.take("phase", _phase),
        seed=row.whole("seed", N_SEEDS),
        records=records,
    )


def _phase(value: Any) -> Any:
    if value not in get_args(Phase):
        raise LmgymError(f"it is {value!r:.40}; known are {', '.join(get_args(Phase))}")
    return value


_READERS: Mapping[str, Any] = {
    "season": _season,
    "entry": _entry,
    "episodes": _episodes,
    "matches": _matches,
}
