r"""What stands within brackets: values, points, intervals, sets, absolute values, matrices."""

from __future__ import annotations

from collections.abc import Sequence

from lmgym.verification.cursor import Cursor
from lmgym.verification.lexing import Token, UnreadableError
from lmgym.verification.trees import (
    Call,
    Const,
    Group,
    Matrix,
    Node,
    Product,
    Relation,
    Several,
    Symbol,
    inverse,
)
from lmgym.verification.vocabulary import MATRICES

__all__ = ["Brackets", "turn_inward"]

_CLOSINGS = {"(": (")", "]"), "[": (")", "]"), "\\{": ("\\}",)}
"""What may close a bracket: intervals mix round and square ones."""
_IF, _OTHERWISE = frozenset(("if", "when", "for")), frozenset(("otherwise", "else"))
"""Words before a condition, and instead of one."""


class Brackets(Cursor):
    """The part of the parser that reads brackets of all kinds."""

    def braced(self) -> Node:
        r"""LaTeX's braces, which only group: {x + 1}, or the old {a \over b} and {n \choose k}."""
        self.need("{")
        self.deeper()
        bars, self.bars = self.bars, 0
        if self.kind() == "name" and self.kind(1) in ("|", ":"):
            self.place += 2  # a set with a condition: {x : x > 3}
        node = self.alternatives()
        if self.taken_command("over"):
            node = Product((node, inverse(self.alternatives())))
        elif self.taken_command("choose"):
            node = Call("binomial", (node, self.sum()))
        self.bars = bars
        self.depth -= 1
        self.need("}")
        return node

    def group(self) -> Node:
        """Round, square or curly brackets: a value, a point, an interval, a set, or a matrix."""
        opening = self.take().kind
        self.deeper()
        bars, self.bars = self.bars, int(opening == "\\{")
        items, condition = self._within(opening)
        closing = self.take().kind
        self.bars = bars
        self.depth -= 1
        return _grouped(opening, items, closing) if condition is None else condition

    def _within(self, opening: str) -> tuple[list[Node], Node | None]:
        """The items before a closing bracket, or the condition of a set: {x | x > 3}."""
        items: list[Node] = []
        while self.kind() not in _CLOSINGS[opening]:
            if not self.kind():
                raise UnreadableError("a bracket that is not closed")
            items.append(self.item())
            if opening == "\\{" and self.kind() in ("|", ":"):
                return items, self._condition(items)
            if not (self.taken(",") or self.taken(";")) and self.kind() not in _CLOSINGS[opening]:
                raise UnreadableError(f"{self.text()!r} within brackets")
        return items, None

    def _condition(self, heads: list[Node]) -> Node:
        """The condition of a set of reals; of other sets none is known."""
        head = heads[0]
        if isinstance(head, Relation) and head.signs == ("in",) and head.sides[1] == Const("reals"):
            head = head.sides[0]
        if len(heads) > 1 or not isinstance(head, Symbol):
            raise UnreadableError("a set of what is no variable")
        self.take()
        condition = self.alternatives()
        if self.kind() != "\\}":
            raise UnreadableError("a set that is not closed")
        return condition

    def angled(self) -> Node:
        """A vector in angle brackets written with signs: <1, 2>."""
        self.need("<")
        self.deeper()
        items = [self.sum()]
        while self.taken(","):
            items.append(self.sum())
        self.depth -= 1
        self.need(">")
        if len(items) == 1:
            raise UnreadableError("one number in angle brackets")
        return Group("<", tuple(items), ">")

    def absolute(self) -> Node:
        """An absolute value in bars."""
        self.need("|")
        self.deeper()
        self.bars += 1
        node = self.sum()
        self.bars -= 1
        self.depth -= 1
        self.need("|")
        return Call("abs", (node,))

    def delimited(self, name: str) -> Node:
        """What stands behind the command lfloor, lceil or langle, up to its partner."""
        self.deeper()
        items = [self.item()]
        while self.taken(",") or self.taken(";"):
            items.append(self.item())
        self.depth -= 1
        if not self.taken_command("r" + name[1:]):
            raise UnreadableError(f"{name!r} is not closed")
        if name == "langle":
            return Group("<", tuple(items), ">")
        return Call("floor" if name == "lfloor" else "ceil", (items[0],))

    def matrix(self) -> Node:
        """An environment of LaTeX behind its command begin: cases, a matrix or its determinant."""
        kind = self._environment()
        if kind != "cases" and kind not in MATRICES:
            raise UnreadableError(f"the environment {kind!r}")
        if kind == "array" and self.kind() == "{":
            while self.kind() and self.take().kind != "}":
                pass  # how its columns are aligned
        self.deeper()
        rows = self._rows()
        self.depth -= 1
        if not self.taken_command("end"):
            raise UnreadableError(f"the environment {kind!r} does not end")
        self._environment()
        return _cases(rows) if kind == "cases" else _matrix(kind, rows)

    def _rows(self) -> list[tuple[Node, ...]]:
        rows: list[tuple[Node, ...]] = []
        while not (rows and self.is_command("end")):
            row = [self.item()]
            while self._taken_cell():
                row.append(self._otherwise() or self.item())
            rows.append(tuple(row))
            self.taken(",")
            if not self.taken_command("\\"):
                break
        return rows

    def _taken_cell(self) -> bool:
        """Whether another cell of a row begins; if so the place moves to it, behind "if"."""
        self.place += self.kind() == "," and self.kind(1) == "&"
        is_taken = self.taken("&")
        self.place += is_taken and self.is_word(_IF)
        return is_taken

    def _otherwise(self) -> Node | None:
        """The condition that no other condition holds, or None."""
        if self.is_word(_OTHERWISE):
            self.place += 1
            return Symbol("otherwise")
        return None

    def _environment(self) -> str:
        """The name in braces behind the commands begin and end."""
        self.need("{")
        name = self.take().text if self.kind() == "name" else ""
        self.need("}")
        return name


def turn_inward(tokens: list[Token]) -> None:
    """Make round brackets of the square ones that are turned outward, as in ]2, 5[."""
    opened: list[int] = []  # for each bracket that is open the commas within
    for place, token in enumerate(tokens):
        if token.kind in ("(", "["):
            if token.kind == "[" and opened and opened[-1] == 1 and _ends_item(tokens, place):
                tokens[place] = Token(")", ")")
                opened.pop()
            else:
                opened.append(0)
        elif token.kind == "]" and not opened:
            tokens[place] = Token("(", "(")
            opened.append(0)
        elif token.kind in (")", "]") and opened:
            opened.pop()
        elif token.kind in (",", ";") and opened:
            opened[-1] += 1


def _ends_item(tokens: list[Token], place: int) -> bool:
    """Whether a bracket stands behind a value, and none behind it."""
    before = tokens[place - 1].kind
    behind = tokens[place + 1] if place + 1 < len(tokens) else Token("", "")
    is_behind_value = before in ("number", "name", "command", ")", "}")
    is_joint = behind.kind in ("", ",", ";", ")", "]", "}") or behind.text in ("cup", "U", "cap")
    return is_behind_value and is_joint


def _cases(rows: Sequence[tuple[Node, ...]]) -> Node:
    """Values with their conditions, or equations that hold together."""
    if all(len(row) == 1 for row in rows):
        return Several(tuple(row[0] for row in rows))
    if any(len(row) != 2 for row in rows):
        raise UnreadableError("a case without a condition")
    return Call("cases", tuple(node for row in rows for node in row))


def _matrix(kind: str, rows: Sequence[tuple[Node, ...]]) -> Node:
    """A matrix, or its determinant."""
    if len({len(row) for row in rows}) != 1:
        raise UnreadableError("a matrix with rows of different lengths")
    node = Matrix(tuple(rows))
    return Call("det", (node,)) if kind == "vmatrix" else node


def _grouped(opening: str, items: list[Node], closing: str) -> Node:
    """What items in brackets are."""
    if len(items) == 1 and isinstance(items[0], Matrix):
        return items[0]
    if opening == "[" and len(items) > 1 and all(_is_row(item, items[0]) for item in items):
        return Matrix(tuple(item.items for item in items if isinstance(item, Group)))
    if len(items) == 1 and opening + closing == "()":
        return items[0]
    return Group(opening.strip("\\"), tuple(items), closing.strip("\\"))


def _is_row(item: Node, first: Node) -> bool:
    """Whether an item is a row of a matrix that is written with brackets in brackets."""
    return (
        isinstance(item, Group)
        and isinstance(first, Group)
        and item.opening + item.closing == "[]"
        and len(item.items) == len(first.items)
    )
