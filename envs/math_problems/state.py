"""`MathState`: the problem that an episode asks, and how it was answered."""

from __future__ import annotations

from typing import Any, NamedTuple

from lmgym.verification import verify, verify_number

from .families import FAMILIES, Problem
from .families.countdown import reaches

__all__ = ["MathState", "columns_of"]


class MathState(NamedTuple):
    """The state of an episode.

    Attributes:
        problem: what is asked.
        family: of a generated problem; empty for one from a file.
        level: of a generated problem, else 0.
        is_correct: how it was answered; None before.
    """

    problem: Problem
    family: str = ""
    level: int = 0
    is_correct: bool | None = None

    @property
    def gold(self) -> str:
        """The bare answer."""
        return FAMILIES[self.family].gold(self.problem) if self.family else str(self.problem.answer)

    @property
    def stratum(self) -> str:
        """The family and the level, as "addition/2"."""
        return f"{self.family}/{self.level}"

    def demonstration(self, reasoning: bool | None) -> str:
        """A right message: with the steps, without, or as the family does by default."""
        if not self.family:
            return self.gold
        family = FAMILIES[self.family]
        shows = family.shows_steps if reasoning is None else reasoning
        return family.solution(self.problem) if shows else self.gold

    def answered(self, text: str) -> MathState:
        """The state after an answer."""
        problem, family, level, _ = self
        if isinstance(problem.answer, str):
            is_correct = verify(text, problem.answer).correct
        elif problem.numbers:
            is_correct = reaches(text, problem.answer, problem.numbers)
        else:
            is_correct = verify_number(text, problem.answer)
        return MathState(problem, family, level, is_correct)


def columns_of(state: MathState) -> dict[str, Any]:
    """What reward functions are told of a generated problem."""
    return {
        "question": state.problem.question,
        "answer": state.gold,
        "family": state.family,
        "level": state.level,
    }
