r"""Families of solutions, one for each whole number: ``x = \pi/4 + k\pi`` for all whole k.

A family is told by residues: the values that it takes modulo a period. Two families are equal
where they have the same residues modulo a common period.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm
from typing import Any

from lmgym.verification.lexing import UnreadableError
from lmgym.verification.numeric import is_close, numeric
from lmgym.verification.trees import Const, Node, Relation, Symbol, symbols
from lmgym.verification.values import NotANumberError
from lmgym.verification.work import context

__all__ = ["are_same_families", "parameters"]

_INTEGERS = Const("integers")
_MAX_RATIO = 60
"""Of two periods, numerator and denominator."""
_MAX_RESIDUES = 120
"""Of a family within the period that it has in common with another."""

Residues = list[tuple[Any, Any]]
"""Values, each with the period in which it comes again."""


def parameters(items: Sequence[Node]) -> set[str]:
    r"""The variables of which some items say that they are whole: ``k \in \integers``."""
    return {
        item.sides[0].name
        for item in items
        if isinstance(item, Relation)
        and item.signs == ("in",)
        and item.sides[1] == _INTEGERS
        and isinstance(item.sides[0], Symbol)
    }


def are_same_families(answers: Sequence[Node], golds: Sequence[Node]) -> bool:
    """Whether the values of two families are the same, that of one variable each.

    Args:
        answers: the values of the answer, by its variable.
        golds: those of the gold.
    """
    ours, theirs = _residues(answers), _residues(golds)
    if not ours or not theirs or max(len(ours), len(theirs)) > _MAX_RESIDUES:
        return False
    unit = theirs[0][1]
    ratios = [_ratio(period, unit) for _, period in (*ours, *theirs)]
    known = [ratio for ratio in ratios if ratio is not None]
    if len(known) < len(ratios):
        return False
    below = lcm(*(ratio.denominator for ratio in known))
    times = Fraction(lcm(*(int(ratio * below) for ratio in known)), below)
    common = unit * times.numerator / times.denominator
    if any(_turns(found, common) > _MAX_RESIDUES for found in (ours, theirs)):
        raise UnreadableError("a family of too many values", too_big=True)
    first, second = _within(ours, common), _within(theirs, common)
    return len(first) == len(second) and all(_holds(second, value, common) for value in first)


def _residues(values: Sequence[Node]) -> Residues:
    """The residues of all values; none where one has no period."""
    found: Residues = []
    for value in values:
        own = _residues_of(value)
        if not own:
            return []
        found += own
    return found


def _residues_of(value: Node) -> Residues:
    """The residues of a value for even and for odd whole numbers, each with its period."""
    names = symbols(value)
    if len(names) != 1:
        return []
    name, mp = next(iter(names)), context()
    try:
        at = [numeric(value, {name: mp.mpf(k)}) for k in range(-2, 6)]
    except NotANumberError:
        return []
    steps = [after - before for before, after in zip(at, at[2:], strict=False)]
    if mp.im(steps[0]) != 0 or steps[0] == 0 or not all(is_close(steps[0], s) for s in steps):
        return []
    period = abs(mp.re(steps[0]))
    return [(mp.re(at[2]), period), (mp.re(at[3]), period)]


def _ratio(period: Any, unit: Any) -> Fraction | None:
    """How often one period holds another, where that is a ratio of small numbers."""
    mp = context()
    for below in range(1, _MAX_RATIO + 1):
        above = mp.nint(period * below / unit)
        if 0 < above <= _MAX_RATIO and is_close(period * below, unit * above):
            return Fraction(int(above), below)
    return None


def _turns(residues: Residues, common: Any) -> int:
    """How many values residues take within a common period, equal ones counted as well."""
    return sum(int(context().nint(common / period)) for _, period in residues)


def _within(residues: Residues, common: Any) -> list[Any]:
    """The different values that residues take within a common period."""
    mp = context()
    found: list[Any] = []
    for value, period in residues:
        for k in range(int(mp.nint(common / period))):
            each = value + k * period
            if not _holds(found, each, common):
                found.append(each)
    return found


def _holds(values: Sequence[Any], value: Any, period: Any) -> bool:
    """Whether a value is one of some modulo a period."""
    mp = context()
    for other in values:
        turns = (value - other) / period
        if is_close(1 + turns - mp.nint(turns), mp.mpf(1)):
            return True
    return False
