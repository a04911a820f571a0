"""`Table`: a table of a stranger's file, taken apart field by field, with all that is wrong in it.

Nothing is raised on the way: what is wrong is noted, with the file, the field and the rule, and a
harmless value stands in for it. Who reads a file to its end can tell all of its problems at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, time
from typing import Any

from lmgym.errors import LmgymError

from .texts import checked_text

__all__ = ["Table", "told"]


class Table:
    r"""A table whose fields are taken out one by one.

    Args:
        values: what stands in it.
        place: of the table, as "manifest.toml: weights".
        problems: what is wrong is added to it.

    Example:
        >>> problems: list[str] = []
        >>> table = Table({"seed": "7", "sede": 7}, "manifest.toml: training", problems)
        >>> table.whole("seed", 0, 99, default=0)
        0
        >>> table.finish()
        >>> print(*problems, sep="\n")
        manifest.toml: training.seed is '7'; a whole number from 0 to 99 is allowed
        manifest.toml: training.sede is unknown; known: seed
    """

    def __init__(self, values: Mapping[str, Any], place: str, problems: list[str]) -> None:
        self._left, self._place, self._problems = dict(values), place, problems
        self._known: list[str] = []

    def take(self, name: str, *, is_needed: bool = False) -> Any:
        """A field as it stands there; None where it is missing."""
        self._known.append(name)
        if is_needed and name not in self._left:
            self.complain(name, "is missing")
        return self._left.pop(name, None)

    def text(
        self, name: str, most: int, *, pattern: str = "", rule: str = "", is_needed: bool = False
    ) -> str:
        """A text of one line; empty where it is missing or wrong.

        Args:
            name: of the field.
            most: characters that are allowed.
            pattern: that all of it has to match, where it is given.
            rule: the pattern in words.
            is_needed: it may neither be missing nor empty.
        """
        value = self.take(name, is_needed=is_needed)
        return "" if value is None else self._text(name, value, most, pattern, rule, is_needed)

    def texts(
        self, name: str, most: int, longest: int, *, pattern: str = "", rule: str = ""
    ) -> tuple[str, ...]:
        """A list of one to so many texts."""
        value = self.take(name, is_needed=True)
        if value is None:
            return ()
        if not isinstance(value, list) or not 1 <= len(value) <= most:
            self.complain(name, f"is {told(value)}; a list of 1 to {most} texts is allowed")
            return ()
        found = [
            self._text(f"{name}[{place}]", entry, longest, pattern, rule, True)
            for place, entry in enumerate(value)
        ]
        return tuple(found)

    def whole(self, name: str, least: int, most: int, *, default: int | None = None) -> int:
        """A whole number; needed where there is no default."""
        value = self.take(name, is_needed=default is None)
        otherwise = least if default is None else default
        if value is None:
            return otherwise
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            rule = f"a whole number from {least} to {most} is allowed"
            self.complain(name, f"is {told(value)}; {rule}")
            return otherwise
        return value

    def flag(self, name: str) -> bool | None:
        """True or false; None where it is missing or wrong."""
        value = self.take(name)
        if value is None or isinstance(value, bool):
            return value
        self.complain(name, f"is {told(value)}; true and false are allowed")
        return None

    def choice(self, name: str, allowed: Sequence[str]) -> str:
        """One of some texts; empty where it is none of them."""
        value = self.take(name, is_needed=True)
        if isinstance(value, str) and value in allowed:
            return value
        if value is not None:
            self.complain(name, f"is {told(value)}; allowed: {', '.join(allowed)}")
        return ""

    def table(self, name: str, *, is_needed: bool = False) -> Table | None:
        """A table within this one."""
        value = self.take(name, is_needed=is_needed)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.complain(name, f"is {told(value)}; a table is allowed")
            return None
        inner = self._place + ("" if self._place.endswith(": ") else ".") + name
        return Table(value, inner, self._problems)

    def complain(self, name: str, what: str) -> None:
        """Note that a field is wrong."""
        dot = "" if self._place.endswith(": ") else "."
        self._problems.append(f"{self._place}{dot}{_shown(name)} {what}")

    def finish(self) -> None:
        """Note the fields that nobody knows."""
        for name in self._left:
            self.complain(name, f"is unknown; known: {', '.join(self._known)}")

    def _text(
        self, name: str, value: Any, most: int, pattern: str, rule: str, is_needed: bool
    ) -> str:
        if not isinstance(value, str):
            self.complain(name, f"is {told(value)}; a text is allowed")
            return ""
        try:
            text = checked_text(value, most, least=int(is_needed))
        except LmgymError as error:
            self.complain(name, str(error))
            return ""
        if pattern and text and not re.fullmatch(pattern, text):
            self.complain(name, f"is {told(text)}; {rule}")
            return ""
        return text


def told(value: Any) -> str:
    """A value in few words, none of them longer than a line."""
    if isinstance(value, dict | list):
        return f"a {'list' if isinstance(value, list) else 'table'} of {len(value)}"
    if isinstance(value, str):
        return _shown(value, quoted=True)
    if isinstance(value, date | time):
        return f"a {type(value).__name__}"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 100:
        return f"a whole number of {value.bit_length()} bits"
    return repr(value)


def _shown(text: str, *, quoted: bool = False) -> str:
    """A text without anything that a terminal would not show as it is."""
    short = text if len(text) <= 60 else text[:60] + "..."
    return ascii(short) if quoted or not re.fullmatch(r"[\w.\[\]-]+", short, re.ASCII) else short
