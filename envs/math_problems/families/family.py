"""What a family of problems is: a rule that turns an address into a problem.

A problem is made answer first: the answer or the derivation is drawn, and the question is built
around it, so that the answer is right by construction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple, TypeVar
from zlib import crc32

from lmgym.addresses import mix

__all__ = ["Draws", "Family", "Problem", "Room", "first_key", "lines"]

T = TypeVar("T")


class Problem(NamedTuple):
    """A question, its exact answer, and the form that decides its split.

    Attributes:
        question: what the agent reads.
        answer: the number asked for, or the number to reach; text where a file's answer is no
            number.
        canonical: problems that share it are one.
        solution: steps, a line each, and the answer alone on the last line; empty where the family
            writes them when they are asked for (`Family.solution`).
        numbers: what the answer must be reached with; empty where a number is asked for.
    """

    question: str
    answer: int | Fraction | str
    canonical: str
    solution: str = ""
    numbers: tuple[int, ...] = ()


class Room(NamedTuple):
    """The most bytes that a family's texts take at a level.

    Attributes:
        question: of a question.
        solution: of a solution with its steps.
        answer: of the answer alone.
    """

    question: int
    solution: int
    answer: int


class Draws:
    """Integers that look random and follow from a key alone, the same in every process.

    Example:
        >>> draws = Draws(7)
        >>> 0 <= draws.below(10) < 10, draws.between(3, 3), Draws(7).below(99) == Draws(7).below(99)
        (True, 3, True)
    """

    __slots__ = ("_place",)

    def __init__(self, key: int) -> None:
        """Begin at a key."""
        self._place = key

    def below(self, n: int) -> int:
        """One of 0 to n - 1."""
        self._place += 1
        return mix(self._place) % n

    def between(self, low: int, high: int) -> int:
        """One of low to high, both included."""
        return low + self.below(high - low + 1)

    def one_of(self, items: Sequence[T]) -> T:
        """One of some items."""
        return items[self.below(len(items))]

    def take(self, items: list[T]) -> T:
        """One of some items, which it is taken out of."""
        return items.pop(self.below(len(items)))

    def digits(self, n: int) -> int:
        """A number of n digits."""
        return self.between(10 ** (n - 1), 10**n - 1)


class Family(ABC):
    """Problems of one kind, at levels from 1 to `MAX_LEVEL`; one more is held out.

    Levels share no question: the level can be told from the text.

    Attributes:
        name: its first part of an address.
        level: what a level means, in words.
        shows_steps: whether demonstrations give the steps by default, or the bare answer.
    """

    name: str
    level: str
    shows_steps: bool = True

    @abstractmethod
    def problem(self, draws: Draws, level: int) -> Problem:
        """The problem that some draws stand for."""

    @abstractmethod
    def room(self, level: int) -> Room:
        """How long the texts of a level get."""

    def at(self, level: int, seed: int, index: int) -> Problem:
        """The problem at an address."""
        return self.problem(Draws(mix(first_key(self.name, level, seed) ^ mix(index))), level)

    def solution(self, problem: Problem) -> str:
        """The steps, a line each, and the answer alone on the last line."""
        return problem.solution

    def gold(self, problem: Problem) -> str:
        """The bare answer."""
        return str(problem.answer)


@lru_cache(maxsize=256)
def first_key(family: str, level: int, seed: int) -> int:
    """Where the bits of a list of problems begin."""
    return mix(mix((crc32(family.encode()) << 8) + level) ^ seed)


def lines(*parts: object) -> str:
    """A solution of some lines; None is left out."""
    return "\n".join(str(part) for part in parts if part is not None)
