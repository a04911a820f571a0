"""Generated arithmetic, addressed by (family, difficulty, seed, index).

A family turns 128 mixed bits and a difficulty into a problem. The same address gives the same
problem in every process, and its canonical form decides the split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from zlib import crc32

from lmgym.addresses import mix, split_of

__all__ = ["FAMILIES", "MAX_DIFFICULTY", "Problem", "problem_at", "problems_in"]

MAX_DIFFICULTY = 9


@dataclass(frozen=True, slots=True)
class Problem:
    """A question, its exact answer, and the form that decides its split."""

    question: str
    answer: int
    canonical: str


Family = Callable[[int, int, int], Problem]
"""Takes two integers of 64 mixed bits and the difficulty."""


def _with_digits(bits: int, digits: int) -> int:
    """An integer of exactly `digits` digits (one digit: zero included)."""
    high: int = 10**digits
    low = high // 10 if digits > 1 else 0
    return low + bits % (high - low)


def addition(first: int, second: int, digits: int) -> Problem:
    """Two numbers of `digits` digits; a+b and b+a are one problem."""
    a, b = _with_digits(first, digits), _with_digits(second, digits)
    low, high = (a, b) if a < b else (b, a)
    return Problem(f"{a}+{b}=", a + b, f"{low}+{high}")


def subtraction(first: int, second: int, digits: int) -> Problem:
    """Two numbers of `digits` digits; the answer may be negative; a-b and b-a are one problem."""
    a, b = _with_digits(first, digits), _with_digits(second, digits)
    low, high = (a, b) if a < b else (b, a)
    return Problem(f"{a}-{b}=", a - b, f"{high}-{low}")


def multiplication(first: int, second: int, digits: int) -> Problem:
    """A number of `digits` digits times one digit."""
    a, b = _with_digits(first, digits), second % 10
    low, high = (a, b) if a < b else (b, a)
    return Problem(f"{a}*{b}=", a * b, f"{low}*{high}")


def modular(first: int, second: int, digits: int) -> Problem:
    """A number of `digits` digits modulo 2 to 9."""
    a, b = _with_digits(first, digits), 2 + second % 8
    return Problem(f"{a}%{b}=", a % b, f"{a}%{b}")


FAMILIES: dict[str, Family] = {
    "addition": addition,
    "subtraction": subtraction,
    "multiplication": multiplication,
    "modular": modular,
}


def problem_at(family: str, difficulty: int, seed: int, index: int) -> Problem:
    """The problem at an address.

    Example:
        >>> problem_at("addition", 2, 0, 0) == problem_at("addition", 2, 0, 0)
        True
    """
    start = mix(mix((crc32(family.encode()) << 8) + difficulty) ^ seed) + 2 * index
    return FAMILIES[family](mix(start), mix(start + 1), difficulty)


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
