"""Linear equations in x, built around their solution."""

from __future__ import annotations

from fractions import Fraction
from math import gcd

from .family import Draws, Family, Problem, Room, lines

__all__ = ["LinearEquations"]

_BAND = 10
_TWO_SIDES, _FRACTIONS = 3, 5
"""The levels from which x stands on both sides, and from which solutions may be fractions."""


class LinearEquations(Family):
    """Equations ax + b = cx + d; the solution is drawn first."""

    name = "linear_equations"
    level = (
        "tens of the first coefficient: up to 10, 20, ...; x on both sides from level 3 on,"
        " fractions as solutions from level 5 on"
    )

    def problem(self, draws: Draws, level: int) -> Problem:
        """A solution, coefficients, and the constant that makes them agree."""
        a = draws.between(max(2, _BAND * (level - 1) + 1), _BAND * level)
        is_fraction = level >= _FRACTIONS and draws.below(2) == 1
        below = draws.between(2, 9) if is_fraction else 1
        solution = Fraction(_coprime(draws, below, _BAND * level), below)
        c = a - below * draws.between(1, 2 * a // below) if level >= _TWO_SIDES else 0
        b = draws.between(1, _BAND * level) * (1 - 2 * draws.below(2))
        d = b + int((a - c) * solution)
        question = f"Solve for x: {_side(a, b)}={_side(c, d)}"
        return Problem(question, solution, f"{a},{b},{c},{d}", _solved(a, b, c, d, solution))

    def room(self, level: int) -> Room:
        """From the greatest coefficients and solutions of the level."""
        most = _BAND * level
        number = len(str(-(most + 2 * most * most)))
        side = 2 * number + 2
        return Room(14 + 2 * side, 2 * side + 4 * number + 12, number)


def _coprime(draws: Draws, below: int, most: int) -> int:
    """A numerator that shares no factor with the denominator, of either sign."""
    above = draws.between(1, most)
    while gcd(above, below) > 1:
        above -= 1
    return above * (1 - 2 * draws.below(2))


def _side(coefficient: int, constant: int) -> str:
    """One side of an equation."""
    if not coefficient:
        return str(constant)
    return _times_x(coefficient) + (f"{constant:+}" if constant else "")


def _times_x(coefficient: int) -> str:
    return {1: "x", -1: "-x"}.get(coefficient, f"{coefficient}x")


def _solved(a: int, b: int, c: int, d: int, solution: Fraction) -> str:
    """All x to the left, all else to the right, and divided."""
    left = _times_x(a) + (_times_x(-c) if c > 0 else f"+{_times_x(-c)}" if c else "")
    times = a - c
    return lines(
        f"{left}={d}{-b:+}",
        f"{_times_x(times)}={d - b}",
        f"x={d - b}/{times}" if times > 1 else None,
        solution,
    )
