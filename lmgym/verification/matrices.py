"""Sums, products and determinants of matrices, and vectors by components, worked out."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice

from lmgym.verification.lexing import UnreadableError
from lmgym.verification.trees import (
    Call,
    Const,
    Group,
    Matrix,
    Node,
    Num,
    Power,
    Product,
    Sum,
    Symbol,
    mapped,
    negated,
    symbols,
    walk,
)
from lmgym.verification.values import NotANumberError, exact

__all__ = ["along_axes", "worked_out"]

_MAX_SIZE = 4
"""Rows of a determinant that is expanded."""
_MAX_NODES = 400
"""Of an entry that is worked out."""
_MAX_ENTRIES = 400


def worked_out(node: Node) -> Node:
    """The tree with operations on matrices done; as it was where it has none."""
    if isinstance(node, Power):
        return _transposed(node) or node
    if isinstance(node, Matrix) or not any(isinstance(n, Matrix) for n in walk(node)):
        return node
    return mapped(node, _done)


def _transposed(node: Power) -> Node | None:
    """A matrix or a row with its rows and columns exchanged, where a power says so."""
    if node.exponent != Symbol("T"):
        return None
    if isinstance(node.base, Matrix):
        return Matrix(tuple(zip(*node.base.rows, strict=True)))
    is_row = isinstance(node.base, Group) and node.base.opening in ("[", "(")
    return (
        Matrix(tuple((item,) for item in node.base.items))
        if is_row and isinstance(node.base, Group)
        else None
    )


def _done(node: Node) -> Node:
    """A node over trees whose operations are done, with its own done."""
    if isinstance(node, Call) and node.name == "det" and isinstance(node.args[0], Matrix):
        rows = node.args[0].rows
        return _determinant(rows) if len(rows) == len(rows[0]) <= _MAX_SIZE else node
    if isinstance(node, Sum):
        return _sum(node)
    return _product(node) if isinstance(node, Product) else node


def _sum(node: Sum) -> Node:
    matrices = [term for term in node.terms if isinstance(term, Matrix)]
    shapes = {(len(matrix.rows), len(matrix.rows[0])) for matrix in matrices}
    if len(matrices) < len(node.terms) or len(shapes) > 1:
        return node
    rows_of_all = zip(*(matrix.rows for matrix in matrices), strict=True)
    return Matrix(
        tuple(
            tuple(_entry(Sum(terms)) for terms in zip(*rows, strict=True)) for rows in rows_of_all
        )
    )


def _product(node: Product) -> Node:
    """Matrices multiplied from left to right, then by the numbers among the factors."""
    scalars = tuple(factor for factor in node.factors if not isinstance(factor, Matrix))
    product: Matrix | None = None
    for factor in node.factors:
        if isinstance(factor, Matrix):
            if product is not None and not _fit(product, factor):
                return node
            product = factor if product is None else _times(product, factor)
    if product is None or not scalars:
        return product or node
    rows = product.rows
    return Matrix(tuple(tuple(_entry(Product((*scalars, entry))) for entry in row) for row in rows))


def _fit(a: Matrix, b: Matrix) -> bool:
    """Whether two matrices can be multiplied, to not too many entries."""
    return len(a.rows[0]) == len(b.rows) and len(a.rows) * len(b.rows[0]) <= _MAX_ENTRIES


def _times(a: Matrix, b: Matrix) -> Matrix:
    columns = list(zip(*b.rows, strict=True))
    return Matrix(tuple(tuple(_inner(row, column) for column in columns) for row in a.rows))


def _inner(row: tuple[Node, ...], column: tuple[Node, ...]) -> Node:
    first, *others = map(Product, zip(row, column, strict=True))
    return _entry(Sum((first, *others)) if others else first)


def _entry(node: Node) -> Node:
    """An entry as a number, where it is one; else as it is, if it isn't too long.

    Raises:
        UnreadableError: where it is.
    """
    value = exact(node)
    if value is not None:
        return Num(value)
    if sum(1 for _ in islice(walk(node), _MAX_NODES)) == _MAX_NODES:
        raise UnreadableError("a matrix with entries that are too long", too_big=True)
    return node


def _determinant(rows: tuple[tuple[Node, ...], ...]) -> Node:
    if len(rows) == 1:
        return rows[0][0]
    terms: list[Node] = []
    for place, entry in enumerate(rows[0]):
        minor = tuple(row[:place] + row[place + 1 :] for row in rows[1:])
        term = Product((entry, _determinant(minor)))
        terms.append(term if place % 2 == 0 else negated(term))
    return _entry(Sum(tuple(terms)))


_AXES: tuple[Node, ...] = (Symbol("unit_i"), Symbol("unit_j"), Symbol("unit_k"))
_PLAIN_AXES: tuple[Node, ...] = (Const("i"), Symbol("j"), Symbol("k"))


def along_axes(node: Node, size: int) -> Node | None:
    """The components of a sum of multiples of unit vectors, or None where it is no such sum.

    Args:
        node: as 2i - 3j, where the letters may be marked as vectors.
        size: how many components the vector beside it has, 2 or 3.
    """
    inside = set(walk(node))
    is_marked = any(axis in inside for axis in _AXES)
    axes = _AXES if is_marked else _PLAIN_AXES
    names = {axis.name for axis in axes if isinstance(axis, Symbol)}
    if not isinstance(node, (Sum, Product, Symbol)) or not symbols(node) <= names:
        return None
    n_axes = len(axes) if axes[2] in inside else max(size, 2)
    if n_axes > len(axes) or not symbols(node):
        return None

    def at(place: int | None) -> Node:
        units: dict[Node, Node] = {a: Num(Fraction(k == place)) for k, a in enumerate(axes)}
        return mapped(node, lambda inner: units.get(inner, inner))

    try:
        if exact(at(None)) != 0:
            return None
    except (NotANumberError, UnreadableError):
        return None
    return Group("<", tuple(at(place) for place in range(n_axes)), ">")
