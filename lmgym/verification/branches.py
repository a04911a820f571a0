"""Trees with plus-minus as the two values that they stand for."""

from __future__ import annotations

from itertools import product

from lmgym.verification.trees import (
    Group,
    Node,
    PlusMinus,
    Relation,
    Several,
    Sum,
    mapped,
    negated,
    walk,
)

__all__ = ["branched"]

_MAX_SIGNS = 4
"""Of plus-minus in one value that are independent of each other."""


def branched(node: Node) -> Node:
    """A tree without plus-minus: both of its values, as a list; as it was where it has none."""
    if not any(isinstance(inner, PlusMinus) for inner in walk(node)):
        return node
    if isinstance(node, Several) or (isinstance(node, Group) and node.opening == "{"):
        return Several(tuple(value for item in node.items for value in _values(item)), "or")
    if isinstance(node, Relation) and node.signs == ("=",):
        right = branched(node.sides[1])
        if isinstance(right, Several):
            relations = (Relation((node.sides[0], value), ("=",)) for value in right.items)
            return Several(tuple(relations), "or")
    signs = [inner.sign for inner in walk(node) if isinstance(inner, PlusMinus)]
    if isinstance(node, (Sum, PlusMinus)) and 1 < len(signs) <= _MAX_SIGNS and set(signs) == {1}:
        return Several(
            tuple(_each_signed(node, each) for each in product((1, -1), repeat=len(signs))), "or"
        )
    return Several(tuple(_signed(node, sign) for sign in (1, -1)), "or")


def _each_signed(node: Node, signs: tuple[int, ...]) -> Node:
    """The tree with signs of their own for each plus-minus."""
    left = list(signs)

    def chosen(inner: Node) -> Node:
        if isinstance(inner, PlusMinus):
            return inner.term if left.pop() > 0 else negated(inner.term)
        return inner

    return mapped(node, chosen)


def _values(item: Node) -> tuple[Node, ...]:
    """An item of a list, or the values of one with plus-minus."""
    found = branched(item)
    return found.items if isinstance(found, Several) and found is not item else (found,)


def _signed(node: Node, sign: int) -> Node:
    """The tree with each plus-minus read with its upper sign for 1, its lower one for -1."""

    def chosen(inner: Node) -> Node:
        if isinstance(inner, PlusMinus):
            return inner.term if inner.sign * sign > 0 else negated(inner.term)
        return inner

    return mapped(node, chosen)
