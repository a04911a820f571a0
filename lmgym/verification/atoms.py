"""Atoms and factors: numbers, LaTeX's commands, powers, and what stands behind a number."""

from __future__ import annotations

from fractions import Fraction

from lmgym.verification.cursor import AND, MAX_DEPTH, OR
from lmgym.verification.lexing import Token, UnreadableError
from lmgym.verification.names import Names, letter
from lmgym.verification.trees import (
    Call,
    Const,
    Group,
    Node,
    Num,
    Power,
    Product,
    Symbol,
    inverse,
    negated,
    symbols,
    walk,
)
from lmgym.verification.vocabulary import ALIASES, CONSTANTS, FUNCTIONS, GREEK

__all__ = ["Atoms"]

_HUNDREDTH = Num(Fraction(1, 100))
_NO_FACTORS = frozenset(
    r"""
    pm mp cup cap in setminus approx equiv sim rangle rfloor rceil end over to implies dots degree
    choose pmod Rightarrow rightarrow % \
    """.split()  # noqa: SIM905 - a word list
)
"""Commands that begin no factor."""
_WRAPPERS = frozenset(
    """
    boxed fbox underline mathbf mathrm hat ensuremath boldsymbol
    """.split()  # noqa: SIM905 - a word list
)
"""Commands around something that is read as if they were not there."""

_BARS = frozenset(("overline", "bar", "vec", "overrightarrow", "widehat"))
"""Commands that make other variables of letters."""


class Atoms(Names):
    """The part of the parser that reads factors."""

    def begins_factor(self) -> bool:
        """Whether the next token begins a factor that stands beside another without a sign."""
        kind = self.kind()
        if kind in ("number", "(", "[", "\\{", "{"):
            return True
        if kind == "|":
            return self.bars == 0
        if kind == "name":
            return not (self.is_word(OR) or self.is_word(AND) or self._is_union())
        if kind == "words":
            return self.is_function()
        return kind == "command" and self.text() not in _NO_FACTORS

    def _is_union(self) -> bool:
        """Whether a letter U stands between sets."""
        return self.text() in ("U", "union") and self.kind(-1) in (")", "]", "\\}")

    def factor(self) -> Node:
        """An atom with its power and what stands behind it."""
        self.deeper()
        node = self.behind(self.atom())
        if self.taken("^"):
            if self.taken_command("circ"):
                node = Call("degrees", (node,))
            else:
                node = self.behind(Power(node, self.exponent()))
        self.depth -= 1
        return node

    def exponent(self) -> Node:
        """What stands behind the sign of a power."""
        if self.kind() == "{":
            return self.braced()
        if self.taken("-"):
            return negated(self.nested(self.exponent))
        if self.taken("+"):
            return self.nested(self.exponent)
        node = self.behind(self.atom())
        return Power(node, self.nested(self.exponent)) if self.taken("^") else node

    def behind(self, node: Node) -> Node:
        """A node with the factorials, percent signs and degrees behind it."""
        for _ in range(MAX_DEPTH):  # each is a level of the tree
            if self.taken("!"):
                node = Call("factorial", (node,))
            elif self.taken("%"):
                node = Product((_HUNDREDTH, node))
            elif self.taken_command("degree"):
                node = Call("degrees", (node,))
            else:
                return node
        raise UnreadableError("too many signs behind a number", too_big=True)

    def atom(self) -> Node:
        """A number, a name, a command, or something in brackets."""
        while self.taken("$"):
            pass
        kind = self.kind()
        if kind == "number":
            return Num(self.take().value)
        if kind in ("(", "[", "\\{"):
            return self.group()
        if kind in ("name", "words"):
            return self.named()
        if kind == "{":
            return self.braced()
        if kind == "command":
            return self._command()
        return self._between_signs()

    def _between_signs(self) -> Node:
        """An absolute value, or a vector in angle brackets."""
        if self.kind() == "|":
            return self.absolute()
        if self.kind() == "<":
            return self.angled()
        raise UnreadableError(f"{self.text()!r} where a number or a name should be")

    def _command(self) -> Node:
        """A command with its arguments."""
        name = self.take().text
        if name == "frac":
            numerator, denominator = self.part(), self.part()
            return Product((numerator, inverse(denominator)))
        if name in ("sqrt", "root", "cuberoot"):
            return self._root(name)
        if name in ("binom", "dbinom", "tbinom"):
            return Call("binomial", (self.part(), self.part()))
        if name in ("lfloor", "lceil", "langle"):
            return self.delimited(name)
        if name == "begin":
            return self.matrix()
        if name == "angle":
            return Symbol(f"angle {' '.join(sorted(symbols(self.atom())))}")
        if name in _BARS:
            return self._barred(name)
        return self.part() if name in _WRAPPERS else self._named_command(name)

    def _barred(self, name: str) -> Node:
        """A conjugate number; or what a bar or an arrow makes of letters, another variable."""
        node = self.part()
        inside = [inner.name for inner in walk(node) if isinstance(inner, Symbol)]
        if name in ("overline", "bar") and not inside:
            return Call("conj", (node,))
        if not inside or not isinstance(node, (Symbol, Product)):
            raise UnreadableError(f"{name!r} over an expression")
        return Symbol(f"{name} {' '.join(inside)}")

    def _named_command(self, name: str) -> Node:
        """A command that names a constant, a function or a variable."""
        if name in CONSTANTS:
            return Const(CONSTANTS[name])
        known = ALIASES.get(name, name)
        if known in FUNCTIONS:
            return self.applied(known)
        if name in GREEK or name == "unit":
            return self.subscripted(name)
        raise UnreadableError(f"the command {name!r}")

    def part(self) -> Node:
        r"""An argument of a command: in braces, or one digit or letter, as in \frac12."""
        if self.kind() == "{":
            return self.braced()
        first, rest = self.text()[:1], self.text()[1:]
        if self.kind() == "name" and rest and not self.is_function():
            self.tokens[self.place] = Token("name", rest)
            return letter(first)
        if self.kind() == "number" and rest and self.tokens[self.place].is_digits:
            self.tokens[self.place] = Token("number", rest, Fraction(int(rest)), is_digits=True)
            return Num(Fraction(int(first)))
        return self.nested(self.atom)

    def _root(self, name: str) -> Node:
        degree: Node = Num(Fraction(3 if name == "cuberoot" else 2))
        if name == "sqrt" and self.kind() == "[":
            group = self.group()
            degree = group.items[0] if isinstance(group, Group) and group.items else degree
        is_command = name == "sqrt" and self.kind() != "("
        radicand = self.part() if is_command else self.nested(self.atom)
        return Power(radicand, inverse(degree))
