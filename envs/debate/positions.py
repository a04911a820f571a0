"""What was said in a debate so far."""

from __future__ import annotations

from typing import NamedTuple

from .documents import Document

__all__ = ["Position"]

_WHO = ("Con", "Pro")


class Position(NamedTuple):
    """A debate, and all that a judge is given of it.

    Attributes:
        document: that is debated; a judge must not look at what was not quoted.
        quotes: places of the quoted sentences, Con's and Pro's in turn.
        messages: what both wrote, the quoted sentences word for word among it; empty where it is
            the quote alone.
    """

    document: Document
    quotes: tuple[int, ...] = ()
    messages: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The messages as somebody reads them."""
        if not self.quotes:
            return []
        sentences = self.document.sentences
        heard = [
            message or f'"{sentences[place]}"'
            for place, message in zip(self.quotes, self.messages, strict=True)
        ]
        return [f"{_WHO[i % 2]}: {message}" for i, message in enumerate(heard)]

    def as_text(self) -> str:
        """The claim and the messages."""
        return "\n".join([f"Claim: {self.document.claim}", *self.lines()])
