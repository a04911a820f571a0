"""Countdown: reach a number with given numbers; the answer is an expression."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from lmgym.errors import LmgymError
from lmgym.verification import evaluate, last_box

from .family import Draws, Family, Problem, Room, lines
from .trees import Tree, as_text, worked_out

__all__ = ["Countdown", "reaches"]

_LARGEST_NUMBER, _LARGEST_RESULT = 20, 999
_STRETCH = re.compile(r"[-+*/() \t0-9\u2212\u00d7\u00b7\u00f7]+")
_NUMBER = re.compile(r"[0-9]+")
_OPERATOR = re.compile(r"[-+*/\u2212\u00d7\u00b7\u00f7]")
_LATEX = (("\\times", "*"), ("\\cdot", "*"), ("\\div", "/"), ("\\left", ""), ("\\right", ""))


class Countdown(Family):
    """Numbers that are combined at random, pair by pair, until one is left: the number to reach."""

    name = "countdown"
    level = "numbers that are given, less one, from 1 to 20"

    def problem(self, draws: Draws, level: int) -> Problem:
        """Given numbers, and one that they come to; it is none of them."""
        while True:
            numbers = [draws.between(1, _LARGEST_NUMBER) for _ in range(level + 1)]
            tree = _combined(draws, numbers)
            target, steps = worked_out(tree)
            if target not in numbers:
                break
        shown = ", ".join(map(str, numbers))
        return Problem(
            f"Reach {target} with {shown}: + - * / and parentheses, each number at most once.",
            target,
            f"{target}<{sorted(numbers)}",
            lines(*steps, as_text(tree)),
            tuple(numbers),
        )

    def gold(self, problem: Problem) -> str:
        """One expression that reaches it, of possibly many."""
        return problem.solution.rpartition("\n")[2]

    def room(self, level: int) -> Room:
        """A line such as "999-998=1" for each pair, and the expression."""
        n = level + 1
        expression = 2 * n + (n - 1) + 2 * max(0, n - 2)
        return Room(71 + 4 * n, 12 * (n - 1) + expression, expression)


def _combined(draws: Draws, numbers: Sequence[int]) -> Tree:
    """A tree of all numbers; on the way there are only integers from 1 to `_LARGEST_RESULT`."""
    parts: list[tuple[int, Tree]] = [(number, number) for number in numbers]
    while len(parts) > 1:
        (a, left), (b, right) = sorted([draws.take(parts), draws.take(parts)], key=_value)[::-1]
        ways = "+" + "-" * (a > b) + "*" * (b > 1 and a * b <= _LARGEST_RESULT)
        ways += "/" * (b > 1 and a % b == 0)
        operator = draws.one_of(ways)
        parts.append((worked_out((operator, a, b))[0], (operator, left, right)))
    return parts[0][1]


def _value(part: tuple[int, Tree]) -> int:
    return part[0]


def reaches(response: str, target: int | Fraction, numbers: Sequence[int]) -> bool:
    r"""Whether the expression that a response ends with is `target`, made of given numbers.

    It is all of the last complete ``\boxed{...}``, but for "= 45" at its end; else, in the whole
    response, the last stretch of numbers and + - * / ( ) that has an operator and does not stand
    behind an equals sign. Each number may be used as often as it is given; fractions on the way
    are allowed. It is parsed, within limits, and never executed.

    Example:
        >>> reaches("6*7 is 42, so 6 * 7 + 3 = 45.", 45, [3, 6, 7])
        True
        >>> reaches("45", 45, [3, 6, 7]), reaches("40+5", 45, [3, 6, 7])
        (False, False)
    """
    boxed = last_box(response)
    expression = _last_expression(response) if boxed is None else _only_expression(boxed)
    if expression is None or "**" in expression:
        return False
    used = [number.lstrip("0") or "0" for number in _NUMBER.findall(expression)]
    if Counter(used) - Counter(map(str, numbers)):
        return False
    try:
        return evaluate(expression) == target
    except LmgymError:  # what is no expression is no answer
        return False


def _only_expression(text: str) -> str | None:
    """A box's arithmetic, where it holds nothing else but what it comes to."""
    expression, _, result = _plain(text).partition("=")
    is_whole = _STRETCH.fullmatch(expression) and _OPERATOR.search(expression)
    return expression.strip() if is_whole and re.fullmatch(r"\s*[0-9]*\s*", result) else None


def _plain(text: str) -> str:
    for written, meant in _LATEX:
        text = text.replace(written, meant)
    return text


def _last_expression(text: str) -> str | None:
    """The last stretch of arithmetic that is not a result."""
    text = _plain(text)
    for match in reversed(list(_STRETCH.finditer(text))):
        is_result = text[match.start() - 1 : match.start()] == "="
        if not is_result and _NUMBER.search(match[0]) and _OPERATOR.search(match[0]):
            return match[0].strip(" \t*")
    return None
