r"""Tokens to a tree: a parser by precedence for LaTeX and plain mathematics, never an evaluator.

From loose to tight: lists and "or", unions of sets, relations, sums, products (a sign or none
between the factors), signs, powers, what stands behind a number (``!``, ``%``, a degree). The
tight ones are read by `atoms`, `names` and `brackets`.
"""

from __future__ import annotations

from collections.abc import Sequence

from lmgym.verification.atoms import Atoms
from lmgym.verification.brackets import turn_inward
from lmgym.verification.cursor import AND, OR
from lmgym.verification.lexing import UnreadableError, tokens_of
from lmgym.verification.trees import (
    Call,
    Group,
    Node,
    Num,
    PlusMinus,
    Product,
    Relation,
    Several,
    Sum,
    inverse,
    negated,
)

__all__ = ["parse"]

_RELATIONS = frozenset(("=", "!=", "<", ">", "<=", ">="))


def parse(text: str, *, groups_commas: bool = True) -> Node:
    r"""The tree of an answer.

    Args:
        text: the answer alone.
        groups_commas: read ``1,234`` as one number; else commas part items.

    Raises:
        UnreadableError: for what is no mathematics, and beyond the limits of length and depth.

    Example:
        >>> parse(r"\dfrac12 x") == parse("\u00bdx"), parse("1 1/2") == parse("3/2")
        (True, False)
    """
    return _Parser(tokens_of(text, groups_commas=groups_commas)).everything()


class _Parser(Atoms):
    """The loose levels, each of which asks for the next tighter one."""

    def everything(self) -> Node:
        if not self.tokens:
            raise UnreadableError("empty")
        turn_inward(self.tokens)
        node = self.alternatives()
        if self.place < len(self.tokens):
            raise UnreadableError(f"{self.text()!r} was not expected")
        return node

    def alternatives(self) -> Node:
        """Items with commas, "and", or "or" between them."""
        items, joint = [self.item()], ""
        while True:
            is_parted = self.taken(",") or self.taken(";")
            word = self._joint()
            if not is_parted and not word:
                break
            if not self.kind() and is_parted:
                break  # a comma at the end
            joint = word or joint
            items.append(self.item())
        return Several(tuple(items), joint or ",") if len(items) > 1 else items[0]

    def _joint(self) -> str:
        """The word between two items, taken; empty where there is none."""
        if self.is_word(OR) or self.is_word(AND):
            return self.take().text.lower().strip(" ,").replace("&", "and")
        return ""

    def item(self) -> Node:
        """A relation, or one side alone."""
        sides: list[Node] = [self._union()]
        signs: list[str] = []
        while True:
            if self.kind() in _RELATIONS:
                signs.append(self.take().text)
            elif self.taken_command("in"):
                signs.append("in")
            elif self.taken_command("approx"):
                if "~" in signs:
                    raise UnreadableError("a value that is rounded twice")
                signs.append("~")
            elif self.taken_command("equiv"):
                return Relation((*sides, self._residue()), (*signs, "="))
            elif self.is_command("sim"):
                raise UnreadableError("a relation that is no equality")
            else:
                return Relation(tuple(sides), tuple(signs)) if signs else sides[0]
            sides.append(self._union())

    def _residue(self) -> Node:
        """What stands behind the sign of a congruence."""
        side = self.sum()
        if isinstance(side, Call) and side.name == "residue":
            return side
        raise UnreadableError("a congruence without a modulus")

    def _union(self) -> Node:
        """Unions, intersections and differences of sets."""
        items = [self.sum()]
        while self._taken_cup(items[-1]):
            items.append(self.sum())
        if self.is_command("cap"):
            while self.taken_command("cap"):
                items.append(self.sum())
            return Several(tuple(items), "cap")
        if self.taken_command("setminus", "backslash"):
            return Call("setminus", (items[0], self.sum()))
        return Several(tuple(items), "cup") if len(items) > 1 else items[0]

    def _taken_cup(self, before: Node) -> bool:
        is_letter = self.kind() == "name" and self.text() in ("U", "union")
        if self.is_command("cup") or (is_letter and isinstance(before, Group)):
            self.place += 1
            return True
        return False

    def sum(self) -> Node:
        """Terms with signs between them."""
        self.deeper()
        terms = [self._signed()]
        while True:
            if self.taken("+"):
                terms.append(self._product())
            elif self.taken("-"):
                terms.append(negated(self._product()))
            elif self.is_command("pm", "mp"):
                terms.append(self._plus_minus())
            else:
                break
        self.depth -= 1
        node = Sum(tuple(terms)) if len(terms) > 1 else terms[0]
        return Call("residue", (node, self.part())) if self.taken_command("pmod") else node

    def _plus_minus(self) -> Node:
        sign = 1 if self.take().text == "pm" else -1
        return PlusMinus(self._product(), sign)

    def _signed(self) -> Node:
        """The first term of a sum, with its signs; `+-` and `+/-` are plus or minus."""
        if self.taken("-"):
            return negated(self.nested(self._signed))
        if self.is_command("pm", "mp"):
            return self._plus_minus()
        if not self.taken("+"):
            return self._product()
        if self.kind() == "/" and self.kind(1) == "-":
            self.take()
        return PlusMinus(self._product()) if self.taken("-") else self.nested(self._signed)

    def _product(self) -> Node:
        factors = [self._signed_factor()]
        while self._read_factor(factors):
            pass
        if sum(_is_ratio(factor) for factor in factors) > 1:
            return _proportion(factors)
        return Product(tuple(factors)) if len(factors) > 1 else factors[0]

    def _read_factor(self, factors: list[Node]) -> bool:
        """Read one factor more, if there is one."""
        if self.taken("*"):
            factors.append(self._signed_factor())
        elif self.kind() == "/" and not (self.kind(1) == "-" and self.kind(-1) == "+"):
            self.take()
            factors.append(inverse(self._signed_factor()))
        elif self.kind() == ":" and self.kind(1) == "number":
            self.take()
            factors.append(Call("ratio", (self._signed_factor(),)))
        elif self.begins_factor():
            self._read_beside(factors)
        else:
            return False
        return True

    def _signed_factor(self) -> Node:
        if self.taken("-"):
            return negated(self.nested(self._signed_factor))
        if self.taken("+"):
            return self.nested(self._signed_factor)
        return self.factor()

    def _read_beside(self, factors: list[Node]) -> None:
        """A factor without a sign before it, or the fraction of a mixed number."""
        fraction = self._fraction_of_mixed(factors[-1])
        if fraction is not None:
            factors[-1] = self.behind(Sum((factors[-1], fraction)))
        elif self.kind() == "number" and isinstance(factors[-1], Num):
            raise UnreadableError("two numbers side by side")
        else:
            factors.append(self.factor())

    def _fraction_of_mixed(self, whole: Node) -> Node | None:
        """The fraction behind a whole number, as in 2 1/2, or None where there is none."""
        before = self.tokens[self.place - 1]
        if not (before.kind == "number" and before.is_digits and isinstance(whole, Num)):
            return None
        if self.is_command("frac") and self._is_proper():
            return self.atom()
        is_apart = self.kind() == "number" and self.tokens[self.place].is_apart
        if not (is_apart and self.kind(1) == "/" and self.kind(2) == "number"):
            return None
        numerator, _, denominator = self.take().value, self.take(), self.take().value
        if not 0 < numerator < denominator:
            raise UnreadableError("two numbers side by side")
        return Num(numerator / denominator)

    def _is_proper(self) -> bool:
        """Whether the fraction of a command is one of two numbers, the first smaller."""
        kinds = [self.kind(ahead) for ahead in range(1, 7)]
        if kinds == ["{", "number", "}", "{", "number", "}"]:
            return self.tokens[self.place + 2].value < self.tokens[self.place + 5].value
        return kinds[0] == "number"


def _is_ratio(node: Node) -> bool:
    return isinstance(node, Call) and node.name == "ratio"


def _proportion(factors: Sequence[Node]) -> Node:
    """The parts of a ratio of three and more, as 1 : 2 : 3."""
    parts: list[list[Node]] = [[]]
    for factor in factors:
        if isinstance(factor, Call) and factor.name == "ratio":
            parts.append(list(factor.args))
        else:
            parts[-1].append(factor)
    return Call("proportion", tuple(Product(tuple(part)) for part in parts))
