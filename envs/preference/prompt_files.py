"""Prompts from files: JSON lines with the column `prompt`, or one prompt a line of text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmgym.addresses import split_of
from lmgym.errors import LmgymError
from lmgym.task import Message, Role

__all__ = ["Row", "load_prompts"]


@dataclass(frozen=True, slots=True)
class Row:
    """One prompt of a file.

    Attributes:
        address: the file's stem and the row's line, counted from 1, as "prompts/17".
        messages: what the agent reads.
        reference: an answer to compare with, where the file has one.
    """

    address: str
    messages: tuple[Message, ...]
    reference: str | None = None

    @property
    def canonical(self) -> str:
        """The prompt without regard to case and spacing."""
        return " ".join(" ".join(m.content for m in self.messages).casefold().split())


def load_prompts(path: Path) -> dict[str, list[Row]]:
    """Read a file of prompts and split it by their canonical form; repeats are left out.

    A row of a `.jsonl` file has the column `prompt`, a text or a list of {role, content}, and may
    have `reference`, an answer; other columns are ignored. Any other file holds one prompt a line.
    Blank lines are skipped, a byte order mark is accepted.

    Raises:
        LmgymError: for a file that is missing, empty or not UTF-8, or a row that is no prompt; it
            names the file and the line.
    """
    splits: dict[str, list[Row]] = {"train": [], "validation": [], "test": []}
    seen: set[str] = set()
    for row in _read(path):
        if row.canonical not in seen:
            seen.add(row.canonical)
            splits[split_of(row.canonical)].append(row)
    return splits


def _read(path: Path) -> list[Row]:
    if not path.is_file():
        raise LmgymError(f"there is no file {str(path)!r} to read prompts from")
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise LmgymError(f"{str(path)!r} is not UTF-8: {error}; convert it first") from None
    is_json = path.suffix == ".jsonl"
    rows = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            place = f"row {number} of {str(path)!r}"
            raw = _parsed(line, place) if is_json else {"prompt": line.strip()}
            rows.append(_row(f"{path.stem}/{number}", raw, place))
    if not rows:
        raise LmgymError(f"{str(path)!r} holds no prompts; it needs one a line")
    return rows


def _parsed(line: str, place: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:  # also integers too long, brackets too deep
        raise LmgymError(f"{place} is not JSON: {error}") from None


def _row(address: str, raw: Any, place: str) -> Row:
    if not isinstance(raw, Mapping) or "prompt" not in raw:
        has = sorted(raw) if isinstance(raw, Mapping) else type(raw).__name__
        raise LmgymError(f"{place} lacks the column 'prompt'; it has {has}")
    reference = raw.get("reference")
    if reference is not None and not isinstance(reference, str):
        raise LmgymError(f"{place}: 'reference' is {reference!r:.60}; it must be a text")
    return Row(address, _messages(raw["prompt"], place), reference)


def _messages(prompt: Any, place: str) -> tuple[Message, ...]:
    if isinstance(prompt, str) and prompt.strip():
        return (Message(Role.USER, prompt),)
    if isinstance(prompt, list) and prompt:
        return tuple(_message(each, place) for each in prompt)
    raise LmgymError(
        f"{place}: 'prompt' is {prompt!r:.60}; give a text, or a list of messages with 'role' and"
        " 'content'"
    )


def _message(raw: Any, place: str) -> Message:
    is_message = isinstance(raw, Mapping) and isinstance(raw.get("content"), str)
    if not is_message or raw.get("role") not in list(Role):
        raise LmgymError(
            f"{place}: {raw!r:.60} is no message; it needs 'role', one of"
            f" {', '.join(Role)}, and 'content', a text"
        )
    return Message(Role(raw["role"]), raw["content"])
