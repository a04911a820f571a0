"""Offers in words: what a player asks for, to accept, and to walk away."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lmgym.games.game import IllegalMoveError

__all__ = ["ITEMS", "amounts", "items", "read_message"]

ITEMS = ("book", "hat", "ball", "pen")
"""Kinds of items."""

_NUMBERS = {"no": 0, "zero": 0, "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4}
_PROPOSAL = re.compile(r"\bpropose\s*:([^.;!?\]\n]*)", re.IGNORECASE)
_START, _END = r"(?:^|[.;!?\n\[])\s*", r"\s*(?=$|[.;!\n\]])"
_OF_OFFER = r"(?:\s+(?:(?:the|your|this|that)\s+(?:offer|proposal|deal)|it|this|that))?"
_ACCEPT = re.compile(rf"{_START}(?:i\s+)?accept{_OF_OFFER}{_END}", re.IGNORECASE)
_WALK = re.compile(rf"{_START}(?:i\s+)?walk\s+away{_END}", re.IGNORECASE)
_ITEM = re.compile(r"([0-9]{1,6}|[a-z]+)\s+(?:of\s+)?(?:the\s+)?([a-z]+)")
_HINT = "write as: propose: {example}; or: accept; or: walk away"


def amounts(counts: Sequence[int]) -> str:
    """Numbers of items in words, those of which there are none left out."""
    told = [f"{n} {_item(kind, n)}" for kind, n in enumerate(counts) if n]
    return ", ".join(told) or "nothing"


def items(n_kinds: int) -> str:
    """The kinds in words."""
    return ", ".join(f"{item}s" for item in ITEMS[:n_kinds])


def read_message(text: str, counts: Sequence[int]) -> str | tuple[int, ...]:
    """What a message does: "accept", "walk away", or what its sender would get of each kind.

    Args:
        text: a message; a proposal stands behind "propose:", the other two are a sentence, a line
            or in brackets by themselves, so that "I would accept more" is neither.
        counts: how many items of each kind there are.

    Raises:
        IllegalMoveError: where it does none of these, or several.
    """
    found: set[str | tuple[int, ...]] = {
        _proposal(body, counts) for body in _PROPOSAL.findall(text)
    }
    found |= {"accept"} if _ACCEPT.search(text) else set()
    found |= {"walk away"} if _WALK.search(text) else set()
    if len(found) != 1:
        told = "neither offers nor answers" if not found else "does several things at once"
        raise IllegalMoveError(f"{text[:40]!r} {told}; {_hint(counts)}")
    return found.pop()


def _proposal(body: str, counts: Sequence[int]) -> tuple[int, ...]:
    """What stands behind "propose:" as numbers."""
    asked = body.strip().lower()
    if asked in ("nothing", "everything"):
        return tuple(counts) if asked == "everything" else (0,) * len(counts)
    wanted: dict[int, int] = {}
    for part in re.split(r"\s*(?:,|&|\+|\band\b)+\s*", asked):
        if not part:
            continue
        kind, n = _amount(part, counts)
        if kind in wanted:
            raise IllegalMoveError(f"{ITEMS[kind]}s are named twice; {_hint(counts)}")
        wanted[kind] = n
    if not wanted:
        raise IllegalMoveError(f"the proposal names no items; {_hint(counts)}")
    return tuple(wanted.get(kind, 0) for kind in range(len(counts)))


def _amount(part: str, counts: Sequence[int]) -> tuple[int, int]:
    """A kind of item and a number, as of "2 books"."""
    match = _ITEM.fullmatch(part)
    names = {name: k for k, item in enumerate(ITEMS[: len(counts)]) for name in (item, f"{item}s")}
    if match is None or match[2] not in names:
        raise IllegalMoveError(f"cannot read {part[:40]!r} as items; {_hint(counts)}")
    kind, number = names[match[2]], match[1]
    n = counts[kind] if number == "all" else _NUMBERS.get(number)
    n = int(number) if number.isdecimal() else n
    if n is None:
        raise IllegalMoveError(f"cannot read {number[:40]!r} as a number; {_hint(counts)}")
    if n > counts[kind]:
        raise IllegalMoveError(f"there are not {n} {ITEMS[kind]}s; all there is: {amounts(counts)}")
    return kind, n


def _hint(counts: Sequence[int]) -> str:
    return _HINT.format(example=amounts([1] * min(2, len(counts))))


def _item(kind: int, n: int) -> str:
    return ITEMS[kind] if n == 1 else f"{ITEMS[kind]}s"
