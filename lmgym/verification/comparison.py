"""Whether an answer's tree is worth the same as a gold's: exact values first, then many digits.

Sets, intervals, points, matrices and relations are compared by rules of their own, in the end by
their numbers and expressions (`expressions`). Nothing is rounded, and nothing that a tree says is
executed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from lmgym.verification.branches import branched
from lmgym.verification.expressions import compare_expressions, ratio
from lmgym.verification.matrices import worked_out
from lmgym.verification.realsets import is_set_of_reals, real_set
from lmgym.verification.reasons import Reason
from lmgym.verification.trees import (
    Call,
    Const,
    Group,
    Matrix,
    Node,
    Num,
    Power,
    Product,
    Relation,
    Several,
    Sum,
    Symbol,
    negated,
    symbols,
    walk,
)
from lmgym.verification.values import exact

__all__ = ["compare"]

_OF_ANGLES = frozenset(("sin", "cos", "tan", "cot", "sec", "csc"))
_MAX_ITEMS = 64
"""Of a set whose items are compared one by one."""
_FUNCTIONS = frozenset("fghFGHPpQq")
"""Letters that name a function where a variable or a number stands behind them."""
_MINUS_ONE = Num(Fraction(-1))


def compare(answer: Node, gold: Node) -> Reason:
    """Why the answer is or isn't worth the same as the gold.

    Raises:
        UnreadableError: where a value on the way is too big to be computed.

    Example:
        >>> compare(Num(Fraction(1, 2)), Power(Num(Fraction(2)), Num(Fraction(-1)))).is_correct
        True
    """
    if answer == gold:
        return Reason.EQUAL
    answer, gold = worked_out(branched(answer)), worked_out(branched(gold))
    if is_set_of_reals(gold) or (is_set_of_reals(answer) and _may_be_set(gold)):
        return _compare_sets(answer, gold)
    if isinstance(gold, Relation):
        return _compare_to_relation(answer, gold)
    if isinstance(gold, Several) or _is_finite_set(gold):
        return _compare_solutions(answer, gold)
    if isinstance(gold, (Group, Matrix)):
        return _compare_vectors(answer, gold)
    return _compare_value(answer, gold)


def _is_worth(answer: Node, gold: Node) -> bool:
    return compare(answer, gold).is_correct


def _are_worth(answers: Iterable[Node], golds: Iterable[Node]) -> bool:
    """Whether as many items are worth the same, one by one in their order."""
    return all(_is_worth(ours, theirs) for ours, theirs in zip(answers, golds, strict=True))


def _is_finite_set(node: Node) -> bool:
    return isinstance(node, Group) and node.opening == "{"


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
    name, value = _name_of(node.sides[0]), node.sides[-1]
    if name is None:
        return _solved_backwards(node)
    if name in symbols(value) or not all(_is_worth(side, value) for side in node.sides[1:-1]):
        return None
    return name, value


def _solved_backwards(node: Relation) -> tuple[str, Node] | None:
    """Name and value of 5 = x, where the value is a rational number."""
    if node.signs != ("=",):
        return None
    value, name = node.sides[0], _name_of(node.sides[1])
    is_number = name is not None and name not in symbols(value) and exact(value) is not None
    return (name, value) if name is not None and is_number else None


def _name_of(node: Node) -> str | None:
    """The name that a left side is: a variable, a point of variables, or a function of one."""
    if isinstance(node, Symbol):
        return node.name
    if isinstance(node, Group):
        names = [item.name for item in node.items if isinstance(item, Symbol)]
        return ",".join(names) if len(names) == len(node.items) else None
    if isinstance(node, Product) and len(node.factors) == 2:
        function, argument = node.factors
        is_applied = isinstance(argument, (Symbol, Num))
        if is_applied and isinstance(function, Symbol) and function.name[0] in _FUNCTIONS:
            return f"{function.name}()"
    return None


def _compare_to_relation(answer: Node, gold: Relation) -> Reason:
    solved = _solved(gold)
    if not isinstance(answer, Relation):
        return Reason.NOT_EQUAL if solved is None else compare(answer, solved[1])
    if solved is None:
        return _compare_relations(answer, gold)
    name, value = solved
    own = _solved(answer)
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
    if isinstance(node, Several) or (isinstance(node, Group) and node.opening == "{"):
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
    ours, theirs = _assigned(answers), _assigned(golds)
    if ours is not None and theirs is None and len({name.partition("_")[0] for name in ours}) > 1:
        in_order = [ours[name] for name in sorted(ours)]
        is_same = len(in_order) == len(golds) and _are_worth(in_order, golds)
    elif ours is not None and theirs is not None:
        is_same = ours.keys() == theirs.keys() and all(_is_worth(ours[k], theirs[k]) for k in ours)
    elif isinstance(answer, Group) and answer.opening != "{" and isinstance(gold, Several):
        is_same = len(answer.items) == len(golds) and _are_worth(answer.items, golds)
    else:
        is_same = _are_permuted(_distinct(answers), _distinct(golds))
    return Reason.EQUAL_SET if is_same else Reason.NOT_EQUAL


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
    """What an answer says of the point or vector that its left side only names."""
    solved = _solved(answer)
    if solved is not None:
        return solved[1]
    if isinstance(answer, Relation) and set(answer.signs) == {"="} and _is_label(answer.sides[0]):
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
        return Reason.HEDGED
    if isinstance(answer, (Matrix, Group)):
        vector = _vector(answer)
        if vector is None or len(vector[1]) != 1:
            return Reason.NOT_EQUAL
        return compare(vector[1][0], gold)
    return compare_expressions(answer, gold)


def _last_of_identity(answer: Relation, gold: Node) -> Reason:
    """5 + 7 = 12 says 12, where it is true, and tan x = 3/4 says 3/4; 2x = 10 says nothing."""
    value = answer.sides[-1]
    if set(answer.signs) != {"="} or symbols(value):
        return Reason.UNSOLVED
    if symbols(answer.sides[0]) and not _is_label(answer.sides[0]):
        return Reason.UNSOLVED
    if any(not symbols(side) and not _is_worth(side, value) for side in answer.sides[:-1]):
        return Reason.NOT_EQUAL
    return compare(value, gold)


def _is_label(node: Node) -> bool:
    """Whether a side only names what is asked for: variables, functions of them, quotients."""
    inside = list(walk(node))
    names = [inner.name for inner in inside if isinstance(inner, Symbol)]
    powers = [inner for inner in inside if isinstance(inner, Power)]
    numbers = [inner for inner in inside if isinstance(inner, Num)]
    n_inverse = sum(power.exponent == _MINUS_ONE for power in powers)
    return (
        len(set(names)) == len(names)
        and numbers == [_MINUS_ONE] * n_inverse
        and all(map(_is_label_power, powers))
        and all(inner.name in _OF_ANGLES for inner in inside if isinstance(inner, Call))
    )


def _is_label_power(node: Power) -> bool:
    """Whether a power is a quotient, or the transpose of a matrix."""
    is_transpose = isinstance(node.exponent, Symbol) and node.exponent.name == "T"
    return node.exponent == _MINUS_ONE or is_transpose
