"""Answers in words."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from lmgym.verification.extraction import Extracted, cleaned
from lmgym.verification.reasons import Reason
from lmgym.verification.wrappers import unwrapped

__all__ = ["Phrase", "as_phrase"]

_NOT = frozenset(
    """
    not never no or and neither nor isn't without than before after except but unlike cannot
    """.split()  # noqa: SIM905 - a word list
)
"""Directly before an answer they make it another one."""
_DENYING = frozenset(
    ("not", "never", "hardly", "instead", "neither", "nor", "or", "maybe", "possibly", "cannot")
)
"""Anywhere they deny an answer, or say that there is a choice."""
_DENYING_NEAR = frozenset(
    """
    fails opposite following far unlikely none wrong incorrect except anything rather either
    """.split()  # noqa: SIM905 - a word list
)
"""In the clause of an answer they make it another one."""
_EXPLAINING = frozenset(
    """
    because since as so it the that this which for by is we a there they you i in to of with
    therefore thus hence he she
    """.split()  # noqa: SIM905 - a word list
)
"""Words with which what follows an answer begins."""
_OPPOSITES = {
    **{"yes": ("no",), "no": ("yes",), "true": ("false",), "false": ("true",)},
    **{"odd": ("even",), "even": ("odd",)},
}
"""Answers of which a response takes one."""
_ARTICLES = ("the", "a", "an")
_LISTED = re.compile(r"[,/&]|\band\b|\bas well as\b", re.IGNORECASE)
_MARK = re.compile(r"[,:;]|\s(?:because|since)\s")
"""Behind it an explanation begins."""
_CLAUSE_END = re.compile(r"[.;!?]\s|\n")
_MATHEMATICAL = re.compile(r"[\\^_=<>+*|~]")
"""In a gold that is no words and cannot be read."""
_OF_SIGNS = ("Sm", "So", "Sk", "No")
"""Unicode's categories of signs."""
_NEGATING = re.compile(
    r"[\u2260\u00ac\u2209\u266d\u266f\u207a\u207b]|\\(?:neq?|not|neg)(?![a-z])|!="
)
"""Signs that make words other ones: not, sharp and flat, a charge."""
_PUNCTUATION = re.compile(r"[^\w\s/+-]")


@dataclass(frozen=True, slots=True)
class Phrase:
    """An answer in words.

    Attributes:
        words: in lower case, without punctuation.
        signs: all of it without spaces, where it is mathematics that could not be read: such an
            answer has to be the same.
    """

    words: tuple[str, ...]
    signs: str = ""

    def reason(self, found: Extracted) -> Reason:
        """Why an answer is or isn't these words."""
        words = _words(found.text)
        if not words:
            return Reason.EMPTY
        if self.signs:
            is_same = _signs(cleaned(found.text)) == self.signs
            return Reason.EQUAL if is_same else Reason.UNPARSABLE
        clause = _last_clause(found)
        if _NEGATING.search(clause):
            return Reason.NOT_EQUAL
        if words == self.words or _bare(words) == _bare(self.words):
            return Reason.EQUAL
        if found.method == "box" or len(words) <= len(self.words):
            return Reason.NOT_EQUAL
        return self._within(words, clause, found.method)

    def _within(self, words: tuple[str, ...], clause: str, method: str) -> Reason:
        """Why these words among others are or aren't the answer."""
        n, near = len(self.words), _words(clause)
        if self._is_explained(clause):
            return Reason.EQUAL
        if self._holds_one_of(_DENYING, words) or self._holds_one_of(_DENYING_NEAR, near):
            return Reason.NOT_EQUAL
        if words[:n] == self.words and words[n] in _EXPLAINING:
            opposites = _OPPOSITES.get(self.words[0], ())
            is_joined = words[n + 1 : n + 2] == ("well",)  # as well as another one
            is_hedged = is_joined or any(word in opposites for word in words[n:])
            return Reason.HEDGED if is_hedged else Reason.EQUAL
        before = near[-n - 1] if len(near) > n else ""
        if near[-n:] != self.words or before in _NOT:
            return Reason.NOT_EQUAL
        is_listed = (
            method != "end" and _LISTED.search(clause) and not _LISTED.search(" ".join(self.words))
        )
        return Reason.HEDGED if is_listed else Reason.EQUAL

    def _is_explained(self, clause: str) -> bool:
        """Whether a clause is the answer, and behind a mark what explains it and no more."""
        mark = _MARK.search(clause)
        if mark is None or _words(clause[: mark.start()]) != self.words:
            return False
        rest = _words(clause[mark.end() :])
        opposites = _OPPOSITES.get(self.words[0], ())
        if any(word in opposites for word in rest) or not rest:
            return False
        return self.words[0] in _OPPOSITES or rest[0] in _EXPLAINING or rest[0] == "not"

    def _holds_one_of(self, denying: frozenset[str], words: tuple[str, ...]) -> bool:
        """Whether some words deny an answer, or say that there is a choice."""
        return any(word in denying and word not in self.words for word in words)


def _last_clause(found: Extracted) -> str:
    """The last sentence, where nothing announced the answer; else all."""
    if found.method != "end":
        return found.text
    return _CLAUSE_END.split(found.text.strip())[-1]


def as_phrase(gold: str) -> Phrase:
    """A gold answer as words.

    Example:
        >>> as_phrase("The Nile.").words
        ('the', 'nile')
    """
    plain = unwrapped(gold)
    has_signs = _MATHEMATICAL.search(plain) or any(
        not c.isascii() and unicodedata.category(c) in _OF_SIGNS for c in plain
    )
    return Phrase(_words(gold), _signs(gold) if has_signs else "")


def _signs(text: str) -> str:
    """A text without its spaces and wrappers."""
    return "".join(unwrapped(text).split())


def _words(text: str) -> tuple[str, ...]:
    plain = unwrapped(text).replace("\u2019", "'").lower()
    return tuple(_PUNCTUATION.sub(" ", plain.replace("n't", " not")).split())


def _bare(words: tuple[str, ...]) -> tuple[str, ...]:
    """Words without the article before them."""
    first = 1 if words[:1] and words[0] in _ARTICLES and len(words) > 1 else 0
    return tuple(word for word in words[first:] if word != "the")
