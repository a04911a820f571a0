"""Exact division, and products of numbers of several digits."""

from __future__ import annotations

from .family import Draws, Family, Problem, Room, lines

__all__ = ["Division", "LongMultiplication"]

_DIVISORS = (2, 12)


class Division(Family):
    """A dividend that the divisor divides: the quotient is drawn first."""

    name = "division"
    level = "digits of the quotient; the divisor is 2 to 12"

    def problem(self, draws: Draws, level: int) -> Problem:
        """Quotient and divisor, and the dividend that they make."""
        quotient, divisor = draws.digits(level), draws.between(*_DIVISORS)
        question = f"{quotient * divisor}/{divisor}="
        return Problem(question, quotient, question, lines(*_divided(quotient * divisor, divisor)))

    def room(self, level: int) -> Room:
        """A line for each digit of the quotient, such as "107/12=8 r 11"."""
        return Room(level + 6, 14 * level + level, level)


def _divided(dividend: int, divisor: int) -> list[str]:
    """Long division: each digit of the quotient with what is left, and the quotient."""
    steps: list[str] = []
    rest = 0
    for digit in str(dividend):
        rest = 10 * rest + int(digit)
        if steps or rest >= divisor:
            steps.append(f"{rest}/{divisor}={rest // divisor} r {rest % divisor}")
        rest %= divisor
    return [*steps, str(dividend // divisor)]


class LongMultiplication(Family):
    """Products of two numbers of two digits or more."""

    name = "long_multiplication"
    level = "digits of both factors together, less three: 2 and 2, 3 and 2, 3 and 3, ..."

    def problem(self, draws: Draws, level: int) -> Problem:
        """Two factors, the one with more digits first."""
        a, b = draws.digits(2 + level // 2), draws.digits(2 + (level - 1) // 2)
        low, high = min(a, b), max(a, b)
        return Problem(f"{a}*{b}=", a * b, f"{low}*{high}", lines(*_partial_products(a, b)))

    def room(self, level: int) -> Room:
        """For each digit of the second factor a product and a sum."""
        first, second = 2 + level // 2, 2 + (level - 1) // 2
        product, total = 2 * (first + second) + 2, 3 * (first + second) + 3
        answer = first + second
        return Room(answer + 2, second * (product + total) + answer, answer)


def _partial_products(a: int, b: int) -> list[str]:
    """Each digit of b times a, largest first, with a running total, and the product."""
    steps: list[str] = []
    total = 0
    for place, digit in enumerate(str(b)):
        part = int(digit) * 10 ** (len(str(b)) - 1 - place)
        if not part:
            continue
        steps.append(f"{a}*{part}={a * part}")
        if total:
            steps.append(f"{total}+{a * part}={total + a * part}")
        total += a * part
    return [*steps, str(total)]
