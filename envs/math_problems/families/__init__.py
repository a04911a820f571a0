"""Generated problems, addressed by (family, level, seed, index).

The same address gives the same problem in every process, and its canonical form decides the split.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import add, mod, mul, sub

from lmgym.addresses import split_of

from .countdown import Countdown
from .equations import LinearEquations
from .expressions import Expressions
from .family import Family, Problem, Room
from .long_arithmetic import Division, LongMultiplication
from .rational import CommonDivisors, FractionArithmetic
from .two_numbers import TwoNumbers, added, multiplied, reduced, subtracted
from .word_problems import WordProblems

__all__ = [
    "FAMILIES",
    "FOUR",
    "MAX_DIFFICULTY",
    "Family",
    "Problem",
    "Room",
    "TwoNumbers",
    "problem_at",
    "problems_in",
]

MAX_DIFFICULTY = 9
"""The highest level that can be asked for; one above it exists, to be held out."""

FOUR: dict[str, TwoNumbers] = {
    family.name: family
    for family in (
        TwoNumbers("addition", "+", add, added),
        TwoNumbers("subtraction", "-", sub, subtracted, larger_first=True),
        TwoNumbers("multiplication", "*", mul, multiplied, modulus=10),
        TwoNumbers("modular", "%", mod, reduced, modulus=8, lowest=2, larger_first=None),
    )
}
"""Subtraction may have a negative answer; multiplication is by one digit, modular by 2 to 9."""

FAMILIES: dict[str, Family] = {
    **FOUR,
    **{
        family.name: family
        for family in (
            Division(),
            LongMultiplication(),
            Expressions(),
            Countdown(),
            LinearEquations(),
            FractionArithmetic(),
            CommonDivisors(),
            WordProblems(),
        )
    },
}
"""All families by name."""


def problem_at(family: str, level: int, seed: int, index: int) -> Problem:
    """The problem at an address.

    Example:
        >>> problem_at("addition", 2, 0, 0).question
        '45+60='
    """
    return FAMILIES[family].at(level, seed, index)


def problems_in(
    split: str, family: str, level: int, seed: int, start: int = 0
) -> Iterator[tuple[int, Problem]]:
    """The problems of a split and their indices, from index `start` on."""
    index = start
    while True:
        problem = problem_at(family, level, seed, index)
        if split_of(problem.canonical) == split:
            yield index, problem
        index += 1
