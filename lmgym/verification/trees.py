"""The typed tree that a mathematical text is read into; values only, compared with ``==``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Union

__all__ = [
    "MINUS_ONE",
    "Call",
    "Const",
    "Group",
    "Matrix",
    "Node",
    "Num",
    "PlusMinus",
    "Power",
    "Product",
    "Relation",
    "Several",
    "Sum",
    "Symbol",
    "children",
    "inverse",
    "mapped",
    "negated",
    "symbols",
    "walk",
]


@dataclass(frozen=True, slots=True)
class Num:
    """A rational number, exact."""

    value: Fraction


@dataclass(frozen=True, slots=True)
class Const:
    """A constant: pi, e, i, infinity, reals, integers, emptyset."""

    name: str


@dataclass(frozen=True, slots=True)
class Symbol:
    """A variable, with its subscript."""

    name: str


@dataclass(frozen=True, slots=True)
class Sum:
    """A sum of two or more terms."""

    terms: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Product:
    """A product of two or more factors."""

    factors: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Power:
    """A power; a quotient is a product with the power -1."""

    base: Node
    exponent: Node


@dataclass(frozen=True, slots=True)
class PlusMinus:
    """Plus or minus something: two values."""

    term: Node
    sign: int = 1


@dataclass(frozen=True, slots=True)
class Call:
    """A function of arguments; the name of one of which nothing is known ends with ``()``."""

    name: str
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Items in brackets: a point, a vector, a set, or an interval.

    Attributes:
        opening: one of ``( [ { <``.
        closing: one of ``) ] } >``.
    """

    opening: str
    items: tuple[Node, ...]
    closing: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of equal length."""

    rows: tuple[tuple[Node, ...], ...]


@dataclass(frozen=True, slots=True)
class Relation:
    """A chain of sides with a relation between each two: ``2 < x <= 5``.

    Attributes:
        signs: each of ``= != < <= > >= in``, or ``~`` before what is about equal.
    """

    sides: tuple[Node, ...]
    signs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Several:
    """Several answers.

    Attributes:
        joint: ``,`` for a list, ``or``, ``and``, or ``cup`` for a union of sets.
    """

    items: tuple[Node, ...]
    joint: str = ","


Node = Union[  # noqa: UP007 - the names above are defined before it
    Num,
    Const,
    Symbol,
    Sum,
    Product,
    Power,
    PlusMinus,
    Call,
    Group,
    Matrix,
    Relation,
    Several,
]


def children(node: Node) -> Sequence[Node]:
    """The nodes directly under one."""
    return _CHILDREN[type(node)](node)


_CHILDREN: Mapping[type, Callable[[Any], Sequence[Node]]] = {
    **dict.fromkeys((Num, Const, Symbol), lambda node: ()),
    Sum: lambda node: node.terms,
    Product: lambda node: node.factors,
    Power: lambda node: (node.base, node.exponent),
    PlusMinus: lambda node: (node.term,),
    Call: lambda node: node.args,
    Matrix: lambda node: tuple(item for row in node.rows for item in row),
    Relation: lambda node: node.sides,
    **dict.fromkeys((Group, Several), lambda node: node.items),
}


def walk(node: Node) -> Iterator[Node]:
    """A node and all below it."""
    waiting = [node]
    while waiting:
        here = waiting.pop()
        yield here
        waiting += children(here)


def symbols(node: Node) -> frozenset[str]:
    """The names of the variables in a tree."""
    return frozenset(n.name for n in walk(node) if isinstance(n, Symbol))


def mapped(node: Node, change: Callable[[Node], Node]) -> Node:
    """The tree with each node changed, from the leaves up."""
    if isinstance(node, Sum):
        node = Sum(tuple(mapped(n, change) for n in node.terms))
    elif isinstance(node, Product):
        node = Product(tuple(mapped(n, change) for n in node.factors))
    elif isinstance(node, Power):
        node = Power(mapped(node.base, change), mapped(node.exponent, change))
    elif isinstance(node, PlusMinus):
        node = PlusMinus(mapped(node.term, change), node.sign)
    elif isinstance(node, Call):
        node = Call(node.name, tuple(mapped(n, change) for n in node.args))
    elif isinstance(node, Group):
        items = tuple(mapped(n, change) for n in node.items)
        node = Group(node.opening, items, node.closing)
    elif isinstance(node, Matrix):
        node = Matrix(tuple(tuple(mapped(n, change) for n in row) for row in node.rows))
    elif isinstance(node, Relation):
        node = Relation(tuple(mapped(n, change) for n in node.sides), node.signs)
    elif isinstance(node, Several):
        node = Several(tuple(mapped(n, change) for n in node.items), node.joint)
    return change(node)


MINUS_ONE = Num(Fraction(-1))
"""Factor of what is negated, exponent of what is divided by."""


def negated(node: Node) -> Node:
    """Minus a node."""
    return Num(-node.value) if isinstance(node, Num) else Product((MINUS_ONE, node))


def inverse(node: Node) -> Node:
    """One divided by a node: a number, where the node is one that is not 0."""
    return Num(1 / node.value) if isinstance(node, Num) and node.value else Power(node, MINUS_ONE)
