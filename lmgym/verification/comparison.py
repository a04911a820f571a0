"""Whether an answer's tree is worth the same as a gold's: exact values first, then many digits.

Sets, intervals, points, matrices and relations are compared by rules of their own, in the end by
their numbers and expressions (`expressions`). Nothing is rounded, and nothing that a tree says is
executed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from lmgym.verification.branches import branched
from lmgym.verification.expressions import are_about_equal, compare_expressions, ratio
from lmgym.verification.families import are_same_families, parameters
from lmgym.verification.labels import is_label, name_of
from lmgym.verification.matrices import along_axes, worked_out
from lmgym.verification.realsets import is_set_of_reals, real_set
from lmgym.verification.reasons import Reason
from lmgym.verification.trees import (
    Call,
    Const,
    Group,
    Matrix,
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

__all__ = ["compare"]

_MAX_ITEMS = 64
"""Of a set whose items are compared one by one."""


def compare(answer: Node, gold: Node) -> Reason:
    """Why the answer is or isn't worth the same as the gold.

    Raises:
        UnreadableError: where a value on the way is too big to be computed.

    Example:
        >>> from lmgym.verification.grammar import parse
        >>> compare(parse("1/2"), parse("2^{-1}")).is_correct
        True
    """
    if answer == gold:
        return Reason.EQUAL
    if isinstance(gold, Relation) and gold.signs[-1] == "~":
        gold = _unrounded(gold)
    if isinstance(answer, Relation) and answer.signs[-1] == "~":
        return _compare_rounded(answer, gold)
    answer, gold = worked_out(branched(answer)), worked_out(branched(gold))
    if isinstance(gold, (Group, Matrix)) or isinstance(answer, (Group, Matrix)):
        answer, gold = _of_axes(answer, gold), _of_axes(gold, answer)
    return _compare_kinds(answer, gold)


def _compare_kinds(answer: Node, gold: Node) -> Reason:
    """As the kind of the gold asks for."""
    if isinstance(gold, Several) and parameters(gold.items):
        return _compare_families(answer, gold)
    if is_set_of_reals(gold) or (is_set_of_reals(answer) and _may_be_set(gold)):
        return _compare_sets(answer, gold)
    if isinstance(gold, Relation):
        return _compare_to_relation(answer, gold)
    if isinstance(gold, Several) or _is_finite_set(gold):
        return _compare_solutions(answer, gold)
    if isinstance(gold, (Group, Matrix)):
        return _compare_vectors(answer, gold)
    if isinstance(gold, Call) and gold.name in _OF_CALLS:
        return _OF_CALLS[gold.name](_right_side(answer), gold)
    return _compare_value(answer, gold)


def _is_worth(answer: Node, gold: Node) -> bool:
    return compare(answer, gold).is_correct


def _are_worth(answers: Iterable[Node], golds: Iterable[Node]) -> bool:
    """Whether as many items are worth the same, one by one in their order."""
    return all(_is_worth(ours, theirs) for ours, theirs in zip(answers, golds, strict=True))


def _is_finite_set(node: Node) -> bool:
    return isinstance(node, Group) and node.opening == "{"


def _unrounded(node: Relation) -> Node:
    """What stands before the sign of being about equal; x ~ 3 is read as x = 3."""
    if len(node.sides) == 2 and name_of(node.sides[0]) is not None:
        return Relation(node.sides, ("=",))
    return Relation(node.sides[:-1], node.signs[:-1]) if node.signs[1:] else node.sides[0]


def _compare_rounded(answer: Relation, gold: Node) -> Reason:
    """The value, or the rounded one behind it, where that is about the same."""
    before = _unrounded(answer)
    if isinstance(before, Relation) and len(before.sides) == len(answer.sides):
        return compare(before, gold)
    value = before.sides[-1] if isinstance(before, Relation) else before
    if not are_about_equal(value, answer.sides[-1]):
        return Reason.NOT_EQUAL
    reason = compare(before, gold)
    return reason if reason.is_correct else compare(answer.sides[-1], gold)


def _of_axes(node: Node, other: Node) -> Node:
    """A vector told by the unit vectors along the axes, as one in angle brackets."""
    size = 0
    if isinstance(other, Group):
        size = len(other.items)
    elif isinstance(other, Matrix):
        size = max(len(other.rows), len(other.rows[0]))
    return along_axes(_right_side(node), size) or node


# Sets of reals


def _may_be_set(gold: Node) -> bool:
    return isinstance(gold, (Group, Several, Relation, Const))


def _compare_sets(answer: Node, gold: Node) -> Reason:
    ours, theirs = real_set(answer), real_set(gold)
    if ours is not None and theirs is not None:
        return Reason.EQUAL_SET if ours.equals(theirs) else Reason.NOT_EQUAL
    if isinstance(gold, Relation) and isinstance(answer, Relation):
        return Reason.UNSOLVED if theirs is not None else _compare_relations(answer, gold)
    if isinstance(gold, Several) and isinstance(answer, Several) and theirs is None:
        return _compare_solutions(answer, gold)
    if isinstance(gold, Group) and isinstance(answer, Group):
        return _compare_vectors(answer, gold)
    return Reason.NOT_EQUAL


# Relations


def _solved(node: Node) -> tuple[str, Node] | None:
    """Name and value of a relation such as x = 5, f(x) = 2x or x = 10/2 = 5."""
    if not isinstance(node, Relation) or not {"=", "in"}.issuperset(node.signs):
        return None
    name, value = name_of(node.sides[0]), node.sides[-1]
    if name is None:
        return _solved_backwards(node)
    is_circular = any(isinstance(n, Call) and n.name == name for n in walk(value))
    if is_circular or name in symbols(value):
        return None
    if not all(_is_worth(side, value) for side in node.sides[1:-1]):
        return None
    return name, value


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


def _compare_to_relation(answer: Node, gold: Relation) -> Reason:
    solved = _solved(gold)
    if not isinstance(answer, Relation):
        return Reason.NOT_EQUAL if solved is None else compare(answer, solved[1])
    if solved is None:
        return _compare_relations(answer, gold)
    name, value = solved
    own = _solved(_with_argument(answer, gold))
    if own is None:
        return _compare_relations(answer, gold) if symbols(value) else Reason.UNSOLVED
    is_named_alike = own[0] == name or (name.endswith("()") and own[0] == "y")
    return compare(own[1], value) if is_named_alike else Reason.NOT_EQUAL


def _compare_relations(answer: Relation, gold: Relation) -> Reason:
    """Equal up to a factor: 2x + 4y = 6 and x + 2y = 3; an inequality up to a positive one."""
    ours, theirs = _one_sided(answer), _one_sided(gold)
    if ours is None or theirs is None or ours[1] != theirs[1]:
        is_same = answer.signs == gold.signs and _are_worth(answer.sides, gold.sides)
        return Reason.EQUAL if is_same else Reason.NOT_EQUAL
    factor = ratio(ours[0], theirs[0])
    is_equal = factor is not None and (ours[1] in ("=", "!=") or factor > 0)
    return Reason.EQUAL_DIGITS if is_equal else Reason.NOT_EQUAL


def _one_sided(node: Relation) -> tuple[Node, str] | None:
    """The difference of both sides, and its sign with > and >= turned round."""
    if len(node.signs) != 1 or node.signs[0] == "in":
        return None
    (left, right), sign = node.sides, node.signs[0]
    if sign in (">", ">="):
        left, right, sign = right, left, sign.replace(">", "<")
    return Sum((left, negated(right))), sign


# Several solutions


def _items(node: Node) -> list[Node]:
    """The solutions that a list or set holds, one by one."""
    if _is_finite_set(node) and isinstance(node, Group):
        return [
            each
            for item in node.items
            for each in ([item] if _is_finite_set(item) else _items(item))
        ]
    if isinstance(node, Several):
        return [inner for item in node.items for inner in _items(item)]
    if isinstance(node, Relation) and node.signs in (("=",), ("in",)):
        solved = _solved(node)
        if solved is not None and (isinstance(solved[1], Several) or _is_finite_set(solved[1])):
            return _items(solved[1])
    return [node]


def _compare_solutions(answer: Node, gold: Node) -> Reason:
    answers, golds = _items(answer), _items(gold)
    if max(len(answers), len(golds)) > _MAX_ITEMS:
        return Reason.EQUAL if answers == golds else Reason.TOO_BIG
    if _names(answers) != _names(golds) and "" not in (_names(answers), _names(golds)):
        return Reason.NOT_EQUAL
    ours, theirs = _assigned(answers), _assigned(golds)
    if ours is not None and theirs is not None:
        is_same = ours.keys() == theirs.keys() and all(_is_worth(ours[k], theirs[k]) for k in ours)
    elif ours is not None and len({name.partition("_")[0] for name in ours}) > 1:
        is_same = _are_in_order([ours[name] for name in sorted(ours)], golds)
    elif theirs is not None and len({name.partition("_")[0] for name in theirs}) > 1:
        is_same = not _names(answers) and _are_in_order(
            answers[0].items if isinstance(answers[0], Group) and len(answers) == 1 else answers,
            [theirs[name] for name in sorted(theirs)],
        )
    elif isinstance(answer, Group) and answer.opening != "{" and isinstance(gold, Several):
        is_same = _are_in_order(answer.items, golds)
    elif _is_logical(answer, gold):
        is_same = False
    else:
        is_same = _are_permuted(_distinct(answers), _distinct(golds))
    return Reason.EQUAL_SET if is_same else Reason.NOT_EQUAL


def _are_in_order(answers: Sequence[Node], golds: Sequence[Node]) -> bool:
    return len(answers) == len(golds) and _are_worth(answers, golds)


def _names(items: Sequence[Node]) -> str:
    """The one variable that all items give a value; empty where there is none."""
    solved = [_solved(item) for item in items]
    names = {"" if each is None else each[0] for each in solved}
    return names.pop() if len(names) == 1 else ""


def _is_logical(answer: Node, gold: Node) -> bool:
    """Whether names are joined by different words: p and q is not p or q, nor A cup B A cap B."""
    if not isinstance(answer, Several) or not isinstance(gold, Several):
        return False
    joints = {answer.joint, gold.joint}
    are_names = all(isinstance(item, Symbol) for item in (*answer.items, *gold.items))
    return len(joints) > 1 and (
        not joints.isdisjoint(("cup", "cap")) or (are_names and "," not in joints)
    )


def _assigned(items: Sequence[Node]) -> dict[str, Node] | None:
    """Values by name, where each item gives another variable one."""
    found: dict[str, Node] = {}
    for item in items:
        solved = _solved(item)
        if solved is None or solved[0] in found:
            return None
        found[solved[0]] = solved[1]
    return found if len(found) > 1 else None


def _distinct(items: Sequence[Node]) -> list[Node]:
    """The values of items, each once."""
    found: list[Node] = []
    for item in items:
        solved = _solved(item)
        value = item if solved is None else solved[1]
        if not any(_is_worth(value, other) for other in found):
            found.append(value)
    return found


def _are_permuted(answers: Sequence[Node], golds: Sequence[Node]) -> bool:
    """Whether each answer is worth one gold, and each gold one answer."""
    if len(answers) != len(golds):
        return False
    left = list(golds)
    for answer in answers:
        place = next((k for k, gold in enumerate(left) if _is_worth(answer, gold)), None)
        if place is None:
            return False
        left.pop(place)
    return True


# Families of solutions, and values that depend on conditions


def _compare_families(answer: Node, gold: Several) -> Reason:
    """The values of all whole numbers; that they are whole the answer need not say."""
    ours, theirs = _by_parameter(answer), _by_parameter(gold)
    if ours is None or theirs is None or len({ours[0], theirs[0]} - {""}) > 1:
        return Reason.NOT_EQUAL
    return Reason.EQUAL_SET if are_same_families(ours[1], theirs[1]) else Reason.NOT_EQUAL


def _by_parameter(node: Node) -> tuple[str, list[Node]] | None:
    """The variable that is solved for, and its values; None where there are several."""
    items = [item for item in _items(node) if not parameters([item])]
    solved = [_solved(item) for item in items]
    names = {"" if each is None else each[0] for each in solved}
    if len(names) != 1:
        return None
    values = zip(items, solved, strict=True)
    return names.pop(), [item if each is None else each[1] for item, each in values]


def _compare_cases(answer: Node, gold: Call) -> Reason:
    """Values with their conditions, in any order; or an expression for all of them."""
    if not isinstance(answer, Call) or answer.name != "cases":
        return _compare_value(answer, gold)
    golds = list(_pairs(gold))
    for pair in _pairs(answer):
        place = next((k for k, own in enumerate(golds) if _are_worth(pair, own)), None)
        if place is None:
            return Reason.NOT_EQUAL
        golds.pop(place)
    return Reason.NOT_EQUAL if golds else Reason.EQUAL


def _compare_residues(answer: Node, gold: Call) -> Reason:
    """Numbers that are the same modulo one number."""
    if not isinstance(answer, Call) or answer.name != "residue":
        return compare(answer, gold.args[0])
    ours, theirs = (tuple(map(exact, call.args)) for call in (answer, gold))
    if None in ours or None in theirs or ours[1] != theirs[1] or not theirs[1]:
        return Reason.EQUAL if _are_worth(answer.args, gold.args) else Reason.NOT_EQUAL
    is_same = (Fraction(ours[0] or 0) - Fraction(theirs[0] or 0)) % theirs[1] == 0
    return Reason.EQUAL_EXACT if is_same else Reason.NOT_EQUAL


def _compare_proportions(answer: Node, gold: Call) -> Reason:
    """Parts that are the same up to one factor."""
    is_alike = isinstance(answer, Call) and answer.name == "proportion"
    if not is_alike or not isinstance(answer, Call) or len(answer.args) != len(gold.args):
        return Reason.NOT_EQUAL
    pairs = list(zip(answer.args, gold.args, strict=True))
    ours, theirs = pairs[0]
    is_same = all(_is_worth(Product((a, theirs)), Product((g, ours))) for a, g in pairs[1:])
    return Reason.EQUAL_EXACT if is_same else Reason.NOT_EQUAL


_OF_CALLS = {
    "cases": _compare_cases,
    "residue": _compare_residues,
    "proportion": _compare_proportions,
}


def _pairs(cases: Call) -> Iterable[tuple[Node, Node]]:
    return zip(cases.args[::2], cases.args[1::2], strict=True)


# Points, vectors, matrices


def _compare_vectors(answer: Node, gold: Group | Matrix) -> Reason:
    answer = _as_group(_right_side(answer), gold)
    if isinstance(gold, Matrix) and isinstance(answer, Matrix):
        return _compare_matrices(answer, gold)
    ours, theirs = _vector(answer), _vector(gold)
    if ours is None or theirs is None or len(ours[1]) != len(theirs[1]):
        return Reason.HEDGED if isinstance(answer, Several) else Reason.NOT_EQUAL
    if len(ours[1]) == 2 and {ours[0], theirs[0]} == {"()", "[]"}:
        return Reason.NOT_EQUAL  # an open interval or a point, and a closed interval
    return Reason.EQUAL if _are_worth(ours[1], theirs[1]) else Reason.NOT_EQUAL


def _right_side(answer: Node) -> Node:
    """What an answer says of the point or vector that its left side or a letter only names."""
    if isinstance(answer, Product) and len(answer.factors) == 2:
        name, point = answer.factors
        if isinstance(name, Symbol) and isinstance(point, Group) and point.opening == "(":
            return point
    solved = _solved(answer)
    if solved is not None:
        return solved[1]
    if isinstance(answer, Relation) and set(answer.signs) == {"="} and is_label(answer.sides[0]):
        return answer.sides[-1]
    return answer


def _as_group(answer: Node, gold: Group | Matrix) -> Node:
    """Items without brackets, as x = 1, y = 2, in those of the gold."""
    if not isinstance(answer, Several) or not isinstance(gold, Group):
        return answer
    assigned = _assigned(_items(answer))
    if assigned is not None:
        items = tuple(assigned[name] for name in sorted(assigned))
        return Group(gold.opening, items, gold.closing)
    if answer.joint == "," and gold.opening != "[":
        return Group(gold.opening, answer.items, gold.closing)
    return answer


def _compare_matrices(answer: Matrix, gold: Matrix) -> Reason:
    shapes = {(len(matrix.rows), len(matrix.rows[0])) for matrix in (answer, gold)}
    is_same = len(shapes) == 1 and all(map(_are_worth, answer.rows, gold.rows))
    return Reason.EQUAL if is_same else Reason.NOT_EQUAL


def _vector(node: Node) -> tuple[str, tuple[Node, ...]] | None:
    """Kind and items of what is written as a vector."""
    if isinstance(node, Matrix):
        if len(node.rows) == 1:
            return "matrix", node.rows[0]
        return ("matrix", tuple(row[0] for row in node.rows)) if len(node.rows[0]) == 1 else None
    if isinstance(node, Group) and node.opening != "{":
        return node.opening + node.closing, node.items
    return None


# One value


def _compare_value(answer: Node, gold: Node) -> Reason:
    if isinstance(answer, Relation):
        solved = _solved(answer)
        return _last_of_identity(answer, gold) if solved is None else compare(solved[1], gold)
    if _is_finite_set(answer):
        items = _items(answer)
        values = _distinct(items) if len(items) <= _MAX_ITEMS else items
        return compare(values[0], gold) if len(values) == 1 else Reason.HEDGED
    if isinstance(answer, Several) or (isinstance(answer, Group) and answer.opening != "["):
        forms = _distinct(answer.items[:_MAX_ITEMS]) if _is_or(answer) else []
        if len(forms) == 1:
            return compare(forms[0], gold)
        end = _end_of_derivation(answer)
        return Reason.HEDGED if end is None else compare(end, gold)
    if isinstance(answer, (Matrix, Group)):
        vector = _vector(answer)
        if vector is None or len(vector[1]) != 1:
            return Reason.NOT_EQUAL
        return compare(vector[1][0], gold)
    return compare_expressions(answer, gold)


def _is_or(node: Node) -> bool:
    return isinstance(node, Several) and node.joint == "or"


def _end_of_derivation(answer: Node) -> Node | None:
    """The value that the last of some equations gives their variable, and that solves them all."""
    if not isinstance(answer, Several):
        return None
    solved = _solved(answer.items[-1])
    if solved is None:
        return None
    name, value = solved

    def put(node: Node) -> Node:
        return value if node == Symbol(name) else node

    for item in answer.items[:-1]:
        if not isinstance(item, Relation) or set(item.signs) != {"="} or symbols(item) != {name}:
            return None
        left, *others = (mapped(side, put) for side in item.sides)
        if not all(_is_worth(left, other) for other in others):
            return None
    return value


def _last_of_identity(answer: Relation, gold: Node) -> Reason:
    """5 + 7 = 12 says 12, where it is true, and tan x = 3/4 says 3/4; 2x = 10 says nothing."""
    value = answer.sides[-1]
    if set(answer.signs) != {"="} or symbols(value):
        return Reason.UNSOLVED
    if symbols(answer.sides[0]) and not is_label(answer.sides[0]):
        return Reason.UNSOLVED
    if any(not symbols(side) and not _is_worth(side, value) for side in answer.sides[:-1]):
        return Reason.NOT_EQUAL
    return compare(value, gold)
