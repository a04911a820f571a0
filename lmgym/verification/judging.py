"""An answer's reading against a gold's, by a policy: percent signs, lists, units, tolerance."""

from __future__ import annotations

from fractions import Fraction

from lmgym.verification.comparison import compare
from lmgym.verification.policy import Policy
from lmgym.verification.readings import Reading
from lmgym.verification.reasons import Reason
from lmgym.verification.trees import Group, Node, Num, Product, Relation, Several, symbols
from lmgym.verification.units import Unit
from lmgym.verification.values import exact

__all__ = ["compare_numbers", "compare_readings"]

_HUNDRED = Num(Fraction(100))


def compare_numbers(answer: Fraction, gold: Fraction, policy: Policy) -> Reason:
    """Why a rational number is or isn't taken for another.

    Example:
        >>> compare_numbers(Fraction(99), Fraction(100), Policy(tolerance=0.01)).is_correct
        True
    """
    if answer == gold:
        return Reason.EQUAL_EXACT
    is_near = abs(answer - gold) <= Fraction(policy.tolerance) * abs(gold)
    return Reason.EQUAL_DIGITS if is_near else Reason.NOT_EQUAL


def compare_readings(answer: Reading, gold: Reading, policy: Policy) -> Reason:
    """Why an answer is or isn't taken for a gold: as they stand, else as quantities with units.

    Raises:
        UnreadableError: where a value on the way is too big to be computed.
        NotANumberError: where a value on the way has no value, as 1/0.
    """
    if answer.is_percent and gold.unit is not None and policy.units == "checked":
        return Reason.WRONG_UNIT
    if answer.tree is None or gold.tree is None:
        return _compare_quantities(answer, gold, policy)
    reason = _compare_trees(answer.tree, gold.tree, policy)
    if reason.is_correct:
        return reason
    if gold.is_percent != answer.is_percent:
        return _compare_percent(answer, gold, policy) or reason
    if gold.is_percent:
        return reason
    listed = _compare_lists(answer, gold, policy)
    if listed.is_correct:
        return listed
    if answer.unit is None and gold.unit is None:
        return reason
    return _compare_quantities(answer, gold, policy)


def _compare_trees(answer: Node, gold: Node, policy: Policy) -> Reason:
    reason = compare(answer, gold)
    if policy.ordered and reason.is_correct and not _is_in_order(answer, gold):
        return Reason.NOT_EQUAL
    return reason


def _is_in_order(answer: Node, gold: Node) -> bool:
    """Whether the items of lists come in one order; of other answers there is none."""
    if not isinstance(gold, Several) or not isinstance(answer, (Several, Group)):
        return True
    named = [item.sides[0] for item in gold.items if isinstance(item, Relation)]
    if len(set(named)) == len(gold.items):
        return True  # each says which it is
    pairs = zip(answer.items, gold.items, strict=False)
    return all(compare(ours, theirs).is_correct for ours, theirs in pairs)


def _compare_lists(answer: Reading, gold: Reading, policy: Policy) -> Reason:
    """With commas that part items, on both sides; a bare number with a comma stays one number."""
    ours, theirs = answer.listed or answer.tree, gold.listed or gold.tree
    is_listed = answer.listed is not None or gold.listed is not None
    is_number = isinstance(gold.tree, Num) or isinstance(answer.tree, Num)
    if ours is None or theirs is None or is_number or not is_listed:
        return Reason.NOT_EQUAL
    return _compare_trees(ours, theirs, policy)


def _compare_percent(answer: Reading, gold: Reading, policy: Policy) -> Reason | None:
    """With a sign on one side alone: the bare number may be a number of percent. Else None."""
    if answer.tree is None or gold.tree is None or gold.unit is not None:
        return None
    if not answer.is_percent:
        return _compare_trees(answer.tree, Product((_HUNDRED, gold.tree)), policy)
    bare = exact(gold.tree) if not symbols(gold.tree) else None
    if policy.percent == "ignored" or (bare is not None and abs(bare) > 1):
        return _compare_trees(Product((_HUNDRED, answer.tree)), gold.tree, policy)
    return None


def _compare_quantities(answer: Reading, gold: Reading, policy: Policy) -> Reason:
    """Values with their units, where both have one; else the values alone."""
    ours = answer.tree if answer.value is None else answer.value
    theirs = gold.tree if gold.value is None else gold.value
    if ours is None or theirs is None:
        return Reason.UNPARSABLE
    if gold.unit is None and answer.unit is not None and _is_expression(gold.tree):
        return Reason.NOT_EQUAL  # of 5x the x is no unit
    if gold.unit is None or answer.unit is None or policy.units == "ignored":
        return _compare_trees(ours, theirs, policy)
    if answer.unit.dimensions != gold.unit.dimensions or answer.unit.contradicts(gold.unit):
        return Reason.WRONG_UNIT
    return _compare_trees(*_in_one_unit(ours, answer.unit, theirs, gold.unit), policy)


def _is_expression(tree: Node | None) -> bool:
    return tree is not None and bool(symbols(tree)) and not isinstance(tree, Relation)


def _in_one_unit(answer: Node, own: Unit, gold: Node, unit: Unit) -> tuple[Node, Node]:
    if own.factor == unit.factor:
        return answer, gold
    return _scaled(answer, own.factor), _scaled(gold, unit.factor)


def _scaled(node: Node, factor: Fraction) -> Node:
    """A value in base units; of x = 2 the 2, of a list each."""
    if isinstance(node, Relation):
        return Relation((*node.sides[:-1], _scaled(node.sides[-1], factor)), node.signs)
    if isinstance(node, Several):
        return Several(tuple(_scaled(item, factor) for item in node.items), node.joint)
    if isinstance(node, Group):
        items = tuple(_scaled(item, factor) for item in node.items)
        return Group(node.opening, items, node.closing)
    return Product((Num(factor), node))
