"""Mixtures of families and levels by name and weight: `addition/2*3,modular/1`, `all/1-4`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from lmgym.errors import LmgymError, unknown

from .families import FAMILIES, FOUR, MAX_DIFFICULTY

__all__ = ["FORM", "MIXTURES", "Component", "held_out", "is_mixture", "parse_mixture"]

MIXTURES: dict[str, tuple[str, ...]] = {
    "four": tuple(FOUR),
    "steps": ("division", "expressions", "linear_equations", "fractions", "gcd", "word_problems"),
    "all": tuple(FAMILIES),
}
"""Named lists of families, each of weight 1: those of two numbers, those worked out in steps."""

_ITEM = re.compile(r"([A-Za-z0-9_.-]+)(?:/([0-9]+)(?:-([0-9]+))?)?(?:\*([0-9.]+))?")
FORM = "write family, family/level, family/low-high, each with *weight or not, and commas between"


class Component(NamedTuple):
    """A family at one level, and its weight among others."""

    family: str
    level: int
    weight: float


def is_mixture(problems: str) -> bool:
    """Whether a text is meant as a mixture: it begins with a known name, or has the form of one.

    What only has the form may be a path that exists.
    """
    items = [item.strip() for item in problems.split(",")]
    first = re.split(r"[/*]", items[0])[0]
    if first in FAMILIES or first in MIXTURES:
        return True
    has_form = all(_ITEM.fullmatch(item) for item in items) and re.search(r"[,/*]", problems)
    return bool(has_form) and not Path(problems).exists()


def parse_mixture(problems: str, level: int) -> tuple[Component, ...]:
    """The components of a mixture, each family and level once, in the order of their names.

    Args:
        problems: items with commas between: the name of a family or a mixture, then `/level` or
            `/low-high`, a component for each level, then `*weight`.
        level: of items that name none.

    Raises:
        LmgymError: for a name that is none, a level that does not exist or a weight that is no
            positive number.

    Example:
        >>> parse_mixture("addition/1-2*3,modular", 2)
        (Component(family='addition', level=1, weight=3.0), ...level=2, weight=1.0))
    """
    weights: dict[tuple[str, int], float] = {}
    for item in problems.split(","):
        names, levels, weight = _item(item.strip(), level)
        for key in ((name, one) for name in names for one in levels):
            weights[key] = weights.get(key, 0.0) + weight
    return tuple(Component(*key, weight) for key, weight in weights.items())


def held_out(components: Iterable[Component]) -> tuple[Component, ...]:
    """Each family one level above its highest."""
    highest: dict[str, int] = {}
    weights: dict[str, float] = {}
    for family, level, weight in components:
        highest[family] = max(level, highest.get(family, 0))
        weights[family] = weights.get(family, 0.0) + weight
    return tuple(Component(name, level + 1, weights[name]) for name, level in highest.items())


def _item(item: str, level: int) -> tuple[tuple[str, ...], range, float]:
    """The families, levels and weight of one item."""
    match = _ITEM.fullmatch(item)
    if match is None:
        raise LmgymError(f"cannot read {item!r} among the problems; {FORM}")
    name, low, high, weight = match.groups()
    if name not in MIXTURES and name not in FAMILIES:
        hint = f"mixtures: {', '.join(MIXTURES)}; or gsm8k, or the path of a .jsonl file, alone"
        raise unknown("family of problems", name, FAMILIES, hint)
    first = level if low is None else int(low)
    last = first if high is None else int(high)
    if not 1 <= first <= last <= MAX_DIFFICULTY:
        given = f"{first}-{last}" if high else str(first)
        raise LmgymError(
            f"difficulty {given} does not exist; {name!r} has the difficulties 1 to"
            f" {MAX_DIFFICULTY}{_meaning(name)}"
        )
    return MIXTURES.get(name, (name,)), range(first, last + 1), _weight(weight, item)


def _meaning(name: str) -> str:
    return f" ({FAMILIES[name].level})" if name in FAMILIES else ""


def _weight(given: str | None, item: str) -> float:
    try:
        weight = 1.0 if given is None else float(given)
    except ValueError:
        weight = 0.0
    if not weight > 0 or not isfinite(weight):
        raise LmgymError(f"the weight in {item!r} is no number above 0; {FORM}")
    return weight
