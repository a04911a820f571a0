"""Points, vectors and matrices, entry by entry."""

from __future__ import annotations

from lmgym.verification.matrices import along_axes
from lmgym.verification.reasons import Reason
from lmgym.verification.solutions import Solutions
from lmgym.verification.trees import Group, Matrix, Node, Several

__all__ = ["Vectors", "vector"]


class Vectors(Solutions):
    """The part of the comparison that knows what has coordinates."""

    def by_components(self, node: Node, other: Node) -> Node:
        """A vector told by the unit vectors along the axes as one in angle brackets; else the node.

        Args:
            node: as v = 2i - 3j.
            other: what it is compared with.
        """
        size = 0
        if isinstance(other, Group):
            size = len(other.items)
        elif isinstance(other, Matrix):
            size = max(len(other.rows), len(other.rows[0]))
        return along_axes(self.right_side(node), size) or node

    def compare_vectors(self, answer: Node, gold: Group | Matrix) -> Reason:
        """To a point, a vector, a closed interval or a matrix."""
        answer = self._as_group(self.right_side(answer), gold)
        if isinstance(gold, Matrix) and isinstance(answer, Matrix):
            return self._compare_matrices(answer, gold)
        ours, theirs = vector(answer), vector(gold)
        if ours is None or theirs is None or len(ours[1]) != len(theirs[1]):
            return Reason.HEDGED if isinstance(answer, Several) else Reason.NOT_EQUAL
        if len(ours[1]) == 2 and {ours[0], theirs[0]} == {"()", "[]"}:
            return Reason.NOT_EQUAL  # an open interval or a point, and a closed interval
        return Reason.EQUAL if self.are_worth(ours[1], theirs[1]) else Reason.NOT_EQUAL

    def _as_group(self, answer: Node, gold: Group | Matrix) -> Node:
        """Items without brackets, as x = 1, y = 2, in those of the gold."""
        if not isinstance(answer, Several) or not isinstance(gold, Group):
            return answer
        assigned = self.assigned(self.items(answer))
        if assigned is not None:
            items = tuple(assigned[name] for name in sorted(assigned))
            return Group(gold.opening, items, gold.closing)
        if answer.joint == "," and gold.opening != "[":
            return Group(gold.opening, answer.items, gold.closing)
        return answer

    def _compare_matrices(self, answer: Matrix, gold: Matrix) -> Reason:
        shapes = {(len(matrix.rows), len(matrix.rows[0])) for matrix in (answer, gold)}
        is_same = len(shapes) == 1 and all(map(self.are_worth, answer.rows, gold.rows))
        return Reason.EQUAL if is_same else Reason.NOT_EQUAL


def vector(node: Node) -> tuple[str, tuple[Node, ...]] | None:
    """Kind and items of what is written as a vector: its brackets, or "matrix"."""
    if isinstance(node, Matrix):
        if len(node.rows) == 1:
            return "matrix", node.rows[0]
        return ("matrix", tuple(row[0] for row in node.rows)) if len(node.rows[0]) == 1 else None
    if isinstance(node, Group) and node.opening != "{":
        return node.opening + node.closing, node.items
    return None
