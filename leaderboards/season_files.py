"""Seasons as TOML files: read with care, written as a person would."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from lmgym.commands.files import write_text
from lmgym.errors import LmgymError, unknown
from lmgym.games.strict_json import Row, check_number, check_text, check_whole

from .season import MatchTrack, Season, SingleTrack, Track, check_id, season_path

__all__ = ["SHIPPED", "read_season", "season_text", "seasons_of", "tracks_digest", "write_season"]

SHIPPED = Path(__file__).parent / "seasons"
"""The seasons that come with the package."""

SCHEMA = 1
_MOST_BYTES = 2**20
_MOST_TEXT = 400
_KINDS: Mapping[str, type[Track]] = {"single": SingleTrack, "match": MatchTrack}
_CHECKS: Mapping[str, Any] = {
    "int": lambda value: check_whole(value, 10**7),
    "float": check_number,
    "str": lambda value: check_text(value, _MOST_TEXT),
    "Metric": lambda value: check_text(value, _MOST_TEXT),
}
"""Of fields of tracks, by their annotations."""


def read_season(path: Path) -> Season:
    """The season of a file.

    Raises:
        LmgymError: where it is none; it names the file, the field and the rule.
    """
    try:
        return _season(_table(path), path.stem)
    except LmgymError as error:
        raise LmgymError(f"{path}: {error}") from None


def seasons_of(board: Path) -> list[str]:
    """The ids of a board's seasons, in order."""
    return sorted(path.stem for path in (board / "seasons").glob("*.toml"))


def write_season(board: Path, season: Season) -> Path:
    """Write the season into a board; returns where. What could not be read again is refused."""
    path, text = season_path(board, season.id), season_text(season)
    _season(tomllib.loads(text), season.id)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    return path


def season_text(season: Season) -> str:
    """The season as TOML."""
    lines = [
        f"schema = {SCHEMA}",
        f"id = {_toml(season.id)}",
        f"title = {_toml(season.title)}",
        f"opens = {season.opens}",
        *([] if season.closes is None else [f"closes = {season.closes}"]),
        f"commitment = {_toml(season.commitment)}",
        f"secret = {_toml(season.secret)}",
    ]
    for track in season.tracks:
        lines += ["", "[[tracks]]", f"kind = {_toml(_kind_of(track))}"]
        lines += [
            f"{f.name} = {_toml(getattr(track, f.name))}"
            for f in fields(track)
            if f.default is MISSING or getattr(track, f.name) != f.default
            if getattr(track, f.name) != {}
        ]
    return "\n".join(lines) + "\n"


def tracks_digest(season: Season) -> str:
    """SHA-256 of all that must not change once a season has results: all but title and secret."""
    fixed = replace(season, title="", closes=None, secret="")
    return hashlib.sha256(season_text(fixed).encode()).hexdigest()


def _kind_of(track: Track) -> str:
    return next(kind for kind, cls in _KINDS.items() if type(track) is cls)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(item)}" for name, item in value.items()) + " }"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # as TOML wants it


def _table(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise LmgymError(f"it is longer than {_MOST_BYTES} bytes, as no season is")
    try:
        return tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LmgymError(f"it is no TOML: {error}") from None


def _season(table: dict[str, Any], stem: str) -> Season:
    row = Row(table, "the season")
    schema = row.whole("schema", 10**6)
    if schema != SCHEMA:
        raise LmgymError(f"'schema': it is {schema}, and this version reads {SCHEMA}")
    season = Season(
        id=check_id("season", row.text("id", _MOST_TEXT)),
        title=row.text("title", _MOST_TEXT),
        opens=row.take("opens", _date),
        closes=row.take("closes", _date) if "closes" in row else None,
        commitment=row.take("commitment", _digest),
        secret="",
        tracks=row.each("tracks", _track),
    )
    if season.id != stem:
        raise LmgymError(f"'id': it is {season.id!r}, and the file is {stem}.toml; name both alike")
    secret = row.text("secret", _MOST_TEXT) if "secret" in row else ""
    row.check_empty()
    _check_tracks(season.tracks)
    if season.closes is not None and season.closes < season.opens:
        raise LmgymError(f"'closes': {season.closes} is before it opens, {season.opens}")
    return season.revealed(secret) if secret else season


def _track(table: Any) -> Track:
    row = Row(table, "the track")
    kind = row.text("kind", _MOST_TEXT)
    if kind not in _KINDS:
        raise unknown("kind", kind, _KINDS)
    cls = _KINDS[kind]
    given: dict[str, Any] = {f.name: _taken(row, f) for f in fields(cls) if _is_there(row, f)}
    row.check_empty()
    track = cls(**given)
    check_id("track", track.id)
    if ":" in track.env:
        raise LmgymError(
            f"'env' of track {track.id}: {track.env!r:.60} would import a module; only"
            " registered worlds are allowed, as lmgym/Math-v0"
        )
    for name, least in (("problems", 1), ("seeds", 1), ("most_bytes", 1), ("games", 2)):
        if getattr(track, name, least) < least:
            raise LmgymError(f"{name!r} of track {track.id}: at least {least} is needed")
    if isinstance(track, MatchTrack) and track.games % 2:
        raise LmgymError(f"'games' of track {track.id}: {track.games} is odd; seats are swapped")
    if isinstance(track, SingleTrack) and track.metric not in ("success", "gold_reward"):
        raise unknown(f"metric of track {track.id}", track.metric, ("success", "gold_reward"))
    return track


def _is_there(row: Row, wanted: Field[Any]) -> bool:
    is_needed = wanted.default is MISSING and wanted.default_factory is MISSING
    return is_needed or wanted.name in row


def _taken(row: Row, wanted: Field[Any]) -> Any:
    if wanted.name == "args":
        return row.take("args", _args)
    if wanted.name == "references":
        return row.each("references", lambda value: check_text(value, _MOST_TEXT))
    return row.take(wanted.name, _CHECKS[str(wanted.type)])


def _args(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(
        isinstance(v, str | int | float) for v in value.values()
    ):
        raise LmgymError("it must be a table of texts, numbers, true and false")
    return dict(value)


def _date(value: Any) -> date:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise LmgymError(f"it is {value!r:.40}; a date without quotes is needed, as 2027-01-31")
    return value


def _digest(value: Any) -> str:
    text = check_text(value, 64)
    if len(text) != 64 or set(text) - set("0123456789abcdef"):
        raise LmgymError(f"it is {text!r}; the SHA-256 of the secret is 64 hexadecimal digits")
    return text


def _check_tracks(tracks: tuple[Track, ...]) -> None:
    ids = [track.id for track in tracks]
    if not ids:
        raise LmgymError("'tracks': there is none; a season has at least one")
    for track_id in ids:
        if ids.count(track_id) > 1:
            raise LmgymError(f"'tracks': {track_id!r} stands there twice")
