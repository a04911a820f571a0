"""What a long evaluation has answered so far, so that the same command goes on after a break."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmgym.answers import Answer, Part
from lmgym.errors import LmgymError

__all__ = ["Journal", "Played", "partial_file"]

Played = tuple[Part, list[Answer], float]
"""A part, its answers, and the seconds that it took."""


class Journal:
    """The parts that are played, a line of JSON each, below a line of the settings.

    A line that was cut off is dropped, so a part is there as a whole or not at all.

    Args:
        file: a .jsonl file; None keeps nothing.
        settings: plain values that decide what is answered.

    Attributes:
        played: what is done.

    Raises:
        LmgymError: where the file is of other settings, or is none of ours.
    """

    def __init__(self, file: Path | None, settings: Mapping[str, Any]) -> None:
        """Read what is there."""
        self.file = file
        self._settings = json.loads(json.dumps(settings))
        self.played: list[Played] = []
        if file is not None and file.exists():
            self._read(file)

    def add(self, part: Part, answers: Sequence[Answer], seconds: float) -> None:
        """Keep a part that is played."""
        self.played.append((part, list(answers), seconds))
        if self.file is not None:
            if len(self.played) == 1:
                self.file.unlink(missing_ok=True)
                _append(self.file, {"settings": self._settings})
            told = [answer.as_dict() for answer in answers]
            _append(self.file, {"part": part, "answers": told, "seconds": seconds})

    def _read(self, file: Path) -> None:
        data = file.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if not whole:
            return
        try:
            head, *rows = [json.loads(line) for line in whole.decode().splitlines()]
            settings = dict(head["settings"])
            self.played = [_played(row) for row in rows]
        except (ValueError, KeyError, TypeError) as error:
            raise LmgymError(
                f"{file} is not an unfinished evaluation that can go on; remove it, or give another"
                " --out"
            ) from error
        self._compare(settings)
        if len(whole) < len(data):
            os.truncate(file, len(whole))

    def _compare(self, settings: Mapping[str, Any]) -> None:
        """Raise where these are not the settings of the file."""
        given, kept = _flat(self._settings), _flat(settings)
        names = sorted(n for n in given.keys() | kept.keys() if given.get(n) != kept.get(n))
        if names:
            name = names[0]
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise LmgymError(
                f"{self.file} holds an unfinished evaluation with {name} {kept.get(name)!r:.60},"
                f" and now it is {given.get(name)!r:.60}{more}; give the settings of before, remove"
                " the file to start again, or give another --out"
            )


def partial_file(out: str) -> Path:
    """Where the answers are kept until the result `out` is written.

    Example:
        >>> str(partial_file("results.json"))
        'results.partial.jsonl'
    """
    return Path(out).with_suffix(".partial.jsonl")


def _played(row: Mapping[str, Any]) -> Played:
    answers = [Answer.of_dict(values) for values in row["answers"]]
    part = Part(*row["part"])
    if len(answers) != part.n_episodes:
        raise ValueError(part)
    return part, answers, float(row["seconds"])


def _flat(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested values by their path, as "sampling.seed"."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{above}{name}"
        found |= _flat(value, f"{path}.") if isinstance(value, Mapping) else {path: value}
    return found


def _append(file: Path, values: Mapping[str, Any]) -> None:
    """A line at the end, on the disk when this returns."""
    with file.open("ab") as out:
        out.write(json.dumps(values, ensure_ascii=False).encode() + b"\n")
        out.flush()
        os.fsync(out.fileno())
