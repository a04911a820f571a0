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
from lmgym.verification.numeric import is_close, is_near, numeric
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
    Symbol,
    children,
    mapped,
    symbols,
    walk,
)
from lmgym.verification.values import NotANumberError, exact, residue
from lmgym.verification.work import context, more_digits, tolerance

__all__ = ["are_about_equal", "compare_expressions", "ratio"]

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
"""Where the coordinates of each point are drawn from: a start, and a width to its right."""
_N_NEAR = 6
"""Points near 0; at the others an expression may be too big."""
_BEYOND = ((Fraction(2), Fraction(1)), (Fraction(-2), Fraction(-1)))
"""The same for expressions that bend, in units of their largest number."""
_FAR = Fraction(10) ** 30
"""Of the largest number; what is beyond is not looked for."""
_BENDING = frozenset(("abs", "cases", "floor", "ceil", "max", "min", "sgn"))
"""Functions that may be one expression near 0 and another one far from it."""
_LARGEST_WHOLE = 24
"""Of a variable that is whole."""
_NEEDED = 3
"""Points at which both expressions must have values; all but one where the values are real."""
_STEEP, _LONG = 40, 10**20
"""Exponents and arguments, and other numbers, from which on a value may vanish beside others."""
_N_MODULO = 2
"""Points at which rational functions are compared."""
_ROUNDED = 0.05
"""Relative error of what is said to be about equal."""
_MAX_DECIMALS = 30
"""Of a rounded value."""
_PRIMES = (2364435959070974357, 867332234130483127845800671, 166321870515811189415978459714111)
"""None of a form that a power of a small number is 1 modulo it."""


def compare_expressions(answer: Node, gold: Node) -> Reason:
    """Why two trees that are one value each are or aren't worth the same.

    Raises:
        UnreadableError: where a value on the way is too big to be computed.
    """
    answer = _with_constants(answer, gold)
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


def _with_constants(answer: Node, gold: Node) -> Node:
    """The answer with c and c_1 as the gold's C and C_1, where these are constants that are added.

    So they are in what an integral or a differential equation has for a solution.
    """
    ours, theirs = symbols(answer), symbols(gold)
    if not isinstance(gold, Sum) or any(name[:1].isupper() and name[0] != "C" for name in theirs):
        return answer
    new = {name for name in theirs - ours if name.partition("_")[0] == "C"}
    old = {name.lower(): name for name in new if name.lower() in ours - theirs}
    if not old:
        return answer

    def renamed(node: Node) -> Node:
        return Symbol(old[node.name]) if isinstance(node, Symbol) and node.name in old else node

    return mapped(answer, renamed)


def _compare_numbers(answer: Node, gold: Node) -> Reason:
    try:
        is_equal = _is_exactly(answer, gold)
        if is_equal or (is_equal is not None and not tolerance()):
            return Reason.EQUAL_EXACT if is_equal else Reason.NOT_EQUAL
        is_equal = is_near(numeric(answer, {}), numeric(gold, {}))
        if is_equal and not tolerance() and (_may_vanish(answer) or _may_vanish(gold)):
            with more_digits():
                is_equal = is_close(numeric(answer, {}), numeric(gold, {}))
    except NotANumberError:
        return Reason.EQUAL if _infinity(answer) == _infinity(gold) != 0 else Reason.NOT_EQUAL
    return Reason.EQUAL_DIGITS if is_equal else Reason.NOT_EQUAL


def _is_exactly(answer: Node, gold: Node) -> bool | None:
    """Whether two rational numbers are equal; None where one is not seen to be one."""
    ours, theirs = exact(answer), exact(gold)
    if ours is not None and theirs is not None:
        return ours == theirs
    if _is_irrational(answer) or _is_irrational(gold):
        return None
    for prime in _PRIMES:
        a, b = residue(answer, prime), residue(gold, prime)
        if a is None or b is None:
            return None
        if a != b:
            return False
    return True


def _may_vanish(node: Node) -> bool:
    """Whether something in a tree may be too small to be seen beside the rest of it."""
    for inner in walk(node):
        if isinstance(inner, Num) and not _is_below(inner.value, _LONG):
            return True
        steep = (inner.exponent,) if isinstance(inner, Power) else children(inner)
        if isinstance(inner, (Power, Call)) and any(
            isinstance(n, Num) and not _is_below(n.value, _STEEP)
            for part in steep
            for n in walk(part)
        ):
            return True
    return False


def _is_below(value: Fraction, bound: int) -> bool:
    return abs(value.numerator) < bound and value.denominator < bound


def _is_irrational(node: Node) -> bool:
    """Whether a tree holds what is no rational number, or a power that need not be one."""
    return any(
        isinstance(inner, Const)
        or (
            isinstance(inner, Power)
            and isinstance(inner.exponent, Num)
            and inner.exponent.value.denominator > 1
        )
        for inner in walk(node)
    )


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
    is_equal = _agree_modulo(answer, gold, names)
    if is_equal is not None and (is_equal or not tolerance()):
        return is_equal
    mp = context()
    n_real, complex_pairs = 0, []
    for a, b in _values(answer, gold, names):
        if mp.im(a) != 0 or mp.im(b) != 0:
            if mp.im(a) == 0 or mp.im(b) == 0:
                return False
            complex_pairs.append((a, b))
        elif is_near(a, b):
            n_real += 1
        else:
            return False
    if n_real >= _NEEDED - 1:
        return True
    return len(complex_pairs) >= _NEEDED and all(is_near(a, b) for a, b in complex_pairs)


def _agree_modulo(answer: Node, gold: Node, names: frozenset[str]) -> bool | None:
    """Whether two rational functions agree at points modulo primes; None where one is none."""
    for index, prime in enumerate(_PRIMES[:_N_MODULO]):
        at = {name: _whole_coordinate(name, index) for name in names}
        a = residue(answer, prime, at)
        b = None if a is None else residue(gold, prime, at)
        if a is None or b is None:
            return None
        if a != b:
            return False
    return True


def are_about_equal(value: Node, rounded: Node) -> bool:
    """Whether a number may be the rounded value of another."""
    if symbols(value) | symbols(rounded):
        return False
    try:
        a, b = numeric(value, {}), numeric(rounded, {})
    except NotANumberError:
        return False
    return bool(abs(a - b) <= abs(a) * _ROUNDED)


def is_rounded_to(value: Node, rounded: Node) -> bool:
    """Whether a numeral is a value that is no numeral itself, rounded or cut to its decimals."""
    if isinstance(value, Num) or not isinstance(rounded, Num):
        return False
    decimals = (k for k in range(_MAX_DECIMALS) if (rounded.value * 10**k).denominator == 1)
    unit = 10.0 ** -next(decimals, _MAX_DECIMALS)
    a, b = numeric(value, {}), numeric(rounded, {})
    return bool(abs(a - b) <= unit / 2 or (0 <= abs(a) - abs(b) < unit and abs(a - b) < unit))


def ratio(first: Node, second: Node) -> Any | None:
    """The constant that the first is times the second, real and not 0, or None.

    Raises:
        UnreadableError: where a value on the way is too big to be computed.
    """
    if symbols(first) != symbols(second):
        return None
    is_constant = _is_constant_ratio(first, second)
    if is_constant is False:
        return None
    found: list[Any] = []
    for a, b in _values(first, second, symbols(first)):
        if b == 0 or a == 0:
            return None
        found.append(a / b)
        if is_constant:
            break
    if len(found) < (1 if is_constant else _NEEDED) or not all(
        is_close(found[0], other) for other in found[1:]
    ):
        return None
    real = context().re(found[0])
    return real if is_close(real, found[0]) else None


def _is_constant_ratio(first: Node, second: Node) -> bool | None:
    """Whether two rational functions have one ratio at two points; None where one is none."""
    prime, found = _PRIMES[0], []
    for index in range(_N_MODULO):
        at = {name: _whole_coordinate(name, index) for name in symbols(first)}
        a, b = residue(first, prime, at), residue(second, prime, at)
        if not a or not b:
            return None
        found.append((a, b))
    (a, b), (c, d) = found
    return (a * d - b * c) % prime == 0


def _bends(node: Node) -> bool:
    """Whether a function may be one thing near 0 and another far from it."""
    if isinstance(node, Power):
        return isinstance(node.exponent, Num) and node.exponent.value.denominator > 1
    return isinstance(node, Call) and node.name in _BENDING


def _values(first: Node, second: Node, names: frozenset[str]) -> Iterator[tuple[Any, Any]]:
    """The values of two trees at the points where both have one."""
    both = Sum((first, second))
    whole = _whole_names(both)
    scales = [Fraction(1)] * len(_RANGES)
    if any(map(_bends, walk(both))):
        far = _largest_number(both)
        scales += [far, far]
    n_all = len(scales) if len(scales) > len(_RANGES) else _N_NEAR
    for index, scale in enumerate(scales[:n_all]):
        point = {name: _coordinate(name, index, name in whole, scale) for name in names}
        try:
            pair = numeric(first, point), numeric(second, point)
        except NotANumberError:
            continue
        except UnreadableError:
            if index < _N_NEAR:
                raise
            continue
        yield pair


def _largest_number(node: Node) -> Fraction:
    """The largest size of a number in a tree, behind which nothing bends any more."""
    largest = Fraction(1)
    for inner in walk(node):
        if isinstance(inner, (Num, Power)) and not symbols(inner):
            value = abs(exact(inner) or Fraction(0))
            largest = max(largest, value) if value < _FAR else largest
    return largest


def _whole_names(node: Node) -> frozenset[str]:
    """The variables that can only be whole: those in a power of a negative number."""
    found: frozenset[str] = frozenset()
    for inner in walk(node):
        if isinstance(inner, Power) and isinstance(inner.base, Num) and inner.base.value < 0:
            found |= symbols(inner.exponent)
    return found


def _coordinate(name: str, index: int, is_whole: bool, scale: Fraction) -> Any:
    value = scale * _rational_coordinate(name, index, is_whole)
    return context().mpf(value.numerator) / value.denominator


@lru_cache(maxsize=4096)
def _whole_coordinate(name: str, index: int) -> int:
    """A variable's value modulo a prime, drawn by its name."""
    return int.from_bytes(blake2b(f"{index}#{name}".encode(), digest_size=7).digest(), "big")


@lru_cache(maxsize=4096)
def _rational_coordinate(name: str, index: int, is_whole: bool) -> Fraction:
    """A variable's value at a point, drawn by its name."""
    digest = blake2b(f"{index}/{name}".encode(), digest_size=8).digest()
    if is_whole:
        return Fraction(1 + digest[4] % _LARGEST_WHOLE)
    start, width = _RANGES[index] if index < len(_RANGES) else _BEYOND[index - len(_RANGES)]
    return start + width * Fraction(int.from_bytes(digest[:4], "big"), 1 << 32)
