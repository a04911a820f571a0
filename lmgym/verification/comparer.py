"""What compares trees part by part, and what its layers ask of the whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from lmgym.verification.reasons import Reason
from lmgym.verification.trees import Node

__all__ = ["Comparer"]


class Comparer(ABC):
    """Compares an answer's tree with a gold's; parts are compared as wholes are.

    Every method may raise `UnreadableError` where a value on the way is too big to be computed, and
    `NotANumberError` where a part has no value.
    """

    @abstractmethod
    def compare(self, answer: Node, gold: Node) -> Reason:
        """Why the answer is or isn't worth the same as the gold."""

    @abstractmethod
    def compare_value(self, answer: Node, gold: Node) -> Reason:
        """The same for a gold that is one value."""

    def is_worth(self, answer: Node, gold: Node) -> bool:
        """Whether an answer is worth the same as a gold."""
        return self.compare(answer, gold).is_correct

    def are_worth(self, answers: Iterable[Node], golds: Iterable[Node]) -> bool:
        """Whether as many items are worth the same, one by one in their order."""
        return all(self.is_worth(ours, theirs) for ours, theirs in zip(answers, golds, strict=True))
