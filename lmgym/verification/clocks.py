"""Times of day: 3:30 PM, 15:30, noon."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lmgym.verification.extraction import Extracted, cleaned
from lmgym.verification.reasons import Reason
from lmgym.verification.wrappers import unwrapped

__all__ = ["Clock", "as_clock"]

_CLOCK = re.compile(
    r"(?:at\s)?([0-9]{1,2})(?:[:.h]([0-5][0-9]))?(?:[:]([0-5][0-9]))?"
    r"\s?(a\.?\s?m\.?|p\.?\s?m\.?|o'clock|noon|midnight|hours|hrs)?",
    re.IGNORECASE,
)
_CLOCK_WITHIN = re.compile(rf"(?<![0-9:.]){_CLOCK.pattern}(?![0-9:])", re.IGNORECASE)
_TURNED = re.compile(
    r"(?:\b(?:or|before|after|past|than|until|not|isn't|between|plus|behind|of|to)"
    r"|[+<>\u2264\u2265\u2260]|\\[gl]e|\\ne)\s?(?:at\s)?$",
    re.IGNORECASE,
)
"""Directly before a time it makes it another one, or none."""
_GOES_ON = re.compile(
    r"\s?(?:\+|or\b|before\b|after\b|minutes\b|seconds\b|[ap]\.?m\b)", re.IGNORECASE
)
"""Directly behind a time it makes it another one, or none."""
_HALVES = re.compile(r"\sin\sthe\s(morning|afternoon|evening)\b", re.IGNORECASE)
_HOUR = 3600
"""Seconds."""


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
        text = _HALVES.sub(_half_of, unwrapped(found.text))
        own = as_clock(text) or as_clock(cleaned(text))
        if own is None and found.method != "box":
            times = [match for match in _CLOCK_WITHIN.finditer(text) if _is_clear(match)]
            if len(times) > 1 and found.method != "end":
                return Reason.HEDGED
            if times and _is_turned(text, times[-1]):
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


def _half_of(match: re.Match[str]) -> str:
    return " am" if match[1].lower() == "morning" else " pm"


def _is_turned(text: str, time: re.Match[str]) -> bool:
    """Whether the words beside a time make it another one."""
    before = text[: time.start()].rstrip()
    return bool(_TURNED.search(before) or _GOES_ON.match(text, time.end()))


def _is_clear(match: re.Match[str]) -> bool:
    """Whether a number within a text is a time: it has minutes, or am or pm."""
    return bool(match[2]) or (match[4] or "").lower()[:1] in ("a", "p")


def as_clock(text: str) -> Clock | None:
    """The time of day that a text is, or None; a bare number or a ratio is none.

    Example:
        >>> as_clock("3:30 p.m."), as_clock("3")
        (Clock(seconds=55800, half='pm'), None)
    """
    plain = unwrapped(text).strip(" .").replace(" :", ":").replace(": ", ":")
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
