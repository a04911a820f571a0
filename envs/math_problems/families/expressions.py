"""Expressions of several operators, grown from their value."""

from __future__ import annotations

from .family import Draws, Family, Problem, Room, lines
from .trees import Tree, as_text, canonical, worked_out

__all__ = ["Expressions"]

_MOST = 99
"""The greatest number that is written."""


class Expressions(Family):
    """Expressions whose value is drawn first and then taken apart, operator by operator.

    Half are chains of + and -, worked from left to right; half have all four operators and
    parentheses. Every number on the way is an integer from 1 to 99.
    """

    name = "expressions"
    level = "operators, less one; numbers from 1 to 99"

    def problem(self, draws: Draws, level: int) -> Problem:
        """A value, and a tree that comes to it."""
        value, grown = draws.between(1, _MOST), _chain if draws.below(2) else _tree
        tree = grown(draws, value, level + 1)
        _, steps = worked_out(tree)
        return Problem(f"{as_text(tree)}=", value, canonical(tree), lines(*steps, value))

    def room(self, level: int) -> Room:
        """Numbers of two digits; a pair of parentheses for each operator but the first."""
        n = level + 1
        return Room(2 * (n + 1) + n + 2 * (n - 1) + 1, 9 * n + 2, 2)


def _chain(draws: Draws, value: int, n_operators: int) -> Tree:
    """Running totals that end at `value`."""
    total, changes = value, []
    for _ in range(n_operators):
        is_sum = total > 1 and (total == _MOST or draws.below(2))
        change = draws.between(1, total - 1 if is_sum else _MOST - total)
        changes.append(("+" if is_sum else "-", change))
        total += -change if is_sum else change
    tree: Tree = total
    for operator, change in reversed(changes):
        tree = operator, tree, change
    return tree


def _tree(draws: Draws, value: int, n_operators: int) -> Tree:
    """`value` taken apart into two numbers, and those again."""
    if not n_operators:
        return value
    operator, a, b = _apart(draws, value)
    n_left = draws.below(n_operators)
    return operator, _tree(draws, a, n_left), _tree(draws, b, n_operators - 1 - n_left)


def _apart(draws: Draws, value: int) -> tuple[str, int, int]:
    """An operation whose result is `value`."""
    factors = [k for k in range(2, value) if value % k == 0]
    ways = "+" * (value > 1) + "-" * (value < _MOST) + "*" * bool(factors)
    ways += "/" * (2 * value <= _MOST)
    operator = draws.one_of(ways)
    if operator == "+":
        a = draws.between(1, value - 1)
        return operator, a, value - a
    if operator == "*":
        a = draws.one_of(factors)
        return operator, a, value // a
    b = draws.between(1, _MOST - value) if operator == "-" else draws.between(2, _MOST // value)
    return operator, value + b if operator == "-" else value * b, b
