"""Whether two numbers or two expressions with variables are worth the same.

Rational numbers are compared exactly, long ones modulo primes, others to many digits; expressions
with variables at points, which are the same in every process.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from lmgym.verification.lexing import UnreadableError
from lmgym.verification.reasons import Reason
from lmgym.verification.trees import (
    Call,
    Const,
    Group,
    Matrix,
    Node,
    Num,
    Power,
    Product,
    Relation,
    Several,
    Sum,
    mapped,
    symbols,
    walk,
)
from lmgym.verification.values import NotANumberError, context, exact, is_close, numeric, residue

__all__ = ["compare_expressions", "ratio"]

_RANGES = (
    (Fraction(1, 10), Fraction(4, 5)),
    (Fraction(1, 3), Fraction(1)),
    (Fraction(1, 3), Fraction(1)),
    (Fraction(-1, 5), Fraction(-1)),
    (Fraction(5, 2), Fraction(2)),
    (Fraction(-3), Fraction(-2)),
    (Fraction(1000), Fraction(1000)),
    (Fraction(-2000), Fraction(1000)),
)
_BENDING = frozenset(("abs", "floor", "ceil", "max", "min", "sgn"))
_N_NEAR = 6
"""Points near 0; at the others an expression may be too big."""
"""Where the coordinates of each point are drawn from: a start, and a width to its right."""
_NEEDED = 3
"""Points at which both expressions must have values; all but one where the values are real."""
_PRIMES = ((1 << 61) - 1, (1 << 89) - 1, (1 << 107) - 1)


def compare_expressions(answer: Node, gold: Node) -> Reason:
    """Why two trees that are one value each are or aren't worth the same.

    Raises:
        UnreadableError: where a value on the way is too big to be computed.
    """
    names = symbols(answer) | symbols(gold)
    try:
        if not names:
            return _compare_numbers(answer, gold)
        if any(isinstance(n, (Relation, Several, Group, Matrix)) for n in (answer, gold)):
            return Reason.NOT_EQUAL
        return Reason.EQUAL_DIGITS if _agree(answer, gold, names) else Reason.NOT_EQUAL
    except UnreadableError:
        if _in_order(answer) == _in_order(gold):
            return Reason.EQUAL
        raise


def _compare_numbers(answer: Node, gold: Node) -> Reason:
    try:
        is_equal = _is_exactly(answer, gold)
        if is_equal is not None:
            return Reason.EQUAL_EXACT if is_equal else Reason.NOT_EQUAL
        is_equal = is_close(numeric(answer, {}), numeric(gold, {}))
    except NotANumberError:
        return Reason.EQUAL if _infinity(answer) == _infinity(gold) != 0 else Reason.NOT_EQUAL
    return Reason.EQUAL_DIGITS if is_equal else Reason.NOT_EQUAL


def _is_exactly(answer: Node, gold: Node) -> bool | None:
    """Whether two rational numbers are equal; None where one is not seen to be one."""
    ours, theirs = exact(answer), exact(gold)
    if ours is not None and theirs is not None:
        return ours == theirs
    found = [(residue(answer, prime), residue(gold, prime)) for prime in _PRIMES]
    if any(a is None or b is None for a, b in found):
        return None
    return all(a == b for a, b in found)


def _in_order(node: Node) -> Node:
    """The tree with terms and factors in one order."""

    def ordered(inner: Node) -> Node:
        if isinstance(inner, Sum):
            return Sum(tuple(sorted(inner.terms, key=repr)))
        if isinstance(inner, Product):
            return Product(tuple(sorted(inner.factors, key=repr)))
        return inner

    return mapped(node, ordered)


def _infinity(node: Node) -> int:
    """1 and -1 for the infinities, with a factor or without, else 0."""
    infinity = Const("infinity")
    if isinstance(node, Product) and node.factors[1:] == (infinity,):
        factor = exact(node.factors[0]) or 0
        return (factor > 0) - (factor < 0)
    return int(node == infinity)


def _agree(answer: Node, gold: Node, names: frozenset[str]) -> bool:
    """Whether two expressions agree wherever both are real, or everywhere where that is nowhere."""
    mp = context()
    n_real, complex_pairs = 0, []
    for a, b in _values(answer, gold, names):
        if mp.im(a) != 0 or mp.im(b) != 0:
            complex_pairs.append((a, b))
        elif is_close(a, b):
            n_real += 1
        else:
            return False
    if n_real >= _NEEDED - 1:
        return True
    return len(complex_pairs) >= _NEEDED and all(is_close(a, b) for a, b in complex_pairs)


def ratio(first: Node, second: Node) -> Any | None:
    """The constant that the first is times the second, real and not 0, or None.

    Raises:
        UnreadableError: where a value on the way is too big to be computed.
    """
    if symbols(first) != symbols(second):
        return None
    found: list[Any] = []
    for a, b in _values(first, second, symbols(first)):
        if b == 0 or a == 0:
            return None
        found.append(a / b)
    if len(found) < _NEEDED or not all(is_close(found[0], other) for other in found[1:]):
        return None
    real = context().re(found[0])
    return real if is_close(real, found[0]) else None


def _bends(node: Node) -> bool:
    """Whether a function may be one thing near 0 and another far from it."""
    if isinstance(node, Power):
        return isinstance(node.exponent, Num) and node.exponent.value.denominator > 1
    return isinstance(node, Call) and node.name in _BENDING


def _values(first: Node, second: Node, names: frozenset[str]) -> Iterator[tuple[Any, Any]]:
    """The values of two trees at the points where both have one."""
    ordered = sorted(names)
    has_bends = any(map(_bends, walk(Sum((first, second)))))
    for index in range(len(_RANGES) if has_bends else _N_NEAR):
        point = {name: _coordinate(name, index) for name in ordered}
        try:
            pair = numeric(first, point), numeric(second, point)
        except NotANumberError:
            continue
        except UnreadableError:
            if index < _N_NEAR:
                raise
            continue
        yield pair


def _coordinate(name: str, index: int) -> Any:
    value = _rational_coordinate(name, index)
    return context().mpf(value.numerator) / value.denominator


@lru_cache(maxsize=4096)
def _rational_coordinate(name: str, index: int) -> Fraction:
    """A variable's value at a point, drawn by its name."""
    digest = blake2b(f"{index}/{name}".encode(), digest_size=8).digest()
    start, width = _RANGES[index]
    return start + width * Fraction(int.from_bytes(digest[:4], "big"), 1 << 32)
