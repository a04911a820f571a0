"""Goals as instructions: the facts that are to change, in words, and back.

An instruction names only what differs from the start, because all else is to stay as it is. Names
and values stand in quotes, so that `read_instruction` is an exact inverse whatever they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lmgym.errors import LmgymError

from .base_site import Site
from .commands import quoted, unquoted

__all__ = ["STYLES", "read_instruction", "write_instruction", "write_progress"]

STYLES: tuple[tuple[str, str, str], ...] = (
    ("Set ", "{fact} to {value}", "."),
    ("Change ", "{fact} to {value}", "."),
    ("Make ", "{fact} {value}", "."),
    ("Please see that ", "{fact} is {value}", ", and nothing else."),
    ("I want ", "{fact} switched over to {value}", ". Thanks!"),
)
"""How an instruction begins, says each fact, and ends; the last two are held out from training."""

_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'")
_AND = " and "


def write_instruction(site: Site, start: Sequence[int], goal: Sequence[int], style: int) -> str:
    """The instruction that asks for a goal.

    Args:
        site: its words.
        start: what the facts are, shape (D,).
        goal: what they are to be, shape (D,).
        style: which of `STYLES`.

    Example:
        >>> from .families import make_site
        >>> site = make_site("forms", 1)
        >>> write_instruction(site, [0] * 8, [0, 1, 0, 1, 0, 0, 0, 0], 0)
        "Set 'Language' to 'English' and 'Newsletter' to 'on'."
    """
    begin, said, end = STYLES[style]
    parts = [
        said.format(fact=quoted(site.labels[i]), value=quoted(site.values[i][after]))
        for i, (before, after) in enumerate(zip(start, goal, strict=True))
        if before != after
    ]
    return begin + _AND.join(parts) + end


def write_progress(site: Site, start: Sequence[int], facts: Sequence[int]) -> str:
    """What has changed since the start, in the words of instructions; empty where nothing has."""
    pairs = enumerate(zip(start, facts, strict=True))
    changed = [(i, now) for i, (before, now) in pairs if before != now]
    return _AND.join(
        f"{quoted(site.labels[i])} is {quoted(site.value_name(i, now))}" for i, now in changed
    )


def read_instruction(site: Site, start: Sequence[int], text: str) -> tuple[int, ...]:
    """The goal that an instruction asks for, shape (D,).

    Raises:
        LmgymError: for a text that `write_instruction` cannot have written.
    """
    words = [unquoted(found) for found in _QUOTED.findall(text)]
    goal = list(map(int, start))
    for label, value in zip(words[::2], words[1::2], strict=False):
        if label in site.labels:
            fact = site.labels.index(label)
            known = site.values[fact]
            goal[fact] = known.index(value) if value in known else goal[fact]
    for style in range(len(STYLES)):
        if goal != list(start) and write_instruction(site, start, goal, style) == text:
            return tuple(goal)
    raise LmgymError(
        f"{text[:100]!r} is no instruction of this site, such as"
        f" {write_instruction(site, start, _other(site, start), 0)!r}"
    )


def _other(site: Site, start: Sequence[int]) -> list[int]:
    """A goal that differs in the first fact."""
    return [(int(start[0]) + 1) % site.sizes[0], *map(int, start[1:])]
