"""Generated arithmetic, addressed by (family, difficulty, seed, index).

A family turns 128 mixed bits and a difficulty into a problem. The same address gives the same
problem in every process, and its canonical form decides the split.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from operator import add, mod, mul, sub
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from lmgym.addresses import mix, mix_many, split_of

__all__ = ["FAMILIES", "MAX_DIFFICULTY", "Problem", "operands_at", "problem_at", "problems_in"]

MAX_DIFFICULTY = 9


class Problem(NamedTuple):
    """A question, its exact answer, and the form that decides its split."""

    question: str
    answer: int
    canonical: str


class Family:
    """Problems `a symbol b =`, with an `a` of as many digits as the difficulty.

    Args:
        symbol: of the operation.
        operation: of two integers.
        modulus: `b` is one of this many numbers, from `lowest` on; None: as `a`.
        lowest: the smallest `b`.
        larger_first: the order of the canonical form; None where `a` and `b` differ in kind.
    """

    def __init__(
        self,
        symbol: str,
        operation: Any,
        *,
        modulus: int | None = None,
        lowest: int = 0,
        larger_first: bool | None = False,
    ) -> None:
        """Keep the arguments."""
        self.symbol = symbol
        self.operation = operation
        self.modulus = modulus
        self.lowest = lowest
        self.larger_first = larger_first

    def ranges(self, digits: int) -> tuple[range, range]:
        """The values that the two operands take."""
        first = range(10 ** (digits - 1) if digits > 1 else 0, 10**digits)  # one digit: with zero
        if self.modulus is None:
            return first, first
        return first, range(self.lowest, self.lowest + self.modulus)

    def operands(self, first: Any, second: Any, digits: int) -> tuple[Any, Any]:
        """The operands that two integers of 64 mixed bits stand for, or two arrays of them."""
        a, b = self.ranges(digits)
        return a.start + first % len(a), b.start + second % len(b)

    def problem(self, a: int, b: int) -> Problem:
        """The problem of two operands; problems with the same canonical form are one."""
        symbol = self.symbol
        low, high = (a, b) if self.larger_first is None or (a < b) != self.larger_first else (b, a)
        return Problem(f"{a}{symbol}{b}=", self.operation(a, b), f"{low}{symbol}{high}")


FAMILIES: dict[str, Family] = {
    "addition": Family("+", add),
    "subtraction": Family("-", sub, larger_first=True),
    "multiplication": Family("*", mul, modulus=10),
    "modular": Family("%", mod, modulus=8, lowest=2, larger_first=None),
}
"""Subtraction may have a negative answer; multiplication is by one digit, modular by 2 to 9."""


def problem_at(family: str, difficulty: int, seed: int, index: int) -> Problem:
    """The problem at an address.

    Example:
        >>> problem_at("addition", 2, 0, 0) == problem_at("addition", 2, 0, 0)
        True
    """
    start = _start(family, difficulty, seed) + 2 * index
    kind = FAMILIES[family]
    return kind.problem(*kind.operands(mix(start), mix(start + 1), difficulty))


def operands_at(
    family: str, difficulty: int, seed: int, indices: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The operands of the problems at many indices, each array of the shape of `indices`.

    Example:
        >>> (a,), (b,) = operands_at("modular", 2, 0, np.array([5]))
        >>> FAMILIES["modular"].problem(int(a), int(b)) == problem_at("modular", 2, 0, 5)
        True
    """
    first = np.uint64(2) * indices.astype(np.uint64) + np.uint64(_start(family, difficulty, seed))
    bits = mix_many(first), mix_many(first + np.uint64(1))
    a, b = FAMILIES[family].operands(*bits, difficulty)
    return a.astype(np.int64), b.astype(np.int64)


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


@lru_cache(maxsize=64)
def _start(family: str, difficulty: int, seed: int) -> int:
    """Where the bits of a list of problems begin."""
    return mix(mix((crc32(family.encode()) << 8) + difficulty) ^ seed)
