"""What a tree is worth: exactly where it is rational, else to many digits, within limits."""

from __future__ import annotations

import math
import operator
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

from lmgym.verification.lexing import UnreadableError
from lmgym.verification.trees import (
    Call,
    Const,
    Group,
    Node,
    Num,
    Power,
    Product,
    Relation,
    Several,
    Sum,
    Symbol,
    children,
)

__all__ = [
    "DIGITS",
    "NotANumberError",
    "context",
    "exact",
    "is_close",
    "is_near",
    "more_digits",
    "numeric",
    "residue",
    "start",
    "stop",
    "tolerance",
]

DIGITS = 90
"""Decimal digits of numerical values."""
_NOISE = 80
"""Digits after which a difference is nothing but rounding."""
_CLOSE = 70
"""Digits in which equal values agree."""
_MORE = 420
"""Digits that are computed besides for numbers that agree in all others."""
_MAX_BITS = 100_000
"""Of exact numerators and denominators."""
_MAX_LOG = 1e6
"""Of the natural logarithm of a numerical value."""
_MAX_FACTORIAL = 2000
_MAX_DEGREE = 64
"""Of an exact root."""
_MAX_ARGUMENT = 1e5
"""Of functions that grow fast."""
_GROWING = frozenset(("factorial", "binomial", "sinh", "cosh", "cis"))
_ODD_DEGREES = (3, 5, 7, 9)
"""Roots that are real for negative numbers."""
_CONSTANTS = {"pi": "pi", "e": "e", "i": "j"}
"""Their names in mpmath."""
_WORK = 25_000
"""Nodes that are evaluated in one verification, each point and each pair counted."""
_MAX_ANY = 1e40
"""Arguments of functions, whose digits the precision still covers."""
_NUMERIC = 4
"""What a numerical value costs of it; an exact one costs 1."""
_HOLDS: Mapping[str, Callable[[Any, Any], bool]] = {
    **{"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge},
    **{"=": operator.eq, "!=": operator.ne},
}
_LOCAL = threading.local()


class NotANumberError(ValueError):
    """The tree has no single finite value."""


def exact(node: Node) -> Fraction | None:
    """The rational number that a tree is, or None where it is none or not seen to be one.

    Raises:
        UnreadableError: where a number on the way is too big.
        NotANumberError: for a division by zero.

    Example:
        >>> exact(Sum((Num(Fraction(1, 2)), Num(Fraction(1, 3)))))
        Fraction(5, 6)
    """
    spend(1)
    if isinstance(node, Num):
        return node.value
    if isinstance(node, (Sum, Product)):
        return _exact_chain(node)
    if isinstance(node, Power):
        return _exact_power(node)
    return _exact_call(node) if isinstance(node, Call) else None


def _exact_chain(node: Sum | Product) -> Fraction | None:
    is_sum = isinstance(node, Sum)
    total = Fraction(0 if is_sum else 1)
    for part in children(node):
        value = exact(part)
        if value is None:
            return None
        total = _checked(total + value if is_sum else total * value)
    return total


def _checked(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > _MAX_BITS:
        raise UnreadableError("a number with too many digits", too_big=True)
    return value


def _exact_power(node: Power) -> Fraction | None:
    base, exponent = exact(node.base), exact(node.exponent)
    if base is None or exponent is None:
        return None
    if exponent.denominator != 1:
        root = _root(base, exponent.denominator)
        if root is None:
            return None
        base, exponent = root, Fraction(exponent.numerator)
    return _whole_power(base, exponent.numerator)


def _whole_power(base: Fraction, exponent: int) -> Fraction | None:
    """A power, or None where it is too long to be written out; those are compared by residues."""
    if not base and exponent <= 0:
        raise NotANumberError("0 to a power that is not positive")
    if abs(base) == 1:
        return base ** (exponent % 2)
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if bits * abs(exponent) > _MAX_BITS:
        return None
    return _checked(Fraction(base**exponent))


def _root(value: Fraction, degree: int) -> Fraction | None:
    """The rational root of a rational number that is not negative, or None."""
    if value < 0 or degree > _MAX_DEGREE:
        return None
    numerator = _integer_root(value.numerator, degree)
    denominator = _integer_root(value.denominator, degree)
    return None if numerator is None or denominator is None else Fraction(numerator, denominator)


def _integer_root(n: int, degree: int) -> int | None:
    """The whole root of a number that is not negative, by Newton's method from above, or None."""
    root = n if n <= 1 else 1 << -(-n.bit_length() // degree)
    while n > 1:
        better = ((degree - 1) * root + n // root ** (degree - 1)) // degree
        if better >= root:
            break
        root = better
    return root if root**degree == n else None


def _exact_call(node: Call) -> Fraction | None:
    found = [exact(arg) for arg in node.args]
    values = [value for value in found if value is not None]
    if len(values) < len(found) or not values:
        return None
    function = _OF_RATIONALS.get(node.name)
    if function is not None:
        return Fraction(function(values))
    if any(value.denominator != 1 for value in values):
        return None
    return _exact_whole(node.name, [value.numerator for value in values])


_OF_RATIONALS: Mapping[str, Callable[[Sequence[Fraction]], Fraction | int]] = {
    "abs": lambda values: abs(values[0]),
    "floor": lambda values: math.floor(values[0]),
    "ceil": lambda values: math.ceil(values[0]),
    "max": max,
    "min": min,
}


def _exact_whole(name: str, values: Sequence[int]) -> Fraction | None:
    """A function of whole numbers, or None where it is unknown or too big."""
    if name == "factorial" and 0 <= values[0] <= _MAX_FACTORIAL:
        return _checked(Fraction(math.factorial(values[0])))
    if name == "binomial" and 0 <= values[1] <= values[0] <= _MAX_FACTORIAL:
        return _checked(Fraction(math.comb(values[0], values[1])))
    if name in ("gcd", "lcm"):
        return _checked(Fraction(math.gcd(*values) if name == "gcd" else math.lcm(*values)))
    return None


def residue(node: Node, prime: int, at: Mapping[str, int] = MappingProxyType({})) -> int | None:
    """A rational value modulo a prime, however long it is; None where that is not seen.

    Args:
        node: the tree.
        prime: the modulus.
        at: values of its variables, by name.
    """
    spend(1)
    if isinstance(node, Num):
        below = node.value.denominator % prime
        return None if not below else node.value.numerator * pow(below, -1, prime) % prime
    if isinstance(node, Symbol):
        return at.get(node.name)
    if isinstance(node, (Sum, Product)):
        return _residue_of_chain(node, prime, at)
    if isinstance(node, Power):
        base = residue(node.base, prime, at)
        exponent = None if base is None else exact(node.exponent)
        if base is None or exponent is None or exponent.denominator != 1 or not base:
            return None
        return pow(base, exponent.numerator, prime)
    found = _exact_call(node) if isinstance(node, Call) else None
    return None if found is None else residue(Num(found), prime)


def _residue_of_chain(node: Sum | Product, prime: int, at: Mapping[str, int]) -> int | None:
    is_sum = isinstance(node, Sum)
    total = 0 if is_sum else 1
    for part in children(node):
        value = residue(part, prime, at)
        if value is None:
            return None
        total = (total + value if is_sum else total * value) % prime
    return total


def numeric(node: Node, at: Mapping[str, Any]) -> Any:
    """The complex value of a tree, a number of mpmath with `DIGITS` digits.

    Args:
        node: the tree.
        at: values of its variables, by name.

    Raises:
        NotANumberError: where it has none.
        UnreadableError: where it is too big to be computed.
    """
    return _Numbers(at).of(node)


def start(tolerance: float = 0.0) -> None:
    """Give the verification that begins in this thread its share of work, and its tolerance."""
    _LOCAL.left = _WORK
    _LOCAL.tolerance = tolerance


def stop() -> None:
    """The verification is over: what is evaluated outside of one has no share."""
    _LOCAL.left = None
    _LOCAL.tolerance = 0.0


def spend(amount: int) -> None:
    """Take work from what a verification has left.

    Raises:
        UnreadableError: where nothing is left.
    """
    left: int | None = getattr(_LOCAL, "left", None)
    if left is None:
        return
    _LOCAL.left = left - amount
    if left < amount:
        raise UnreadableError("too much work", too_big=True)


def is_close(a: Any, b: Any) -> bool:
    """Whether two numbers agree in nearly all of their digits."""
    size = max(abs(a), abs(b))
    if size == 0:
        return True
    return bool(abs(a - b) <= _but_digits(_CLOSE) * size)


def is_near(answer: Any, gold: Any) -> bool:
    """Whether two numbers agree as far as this verification's tolerance asks."""
    overlooked = tolerance()
    return is_close(answer, gold) or bool(abs(answer - gold) <= overlooked * abs(gold))


def tolerance() -> float:
    """The relative difference that this verification overlooks."""
    found: float = getattr(_LOCAL, "tolerance", 0.0)
    return found


def context() -> Any:
    """Mpmath's context of this thread, with a precision of its own."""
    found = getattr(_LOCAL, "context", None)
    if found is None:
        from mpmath.ctx_mp import MPContext  # type: ignore[import-untyped]

        found = _LOCAL.context = MPContext()
        found.dps = DIGITS
    return found


@contextmanager
def more_digits() -> Iterator[None]:
    """Compute with `_MORE` digits more, for numbers that agree in all others."""
    mp = context()
    _LOCAL.more = _MORE
    mp.dps = DIGITS + _MORE
    try:
        yield
    finally:
        _LOCAL.more, mp.dps = 0, DIGITS


def _but_digits(digits: int) -> Any:
    """One unit of a digit, which lies further behind where more are computed."""
    return context().mpf(10) ** -(digits + getattr(_LOCAL, "more", 0))


class _Numbers:
    """Values of a tree at one point."""

    def __init__(self, at: Mapping[str, Any]) -> None:
        self.at = at
        self.mp = context()

    def of(self, node: Node) -> Any:
        """The value of a node."""
        spend(_NUMERIC)
        if isinstance(node, Num):
            return self.mp.mpf(node.value.numerator) / node.value.denominator
        if isinstance(node, Sum):
            return self.sum([self.of(term) for term in node.terms])
        if isinstance(node, Product):
            return self.product(node)
        if isinstance(node, Power):
            return self.power(self.of(node.base), self.of(node.exponent))
        if isinstance(node, Call):
            return self.call(node)
        if isinstance(node, Group) and len(node.items) == 1:
            return self.of(node.items[0])
        return self.named(node)

    def named(self, node: Node) -> Any:
        """The value of a constant or a variable."""
        if isinstance(node, Const) and node.name in _CONSTANTS:
            return getattr(self.mp, _CONSTANTS[node.name]) * 1
        if isinstance(node, Symbol) and node.name in self.at:
            return self.at[node.name]
        raise NotANumberError(f"{node} is no number")

    def sum(self, terms: list[Any]) -> Any:
        """The sum of values; 0 where nothing is left but what was rounded."""
        total = self.mp.fsum(terms)
        return self.but_rounding(total, max(map(abs, terms)))

    def but_rounding(self, value: Any, size: Any) -> Any:
        """A value; 0 where it is only what was rounded in numbers of some size."""
        return self.mp.mpf(0) if abs(value) < size * _but_digits(_NOISE) else value

    def product(self, node: Product) -> Any:
        """The product of the factors' values."""
        value = self.mp.mpf(1)
        for factor in node.factors:
            value = value * self.of(factor)
        return self.checked(value)

    def checked(self, value: Any) -> Any:
        """A value, if it is finite."""
        if not self.mp.isfinite(value):
            raise NotANumberError("infinite")
        return value

    def power(self, base: Any, exponent: Any) -> Any:
        """A power; of a negative number an odd root is the real one."""
        mp = self.mp
        if base == 0:
            if mp.re(exponent) > 0:
                return mp.mpf(0)
            raise NotANumberError("a power of 0")
        if abs(exponent) * (abs(mp.log(base)) + 1) > _MAX_LOG:
            raise UnreadableError("a power that is too big", too_big=True)
        if mp.im(base) == 0 and mp.re(base) < 0 and mp.im(exponent) == 0:
            odd = _odd_root(exponent, mp)
            if odd is not None:
                numerator, degree = odd
                return (-mp.root(-mp.re(base), degree)) ** numerator
        return self.checked(mp.power(base, exponent))

    def call(self, node: Call) -> Any:
        """A function of numbers."""
        mp, name = self.mp, node.name
        if name == "cases":
            return self.case(node)
        values = [self.of(arg) for arg in node.args]
        if name in ("max", "min"):
            return (max if name == "max" else min)(mp.re(value) for value in values)
        if name == "log":
            return self.logarithm(*values)
        if name.endswith("()"):
            return self.unknown(name, values)
        function = _functions(mp).get(name)
        if function is None or len(values) != (2 if name == "binomial" else 1):
            raise NotANumberError(f"{name} of {len(values)}")
        largest = _MAX_ARGUMENT if name in _GROWING else _MAX_ANY
        if any(abs(value) > largest for value in values):
            raise UnreadableError(f"{name} of a number that is too big", too_big=True)
        try:
            return self.but_rounding(self.checked(function(*values)), 1)
        except (ValueError, ZeroDivisionError, OverflowError):
            raise NotANumberError(f"{name} where it has no value") from None

    def logarithm(self, value: Any, base: Any = 10, *_: Any) -> Any:
        """A logarithm, with the base 10 where none is given."""
        if value == 0 or base in (0, 1):
            raise NotANumberError("a logarithm of 0")
        return self.mp.log(value) / self.mp.log(base)

    def case(self, node: Call) -> Any:
        """The first value whose condition holds."""
        for value, condition in zip(node.args[::2], node.args[1::2], strict=True):
            if self.holds(condition):
                return self.of(value)
        raise NotANumberError("no case")

    def holds(self, condition: Node) -> bool:
        """Whether a condition holds; a list of them holds together, or one of them does."""
        if isinstance(condition, Several):
            return (any if condition.joint == "or" else all)(map(self.holds, condition.items))
        if condition == Symbol("otherwise"):
            return True
        if not isinstance(condition, Relation):
            raise NotANumberError("no condition")
        sides = [self.mp.re(self.of(side)) for side in condition.sides]
        pairs = zip(sides, condition.signs, sides[1:], strict=False)
        return all(sign in _HOLDS and _HOLDS[sign](a, b) for a, sign, b in pairs)

    def unknown(self, name: str, values: Sequence[Any]) -> Any:
        """A function that nothing is known of: values that no other one has by chance."""
        if any(abs(value) > _MAX_ARGUMENT for value in values):
            raise UnreadableError(f"{name} of a number that is too big", too_big=True)
        seed = int.from_bytes(blake2b(name.encode(), digest_size=4).digest(), "big")
        total = self.mp.mpf(seed) / (1 << 31)
        for place, value in enumerate(values, 2):
            total = self.mp.cos(total + self.mp.sqrt(place) * value)
        return total


@lru_cache(maxsize=8)
def _functions(mp: Any) -> dict[str, Callable[..., Any]]:
    """The functions of one context by name."""
    inverse = {f"arc{name}": f"a{name}" for name in ("sin", "cos", "tan", "cot", "sec", "csc")}
    plain = ("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "binomial")
    names = {name: name for name in (*plain, "re", "im", "arg")} | inverse
    return {name: getattr(mp, own) for name, own in names.items()} | {
        "ln": mp.log,
        "abs": abs,
        "floor": lambda x: mp.floor(mp.re(x)),
        "ceil": lambda x: mp.ceil(mp.re(x)),
        "factorial": lambda x: mp.gamma(x + 1),
        "sgn": mp.sign,
        "conj": mp.conj,
        "degrees": lambda x: x * mp.pi / 180,
        "ratio": lambda x: 1 / x,
        "lb": lambda x: mp.log(x) / mp.log(2),
        "cis": mp.expj,
    }


def _odd_root(exponent: Any, mp: Any) -> tuple[int, int] | None:
    """Numerator and denominator of an exponent that is a fraction with a small odd denominator."""
    for degree in _ODD_DEGREES:
        numerator = mp.re(exponent) * degree
        nearest = int(mp.nint(numerator))
        if nearest % degree and abs(numerator - nearest) < mp.mpf(10) ** -_CLOSE:
            return nearest, degree
    return None
