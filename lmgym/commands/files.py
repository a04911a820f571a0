"""Result files: checked before the work, written in one step after it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmgym.errors import LmgymError

__all__ = ["check_file", "write_json", "write_text"]


def check_file(path: str | Path, suffix: str = ".json") -> Path:
    """The path, if a file can be written there; its folder is made."""
    file = Path(path)
    if file.is_dir() or file.suffix != suffix:
        raise LmgymError(
            f"{str(path)!r} does not name a {suffix} file; give one, as results{suffix}"
        )
    if file.parent.exists() and not file.parent.is_dir():
        raise LmgymError(f"{str(file.parent)!r} is a file; {file.name} needs a folder")
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def write_json(path: str | Path, values: Mapping[str, Any]) -> None:
    """Write plain values as JSON; a reader never sees half of the file."""
    from lmgym.training.records import plain_value

    text = json.dumps(plain_value(values), indent=2, allow_nan=False, ensure_ascii=False)
    write_text(path, text + "\n")


def write_text(path: str | Path, text: str) -> None:
    """Replace a file in one step."""
    file = Path(path)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
