"""What the left side of an equation only names: a variable, a function, what is asked for."""

from __future__ import annotations

from lmgym.verification.trees import (
    MINUS_ONE,
    Call,
    Group,
    Node,
    Num,
    Power,
    Product,
    Relation,
    Symbol,
    symbols,
    walk,
)

__all__ = ["is_label", "name_of"]

_OF_ANGLES = frozenset(("sin", "cos", "tan", "cot", "sec", "csc"))
"""Functions that a label may hold, as tan A."""
_FUNCTIONS = frozenset("hFGHPpQq")
"""Letters that name a function where a variable or a number stands behind them."""


def name_of(node: Node) -> str | None:
    """The name that a left side is: a variable, a point of variables, or a function of one."""
    if isinstance(node, Symbol):
        return node.name
    if isinstance(node, Group):
        names = [item.name for item in node.items if isinstance(item, Symbol)]
        return ",".join(names) if len(names) == len(node.items) else None
    if isinstance(node, Call) and node.name.endswith("()"):
        argument = node.args[0]
        if len(node.args) > 1 or not isinstance(argument, (Symbol, Num)):
            return None
        return node.name if isinstance(argument, Symbol) else f"{node.name}{argument.value}"
    if isinstance(node, Product) and len(node.factors) == 2:
        if _is_derivative(node):
            return "dy/dx"
        function, argument = node.factors
        is_applied = isinstance(argument, (Symbol, Num))
        if is_applied and isinstance(function, Symbol) and function.name[0] in _FUNCTIONS:
            return f"{function.name}()"
    return None


def _is_derivative(node: Product) -> bool:
    """Whether a quotient is dy/dx, of any two variables."""
    above, below = node.factors
    sides = [above, below.base] if isinstance(below, Power) else []
    return bool(sides) and all(
        isinstance(side, Product)
        and len(side.factors) == 2
        and side.factors[0] == Symbol("d")
        and isinstance(side.factors[1], Symbol)
        for side in sides
    )


def is_label(node: Node) -> bool:
    """Whether a side only names what is asked for: variables, functions of them, quotients.

    Or the probability of an event, as P(X = 2).
    """
    is_chance = isinstance(node, Product) and node.factors[0] == Symbol("P")
    if is_chance and isinstance(node, Product) and isinstance(node.factors[1], Relation):
        return len(node.factors) == 2
    if isinstance(node, Power) and node.exponent == MINUS_ONE:
        return isinstance(node.base, Symbol) and node.base.name.isupper()  # of a matrix
    if isinstance(node, Call) and node.name == "abs":
        return isinstance(node.args[0], Product) and all(n.isupper() for n in symbols(node))
    inside = list(walk(node))
    names = [inner.name for inner in inside if isinstance(inner, Symbol)]
    powers = [inner for inner in inside if isinstance(inner, Power)]
    numbers = [inner for inner in inside if isinstance(inner, Num)]
    n_inverse = sum(power.exponent == MINUS_ONE for power in powers)
    return (
        len(set(names)) == len(names)
        and numbers == [MINUS_ONE] * n_inverse
        and all(map(_is_label_power, powers))
        and all(inner.name in _OF_ANGLES for inner in inside if isinstance(inner, Call))
    )


def _is_label_power(node: Power) -> bool:
    """Whether a power is a quotient, or the transpose of a matrix."""
    is_transpose = isinstance(node.exponent, Symbol) and node.exponent.name == "T"
    return node.exponent == MINUS_ONE or is_transpose
