"""Addition, subtraction, multiplication by one digit, and remainders: `a symbol b =`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmgym.addresses import mix, mix_many

from .family import Draws, Family, Problem, Room, first_key, lines

__all__ = ["TwoNumbers", "added", "multiplied", "reduced", "subtracted"]


class TwoNumbers(Family):
    """Problems `a symbol b =`, with an `a` of as many digits as the level.

    Args:
        name: of the family.
        symbol: of the operation.
        operation: of two integers.
        steps: the lines that lead to its result.
        modulus: `b` is one of this many numbers, from `lowest` on; None: as `a`.
        lowest: the smallest `b`.
        larger_first: the order of the canonical form; None where `a` and `b` differ in kind.
    """

    shows_steps = False

    def __init__(
        self,
        name: str,
        symbol: str,
        operation: Any,
        steps: Callable[[int, int], list[str]],
        *,
        modulus: int | None = None,
        lowest: int = 0,
        larger_first: bool | None = False,
    ) -> None:
        """Keep the arguments."""
        self.name = name
        self.level = "digits of the operands" if modulus is None else "digits of the first number"
        self.symbol = symbol
        self.operation = operation
        self.modulus = modulus
        self.lowest = lowest
        self.larger_first = larger_first
        self._steps = steps

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

    def operands_at(
        self, level: int, seed: int, indices: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The operands of the problems at many indices, each array of the shape of `indices`."""
        start = np.uint64(first_key(self.name, level, seed))
        first = np.uint64(2) * indices.astype(np.uint64) + start
        bits = mix_many(first), mix_many(first + np.uint64(1))
        a, b = self.operands(*bits, level)
        return a.astype(np.int64), b.astype(np.int64)

    def of(self, a: int, b: int) -> Problem:
        """The problem of two operands; problems with the same canonical form are one."""
        symbol = self.symbol
        low, high = (a, b) if self.larger_first is None or (a < b) != self.larger_first else (b, a)
        return Problem(f"{a}{symbol}{b}=", self.operation(a, b), f"{low}{symbol}{high}")

    def at(self, level: int, seed: int, index: int) -> Problem:
        """The problem at an address; its bits are older than `Draws`."""
        start = first_key(self.name, level, seed) + 2 * index
        return self.of(*self.operands(mix(start), mix(start + 1), level))

    def problem(self, draws: Draws, level: int) -> Problem:
        """The problem that some draws stand for."""
        return self.of(*self.operands(draws.below(1 << 64), draws.below(1 << 64), level))

    def solution(self, problem: Problem) -> str:
        """Digit by digit; made when it is asked for, because the bare answer is the default."""
        a, b = map(int, problem.question[:-1].split(self.symbol))
        return lines(*self._steps(a, b), problem.answer)

    def room(self, level: int) -> Room:
        """A line for each digit, and the answer."""
        return Room(2 * level + 2, 12 * level + 3 * level + 8, level + 2)


def added(a: int, b: int) -> list[str]:
    """Column by column from the right, with the carry.

    Example:
        >>> added(47, 85)
        ['7+5=12', '4+8+1=13']
    """
    steps: list[str] = []
    carry = 0
    while a or b or not steps:
        x, y = a % 10, b % 10
        total = x + y + carry
        steps.append(f"{x}+{y}{'+1' if carry else ''}={total}")
        a, b, carry = a // 10, b // 10, total // 10
    return steps


def subtracted(a: int, b: int) -> list[str]:
    """Column by column from the right, with what is borrowed; a negative difference turned round.

    Example:
        >>> subtracted(23, 58)
        ['8-3=5', '5-2=3', '58-23=35']
    """
    if a < b:
        return [*subtracted(b, a), f"{b}-{a}={b - a}"]
    steps: list[str] = []
    borrowed = 0
    while a or not steps:
        x, y = a % 10, b % 10
        is_short = x < y + borrowed
        x += 10 * is_short
        steps.append(f"{x}-{y}{'-1' if borrowed else ''}={x - y - borrowed}")
        a, b, borrowed = a // 10, b // 10, int(is_short)
    return steps


def multiplied(a: int, b: int) -> list[str]:
    """Digit by digit from the right, with the carry.

    Example:
        >>> multiplied(47, 6)
        ['7*6=42', '4*6+4=28']
    """
    steps: list[str] = []
    carry = 0
    while a or not steps:
        total = a % 10 * b + carry
        steps.append(f"{a % 10}*{b}{f'+{carry}' if carry else ''}={total}")
        a, carry = a // 10, total // 10
    return steps


def reduced(a: int, b: int) -> list[str]:
    """The remainder digit by digit from the left.

    Example:
        >>> reduced(137, 7)
        ['1%7=1', '13%7=6', '67%7=4']
    """
    steps: list[str] = []
    rest = 0
    for digit in str(a):
        rest = 10 * rest + int(digit)
        steps.append(f"{rest}%{b}={rest % b}")
        rest %= b
    return steps
