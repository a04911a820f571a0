"""Exact values of trees: the rational number that one is, and what it is modulo a prime."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType

from lmgym.verification.lexing import UnreadableError
from lmgym.verification.trees import Call, Node, Num, Power, Product, Sum, Symbol, children
from lmgym.verification.work import spend

__all__ = ["NotANumberError", "exact", "residue"]

_MAX_BITS = 100_000
"""Of numerators and denominators."""
_MAX_FACTORIAL = 2000
"""Of which the factorial and the binomial coefficients are computed."""
_MAX_DEGREE = 64
"""Of a root."""


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
