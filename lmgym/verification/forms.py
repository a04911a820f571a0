"""Special forms of answers: rounded values, families of solutions, cases, residues, proportions."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import TypeGuard

from lmgym.verification.expressions import are_about_equal, is_rounded_to
from lmgym.verification.families import are_same_families, parameters
from lmgym.verification.labels import name_of
from lmgym.verification.reasons import Reason
from lmgym.verification.solutions import Solutions
from lmgym.verification.trees import Call, Node, Product, Relation, Several
from lmgym.verification.values import exact

__all__ = ["Forms", "is_rounded", "unrounded"]


class Forms(Solutions):
    """The part of the comparison that knows special forms."""

    def compare_rounded(self, answer: Relation, gold: Node) -> Reason:
        """The value, or the rounded one behind it; not both of two numbers that are about equal."""
        before = unrounded(answer)
        if isinstance(before, Relation) and len(before.sides) == len(answer.sides):
            return self.compare(before, gold)
        value = before.sides[-1] if isinstance(before, Relation) else before
        if not are_about_equal(value, answer.sides[-1]):
            return Reason.NOT_EQUAL
        reason = self.compare(before, gold)
        if reason.is_correct or not is_rounded_to(value, answer.sides[-1]):
            return reason
        return self.compare(answer.sides[-1], gold)

    def compare_families(self, answer: Node, gold: Several) -> Reason:
        """The values of all whole numbers; that they are whole the answer need not say."""
        ours, theirs = self._by_parameter(answer), self._by_parameter(gold)
        if ours is None or theirs is None or len({ours[0], theirs[0]} - {""}) > 1:
            return Reason.NOT_EQUAL
        return Reason.EQUAL_SET if are_same_families(ours[1], theirs[1]) else Reason.NOT_EQUAL

    def _by_parameter(self, node: Node) -> tuple[str, list[Node]] | None:
        """The variable that is solved for, and its values; None where there are several."""
        items = [item for item in self.items(node) if not parameters([item])]
        solved = [self.solved(item) for item in items]
        names = {"" if each is None else each[0] for each in solved}
        if len(names) != 1:
            return None
        values = zip(items, solved, strict=True)
        return names.pop(), [item if each is None else each[1] for item, each in values]

    def compare_call(self, answer: Node, gold: Call) -> Reason:
        """To cases, a residue, a proportion, or any other function's value."""
        if gold.name == "cases":
            return self._compare_cases(self.right_side(answer), gold)
        if gold.name == "residue":
            return self._compare_residues(self.right_side(answer), gold)
        if gold.name == "proportion":
            return self._compare_proportions(self.right_side(answer), gold)
        return self.compare_value(answer, gold)

    def _compare_cases(self, answer: Node, gold: Call) -> Reason:
        """Values with their conditions, in any order; or an expression for all of them."""
        if not _is_call(answer, "cases"):
            return self.compare_value(answer, gold)
        golds = list(_cases(gold))
        for case in _cases(answer):
            place = next((k for k, own in enumerate(golds) if self.are_worth(case, own)), None)
            if place is None:
                return Reason.NOT_EQUAL
            golds.pop(place)
        return Reason.NOT_EQUAL if golds else Reason.EQUAL

    def _compare_residues(self, answer: Node, gold: Call) -> Reason:
        """Numbers that are the same modulo one number; a bare one is the residue itself."""
        if not _is_call(answer, "residue"):
            return self.compare(answer, gold.args[0])
        ours, theirs = (tuple(map(exact, call.args)) for call in (answer, gold))
        if None in ours or None in theirs or ours[1] != theirs[1] or not theirs[1]:
            return Reason.EQUAL if self.are_worth(answer.args, gold.args) else Reason.NOT_EQUAL
        is_same = (Fraction(ours[0] or 0) - Fraction(theirs[0] or 0)) % theirs[1] == 0
        return Reason.EQUAL_EXACT if is_same else Reason.NOT_EQUAL

    def _compare_proportions(self, answer: Node, gold: Call) -> Reason:
        """Parts that are the same up to one factor."""
        if not _is_call(answer, "proportion") or len(answer.args) != len(gold.args):
            return Reason.NOT_EQUAL
        pairs = list(zip(answer.args, gold.args, strict=True))
        ours, theirs = pairs[0]
        is_same = all(self.is_worth(Product((a, theirs)), Product((g, ours))) for a, g in pairs[1:])
        return Reason.EQUAL_EXACT if is_same else Reason.NOT_EQUAL


def is_rounded(node: Node) -> TypeGuard[Relation]:
    """Whether a sign of being about equal stands before the last side."""
    return isinstance(node, Relation) and node.signs[-1] == "~"


def unrounded(node: Relation) -> Node:
    """What stands before the sign of being about equal; x ~ 3 is read as x = 3."""
    if len(node.sides) == 2 and name_of(node.sides[0]) is not None:
        return Relation(node.sides, ("=",))
    return Relation(node.sides[:-1], node.signs[:-1]) if node.signs[1:] else node.sides[0]


def _is_call(node: Node, name: str) -> TypeGuard[Call]:
    return isinstance(node, Call) and node.name == name


def _cases(cases: Call) -> Iterable[tuple[Node, Node]]:
    """Values with their conditions."""
    return zip(cases.args[::2], cases.args[1::2], strict=True)
