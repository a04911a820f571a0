"""A text as the mathematics that it may be: a tree, with a unit or a percent sign or without."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

from lmgym.verification.answers import parse_number
from lmgym.verification.grammar import parse
from lmgym.verification.lexing import UnreadableError
from lmgym.verification.spelling import in_ascii
from lmgym.verification.spoken import as_formula
from lmgym.verification.trees import Const, Node, Num, Product, Several, Sum
from lmgym.verification.units import Unit, split_unit

__all__ = ["Reading", "bare_number", "read"]

_SCALES = {
    "hundred": "*100",
    "dozen": "*12",
    "thousand": "*1000",
    "million": "*1000000",
    "billion": "*1000000000",
    "trillion": "*1000000000000",
}
"""Words behind a number that multiply it."""
_ANY_SCALE = "|".join(_SCALES)
_SCALE = re.compile(
    rf"(?<=[0-9])[\s~]*(?:\\[ ,])?(?:({_ANY_SCALE})(?![a-z])"
    rf"|\\(?:text|mathrm)\s?\{{[\s~]*({_ANY_SCALE})[\s~]*\}})",
    re.IGNORECASE,
)
_DECORATION = re.compile(r"\\(?:text|mathrm|textbf|mbox)|[{}$.]|\\[ ,;]")
_ALL = (
    "all real numbers",
    "all reals",
    "all real x",
    "all real values",
    "the set of all real numbers",
)
_NONE = (
    "no solution",
    "no solutions",
    "no real solution",
    "no real solutions",
    "there is no solution",
    "there are no solutions",
    "there is no real solution",
    "there are no real solutions",
    "no solutions exist",
    "no solution exists",
    "the empty set",
    "empty set",
)
_SAID: dict[str, Node] = {
    **dict.fromkeys(_ALL, Const("reals")),
    **dict.fromkeys(_NONE, Const("emptyset")),
}
"""Sets of reals that are told in words."""
_COMPOUND = re.compile(r"[0-9]\s?(?:[A-Za-z]+|'|\\text\{[^{}]*\}),?\s?(?:and\s)?[0-9]")
_QUANTITY = re.compile(r"([0-9][0-9.,]*)\s?([A-Za-z]+)\.?,?\s*(?:and\s)?")
_BARE_NUMBER = re.compile(r"-?[0-9]{1,300}(?:,[0-9]{3})*(?:\.[0-9]{1,100})?")
_MAY_BE_GROUPS = re.compile(r"[0-9],[0-9]{3}(?![0-9])")
_TIME = frozenset((("time", 1),))
_PERCENT = re.compile(
    r"(?:\\?%|(?:\\text\{\s?|(?<=[0-9])\s?|\s)(?:percent|per cent|percentage points?)\}?)\s?$"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as the kinds of answer that it may be.

    Attributes:
        text: that was read.
        tree: of all of it, None where it is no mathematics.
        value: the tree without the unit.
        unit: behind or before the value.
        listed: the tree with commas that part items, where they might group digits.
        is_percent: whether a percent sign is behind it.
        is_too_big: whether a limit kept it from being read.
        number: the value of a bare numeral.
    """

    text: str
    tree: Node | None
    value: Node | None
    unit: Unit | None = None
    listed: Node | None = None
    is_percent: bool = False
    is_too_big: bool = False
    number: Fraction | None = None

    @property
    def is_readable(self) -> bool:
        """Whether it is mathematics at all."""
        return self.tree is not None or self.value is not None


@lru_cache(maxsize=1024)
def read(text: str) -> Reading:
    """A text as mathematics, with a unit or without.

    Example:
        >>> read("5 km").unit == read("7000 m").unit, read("what?").is_readable
        (False, False)
    """
    text = as_formula(in_ascii(text.strip()))
    text = _SCALE.sub(lambda match: _SCALES[(match[1] or match[2]).lower()], text)
    said = Const("emptyset") if text in ("{}", "{ }") else _SAID.get(_plain(text).lower())
    if said is not None:
        return Reading(text, said, said)
    compound = _compound(text) if _COMPOUND.search(text) else None
    if compound is not None:
        return Reading(text, None, *compound)
    return _with_unit(text)


def _plain(text: str) -> str:
    """The text without LaTeX's wrappers and with single spaces."""
    return " ".join(_DECORATION.sub(" ", text).split())


def _with_unit(text: str) -> Reading:
    """A text as one tree, and as a value with a unit where it has one."""
    tree, is_too_big = _parsed(text)
    value_text, unit = split_unit(text)
    value: Node | None = None
    if unit is not None:
        value, is_value_too_big = _parsed(value_text)
        is_too_big = is_too_big or is_value_too_big
    if value is None:
        value_text, unit = text, None
    is_percent = _PERCENT.search(value_text) is not None
    if is_percent and tree is None:
        tree, _ = _parsed(_PERCENT.sub(r"\\%", text))
    return Reading(
        text,
        tree,
        value=tree if unit is None else value,
        unit=unit,
        listed=_listed(text),
        is_percent=is_percent,
        is_too_big=is_too_big,
        number=tree.value if isinstance(tree, Num) and _BARE_NUMBER.fullmatch(text) else None,
    )


def _listed(text: str) -> Node | None:
    """The tree with commas that part items, where they might group digits."""
    if "," in text and _MAY_BE_GROUPS.search(text):
        return _parsed(text, groups_commas=False)[0]
    return None


def _parsed(text: str, *, groups_commas: bool = True) -> tuple[Node | None, bool]:
    """The tree of a text, None where it is no mathematics, and whether it is too big."""
    try:
        return parse(text, groups_commas=groups_commas), False
    except UnreadableError as error:
        return None, error.too_big


def _compound(text: str) -> tuple[Node, Unit] | None:
    """Value and unit of several amounts of one dimension.

    Smaller and smaller ones are one amount, as 5 feet 6 inches; others are a list.
    """
    plain = _plain(text)
    parts = list(_QUANTITY.finditer(plain))
    if len(parts) < 2 or "".join(part[0] for part in parts) != plain:
        return None
    amounts: list[tuple[Node, Unit]] = []
    for part in parts:
        is_minutes = part[2] == "m" and bool(amounts) and amounts[0][1].dimensions == _TIME
        value_text, unit = split_unit(f"{part[1]} {'min' if is_minutes else part[2]}")
        value, _ = _parsed(value_text)
        if value is None or unit is None or unit.is_noun:
            return None
        amounts.append((value, unit))
    first = amounts[0][1]
    if any(unit.dimensions != first.dimensions for _, unit in amounts):
        return None
    terms = tuple(Product((Num(unit.factor), value)) for value, unit in amounts)
    is_one = all(a.factor > b.factor for (_, a), (_, b) in pairwise(amounts))
    return Sum(terms) if is_one else Several(terms), Unit(first.dimensions, Fraction(1))


def bare_number(text: str) -> Fraction | None:
    """The value of a text that is a numeral alone, without being parsed as mathematics.

    Example:
        >>> bare_number("1,024"), bare_number("2x")
        (Fraction(1024, 1), None)
    """
    is_bare = text.isdecimal() or _BARE_NUMBER.fullmatch(text)
    return parse_number(text) if is_bare else None
