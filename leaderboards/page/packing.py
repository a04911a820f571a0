"""What a page is given of a board: parts that are read when somebody looks at them.

A page of 1,000 entries holds a million numbers. The rows of a track are small and are read at once;
curves, matrices and replays are parts of their own. Numbers are cut short; matrices between entries
that have mostly not met are told by the cells that hold something, and curves by as many points as
a screen can show.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lmgym.errors import LmgymError

__all__ = ["MOST_IMPROVED", "MOST_POINTS", "MOST_TEXT", "as_json", "parts"]

MOST_TEXT = 20_000
"""Characters of a text that are shown; the page says how many are left out."""

MOST_POINTS = 200
"""Points of a curve; of more, as many are taken at even distances."""

MOST_IMPROVED = 200
"""Entries among which the probability of improvement is shown: the first ones. For all of 1,000 it
would be a million numbers, most of them between entries that nobody confuses."""

_DIGITS = 6
"""Of a number; no screen tells more of them apart."""

_KINDS = ("single", "match")
_HEAVY = ("rows", "improvement", "matrix", "replays")
_DRAWN = ("curve", "profile")


def parts(board: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The parts of a board by name: `board`, `rows-0` of each track, then `matrix-0` and so on.

    What is seen first comes first, so that it can be drawn while the rest is still read.

    Raises:
        LmgymError: where the board is not of the form that the page shows; it names the place.

    Example:
        >>> row = {"entry": "a@1", "score": 1 / 3, "profile": [[0.5, 1.0]]}
        >>> track = {"id": "t", "title": "T", "kind": "single", "rows": [row]}
        >>> board = dict(parts({"schema": 1, "season": {}, "tracks": [track]}))
        >>> board.pop("board")["tracks"]
        [{'id': 't', 'title': 'T', 'kind': 'single', 'n': 1, 'parts': ['profiles']}]
        >>> for name, part in board.items():
        ...     print(name, part)
        rows-0 [{'entry': 'a@1', 'score': 0.333333}]
        profiles-0 [[0, [[0.5, 1]]]]
    """
    _check(board)
    tracks = board["tracks"]
    later = [dict(_later_parts(track, f"tracks[{n}]")) for n, track in enumerate(tracks)]
    light = [
        {key: value for key, value in track.items() if key not in _HEAVY}
        | {"n": len(track["rows"]), "parts": list(heavy)}
        for track, heavy in zip(tracks, later, strict=True)
    ]
    rows = [row for track in tracks for row in track["rows"]]
    entries = {row["entry"] for row in rows if not row.get("reference")}
    yield "board", _cut({**board, "tracks": light, "n": len(entries)}, "board")
    for number, track in enumerate(tracks):
        yield f"rows-{number}", _rows(track, f"tracks[{number}].rows")
    for number, heavy in enumerate(later):
        for name, part in heavy.items():
            yield f"{name}-{number}", part


def as_json(part: Any) -> str:
    r"""JSON that can stand inside of a `<script>`: ASCII, without `<`, `>` and `&`.

    Example:
        >>> print(as_json("</script>\u2028"))
        "\u003c/script\u003e\u2028"
    """
    text = json.dumps(part, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _check(board: Mapping[str, Any]) -> None:
    if board.get("schema") != 1:
        raise LmgymError(f"the board has the schema {board.get('schema')!r:.40}; the page shows 1")
    if not isinstance(board.get("season"), Mapping):
        raise LmgymError("the board has no season; give a mapping with id, title and phase")
    if not isinstance(board.get("tracks"), Sequence):
        raise LmgymError("the board has no tracks; give a list, which may be empty")
    for number, track in enumerate(board["tracks"]):
        place = f"tracks[{number}] of the board"
        if track.get("kind") not in _KINDS:
            raise LmgymError(f"{place} is of kind {track.get('kind')!r:.40}; known: single, match")
        for key in ("id", "title", "rows"):
            if key not in track:
                raise LmgymError(f"{place} has no {key!r}")


def _rows(track: Mapping[str, Any], place: str) -> Any:
    light = [
        {key: value for key, value in row.items() if key not in _DRAWN} for row in track["rows"]
    ]
    return _cut(light, place)


def _later_parts(track: Mapping[str, Any], place: str) -> Iterator[tuple[str, Any]]:
    rows = track["rows"]
    for key in _DRAWN:
        drawn = [[number, _thin(row[key])] for number, row in enumerate(rows) if row.get(key)]
        if drawn:
            yield f"{key}s", _cut(drawn, f"{place}.{key}")
    if track.get("improvement") and track["improvement"]["entries"]:
        yield (
            "improvement",
            _packed(track["improvement"], ("p",), f"{place}.improvement", MOST_IMPROVED),
        )
    if track.get("matrix") and track["matrix"]["entries"]:
        yield "matrix", _packed(track["matrix"], ("points", "games"), f"{place}.matrix")
    if track.get("replays"):
        yield "replays", _cut(track["replays"], f"{place}.replays")


def _thin(drawn: Any) -> Any:
    """A curve, or a profile, of a number of points that a screen can show; its last point stays."""
    if isinstance(drawn, Mapping):
        return {**drawn, "points": _thin(drawn["points"])}
    if len(drawn) <= MOST_POINTS:
        return drawn
    step = (len(drawn) - 1) / (MOST_POINTS - 1)
    return [drawn[round(number * step)] for number in range(MOST_POINTS)]


def _packed(
    matrix: Mapping[str, Any], names: Sequence[str], place: str, most: int | None = None
) -> dict[str, Any]:
    """Of the first `most` entries: the columns that hold something, and what they hold."""
    entries = matrix["entries"]
    for name in names:
        sizes = {len(entries), len(matrix[name]), *(len(row) for row in matrix[name])}
        if len(sizes) > 1:
            raise LmgymError(f"{place}.{name} is not a square of the {len(entries)} entries")
    columns = [
        [column for column, value in enumerate(row[:most]) if value is not None]
        for row in matrix[names[0]][:most]
    ]
    held = {
        name: [
            [_cut(row[column], f"{place}.{name}") for column in kept]
            for row, kept in zip(matrix[name][:most], columns, strict=True)
        ]
        for name in names
    }
    return {"entries": _cut(entries[:most], place), "columns": columns, **held}


def _cut(value: Any, place: str) -> Any:
    """The same value with short numbers and texts; `place` is for the error."""
    if isinstance(value, float):
        return _short(value, place)
    if isinstance(value, str):
        return _cut_text(value)
    if isinstance(value, Mapping):
        return {str(key): _cut(item, f"{place}.{key}") for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_cut(item, place) for item in value]
    return value


def _short(number: float, place: str) -> float | int:
    if not math.isfinite(number):
        raise LmgymError(f"{place} holds {number}; where there is no number, give None")
    short = float(f"{number:.{_DIGITS}g}")
    return int(short) if short.is_integer() else short


def _cut_text(text: str) -> str:
    if len(text) <= MOST_TEXT:
        return text
    return f"{text[:MOST_TEXT]}\n[{len(text) - MOST_TEXT:,} more characters]"
