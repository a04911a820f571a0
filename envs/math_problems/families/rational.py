"""Sums, differences and products of fractions, and greatest common divisors."""

from __future__ import annotations

from fractions import Fraction
from math import gcd, lcm

from .family import Draws, Family, Problem, Room, lines

__all__ = ["CommonDivisors", "FractionArithmetic"]

_BAND = 4


class FractionArithmetic(Family):
    """Two proper fractions in lowest terms; the answer is a fraction in lowest terms."""

    name = "fractions"
    level = "size of the larger denominator: 2 to 5, 6 to 9, 10 to 13, ..."

    def problem(self, draws: Draws, level: int) -> Problem:
        """The larger denominator from the band of the level, the other one from 2 on."""
        larger = draws.between(_BAND * (level - 1) + 2, _BAND * level + 1)
        pair = [_proper(draws, larger), _proper(draws, draws.between(2, larger))]
        p, q = (draws.take(pair), pair[0])
        sign = draws.one_of("+-*")
        answer = p + q if sign == "+" else p - q if sign == "-" else p * q
        low, high = (p, q) if sign == "-" else sorted((p, q))
        return Problem(
            f"{p}{sign}{q}=", answer, f"{low}{sign}{high}", lines(*_steps(p, q, sign), answer)
        )

    def room(self, level: int) -> Room:
        """From the greatest denominators, whose common one is their product at most."""
        n = len(str(_BAND * level + 1))
        small, large = 2 * n + 1, 4 * n + 1
        return Room(2 * small + 2, 4 * (small + large + 4) + 3 * large, large + 1)


def _proper(draws: Draws, below: int) -> Fraction:
    """A fraction between 0 and 1 with this denominator, in lowest terms."""
    above = draws.between(1, below - 1)
    while gcd(above, below) > 1:
        above -= 1
    return Fraction(above, below)


def _steps(p: Fraction, q: Fraction, sign: str) -> list[str]:
    """With a common denominator, or above and below; then in lowest terms."""
    if sign == "*":
        above, below = p.numerator * q.numerator, p.denominator * q.denominator
        steps = [f"{p.numerator}*{q.numerator}={above}", f"{p.denominator}*{q.denominator}={below}"]
    else:
        below = lcm(p.denominator, q.denominator)
        a, b = int(p * below), int(q * below)
        above = a + b if sign == "+" else a - b
        steps = [f"{x}={y}/{below}" for x, y in ((p, a), (q, b)) if x.denominator != below]
        steps.append(f"{a}{sign}{b}={above}")
    is_lowest = gcd(above, below) == 1
    return steps if is_lowest else [*steps, f"{above}/{below}={Fraction(above, below)}"]


class CommonDivisors(Family):
    """Greatest common divisors: the divisor is drawn first, then what has no common factor."""

    name = "gcd"
    level = "digits of the larger number, less one"

    def problem(self, draws: Draws, level: int) -> Problem:
        """The divisor has half of the digits."""
        digits = level + 1
        divisor = draws.digits(digits // 2)
        m = draws.between(-(-(10 ** (digits - 1)) // divisor), (10**digits - 1) // divisor)
        n = draws.between(1, m - 1)
        n //= gcd(m, n)
        while (shared := gcd(m, n)) > 1:
            n //= shared
        larger, smaller = divisor * m, divisor * n
        shown = (larger, smaller) if draws.below(2) else (smaller, larger)
        return Problem(
            f"gcd({shown[0]},{shown[1]})=",
            divisor,
            f"gcd({smaller},{larger})",
            lines(*_euclid(larger, smaller), divisor),
        )

    def room(self, level: int) -> Room:
        """Lamé (1844): no more steps than five times the digits of the smaller number."""
        digits = level + 1
        n_steps = 5 * (digits - digits // 2 + 1)
        return Room(2 * digits + 7, n_steps * (3 * digits + 3) + digits, digits // 2)


def _euclid(larger: int, smaller: int) -> list[str]:
    """Euclid's algorithm, a remainder a line."""
    steps = []
    while smaller:
        steps.append(f"{larger}%{smaller}={larger % smaller}")
        larger, smaller = smaller, larger % smaller
    return steps
