"""Equations and inequalities: what they say of a variable, and when two of them say the same."""

from __future__ import annotations

from typing import TypeGuard

from lmgym.verification.comparer import Comparer
from lmgym.verification.expressions import ratio
from lmgym.verification.labels import is_label, name_of
from lmgym.verification.reasons import Reason
from lmgym.verification.trees import (
    Call,
    Group,
    Node,
    Product,
    Relation,
    Several,
    Sum,
    Symbol,
    mapped,
    negated,
    symbols,
    walk,
)
from lmgym.verification.values import exact

__all__ = ["Relations"]


class Relations(Comparer):
    """The part of the comparison that knows relations."""

    def solved(self, node: Node) -> tuple[str, Node] | None:
        """Name and value of a relation such as x = 5, f(x) = 2x or x = 10/2 = 5."""
        if not isinstance(node, Relation) or not {"=", "in"}.issuperset(node.signs):
            return None
        name, value = name_of(node.sides[0]), node.sides[-1]
        if name is None:
            return _solved_backwards(node)
        is_circular = any(isinstance(n, Call) and n.name == name for n in walk(value))
        if is_circular or name in symbols(value):
            return None
        if not all(self.is_worth(side, value) for side in node.sides[1:-1]):
            return None
        return name, value

    def right_side(self, answer: Node) -> Node:
        """What an answer says of that which its left side or a letter before it only names."""
        if isinstance(answer, Product) and len(answer.factors) == 2:
            name, point = answer.factors
            if isinstance(name, Symbol) and isinstance(point, Group) and point.opening == "(":
                return point
        solved = self.solved(answer)
        if solved is not None:
            return solved[1]
        return answer.sides[-1] if _is_equation(answer) and is_label(answer.sides[0]) else answer

    def compare_to_relation(self, answer: Node, gold: Relation) -> Reason:
        """To a relation: its value where it is solved, else the relation itself."""
        solved = self.solved(gold)
        if not isinstance(answer, Relation):
            return Reason.NOT_EQUAL if solved is None else self.compare(answer, solved[1])
        if solved is None:
            return self.compare_relations(answer, gold)
        name, value = solved
        own = self.solved(_with_argument(answer, gold))
        if own is None:
            return self.compare_relations(answer, gold) if symbols(value) else Reason.UNSOLVED
        is_named_alike = own[0] == name or (name.endswith("()") and own[0] == "y")
        return self.compare(own[1], value) if is_named_alike else Reason.NOT_EQUAL

    def compare_relations(self, answer: Relation, gold: Relation) -> Reason:
        """Equal up to a factor: 2x + 4y = 6 and x + 2y = 3; an inequality up to a positive one."""
        ours, theirs = _one_sided(answer), _one_sided(gold)
        if ours is None or theirs is None or ours[1] != theirs[1]:
            is_same = answer.signs == gold.signs and self.are_worth(answer.sides, gold.sides)
            return Reason.EQUAL if is_same else Reason.NOT_EQUAL
        factor = ratio(ours[0], theirs[0])
        is_equal = factor is not None and (ours[1] in ("=", "!=") or factor > 0)
        return Reason.EQUAL_DIGITS if is_equal else Reason.NOT_EQUAL

    def compare_equated(self, answer: Relation, gold: Node) -> Reason:
        """The value that an equation or an identity tells, to one value."""
        solved = self.solved(answer)
        if solved is not None:
            return self.compare(solved[1], gold)
        return self._compare_identity(answer, gold)

    def _compare_identity(self, answer: Relation, gold: Node) -> Reason:
        """5 + 7 = 12 says 12, where it is true, and tan x = 3/4 says 3/4; 2x = 10 says nothing."""
        value = answer.sides[-1]
        if not _is_equation(answer) or symbols(value):
            return Reason.UNSOLVED
        if symbols(answer.sides[0]) and not is_label(answer.sides[0]):
            return Reason.UNSOLVED
        if any(not symbols(side) and not self.is_worth(side, value) for side in answer.sides[:-1]):
            return Reason.NOT_EQUAL
        return self.compare(value, gold)

    def end_of_derivation(self, answer: Several) -> Node | None:
        """The value that the last of some equations gives a variable, and that solves them all."""
        solved = self.solved(answer.items[-1])
        if solved is None:
            return None
        name, value = solved

        def put(node: Node) -> Node:
            return value if node == Symbol(name) else node

        for item in answer.items[:-1]:
            if not _is_equation(item) or symbols(item) != {name}:
                return None
            left, *others = (mapped(side, put) for side in item.sides)
            if not all(self.is_worth(left, other) for other in others):
                return None
        return value


def _is_equation(node: Node) -> TypeGuard[Relation]:
    """Whether nothing but signs of equality stand between sides."""
    return isinstance(node, Relation) and set(node.signs) == {"="}


def _solved_backwards(node: Relation) -> tuple[str, Node] | None:
    """Name and value of 5 = x, where the value is a rational number."""
    if node.signs != ("=",):
        return None
    value, name = node.sides[0], name_of(node.sides[1])
    is_number = name is not None and name not in symbols(value) and exact(value) is not None
    return (name, value) if name is not None and is_number else None


def _with_argument(answer: Relation, gold: Relation) -> Relation:
    """f(t) = 2t as f(x) = 2x, where the gold says f(x)."""
    ours, theirs = answer.sides[0], gold.sides[0]
    if not isinstance(ours, Call) or not isinstance(theirs, Call) or ours.name != theirs.name:
        return answer
    old, new = ours.args[0], theirs.args[0]
    if not (isinstance(old, Symbol) and isinstance(new, Symbol)) or new.name in symbols(answer):
        return answer
    sides = (mapped(side, lambda node: new if node == old else node) for side in answer.sides)
    return Relation(tuple(sides), answer.signs)


def _one_sided(node: Relation) -> tuple[Node, str] | None:
    """The difference of both sides, and its sign with > and >= turned round."""
    if len(node.signs) != 1 or node.signs[0] == "in":
        return None
    (left, right), sign = node.sides, node.signs[0]
    if sign in (">", ">="):
        left, right, sign = right, left, sign.replace(">", "<")
    return Sum((left, negated(right))), sign
