"""Answers that are no mathematics: choice letters, times of day, words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lmgym.verification.extraction import Extracted, cleaned
from lmgym.verification.reasons import Reason

__all__ = ["Choice", "Clock", "Phrase", "as_choice", "as_clock", "as_phrase"]

_WRAPPER = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|mathrm|mathbf|mathit|mbox|operatorname)"
    r"\s?\{([^{}]*)\}|[*`]{1,3}|\\ |\\[,;:!()\[\]]|\$|~"
)
_BRACED = re.compile(r"(?<![a-z])\{([:.,])\}")
_LETTER = re.compile(r"(?:\(([A-J])\)|\[([A-J])\]|([A-J]))(?=[.):,;]|\s|$)[.):]?\s*(.*)", re.DOTALL)
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
_DENIED = re.compile(r"(?:\bnot|n't|\bnever|\bneither)(?:\s\w+){0,2}\s\(?$", re.IGNORECASE)
_HEDGE = re.compile(
    r"^(?:\(?(?:/|or|and|,|;|&|\+|\\lor)?\s*(?:or\s|and\s|maybe\s|possibly\s)*)\(?[A-J]\)?(?=[.):,;]|\s|$)"
)
_WRONG = re.compile(r"\b(?:no wait|not|wrong|incorrect|instead)\b", re.IGNORECASE)
_NEAR = 40
"""Characters behind a letter in which it may be taken back."""
_CLOCK = re.compile(
    r"(?:at\s)?([0-9]{1,2})(?:[:.h]([0-5][0-9]))?(?:[:]([0-5][0-9]))?"
    r"\s?(a\.?\s?m\.?|p\.?\s?m\.?|o'clock|noon|midnight|hours|hrs)?",
    re.IGNORECASE,
)
_NOT = frozenset(("not", "never", "no", "or", "and", "neither", "nor", "isn't", "without", "than"))
_DENYING = frozenset(
    ("not", "never", "hardly", "instead", "neither", "nor", "or", "maybe", "possibly")
)
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
_WORDS_OF_TIMES = re.compile(
    r"\b(?:or|before|after|not|until|minutes|seconds)\b|[ap]\.?m\.?\s[ap]\.?m", re.IGNORECASE
)
"""What makes a time in an answer another one, or none."""
_HOUR = 3600
"""Seconds."""
_MAX_TAIL = 400
"""Characters at the end of a text among which a letter is looked for."""
_MATHEMATICAL = re.compile(r"[\\^_=<>+*]")
"""In a gold that is no words and cannot be read."""
_PUNCTUATION = re.compile(r"[^\w\s/+-]")


def _plain(text: str) -> str:
    """The text without LaTeX's wrappers and markdown."""
    text = _BRACED.sub(r"\1", text)
    return " ".join(_WRAPPER.sub(lambda m: f" {m[1]} " if m[1] is not None else " ", text).split())


@dataclass(frozen=True, slots=True)
class Choice:
    """A letter of a multiple choice."""

    letter: str

    def reason(self, found: Extracted) -> Reason:
        """Why an answer is or isn't this letter."""
        text = _OPTION.sub("", _plain(found.text).strip(" .\"'"))
        match = _LETTER.match(text)
        if match is not None:
            rest = match[4]
            is_hedged = bool(_HEDGE.match(rest) or _WRONG.search(rest[:_NEAR]))
            return Reason.HEDGED if is_hedged else self._reason_of(match[1] or match[2] or match[3])
        letters = _free_letters(found.text) if found.method == "end" else []
        if letters:
            return Reason.HEDGED if len(letters) > 1 else self._reason_of(letters[0])
        is_small = text.strip("() .") == self.letter.lower()
        return Reason.EQUAL if is_small else Reason.UNPARSABLE

    def _reason_of(self, letter: str) -> Reason:
        return Reason.EQUAL if letter == self.letter else Reason.NOT_EQUAL


def _free_letters(text: str) -> list[str]:
    """The letter that a text without an announcement ends with; two, where it leaves them open."""
    tail = _plain(text[-_MAX_TAIL:])
    letters = list(_FREE_LETTER.finditer(tail))
    if len(letters) > 1:
        between = tail[letters[-2].end() : letters[-1].start()].strip(" (),")
        if letters[-2][1] != letters[-1][1] and between in ("or", "and", "/", ""):
            return [letter[1] for letter in letters[-2:]]
    if letters and _DENIED.search(tail[: letters[-1].start()]):
        return []
    return [letter[1] for letter in letters[-1:]]


def as_choice(gold: str) -> Choice | None:
    """The letter that a gold is, or None.

    Example:
        >>> as_choice("(C) a triangle"), as_choice("Carbon")
        (Choice(letter='C'), None)
    """
    match = _GOLD_LETTER.match(_plain(gold).strip())
    return None if match is None else Choice(next(filter(None, match.groups())))


@dataclass(frozen=True, slots=True)
class Clock:
    """A time of day.

    Attributes:
        seconds: since midnight, as written.
        half: am, pm, or nothing.
    """

    seconds: int
    half: str

    def reason(self, found: Extracted) -> Reason:
        """Why an answer is or isn't this time."""
        text = _plain(found.text)
        own = as_clock(text) or as_clock(cleaned(text))
        if _WORDS_OF_TIMES.search(text):
            return Reason.HEDGED
        if own is None:
            times = [match for match in _CLOCK.finditer(text) if _is_clear(match)]
            if len(times) > 1 and found.method != "end":
                return Reason.HEDGED
            own = _clock_of(times[-1]) if times else None
        if own is None:
            return Reason.UNPARSABLE
        return Reason.EQUAL if self._is_time(own) else Reason.NOT_EQUAL

    def _is_time(self, other: Clock) -> bool:
        """Whether two times are the same; where one has no half, of one half of the day."""
        is_whole_day = any(
            not clock.half and not _HOUR <= clock.seconds < 13 * _HOUR for clock in (other, self)
        )
        cycle = 24 * _HOUR if is_whole_day or bool(other.half) == bool(self.half) else 12 * _HOUR
        return other.seconds % cycle == self.seconds % cycle


def _is_clear(match: re.Match[str]) -> bool:
    """Whether a number within a text is a time: it has minutes, or am or pm."""
    return bool(match[2]) or (match[4] or "").lower()[:1] in ("a", "p")


def as_clock(text: str) -> Clock | None:
    """The time of day that a text is, or None; a bare number or a ratio is none.

    Example:
        >>> as_clock("3:30 p.m."), as_clock("3")
        (Clock(seconds=55800, half='pm'), None)
    """
    plain = _plain(text).strip(" .").replace(" :", ":").replace(": ", ":")
    if plain.lower() == "noon":
        return Clock(12 * _HOUR, "pm")
    if plain.lower() == "midnight":
        return Clock(0, "am")
    match = _CLOCK.fullmatch(plain)
    return None if match is None or not _may_be_time(match) else _clock_of(match)


def _may_be_time(match: re.Match[str]) -> bool:
    """Whether hours have minutes behind a colon, or words that make them a time of day."""
    if match[2] is None:
        return bool(match[4]) and match[4].lower() not in ("hours", "hrs")
    return ":" in match[0] or bool(match[4])


def _clock_of(match: re.Match[str]) -> Clock | None:
    hours, minutes, seconds = (int(match[k] or 0) for k in (1, 2, 3))
    said = (match[4] or "").lower().replace(".", "").replace(" ", "")
    half = {"noon": "pm", "midnight": "am", "am": "am", "pm": "pm"}.get(said, "")
    if hours > 24 or (half and hours > 12):
        return None
    if half:
        hours = hours % 12 + (12 if half == "pm" else 0)
    return Clock(hours * _HOUR + minutes * 60 + seconds, half)


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words.

    Attributes:
        signs: all of it without spaces, where it is mathematics that could not be read: such an
            answer has to be the same.
    """

    words: tuple[str, ...]
    signs: str = ""

    def reason(self, found: Extracted) -> Reason:
        """Why an answer is or isn't these words."""
        words, n = _words(found.text), len(self.words)
        if not words:
            return Reason.EMPTY
        if self.signs:
            is_same = _signs(cleaned(found.text)) == self.signs
            return Reason.EQUAL if is_same else Reason.UNPARSABLE
        if words == self.words or _bare(words) == _bare(self.words):
            return Reason.EQUAL
        if found.method == "box" or len(words) <= n:
            return Reason.NOT_EQUAL
        if self._is_denied(words):
            return Reason.NOT_EQUAL
        if words[:n] == self.words and words[n] in _EXPLAINING:
            opposites = _OPPOSITES.get(self.words[0], ())
            is_hedged = any(word in opposites for word in words[n:])
            return Reason.HEDGED if is_hedged else Reason.EQUAL
        return Reason.EQUAL if self._ends(_last_clause(found)) else Reason.NOT_EQUAL

    def _is_denied(self, words: tuple[str, ...]) -> bool:
        """Whether an answer says not, hardly, instead, or that there is a choice."""
        return any(word in _DENYING and word not in self.words for word in words)

    def _ends(self, clause: tuple[str, ...]) -> bool:
        """Whether a clause ends with these words, and does not deny them."""
        n = len(self.words)
        before = clause[-n - 1] if len(clause) > n else ""
        return clause[-n:] == self.words and before not in _NOT and not before.endswith("n't")


def _last_clause(found: Extracted) -> tuple[str, ...]:
    """The words of the last sentence, where nothing announced the answer; else all."""
    if found.method != "end":
        return _words(found.text)
    return _words(re.split(r"[.;!?]\s|\n", found.text.strip())[-1])


def as_phrase(gold: str) -> Phrase:
    """A gold answer as words.

    Example:
        >>> as_phrase("The Nile.").words
        ('the', 'nile')
    """
    return Phrase(_words(gold), _signs(gold) if _MATHEMATICAL.search(_plain(gold)) else "")


def _signs(text: str) -> str:
    """A text without its spaces and wrappers."""
    return "".join(_plain(text).split())


def _words(text: str) -> tuple[str, ...]:
    plain = _plain(text).replace("\u2019", "'").lower()
    return tuple(_PUNCTUATION.sub(" ", plain.replace("n't", " not")).split())


def _bare(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for word in words if word not in ("the", "a", "an"))
