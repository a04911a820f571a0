"""Sets of reals: intervals, unions, solved inequalities and finite sets, as sorted pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cmp_to_key
from itertools import pairwise
from typing import Any

from lmgym.verification.numeric import is_close, is_near, numeric
from lmgym.verification.trees import (
    Call,
    Const,
    Group,
    Node,
    Num,
    Product,
    Relation,
    Several,
    Symbol,
    negated,
)
from lmgym.verification.values import NotANumberError, exact
from lmgym.verification.work import context, tolerance

__all__ = ["RealSet", "is_set_of_reals", "real_set"]

_REAL = 60
"""Digits behind the point to which the imaginary part of a bound has to be 0."""
_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!=", "=": "="}
_INEQUALITIES = frozenset(("<", ">", "<=", ">=", "!="))


@dataclass(frozen=True, slots=True)
class _End:
    """An end of a piece: a value that can be compared, infinite where it has none."""

    value: Any
    is_closed: bool
    infinite: int = 0


Piece = tuple[_End, _End]
Pieces = tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class RealSet:
    """Pieces that do not touch, from left to right; an empty tuple is the empty set.

    Attributes:
        name: of the variable it is told of, where there is one.
    """

    pieces: Pieces
    name: str = ""

    def equals(self, other: RealSet) -> bool:
        """Whether both hold the same numbers, of the same variable where both name one."""
        if self.name and other.name and self.name != other.name:
            return False
        if len(self.pieces) != len(other.pieces):
            return False
        ends = zip(
            (end for piece in self.pieces for end in piece),
            (end for piece in other.pieces for end in piece),
            strict=True,
        )
        return all(_same_end(a, b) for a, b in ends)


def is_set_of_reals(node: Node) -> bool:
    """Whether a tree can be nothing but a set of reals: an inequality, a mixed bracket, a union."""
    if isinstance(node, Const):
        return node.name in ("reals", "emptyset")
    if isinstance(node, Relation):
        is_member = node.signs == ("in",) and is_set_of_reals(node.sides[1])
        return is_member or not _INEQUALITIES.isdisjoint(node.signs)
    if isinstance(node, Group):
        return _is_interval(node)
    if isinstance(node, Several):
        return node.joint in ("cup", "cap") or any(map(is_set_of_reals, node.items))
    return isinstance(node, Call) and node.name == "setminus"


def _is_interval(node: Group) -> bool:
    """Whether brackets can be nothing but an interval, or are the empty set."""
    if node.opening == "{":
        return not node.items
    is_mixed = node.opening + node.closing in ("(]", "[)", "][")
    return is_mixed or (len(node.items) == 2 and any(map(_infinity, node.items)))


def real_set(node: Node) -> RealSet | None:
    """The set that a tree describes, or None where it describes none."""
    try:
        return _set_of(node)
    except NotANumberError:
        return None


def _set_of(node: Node) -> RealSet | None:
    if isinstance(node, Const):
        known: dict[str, Pieces] = {"reals": _ALL, "emptyset": ()}
        return RealSet(known[node.name]) if node.name in known else None
    if isinstance(node, Group):
        return _of_group(node)
    if isinstance(node, Relation):
        return _of_relation(node)
    if isinstance(node, Several):
        return _of_several(node)
    return _of_difference(node) if isinstance(node, Call) and node.name == "setminus" else None


def _of_several(node: Several) -> RealSet | None:
    """A union, or an intersection where the items hold together."""
    found = [_set_of(item) for item in node.items]
    sets = [each for each in found if each is not None]
    name = next((each.name for each in sets if each.name), "")
    if len(sets) < len(found) or any(each.name not in ("", name) for each in sets):
        return None
    holds_all = node.joint == "," and (
        all(_is_punctured(each) for each in sets) or _overlap([each.pieces for each in sets])
    )
    if node.joint not in ("and", "cap") and not holds_all:
        return RealSet(_joined([piece for each in sets for piece in each.pieces]), name)
    pieces = sets[0].pieces
    for other in sets[1:]:
        pieces = _intersected(pieces, other.pieces)
    return RealSet(pieces, name)


def _overlap(sets: list[Pieces]) -> bool:
    """Whether sets have numbers in common: conditions with commas between them then all hold."""
    common = sets[0]
    for pieces in sets[1:]:
        common = _intersected(common, pieces)
    return bool(common)


def _of_difference(node: Call) -> RealSet | None:
    whole, hole = _set_of(node.args[0]), _set_of(node.args[1])
    if whole is None or hole is None:
        return None
    return RealSet(_intersected(whole.pieces, _complement(hole.pieces)), whole.name)


def _is_punctured(found: RealSet) -> bool:
    """Whether a set is all reals but some points: such conditions hold together."""
    pieces = found.pieces
    return (
        len(pieces) > 1
        and bool(pieces[0][0].infinite and pieces[-1][1].infinite)
        and all(_order(a[1], b[0]) == 0 for a, b in pairwise(pieces))
    )


def _of_group(node: Group) -> RealSet | None:
    if node.opening == "{":
        points = [_end(item, is_closed=True) for item in node.items]
        return RealSet(_joined([(p, p) for p in points]))
    if node.opening not in "([]" or node.closing not in ")][" or len(node.items) != 2:
        return None
    low = _end(node.items[0], is_closed=node.opening == "[")
    high = _end(node.items[1], is_closed=node.closing == "]")
    order = _order(low, high)
    if order > 0 or (order == 0 and not (low.is_closed and high.is_closed)):
        return None  # a point, or no interval at all
    return RealSet(((low, high),))


def _of_relation(node: Relation) -> RealSet | None:
    if node.signs == ("in",):
        found = _set_of(node.sides[1])
        left = node.sides[0]
        if found is None or not isinstance(left, Symbol):
            return None
        return RealSet(found.pieces, left.name)
    if len(node.signs) == 1 and isinstance(node.sides[0], Call):
        return _of_absolute(node.sides[0], node.signs[0], node.sides[1])
    pieces = _ALL
    names = {side.name for side in node.sides if isinstance(side, Symbol)}
    if len(names) != 1:
        return None
    for left, sign, right in zip(node.sides, node.signs, node.sides[1:], strict=False):
        if isinstance(left, Symbol):
            half = _half(sign, right)
        elif isinstance(right, Symbol):
            half = _half(_FLIPPED.get(sign, ""), left)
        else:
            return None
        pieces = _intersected(pieces, half)
    return RealSet(pieces, names.pop())


def _of_absolute(left: Call, sign: str, bound: Node) -> RealSet | None:
    """All x with `|x| sign bound`."""
    name = left.args[0]
    size = exact(bound)
    if left.name != "abs" or not isinstance(name, Symbol) or size is None or size <= 0:
        return None
    low, high = (
        Relation((name, negated(bound)), (_FLIPPED[sign],)),
        Relation((name, bound), (sign,)),
    )
    is_within = sign in ("<", "<=", "!=")
    return _set_of(Several((low, high), "and" if is_within else "or"))


def _half(sign: str, bound: Node) -> Pieces:
    """All x with `x sign bound`."""
    if sign in ("<", "<="):
        return _proper(_infinite(-1), _end(bound, is_closed=sign == "<="))
    if sign in (">", ">="):
        return _proper(_end(bound, is_closed=sign == ">="), _infinite(1))
    point, hole = _end(bound, is_closed=True), _end(bound, is_closed=False)
    if sign == "=":
        return ((point, point),)
    if sign == "!=":
        return ((_infinite(-1), hole), (hole, _infinite(1)))
    raise NotANumberError(sign)


def _proper(low: _End, high: _End) -> Pieces:
    return ((low, high),) if _order(low, high) < 0 else ()


def _infinite(sign: int) -> _End:
    return _End(None, is_closed=False, infinite=sign)


def _infinity(node: Node) -> int:
    """1 and -1 for the infinities, else 0."""
    if isinstance(node, Const):
        return int(node.name == "infinity")
    if isinstance(node, Product) and len(node.factors) == 2:
        sign, rest = node.factors
        if isinstance(sign, Num) and isinstance(rest, Const) and rest.name == "infinity":
            return 1 if sign.value > 0 else -1
    return 0


_ALL: Pieces = ((_infinite(-1), _infinite(1)),)


def _end(node: Node, *, is_closed: bool) -> _End:
    infinite = _infinity(node)
    if infinite:
        return _infinite(infinite)
    value = exact(node)
    if value is not None:
        return _End(value, is_closed)
    mp = context()
    found = numeric(node, {})
    if abs(mp.im(found)) > mp.mpf(10) ** -_REAL:
        raise NotANumberError("not real")
    return _End(mp.re(found), is_closed)


def _order(a: _End, b: _End) -> int:
    """-1, 0 or 1: which value is smaller."""
    if a.infinite or b.infinite:
        return (a.infinite > b.infinite) - (a.infinite < b.infinite)
    if type(a.value) is type(b.value):
        if a.value == b.value or (not hasattr(a.value, "numerator") and is_close(a.value, b.value)):
            return 0
        return -1 if a.value < b.value else 1
    x, y = (_number(e.value) for e in (a, b))
    if is_close(x, y):
        return 0
    return -1 if x < y else 1


def _number(value: Any) -> Any:
    if hasattr(value, "numerator"):
        return context().mpf(value.numerator) / value.denominator
    return value


def _same_end(a: _End, b: _End) -> bool:
    is_alike = a.is_closed == b.is_closed and not (a.infinite or b.infinite)
    if is_alike and tolerance():
        return is_near(_number(a.value), _number(b.value))
    return _order(a, b) == 0 and (a.is_closed == b.is_closed or bool(a.infinite))


def _joined(pieces: list[Piece]) -> Pieces:
    """The union, sorted, with pieces that touch made one."""
    key: Callable[[Piece], Any] = cmp_to_key(_by_start)
    found: list[Piece] = []
    for low, high in sorted(pieces, key=key):
        if found and _touches(found[-1][1], low):
            if _order(found[-1][1], high) < 0 or (
                _order(found[-1][1], high) == 0 and high.is_closed
            ):
                found[-1] = (found[-1][0], high)
        else:
            found.append((low, high))
    return tuple(found)


def _by_start(a: Piece, b: Piece) -> int:
    return _order(a[0], b[0]) or b[0].is_closed - a[0].is_closed


def _touches(high: _End, low: _End) -> bool:
    order = _order(high, low)
    return order > 0 or (order == 0 and (high.is_closed or low.is_closed))


def _intersected(first: Iterable[Piece], second: Iterable[Piece]) -> Pieces:
    found = []
    others = list(second)
    for low, high in first:
        for other_low, other_high in others:
            start = _later(low, other_low, 1)
            end = _later(high, other_high, -1)
            order = _order(start, end)
            if order < 0 or (order == 0 and start.is_closed and end.is_closed):
                found.append((start, end))
    return _joined(found)


def _later(a: _End, b: _End, sign: int) -> _End:
    """The tighter of two ends: starts for sign 1, ends for -1."""
    order = _order(a, b) * sign
    if order == 0:
        return b if a.is_closed else a
    return a if order > 0 else b


def _complement(pieces: Pieces) -> Pieces:
    found = []
    start = _infinite(-1)
    for low, high in pieces:
        end = low if low.infinite else _End(low.value, not low.is_closed)
        if _order(start, end) < 0:
            found.append((start, end))
        start = high if high.infinite else _End(high.value, not high.is_closed)
    if _order(start, _infinite(1)) < 0:
        found.append((start, _infinite(1)))
    return tuple(found)
