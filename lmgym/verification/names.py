"""Names: variables with subscripts, constants, and functions with what they are applied to."""

from __future__ import annotations

from fractions import Fraction

from lmgym.verification.brackets import Brackets
from lmgym.verification.lexing import UnreadableError
from lmgym.verification.trees import (
    MINUS_ONE,
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
)
from lmgym.verification.vocabulary import (
    ALIASES,
    CONSTANTS,
    FUNCTIONS,
    GREEK,
    SHORT_WORDS,
    UNKNOWN,
)

__all__ = ["Names", "letter"]

_LONGEST_PRODUCT = 3
"""Letters that may stand together for a product of variables, as in abc."""
_ENDS = ("sqrt", "sin", "cos", "tan", "log", "ln", "pi")
"""What letters that stand together may end with, as in xsin."""
_INVERTIBLE = frozenset(("sin", "cos", "tan", "cot", "sec", "csc"))
"""Functions of which the power -1 is the inverse function."""
_INVERSE = ("^", "{", "-", "1", "}")
"""Signs behind an inverse function."""
_ROOTS: dict[str, Node] = {"sqrt": Num(Fraction(1, 2)), "cbrt": Num(Fraction(1, 3))}


class Names(Brackets):
    """The part of the parser that reads names."""

    def is_function(self) -> bool:
        """Whether the next token names a function."""
        return self.text() in FUNCTIONS or self.text() in ALIASES

    def named(self) -> Node:
        """A name without a backslash, or the words of a command for text."""
        token = self.take()
        name = token.text
        if token.kind == "words" and not (name in FUNCTIONS or len(name) == 1):
            if self.kind() == "=" or (name.isupper() and len(name) == _LONGEST_PRODUCT):
                return Symbol(name)  # what is asked for, or a code
            raise UnreadableError(f"the word {name!r}")
        lowered = name.lower()
        known = name if name in FUNCTIONS else lowered if lowered in FUNCTIONS else ""
        if known or name in ALIASES:
            return self.applied(ALIASES.get(known or name, known or name))
        if lowered in CONSTANTS and (len(name) > 1 or name in ("e", "i")):
            return Const(CONSTANTS[lowered])
        if len(name) == 1 and self._is_before_digit() and self.tokens[self.place].is_digits:
            return Symbol(f"{name}_{self.take().text}")
        if name in GREEK or len(name) == 1:
            return self.subscripted(name)
        return self._letters(name)

    def _letters(self, name: str) -> Node:
        """Letters side by side: a product of variables, constants and a function, if few."""
        for known in _ENDS:
            head, found, tail = name.partition(known)
            if found and not tail and len(head) <= _LONGEST_PRODUCT:
                last: Node = Const("pi") if known == "pi" else self.applied(known)
                return Product((*map(letter, head), last)) if head else last
        if self._is_prose(name) or len(name) > _LONGEST_PRODUCT or not name.isascii():
            raise UnreadableError(f"the word {name!r}")
        if name.isupper() and (len(name) == _LONGEST_PRODUCT or self._is_before_digit()):
            return Symbol(name)  # a code, not a product
        last = self.subscripted(name[-1]) if self.kind() == "_" else letter(name[-1])
        if self.taken("^"):
            last = Power(last, self.exponent())  # of xy^2 the square is of y alone
        return Product((*map(letter, name[:-1]), last))

    def _is_prose(self, name: str) -> bool:
        """Whether letters are an English word, or stand before another word."""
        is_before_word = self.kind() == "name" and len(self.text()) > 1 and not self.is_function()
        is_name = len(name) == _LONGEST_PRODUCT and name[0].isupper() and not name.isupper()
        return name.lower() in SHORT_WORDS or is_before_word or is_name

    def _is_before_digit(self) -> bool:
        """Whether a numeral stands directly behind a name, as in CO2."""
        return self.kind() == "number" and not self.tokens[self.place].is_apart

    def subscripted(self, name: str) -> Node:
        """A variable with its subscript or its primes; or a function that nothing is known of."""
        if self.taken("_"):
            name = f"{name}_{self._subscript()}"
        while self.taken("'"):
            name += "'"
        if name.startswith(UNKNOWN):
            if self._is_before_inverse():
                self.place += len(_INVERSE)
                name += "^-1"
            if self.kind() == "(":
                return Call(f"{name}()", self._arguments(name))
        return Symbol(name)

    def _is_before_inverse(self) -> bool:
        """Whether the power -1 and a bracket stand behind a function: f^{-1}(x)."""
        is_power = all(self.text(place) == sign for place, sign in enumerate(_INVERSE))
        return is_power and self.kind(len(_INVERSE)) == "("

    def _subscript(self) -> str:
        below = ""
        if self.taken("{"):
            while self.kind() not in ("}", ""):
                below += self.take().text
            self.need("}")
        elif self.kind() in ("number", "name", "words"):
            below = self.take().text
        return below

    def applied(self, name: str) -> Node:
        """A function and what it is applied to."""
        self.deeper()
        base, power = self._scripts()
        args = self._arguments(name)
        self.depth -= 1
        if power == MINUS_ONE and name in _INVERTIBLE:
            return Call(f"arc{name}", args)
        node = _call(name, args, base)
        return node if power is None else Power(node, power)

    def _scripts(self) -> tuple[Node | None, Node | None]:
        """The subscript and the power between a function and its arguments."""
        base: Node | None = None
        power: Node | None = None
        while self.kind() in ("_", "^"):
            is_base = self.take().kind == "_"
            part = self.braced() if self.kind() == "{" else self.nested(self._script)
            base, power = (part, power) if is_base else (base, part)
        return base, power

    def _script(self) -> Node:
        return negated(self.atom()) if self.taken("-") else self.atom()

    def _arguments(self, name: str) -> tuple[Node, ...]:
        """What a function is applied to: in brackets, or the factors behind it."""
        if self.kind() == "(":
            group = self.group()
            args = group.items if isinstance(group, Group) else (group,)
            if not args:
                raise UnreadableError(f"{name} of nothing")
            return args
        if self.kind() == "{":
            return (self.braced(),)
        if name in _ROOTS:
            return (self.behind(self.atom()),)
        factors = [self.factor()]
        while self.begins_factor() and not self.is_function() and self.kind() not in ("(", "["):
            factors.append(self.factor())
        if self.kind() == "/" and self.kind(1) == "number" and len(factors) == 1:
            self.take()
            factors.append(inverse(self.factor()))
        return (Product(tuple(factors)) if len(factors) > 1 else factors[0],)


def _call(name: str, args: tuple[Node, ...], base: Node | None) -> Node:
    """A function of arguments, a logarithm with its base; roots and exp as powers."""
    if name in _ROOTS:
        return Power(args[0], _ROOTS[name])
    if name == "log" and base is not None:
        return Call("log", (*args, base))
    return Power(Const("e"), args[0]) if name == "exp" else Call(name, args)


def letter(character: str) -> Node:
    """A variable of one letter, or one of the constants e and i."""
    return Const(character) if character in ("e", "i") else Symbol(character)
