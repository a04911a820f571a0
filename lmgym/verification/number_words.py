"""Numbers told in words: five, twenty-one, two hundred and six, three quarters."""

from __future__ import annotations

import re
from fractions import Fraction

__all__ = ["in_digits"]

_SMALL = dict(
    zip(
        """
        zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
        fifteen sixteen seventeen eighteen nineteen
        """.split(),  # noqa: SIM905 - a word list
        range(20),
        strict=True,
    )
)
_TENS = {
    name: 10 * place
    for place, name in enumerate(
        "twenty thirty forty fifty sixty seventy eighty ninety".split(),  # noqa: SIM905
        2,
    )
}
_LARGE = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
_PARTS = {"half": 2, "halves": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6}
_PARTS |= {"eighth": 8, "tenth": 10, "hundredth": 100}
_PARTS |= {f"{name}s": below for name, below in _PARTS.items() if below > 2}
_ANY = "|".join(sorted({*_SMALL, *_TENS, *_LARGE, *_PARTS, "hundred"}, key=len, reverse=True))
_TOLD = re.compile(
    r"(?<![A-Za-z\\-])(?<!base )(?<!_\{\\text\{)"
    rf"(?:{_ANY})(?:(?:\s|-|\sand\s)(?:{_ANY})){{0,12}}(?![A-Za-z-])",
    re.IGNORECASE,
)
_HUNDRED = 100


def in_digits(text: str) -> str:
    """The text with its numbers in digits; without one in words, the text itself.

    Example:
        >>> in_digits("twenty-one apples and one half"), in_digits("two hundred and six")
        ('21 apples and 1/2', '206')
    """
    return _TOLD.sub(lambda match: _digits(match[0]), text)


def _digits(told: str) -> str:
    """A numeral for a number in words, or the words where they are none."""
    words = told.lower().replace("-", " ").split()
    part = _PARTS.get(words[-1])
    number = _whole(words if part is None else words[:-1])
    if number is None:
        return told
    return str(number if part is None else Fraction(number, part))


def _whole(words: list[str]) -> int | None:
    """A whole number told in words in their order, or None."""
    total, group, least = 0, 0, 10**12
    last = ""
    for word in words:
        if word in _LARGE and group and _LARGE[word] < least:
            least = _LARGE[word]
            total, group = total + group * least, 0
        elif word == "hundred" and 0 < group < 10:
            group *= _HUNDRED
        elif word in _TENS and group % _HUNDRED == 0 and last not in _TENS:
            group += _TENS[word]
        elif word in _SMALL and _may_follow(group, _SMALL[word], last):
            group += _SMALL[word]
        elif word != "and" or not last:
            return None
        last = word
    return total + group if words and last != "and" else None


def _may_follow(group: int, number: int, last: str) -> bool:
    """Whether a number below twenty may stand behind what was told: thirty one, not five one."""
    if last in _TENS:
        return 0 < number < 10
    return last == "" or (number > 0 and group % _HUNDRED == 0 and last not in ("zero", *_SMALL))
