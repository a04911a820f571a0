"""Arithmetic in text, evaluated exactly by a parser of our own, within limits."""

from __future__ import annotations

import re
from fractions import Fraction

from lmgym.errors import LmgymError

__all__ = ["MAX_DEPTH", "MAX_DIGITS", "MAX_LENGTH", "evaluate"]

MAX_LENGTH = 1000
"""Characters of an expression."""
MAX_DEPTH = 50
"""Parentheses, signs and powers within each other."""
MAX_DIGITS = 400
"""Digits of a number: written, on the way, or as the result's numerator or denominator."""

_MAX_BITS = int(MAX_DIGITS * 3.3219)  # binary digits in a decimal one
_TOKEN = re.compile(r"\s*(?:([0-9]+(?:\.[0-9]*)?|\.[0-9]+)|(\*\*|[-+*/%()]))")
_SIGNS = str.maketrans({"\u2212": "-", "\u00d7": "*", "\u00b7": "*", "\u00f7": "/", "^": "**"})


def evaluate(text: str) -> Fraction:
    """The exact value of an expression: numbers, `+ - * / % **`, parentheses and signs.

    Precedence and associativity are Python's: `-2**2` is -4, `2**3**2` is 512, `-7 % 3` is 2.
    `^`, a multiplication sign, a division sign and a typographic minus are read as well.

    Raises:
        LmgymError: for what is no such expression, a division by zero, a power that is not
            rational, or anything beyond `MAX_LENGTH`, `MAX_DEPTH` and `MAX_DIGITS`.

    Example:
        >>> evaluate("(1.5 + 2) * 4 / 3")
        Fraction(14, 3)
        >>> evaluate("2 +")
        Traceback (most recent call last):
        lmgym.errors.LmgymError: cannot read '2 +': a number or '(' is missing at the end
    """
    if len(text) > MAX_LENGTH:
        raise LmgymError(
            f"the expression has {len(text)} characters; at most {MAX_LENGTH} are read"
        )
    return _Parser(text).value()


class _Parser:
    """One pass over the tokens of an expression, from left to right (recursive descent)."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._tokens(text.translate(_SIGNS).rstrip())
        self.place = 0
        self.depth = 0

    def value(self) -> Fraction:
        value = self._sum()
        if self._peek():
            raise self._error(f"an operator is missing before {self._peek()!r}")
        return value

    def _tokens(self, text: str) -> list[str]:
        tokens, end = [], 0
        while end < len(text):
            match = _TOKEN.match(text, end)
            if match is None:
                odd = text[end:].lstrip()[0]
                raise self._error(f"{odd!r} is none of numbers, + - * / % ** and parentheses")
            tokens.append(match[1] or match[2])
            end = match.end()
        return tokens

    def _peek(self) -> str:
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self.place += 1
        return token

    def _sum(self) -> Fraction:
        value = self._product()
        while self._peek() in ("+", "-"):
            sign, other = self._take(), self._product()
            value = self._checked(value + other if sign == "+" else value - other)
        return value

    def _product(self) -> Fraction:
        value = self._signed()
        while self._peek() in ("*", "/", "%"):
            operator, other = self._take(), self._signed()
            if operator != "*" and not other:
                raise self._error("it divides by zero")
            value = self._checked(_multiplied(value, operator, other))
        return value

    def _signed(self) -> Fraction:
        """A power with signs before it; its only callers' recursion runs through here."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self._error(f"it is nested deeper than {MAX_DEPTH}")
        if self._peek() in ("+", "-"):
            value = self._signed() if self._take() == "+" else -self._signed()
        else:
            value = self._power()
        self.depth -= 1
        return value

    def _power(self) -> Fraction:
        base = self._atom()
        if self._peek() != "**":
            return base
        self._take()
        return self._raised(base, self._signed())

    def _atom(self) -> Fraction:
        token = self._take()
        if token == "(":
            value = self._sum()
            if self._take() != ")":
                raise self._error("a ')' is missing")
            return value
        if not token or not (token[0].isdigit() or token[0] == "."):
            where = f"before {token!r}" if token else "at the end"
            raise self._error(f"a number or '(' is missing {where}")
        if len(token) > MAX_DIGITS:
            raise self._error(f"a number has more than {MAX_DIGITS} digits")
        return Fraction(token)

    def _raised(self, base: Fraction, exponent: Fraction) -> Fraction:
        """A power, refused before it is computed where it would be too long."""
        if exponent.denominator != 1:
            raise self._error(f"the exponent {exponent} is no integer")
        if not base and exponent < 0:
            raise self._error("it divides by zero")
        times = abs(exponent.numerator)
        if abs(base.numerator) > 1 or base.denominator > 1:
            bits = max(base.numerator.bit_length(), base.denominator.bit_length()) - 1
            if times > _MAX_BITS or bits * times > _MAX_BITS:
                raise self._error(f"a power has more than {MAX_DIGITS} digits")
        return self._checked(Fraction(base**exponent.numerator))

    def _checked(self, value: Fraction) -> Fraction:
        if max(value.numerator.bit_length(), value.denominator.bit_length()) > _MAX_BITS:
            raise self._error(f"a number on the way has more than {MAX_DIGITS} digits")
        return value

    def _error(self, why: str) -> LmgymError:
        shown = self.text if len(self.text) <= 60 else self.text[:57] + "..."
        return LmgymError(f"cannot read {shown!r}: {why}")


def _multiplied(value: Fraction, operator: str, other: Fraction) -> Fraction:
    if operator == "*":
        return value * other
    return value / other if operator == "/" else value % other
