"""A generated log: families of questions, each with a prompt that suits it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from .logs import LoggedQuestion, TrialLog

__all__ = ["CHANCES", "PROMPTS", "generated_log"]

PROMPTS = ("answer at once", "think step by step", "write an equation", "draw a table")

CHANCES: dict[str, tuple[float, ...]] = {
    "sum": (0.9, 0.4, 0.2, 0.1),
    "share": (0.1, 0.4, 0.9, 0.2),
    "order": (0.2, 0.4, 0.1, 0.9),
    "letters": (0.1, 0.9, 0.2, 0.3),
}
"""How likely the answer to each prompt is right, by family of questions."""

_N_QUESTIONS = 1000
_NAMES = ["Ann", "Bob", "Cem", "Dia", "Eva", "Fay", "Gus", "Hal", "Ida", "Jon", "Kim", "Leo"]
_THINGS = ["cups", "pens", "nuts", "hats", "keys", "eggs"]
_WORDS = ["apple", "banana", "cloud", "coffee", "giraffe", "lemon", "pepper", "piano", "robot"]
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@lru_cache(maxsize=8)
def generated_log(seed: int) -> TrialLog:
    """The log of a seed: 1,000 different questions, and the outcome of each of the `PROMPTS`.

    The outcomes are drawn once, by `CHANCES`, as in a log of real trials; where no prompt came
    out right, the one that suits the family does.

    Example:
        >>> log = generated_log(0)
        >>> log.splits["test"][0].text, log.splits["test"][0].outcomes
        ('Kim has 82 keys and gets 82. How many now?', (1, 0, 1, 0))
    """
    rng = np.random.default_rng((seed, 2023))
    questions: dict[str, LoggedQuestion] = {}
    while len(questions) < _N_QUESTIONS:
        family = _one_of([*CHANCES], rng)
        text = _QUESTIONS[family](rng)
        chances = np.array(CHANCES[family])
        outcomes = rng.random(len(chances)) < chances
        outcomes[chances.argmax()] |= not outcomes.any()
        address = f"generated/{seed}/{len(questions)}"
        question = LoggedQuestion(address, text, tuple(map(int, outcomes)))
        questions.setdefault(question.canonical, question)
    return TrialLog.of_one(PROMPTS, [*questions.values()])


def _sum(rng: np.random.Generator) -> str:
    first, second = rng.integers(10, 100, 2)
    name, things = _one_of(_NAMES, rng), _one_of(_THINGS, rng)
    return f"{name} has {first} {things} and gets {second}. How many now?"


def _share(rng: np.random.Generator) -> str:
    people, number = rng.integers(2, 10), rng.integers(10, 100)
    return f"{people} people share {number} {_one_of(_THINGS, rng)}. How many each?"


def _order(rng: np.random.Generator) -> str:
    first, second, third = rng.permutation(_NAMES)[:3]
    return f"{first} runs faster than {second}, {second} than {third}. Who wins?"


def _letters(rng: np.random.Generator) -> str:
    return f"How often does {_one_of(_LETTERS, rng)} stand in {_one_of(_WORDS, rng)}?"


_QUESTIONS: dict[str, Callable[[np.random.Generator], str]] = {
    "sum": _sum,
    "share": _share,
    "order": _order,
    "letters": _letters,
}


def _one_of(options: list[str] | str, rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
