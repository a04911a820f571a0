"""A manifest as TOML, and written to a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from lmgym.commands.files import write_text

from .manifest import MANIFEST_FILE, Manifest, parse_manifest

__all__ = ["manifest_text", "write_manifest"]

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f"}


def write_manifest(manifest: Manifest, folder: str | Path) -> Path:
    """Write manifest.toml in one step; what could not be read again is refused."""
    text = manifest_text(manifest)
    parse_manifest(text.encode())
    file = Path(folder) / MANIFEST_FILE
    write_text(file, text)
    return file


def manifest_text(manifest: Manifest) -> str:
    """The manifest as TOML.

    Example:
        >>> from lmgym.leaderboards.submissions.manifest import Process
        >>> process = Process(("python", "agent.py"))
        >>> made = Manifest("mine", 1, ("Ada",), "MIT", "process", ("nim",), process=process)
        >>> print(manifest_text(made))
        schema = 1
        name = "mine"
        version = 1
        authors = ["Ada"]
        license = "MIT"
        kind = "process"
        tracks = ["nim"]
        <BLANKLINE>
        [process]
        command = ["python", "agent.py"]
        <BLANKLINE>
    """
    values = {field.name: getattr(manifest, field.name) for field in fields(manifest)}
    plain = {name: value for name, value in values.items() if not is_dataclass(value)}
    lines = ["schema = 1", *_lines(plain)]
    for name, part in values.items():
        if is_dataclass(part):
            lines += ["", f"[{name}]"]
            lines += _lines({field.name: getattr(part, field.name) for field in fields(part)})
    return "\n".join(lines) + "\n"


def _lines(values: dict[str, Any]) -> list[str]:
    """A line for each value that says something."""
    return [
        f"{name} = {_value(value)}" for name, value in values.items() if value not in ("", None)
    ]


def _value(value: Sequence[str] | str | int) -> str:
    if isinstance(value, str):
        return '"' + "".join(map(_escaped, value)) + '"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    return "[" + ", ".join(map(_value, value)) + "]"


def _escaped(letter: str) -> str:
    if letter in _ESCAPES:
        return _ESCAPES[letter]
    return letter if letter.isprintable() else f"\\U{ord(letter):08X}"
