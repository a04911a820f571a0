"""Generated arithmetic that is hard to do in one's head.

A problem is addressed by (family, difficulty, seed, index). The same address gives the same problem
in every process, and its canonical form decides the split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple
from zlib import crc32

from lmgym.addresses import mix, split_of

__all__ = ["FAMILIES", "MAX_DIFFICULTY", "Problem", "longest", "problem_at", "problems_in"]

MAX_DIFFICULTY = 9
_DRAWS = 64
"""Numbers that a problem may draw; no family draws more."""
_LARGEST_ANSWER = 999
"""Of expressions, and the largest number that one multiplies or divides to get there."""


class Problem(NamedTuple):
    """An expression, its exact value, and the form that decides its split."""

    expression: str
    answer: int
    canonical: str


class _Draws:
    """Integers that follow from a problem's address."""

    def __init__(self, start: int) -> None:
        self._next = start

    def between(self, low: int, high: int) -> int:
        """One of the integers from `low` to `high`, both included."""
        self._next += 1
        return low + mix(self._next) % (high - low + 1)


class _Part(NamedTuple):
    """A part of an expression: its text, how strongly that binds, and its canonical form."""

    text: str
    strength: int
    canonical: str


def problem_at(family: str, difficulty: int, seed: int, index: int) -> Problem:
    """The problem at an address.

    Example:
        >>> problem_at("multiplication", 2, 0, 0)
        Problem(expression='43*38', answer=1634, canonical='38*43')
    """
    start = mix(mix((crc32(family.encode()) << 8) + difficulty) ^ seed)
    return FAMILIES[family](_Draws(start + _DRAWS * index), difficulty)


def problems_in(
    split: str, family: str, difficulty: int, seed: int, start: int = 0
) -> Iterator[tuple[int, Problem]]:
    """The problems of a split and their indices, from index `start` on."""
    index = start
    while True:
        problem = problem_at(family, difficulty, seed, index)
        if split_of(problem.canonical) == split:
            yield index, problem
        index += 1


def longest(family: str, difficulty: int) -> tuple[int, int]:
    """Most characters of an expression and of an answer."""
    if family == "multiplication":
        return 2 * difficulty + 1, 2 * difficulty
    if family == "sum":
        return 4 * (difficulty + 1), 5
    return 9 * difficulty + 4, len(str(_LARGEST_ANSWER))


def _multiplication(draws: _Draws, difficulty: int) -> Problem:
    """Two factors of so many digits."""
    low, high = 10 ** (difficulty - 1) + (difficulty == 1), 10**difficulty - 1
    a, b = draws.between(low, high), draws.between(low, high)
    return Problem(f"{a}*{b}", a * b, f"{min(a, b)}*{max(a, b)}")


def _sum(draws: _Draws, difficulty: int) -> Problem:
    """One term more than the difficulty, each of two or three digits."""
    terms = [draws.between(10, 999) for _ in range(difficulty + 1)]
    canonical = "+".join(map(str, sorted(terms)))
    return Problem("+".join(map(str, terms)), sum(terms), canonical)


def _expression(draws: _Draws, difficulty: int) -> Problem:
    """As many operations as the difficulty, found from the answer back to the numbers."""
    answer = draws.between(2, _LARGEST_ANSWER)
    part = _expanded(draws, answer, difficulty)
    return Problem(part.text, answer, part.canonical)


def _expanded(draws: _Draws, value: int, n_operations: int) -> _Part:
    """An expression with that value; all numbers in it are positive integers."""
    if n_operations == 0:
        return _Part(str(value), 3, str(value))
    n_left = draws.between(0, n_operations - 1)
    operator, left, right = _operands(draws, value)
    a = _expanded(draws, left, n_left)
    b = _expanded(draws, right, n_operations - 1 - n_left)
    strength = 1 if operator in "+-" else 2
    text = _grouped(a, strength) + operator + _grouped(b, strength + (operator in "-/"))
    forms = sorted([a.canonical, b.canonical]) if operator in "+*" else [a.canonical, b.canonical]
    return _Part(text, strength, f"({forms[0]}{operator}{forms[1]})")


def _operands(draws: _Draws, value: int) -> tuple[str, int, int]:
    """An operation whose result is `value`, and what it is done to."""
    kind = draws.between(0, 3)
    if kind == 0 and value >= 2:
        left = draws.between(1, value - 1)
        return "+", left, value - left
    if kind == 1 and value <= _LARGEST_ANSWER:
        divisor = draws.between(2, 9)
        return "/", value * divisor, divisor
    factors = [n for n in range(2, 100) if value % n == 0 and value // n > 1] if kind == 2 else []
    if factors and value <= _LARGEST_ANSWER:
        factor = factors[draws.between(0, len(factors) - 1)]
        return "*", factor, value // factor
    right = draws.between(1, 99)
    return "-", value + right, right


def _grouped(part: _Part, least: int) -> str:
    """A part, in parentheses where it binds less than it must."""
    return part.text if part.strength >= least else f"({part.text})"


FAMILIES: Mapping[str, Callable[[_Draws, int], Problem]] = {
    "multiplication": _multiplication,
    "sum": _sum,
    "expression": _expression,
}
"""Two factors of so many digits; a sum of one term more; an expression of so many operations."""
