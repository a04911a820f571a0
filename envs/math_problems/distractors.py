"""Near misses: wrong answers that a policy, or a person, may well give."""

from __future__ import annotations

from fractions import Fraction

from .state import MathState

__all__ = ["distractors"]

_N = 5


def distractors(state: MathState) -> tuple[str, ...]:
    """Five wrong answers close to the right one: off by one, another sign, a digit or place amiss.

    Of countdown they are expressions that use a number that is not given, and the bare result.

    Example:
        >>> from lmgym.factory import make_task
        >>> import numpy as np
        >>> task = make_task("lmgym/Math-v0")
        >>> opening = task.reset(np.random.default_rng(0), task_id="addition/2/0/0")
        >>> opening.gold, distractors(opening.state)
        ('105', ('106', '104', '-105', '1050', '150'))
    """
    problem = state.problem
    if problem.numbers:
        gold = state.gold
        return (str(problem.answer), f"({gold})*1", f"({gold})+0", f"{gold}+1", f"{gold}-1")
    answer = Fraction(problem.answer)
    candidates = [answer + 1, answer - 1, -answer, answer * 10, *_with_turned_digits(answer)]
    if answer.denominator > 1:
        candidates = [1 / answer, answer + Fraction(1, answer.denominator), *candidates]
    candidates += [answer + 2, answer + 10, answer - 2, answer - 10]
    near = [c for c in dict.fromkeys(candidates) if c != answer]
    return tuple(str(candidate) for candidate in near[:_N])


def _with_turned_digits(answer: Fraction) -> list[Fraction]:
    """The answer with its last two digits exchanged, where that is another number."""
    digits = str(abs(answer.numerator))
    if answer.denominator > 1 or len(digits) < 2:
        return []
    turned = int(digits[:-2] + digits[-1] + digits[-2])
    return [Fraction(turned if answer > 0 else -turned)]
