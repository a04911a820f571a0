"""A place among the tokens of an answer, and the levels of the grammar that its parts ask for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from lmgym.verification.lexing import Token, UnreadableError
from lmgym.verification.trees import Node

__all__ = ["AND", "MAX_DEPTH", "OR", "Cursor"]

MAX_DEPTH = 60
"""Brackets, fractions and roots within each other."""
OR, AND = frozenset(("or",)), frozenset(("and", "&"))
"""Words between answers."""


class Cursor(ABC):
    """Reads tokens one by one and counts how deeply what it reads is nested.

    Attributes:
        tokens: of the whole text.
        place: of the next token.
        depth: brackets, fractions, signs and the like around the place.
        bars: bars of absolute values that are open; while there are some, a bar closes one.
    """

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.place = 0
        self.depth = 0
        self.bars = 0

    def kind(self, ahead: int = 0) -> str:
        """The kind of the next token, or of one further on; empty at the end."""
        place = self.place + ahead
        return self.tokens[place].kind if place < len(self.tokens) else ""

    def text(self, ahead: int = 0) -> str:
        """The text of the next token, or of one further on; empty at the end."""
        place = self.place + ahead
        return self.tokens[place].text if place < len(self.tokens) else ""

    def take(self) -> Token:
        """The next token; the place moves on. There must be one."""
        token = self.tokens[self.place]
        self.place += 1
        return token

    def taken(self, kind: str) -> bool:
        """Whether the next token is of a kind; if so the place moves on."""
        if self.kind() == kind:
            self.place += 1
            return True
        return False

    def taken_command(self, *names: str) -> bool:
        """Whether the next token is one of these commands; if so the place moves on."""
        if self.is_command(*names):
            self.place += 1
            return True
        return False

    def need(self, kind: str) -> None:
        """Move on over a token that has to stand here."""
        if not self.taken(kind):
            raise UnreadableError(f"{kind!r} is missing before {self.text()!r}")

    def is_command(self, *names: str) -> bool:
        """Whether the next token is one of these commands."""
        return self.kind() == "command" and self.text() in names

    def is_word(self, names: frozenset[str]) -> bool:
        """Whether the next token is one of these words, or the sign & where it is among them."""
        if self.kind() in ("name", "words"):
            return self.text().lower().strip(" ,") in names
        return self.kind() == "&" and "&" in names

    def deeper(self) -> None:
        """Count one level more; who calls it takes it off `depth` again."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise UnreadableError("nested too deeply", too_big=True)

    def nested(self, level: Callable[[], Node]) -> Node:
        """What a level of the grammar reads, one level deeper."""
        self.deeper()
        node = level()
        self.depth -= 1
        return node

    @abstractmethod
    def alternatives(self) -> Node:
        """Items with commas, "and", or "or" between them."""

    @abstractmethod
    def item(self) -> Node:
        """A relation, or one side alone."""

    @abstractmethod
    def sum(self) -> Node:
        """Terms with signs between them."""

    @abstractmethod
    def factor(self) -> Node:
        """An atom with its power and what stands behind it."""

    @abstractmethod
    def exponent(self) -> Node:
        """What stands behind the sign of a power."""

    @abstractmethod
    def begins_factor(self) -> bool:
        """Whether the next token begins a factor that stands beside another without a sign."""

    @abstractmethod
    def atom(self) -> Node:
        """A number, a name, a command, or something in brackets."""

    @abstractmethod
    def part(self) -> Node:
        """An argument of a command."""

    @abstractmethod
    def behind(self, node: Node) -> Node:
        """A node with the factorials, percent signs and degrees behind it."""
