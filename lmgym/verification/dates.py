"""Calendar days in their usual spellings: 15 March 2024, March 15th, 2024, and 2024-03-15.

Of 5/10/2024 the month comes first, where it can.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lmgym.verification.extraction import Extracted, cleaned
from lmgym.verification.reasons import Reason

__all__ = ["Date", "as_date"]

_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
_SHORTEST = 3
"""Letters of a month that is shortened."""
_NAME = r"([A-Z][a-z]{2,8})\.?"
_DAY = r"([0-9]{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?:,?\s([0-9]{4}))?"
_WEEKDAY = r"(?:[A-Z][a-z]{2,5}day,?\s)?(?:the\s)?"
_MONTH_FIRST = re.compile(rf"{_WEEKDAY}{_NAME}\s{_DAY}{_YEAR}")
_DAY_FIRST = re.compile(rf"{_WEEKDAY}{_DAY}\s(?:of\s)?{_NAME}{_YEAR}")
_NUMERIC = re.compile(r"(?<![0-9-])([0-9]{4})-([0-9]{2})-([0-9]{2})(?![0-9-])")
_SLASHED = re.compile(r"(?<![0-9/.-])([0-9]{1,2})[/-]([0-9]{1,2})[/-]([0-9]{4})(?![0-9/-])")
_TURNED = re.compile(
    r"\b(?:not|isn't|wasn't|never|before|after|following|until|or|except|than)\s(?:on\s)?$",
    re.IGNORECASE,
)
"""Directly before a day it makes it another one, or none."""
_NEAR = 20
"""Characters before a day that are looked at."""
_FORMS = (_MONTH_FIRST, _DAY_FIRST, _NUMERIC, _SLASHED)


@dataclass(frozen=True, slots=True)
class Date:
    """A calendar day; the year is 0 where none is told."""

    year: int
    month: int
    day: int

    def reason(self, found: Extracted) -> Reason:
        """Why an answer is or isn't this day."""
        text = cleaned(found.text)
        own = as_date(text)
        if own is None:
            within = [] if found.method == "box" else _all(text)
            if any(_TURNED.search(text[max(0, m.start() - _NEAR) : m.start()]) for m in within):
                return Reason.NOT_EQUAL
            dates = {date for date in map(_date_of, within) if date is not None}
            if len(dates) != 1:
                return Reason.HEDGED if dates else Reason.UNPARSABLE
            own = dates.pop()
        is_same_year = not self.year or not own.year or self.year == own.year
        is_same = is_same_year and (self.month, self.day) == (own.month, own.day)
        return Reason.EQUAL if is_same else Reason.NOT_EQUAL


def _all(text: str) -> list[re.Match[str]]:
    return [m for form in _FORMS for m in form.finditer(text)]


def as_date(text: str) -> Date | None:
    """The day that a text is, or None.

    Example:
        >>> as_date("March 15, 2024") == as_date("15th of March 2024"), as_date("May 40")
        (True, None)
    """
    plain = " ".join(text.split()).strip(" .")
    match = next((found for form in _FORMS if (found := form.fullmatch(plain))), None)
    return None if match is None else _date_of(match)


def _date_of(match: re.Match[str]) -> Date | None:
    if match.re is _NUMERIC:
        year, month, day = map(int, match.groups())
    elif match.re is _SLASHED:
        month, day, year = map(int, match.groups())
        month, day = (month, day) if month <= len(_MONTHS) else (day, month)
    else:
        name, told = match.groups()[:2] if match.re is _MONTH_FIRST else match.groups()[1::-1]
        month, day, year = _month(name), int(told), int(match[3] or 0)
    return Date(year, month, day) if 0 < month <= len(_MONTHS) and 0 < day <= 31 else None


def _month(name: str) -> int:
    """The number of a month whose name may be shortened; 0 where it is none."""
    lowered = "sep" if name.lower() == "sept" else name.lower()
    fits = (lowered == month or lowered == month[:_SHORTEST] for month in _MONTHS)
    return next((place for place, is_it in enumerate(fits, 1) if is_it), 0)
