"""Whether an answer's tree is worth the same as a gold's, by the rules for the gold's kind.

Each layer knows some kinds: `relations`, `solutions`, then `vectors` and `forms`. Parts are
compared as wholes are (`comparer`), in the end as numbers and `expressions`, exactly or in many
digits. Nothing is rounded, and nothing that a tree says is executed.
"""

from __future__ import annotations

from lmgym.verification.branches import branched
from lmgym.verification.expressions import compare_expressions
from lmgym.verification.families import parameters
from lmgym.verification.forms import Forms, is_rounded, unrounded
from lmgym.verification.matrices import worked_out
from lmgym.verification.realsets import is_set_of_reals, real_set
from lmgym.verification.reasons import Reason
from lmgym.verification.solutions import is_finite_set
from lmgym.verification.trees import Call, Const, Group, Matrix, Node, Relation, Several
from lmgym.verification.vectors import Vectors, vector

__all__ = ["compare"]


def compare(answer: Node, gold: Node) -> Reason:
    """Why the answer is or isn't worth the same as the gold.

    Raises:
        UnreadableError: where a value on the way is too big to be computed.
        NotANumberError: where a part has no value, as 1/0.

    Example:
        >>> from lmgym.verification.grammar import parse
        >>> compare(parse("1/2"), parse("2^{-1}")).is_correct
        True
    """
    return _COMPARISON.compare(answer, gold)


class _Comparison(Forms, Vectors):
    """All kinds of trees; it has no state."""

    def compare(self, answer: Node, gold: Node) -> Reason:
        if answer == gold:
            return Reason.EQUAL
        if is_rounded(gold):
            gold = unrounded(gold)
        if is_rounded(answer):
            return self.compare_rounded(answer, gold)
        answer, gold = worked_out(branched(answer)), worked_out(branched(gold))
        if isinstance(gold, (Group, Matrix)) or isinstance(answer, (Group, Matrix)):
            answer, gold = self.by_components(answer, gold), self.by_components(gold, answer)
        return self._compare_kind(answer, gold)

    def _compare_kind(self, answer: Node, gold: Node) -> Reason:
        """As the kind of the gold asks for."""
        if isinstance(gold, Several) and parameters(gold.items):
            return self.compare_families(answer, gold)
        if is_set_of_reals(gold) or (is_set_of_reals(answer) and _may_be_set(gold)):
            return self._compare_sets(answer, gold)
        if isinstance(gold, Relation):
            return self.compare_to_relation(answer, gold)
        if isinstance(gold, Several) or is_finite_set(gold):
            return self.compare_solutions(answer, gold)
        if isinstance(gold, (Group, Matrix)):
            return self.compare_vectors(answer, gold)
        return (
            self.compare_call(answer, gold)
            if isinstance(gold, Call)
            else self.compare_value(answer, gold)
        )

    def _compare_sets(self, answer: Node, gold: Node) -> Reason:
        """Sets of reals; what only looks like one as what else it may be."""
        ours, theirs = real_set(answer), real_set(gold)
        if ours is not None and theirs is not None:
            return Reason.EQUAL_SET if ours.equals(theirs) else Reason.NOT_EQUAL
        if isinstance(gold, Relation) and isinstance(answer, Relation):
            return Reason.UNSOLVED if theirs is not None else self.compare_relations(answer, gold)
        if isinstance(gold, Several) and isinstance(answer, Several) and theirs is None:
            return self.compare_solutions(answer, gold)
        if isinstance(gold, Group) and isinstance(answer, Group):
            return self.compare_vectors(answer, gold)
        return Reason.NOT_EQUAL

    def compare_value(self, answer: Node, gold: Node) -> Reason:
        if isinstance(answer, Relation):
            return self.compare_equated(answer, gold)
        if isinstance(answer, Several) or (isinstance(answer, Group) and answer.opening != "["):
            return self.compare_several(answer, gold)
        if isinstance(answer, (Matrix, Group)):
            found = vector(answer)
            if found is None or len(found[1]) != 1:
                return Reason.NOT_EQUAL
            return self.compare(found[1][0], gold)
        return compare_expressions(answer, gold)


_COMPARISON = _Comparison()


def _may_be_set(gold: Node) -> bool:
    return isinstance(gold, (Group, Several, Relation, Const))
