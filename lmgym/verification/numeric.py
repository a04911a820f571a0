"""Numerical values of trees to many digits, and when two of them are the same."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
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
)
from lmgym.verification.values import NotANumberError
from lmgym.verification.work import context, last_digit, spend, tolerance

__all__ = ["is_close", "is_near", "numeric"]

_COST = 4
"""What the value of a node costs of the work; an exact one costs 1."""
_NOISE = 80
"""Digits after which a difference is nothing but rounding."""
_CLOSE = 70
"""Digits in which equal values agree."""
_MAX_LOG = 1e6
"""Of the natural logarithm of a power."""
_MAX_ANY = 1e40
"""Arguments of functions, whose digits the precision still covers."""
_MAX_ARGUMENT = 1e5
"""Arguments of functions that grow fast."""
_GROWING = frozenset(("factorial", "binomial", "sinh", "cosh", "cis"))
_ODD_DEGREES = (3, 5, 7, 9)
"""Roots that are real for negative numbers."""
_CONSTANTS = {"pi": "pi", "e": "e", "i": "j"}
"""Their names in mpmath."""
_HOLDS: Mapping[str, Callable[[Any, Any], bool]] = {
    **{"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge},
    **{"=": operator.eq, "!=": operator.ne},
}


def numeric(node: Node, at: Mapping[str, Any]) -> Any:
    """The complex value of a tree, a number of mpmath with the digits of its `context`.

    Args:
        node: the tree.
        at: values of its variables, by name.

    Raises:
        NotANumberError: where it has none.
        UnreadableError: where it is too big to be computed.
    """
    return _Numbers(at).of(node)


def is_close(a: Any, b: Any) -> bool:
    """Whether two numbers agree in nearly all of their digits."""
    size = max(abs(a), abs(b))
    if size == 0:
        return True
    return bool(abs(a - b) <= last_digit(_CLOSE) * size)


def is_near(answer: Any, gold: Any) -> bool:
    """Whether two numbers agree as far as this verification's tolerance asks."""
    overlooked = tolerance()
    return is_close(answer, gold) or bool(abs(answer - gold) <= overlooked * abs(gold))


class _Numbers:
    """Values of a tree at one point."""

    def __init__(self, at: Mapping[str, Any]) -> None:
        self.at = at
        self.mp = context()

    def of(self, node: Node) -> Any:
        """The value of a node."""
        spend(_COST)
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
        return self.mp.mpf(0) if abs(value) < size * last_digit(_NOISE) else value

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
