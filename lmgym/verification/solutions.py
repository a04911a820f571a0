"""Lists and sets of solutions, with names or without, in any order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeGuard

from lmgym.verification.reasons import Reason
from lmgym.verification.relations import Relations
from lmgym.verification.trees import Group, Node, Relation, Several, Symbol

__all__ = ["Solutions", "is_finite_set"]

_MAX_ITEMS = 64
"""Of a list or set whose items are compared one by one."""


class Solutions(Relations):
    """The part of the comparison that knows several solutions."""

    def items(self, node: Node) -> list[Node]:
        """The solutions that a list or set holds, one by one; sets within a set stay whole."""
        if is_finite_set(node):
            return [
                each
                for item in node.items
                for each in ([item] if is_finite_set(item) else self.items(item))
            ]
        if isinstance(node, Several):
            return [inner for item in node.items for inner in self.items(item)]
        if isinstance(node, Relation) and node.signs in (("=",), ("in",)):
            solved = self.solved(node)
            if solved is not None and (isinstance(solved[1], Several) or is_finite_set(solved[1])):
                return self.items(solved[1])
        return [node]

    def assigned(self, items: Sequence[Node]) -> dict[str, Node] | None:
        """Values by name, where each item gives another variable one."""
        found: dict[str, Node] = {}
        for item in items:
            solved = self.solved(item)
            if solved is None or solved[0] in found:
                return None
            found[solved[0]] = solved[1]
        return found if len(found) > 1 else None

    def compare_solutions(self, answer: Node, gold: Node) -> Reason:
        """Several solutions, in any order unless names or brackets tell one."""
        answers, golds = self.items(answer), self.items(gold)
        if max(len(answers), len(golds)) > _MAX_ITEMS:
            return Reason.EQUAL if answers == golds else Reason.TOO_BIG
        own, asked = self._name(answers), self._name(golds)
        if own != asked and own and asked:
            return Reason.NOT_EQUAL
        is_same = self._are_assigned_alike(answers, golds, is_named=bool(own))
        if is_same is None:
            is_same = self._are_listed_alike(answer, answers, gold, golds)
        return Reason.EQUAL_SET if is_same else Reason.NOT_EQUAL

    def _are_assigned_alike(
        self, answers: Sequence[Node], golds: Sequence[Node], *, is_named: bool
    ) -> bool | None:
        """Whether variables get the same values; values without names stand in the names' order.

        None where neither gives several variables values.

        Args:
            answers: the solutions of the answer.
            golds: those of the gold.
            is_named: whether all answers are values of one variable.
        """
        ours, theirs = self.assigned(answers), self.assigned(golds)
        if ours is not None and theirs is not None:
            return ours.keys() == theirs.keys() and all(
                self.is_worth(value, theirs[name]) for name, value in ours.items()
            )
        if ours is not None and _are_unlike(ours):
            return self._are_in_order(_by_name(ours), golds)
        if theirs is not None and _are_unlike(theirs):
            return not is_named and self._are_in_order(_without_brackets(answers), _by_name(theirs))
        return None

    def _are_listed_alike(
        self, answer: Node, answers: Sequence[Node], gold: Node, golds: Sequence[Node]
    ) -> bool:
        """Whether lists hold the same values; an answer in brackets has their order as well."""
        if isinstance(answer, Group) and answer.opening != "{" and isinstance(gold, Several):
            return self._are_in_order(answer.items, golds)
        if _are_joined_otherwise(answer, gold):
            return False
        return self._are_permuted(self._distinct(answers), self._distinct(golds))

    def compare_several(self, answer: Group | Several, gold: Node) -> Reason:
        """A set, a list or a point to one value: alternatives that are all the same, or hedged."""
        if is_finite_set(answer):
            items = self.items(answer)
            values = self._distinct(items) if len(items) <= _MAX_ITEMS else items
            return self.compare(values[0], gold) if len(values) == 1 else Reason.HEDGED
        if not isinstance(answer, Several):
            return Reason.HEDGED
        forms = self._distinct(answer.items[:_MAX_ITEMS]) if answer.joint == "or" else []
        end = forms[0] if len(forms) == 1 else self.end_of_derivation(answer)
        return Reason.HEDGED if end is None else self.compare(end, gold)

    def _name(self, items: Iterable[Node]) -> str:
        """The one variable that all items give a value; empty where there is none."""
        solved = [self.solved(item) for item in items]
        names = {"" if each is None else each[0] for each in solved}
        return names.pop() if len(names) == 1 else ""

    def _distinct(self, items: Iterable[Node]) -> list[Node]:
        """The values of items, each once."""
        found: list[Node] = []
        for item in items:
            solved = self.solved(item)
            value = item if solved is None else solved[1]
            if not any(self.is_worth(value, other) for other in found):
                found.append(value)
        return found

    def _are_in_order(self, answers: Sequence[Node], golds: Sequence[Node]) -> bool:
        return len(answers) == len(golds) and self.are_worth(answers, golds)

    def _are_permuted(self, answers: Sequence[Node], golds: Sequence[Node]) -> bool:
        """Whether each answer is worth one gold, and each gold one answer."""
        if len(answers) != len(golds):
            return False
        left = list(golds)
        for answer in answers:
            place = next((k for k, gold in enumerate(left) if self.is_worth(answer, gold)), None)
            if place is None:
                return False
            left.pop(place)
        return True


def is_finite_set(node: Node) -> TypeGuard[Group]:
    """Whether items stand in curly brackets."""
    return isinstance(node, Group) and node.opening == "{"


def _are_unlike(assigned: dict[str, Node]) -> bool:
    """Whether names differ in more than a subscript: x and y, not x_1 and x_2."""
    return len({name.partition("_")[0] for name in assigned}) > 1


def _by_name(assigned: dict[str, Node]) -> list[Node]:
    """The values in the order of their names."""
    return [assigned[name] for name in sorted(assigned)]


def _without_brackets(items: Sequence[Node]) -> Sequence[Node]:
    """The coordinates of a point that stands alone; else the items."""
    only = items[0] if len(items) == 1 else None
    return only.items if isinstance(only, Group) else items


def _are_joined_otherwise(answer: Node, gold: Node) -> bool:
    """Whether words between names differ: p and q is not p or q, nor A cup B A cap B."""
    if not isinstance(answer, Several) or not isinstance(gold, Several):
        return False
    joints = {answer.joint, gold.joint}
    are_names = all(isinstance(item, Symbol) for item in (*answer.items, *gold.items))
    return len(joints) > 1 and (
        not joints.isdisjoint(("cup", "cap")) or (are_names and "," not in joints)
    )
