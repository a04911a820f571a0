"""Letters of a multiple choice, and what a response says of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lmgym.verification.extraction import Extracted
from lmgym.verification.reasons import Reason
from lmgym.verification.wrappers import unwrapped

__all__ = ["Choice", "as_choice"]

_LETTER = re.compile(
    r"(?:\(([A-J])\)|\[([A-J])\]|([A-J]))(?=[.):,;]|\s|$)([.):]?)\s*(.*)", re.DOTALL
)
_GOLD_LETTER = re.compile(
    r"(?:\(([A-J])\)\.?|([A-J]))(?:[.):]\s.*)?$|\(([A-J])\)\s.*$|([A-J])[.)]$", re.DOTALL
)
_OPTION = re.compile(
    r"^(?:(?:the\s)?(?:correct\s)?(?:option|choice|answer|letter)(?:\s(?:is|choice))?[:\s]+)+",
    re.IGNORECASE,
)
_FREE_LETTER = re.compile(
    r"(?<![A-Za-z0-9'\u2019\\{_^+*/=-])\(?([A-J])\)?(?=[.):,;!?\s]|$)(?!\s(?!is\s)[a-z])"
)
"""A letter within a sentence."""
_DENIED = re.compile(
    r"(?:\b(?:not|cannot|never|neither|except|but|than|unlike|excluding|out|instead of|incorrect"
    r"|wrong|eliminated?|excluded?)|n't)(?:\s\w+){0,2}\s\(?$",
    re.IGNORECASE,
)
"""Before a letter it is not taken."""
_DENIED_BEHIND = re.compile(
    r"\)?\s(?:is|was|are|can be|has been|cannot|can't|must be|seems)\s?(?:\w+\s){0,2}?"
    r"(?:not|out|wrong|false|incorrect|eliminated|excluded|impossible|unlikely|rejected|ruled)\b"
    r"|\)?\s(?:cannot|can't|isn't)\b",
    re.IGNORECASE,
)
"""Behind a letter it is not taken."""
_BECAUSE = re.compile(r",?\s(?:because|since|as|given|due to)\s", re.IGNORECASE)
_HEDGE = re.compile(
    r"^(?:\(?(?:/|or|and|,|;|&|\+|\\lor)?\s*(?:or\s|and\s|maybe\s|possibly\s)*)"
    r"\(?[A-J]\)?(?=[.):,;]|\s|$)"
)
"""Directly behind a letter: another one."""
_OTHER = re.compile(
    r"\b(?:no wait|not|wrong|incorrect|instead|or|xor|nor|and|unlikely|eliminated|excluded|ruled)\b"
    r"|as well as|\\ne|\u2260|(?<![A-Za-z])[A-J](?![A-Za-z'])"
)
"""Behind a bare letter: another one, or the letter is taken back."""
_TAKEN_BACK = re.compile(
    r"\b(?:wait|correction|instead|scratch that|no,)|^is (?:wrong|incorrect|not)\b", re.IGNORECASE
)
"""In the text of an option: the letter is taken back."""
_SECOND = re.compile(r"(?:^|[\s,;])(?:and|or)?\s?\(?[A-J][.):](?=\s|$)")
"""Another option with its text."""
_NOT_ANOTHER = re.compile(r"[,;(]?\s?not\s\(?[A-J](?![A-Za-z])")
"""Another option, which the answer is said not to be."""
_JOINTS = ("or", "and", "/", "", "as well as", "and also")
"""Between two letters of which neither is taken."""
_GOES_ON = re.compile(r"(?!(?:is|because|since|as|which|with|for|given|or|and|xor|nor)\b)[a-z]")
"""What behind a letter makes it the first word of a sentence."""
_NEAR = 40
"""Characters behind a letter in which it may be taken back."""
_MAX_TAIL = 400
"""Characters at the end of a text among which a letter is looked for."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A letter of a multiple choice."""

    letter: str

    def reason(self, found: Extracted) -> Reason:
        """Why an answer is or isn't this letter."""
        text = _OPTION.sub("", unwrapped(found.text).strip(" .\"'"))
        match = _LETTER.match(text)
        if match is not None and not (match[3] and not match[4] and _GOES_ON.match(match[5])):
            return Reason.HEDGED if _is_hedged(match) else self._reason_of(_letter(match))
        letters = [] if found.method == "box" else _free_letters(found.text)
        if letters:
            return Reason.HEDGED if len(letters) > 1 else self._reason_of(letters[0])
        is_small = text.strip("() .") == self.letter.lower()
        return Reason.EQUAL if is_small else Reason.UNPARSABLE

    def _reason_of(self, letter: str) -> Reason:
        return Reason.EQUAL if letter == self.letter else Reason.NOT_EQUAL


def _letter(match: re.Match[str]) -> str:
    return match[1] or match[2] or match[3]


def _is_hedged(match: re.Match[str]) -> bool:
    """Whether what stands behind a letter names another one, or takes the letter back.

    Behind a letter in brackets or with a full stop stands the text of the option.
    """
    rest = match[5]
    if _HEDGE.match(rest) or rest.startswith("as well") or _DENIED_BEHIND.match(f" {rest}"):
        return True
    stated = _BECAUSE.split(f" {rest}", maxsplit=1)[0][:_NEAR]
    if match[4] or not match[3]:
        return bool(_TAKEN_BACK.search(rest) or _SECOND.search(rest))
    if _NOT_ANOTHER.match(rest):
        return False
    return _OTHER.search(stated) is not None


def _free_letters(text: str) -> list[str]:
    """The letter that a text without an announcement ends with; two, where it leaves them open."""
    tail = unwrapped(text[-_MAX_TAIL:])
    letters = list(_FREE_LETTER.finditer(tail))
    if not letters:
        return []
    last = letters[-1]
    if _DENIED.search(tail[: last.start()]) or _DENIED_BEHIND.match(tail, last.end()):
        return []
    if len(letters) > 1:
        between = tail[letters[-2].end() : last.start()].strip(" (),")
        if letters[-2][1] != last[1] and between in _JOINTS:
            return [letters[-2][1], last[1]]
    return [last[1]]


def as_choice(gold: str) -> Choice | None:
    """The letter that a gold is, or None.

    Example:
        >>> as_choice("(C) a triangle"), as_choice("Carbon")
        (Choice(letter='C'), None)
    """
    match = _GOLD_LETTER.match(unwrapped(gold).strip())
    return None if match is None else Choice(next(filter(None, match.groups())))
