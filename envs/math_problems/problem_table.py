"""`ProblemTable`: a small family as a table, from which problems are drawn in blocks.

Problems of one or two digits come up again and again, so their splits and the parts of their
openings are worked out once.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmgym.addresses import split_of
from lmgym.task import Message, Role, Task

from .families import FOUR, problems_in
from .state import MathState, columns_of

__all__ = ["LARGEST", "ProblemTable", "problem_table"]

LARGEST = 2
"""The difficulty up to which a family is small: at most 8,100 problems."""

Parts = tuple[MathState, tuple[Message, ...], str, Mapping[str, Any]]
"""State, messages, gold answer and columns of an opening."""


class ProblemTable:
    """All problems of a family at a small difficulty.

    Args:
        family: one of `FOUR`.
        difficulty: digits, 1 to `LARGEST`.
        instruction: text after each question.
    """

    def __init__(self, family: str, difficulty: int, instruction: str) -> None:
        """Sort the problems into splits; the parts of each are made when it first comes up."""
        self.family, self.difficulty, self.instruction = family, difficulty, instruction
        self._kind = FOUR[family]
        self._firsts, self._seconds = self._kind.ranges(difficulty)
        pairs = [(a, b) for a in self._firsts for b in self._seconds]
        splits = [split_of(self._kind.of(a, b).canonical) for a, b in pairs]
        self._splits = np.array([Task.splits.index(split) for split in splits], np.uint8)
        self._parts: list[Parts | None] = [None] * len(pairs)

    def draw(
        self, starts: NDArray[np.int64], split: str, seed: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first problems of a split from some indices on.

        Returns:
            Their indices, and their places in the table; where none of the next few problems
            belongs to the split, the last index that was tried and -1.
        """
        indices = starts[:, None] + np.arange(_TRIED)
        places = self._places(seed, indices)
        fits = self._splits[places] == Task.splits.index(split)
        chosen = np.arange(len(starts)), fits.argmax(1)
        fails = ~fits[chosen]
        kept, found = indices[chosen], places[chosen]
        kept[fails], found[fails] = indices[fails, -1], -1
        return kept, found

    def place_of(self, seed: int, index: int) -> int:
        """The place of the problem at an index."""
        return int(self._places(seed, np.array([index]))[0])

    def next_of(self, split: str, seed: int, start: int) -> int:
        """The index of the next problem of a split, from an index on."""
        return next(problems_in(split, self.family, self.difficulty, seed, start))[0]

    def _places(self, seed: int, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        a, b = self._kind.operands_at(self.difficulty, seed, indices)
        places: NDArray[np.int64] = (a - self._firsts.start) * len(self._seconds)
        return places + (b - self._seconds.start)

    def parts(self, places: list[int]) -> list[Parts]:
        """What the openings of problems are made of, wherever they are addressed."""
        known = self._parts
        return [known[place] or self._make(place) for place in places]

    def _make(self, place: int) -> Parts:
        a, b = divmod(place, len(self._seconds))
        problem = self._kind.of(self._firsts[a], self._seconds[b])
        state = MathState(problem, self.family, self.difficulty)
        messages = (Message(Role.USER, problem.question + self.instruction),)
        made: Parts = state, messages, state.gold, columns_of(state)
        self._parts[place] = made
        return made


_TRIED = 4
"""Problems in a row that are looked at together, to find one of the split."""


@lru_cache(maxsize=16)
def problem_table(family: str, difficulty: int, instruction: str) -> ProblemTable:
    """The table of a family, made once in a process."""
    return ProblemTable(family, difficulty, instruction)
