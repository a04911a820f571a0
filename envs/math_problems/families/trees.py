"""Trees of + - * /: how they are written, worked out, and told from each other."""

from __future__ import annotations

__all__ = ["Tree", "as_text", "canonical", "worked_out"]

Tree = int | tuple[str, "Tree", "Tree"]
"""A number, or an operator and what stands on its two sides."""

_RANK = {"+": 1, "-": 1, "*": 2, "/": 2}


def as_text(tree: Tree) -> str:
    """The tree with parentheses where the order needs them, and where the right side has its rank.

    Example:
        >>> as_text(("-", 9, ("+", ("*", 2, 3), 1)))
        '9-(2*3+1)'
    """
    if isinstance(tree, int):
        return str(tree)
    operator, left, right = tree
    rank = _RANK[operator]
    return _within(left, rank) + operator + _within(right, rank + 1)


def _within(tree: Tree, rank: int) -> str:
    text = as_text(tree)
    return text if isinstance(tree, int) or _RANK[tree[0]] >= rank else f"({text})"


def worked_out(tree: Tree) -> tuple[int, list[str]]:
    """The value, and a line for each operation, from the inside out, left before right.

    Example:
        >>> worked_out(("-", 9, ("+", ("*", 2, 3), 1)))
        (2, ['2*3=6', '6+1=7', '9-7=2'])
    """
    if isinstance(tree, int):
        return tree, []
    operator, left, right = tree
    (a, first), (b, second) = worked_out(left), worked_out(right)
    value = _applied(operator, a, b)
    return value, [*first, *second, f"{a}{operator}{b}={value}"]


def _applied(operator: str, a: int, b: int) -> int:
    if operator == "+":
        return a + b
    if operator == "-":
        return a - b
    return a * b if operator == "*" else a // b  # divisions are exact


def canonical(tree: Tree) -> str:
    """A form that is the same whichever way round sums and products stand."""
    if isinstance(tree, int):
        return str(tree)
    operator, left, right = tree
    sides = [canonical(left), canonical(right)]
    if operator in "+*":
        sides.sort()
    return f"({sides[0]}{operator}{sides[1]})"
