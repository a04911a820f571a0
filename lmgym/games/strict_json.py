"""JSON of strangers, taken apart field by field: what is not expected is refused with a reason."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from lmgym.errors import LmgymError

__all__ = [
    "Row",
    "check_number",
    "check_text",
    "check_whole",
    "parse",
    "strict_decoder",
    "told",
]

_MOST_ENTRIES = 100_000


def parse(line: str) -> Any:
    """JSON without what other readers take differently or not at all."""
    try:
        return _DECODER.decode(line)
    except json.JSONDecodeError as error:
        raise LmgymError(f"it is no JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise LmgymError("it is nested too deeply for a record") from None


def strict_decoder(most_digits: int) -> json.JSONDecoder:
    """A decoder that refuses what JSON does not know, keys that stand twice, and huge numbers.

    Args:
        most_digits: of a whole number.
    """

    def parsed_int(text: str) -> int:
        if len(text) > most_digits:
            raise LmgymError(f"a number of {len(text)} digits is too large")
        return int(text)

    return json.JSONDecoder(
        parse_constant=_refuse_constant,
        parse_int=parsed_int,
        parse_float=_parsed_float,
        object_pairs_hook=_parsed_object,
    )


def _refuse_constant(name: str) -> Any:
    raise LmgymError(f"{name} is no number that JSON knows")


def _parsed_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise LmgymError(f"{text[:20]} is too large a number")
    return value


def _parsed_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise LmgymError(f"{name[:40]!r} stands there twice")
        found[name] = value
    return found


_DECODER = strict_decoder(most_digits=20)


class Row:
    """An object of JSON whose fields are taken out one by one."""

    def __init__(self, value: Any, what: str) -> None:
        if not isinstance(value, dict):
            raise LmgymError(f"{what} is {told(value)}; it must be an object")
        self._left, self._what = dict(value), what

    def take(self, name: str, check: Callable[[Any], Any]) -> Any:
        """A field that must be there, checked."""
        if name not in self._left:
            raise LmgymError(f"{self._what} lacks {name!r}")
        try:
            return check(self._left.pop(name))
        except LmgymError as error:
            raise LmgymError(f"{name!r}: {error}") from None

    def text(self, name: str, most: int) -> str:
        """A text of so many characters at most."""
        return str(self.take(name, lambda value: check_text(value, most)))

    def whole(self, name: str, below: int) -> int:
        """A whole number from 0 on."""
        return int(self.take(name, lambda value: check_whole(value, below)))

    def mapping(self, name: str) -> dict[str, Any]:
        """An object."""
        return dict(self.take(name, _mapping))

    def each(self, name: str, check: Callable[[Any], Any]) -> tuple[Any, ...]:
        """A list whose entries are all checked."""
        entries = self.take(name, _list)
        return tuple(
            self._entry(f"{name}[{place}]", entry, check) for place, entry in enumerate(entries)
        )

    def check_empty(self) -> None:
        """Raise where a field is left that nobody knows."""
        if self._left:
            raise LmgymError(f"{self._what} has {next(iter(self._left))[:40]!r}, which is unknown")

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def _entry(self, name: str, entry: Any, check: Callable[[Any], Any]) -> Any:
        try:
            return check(entry)
        except LmgymError as error:
            raise LmgymError(f"{name}: {error}") from None


def check_text(value: Any, most: int) -> str:
    """A text of so many characters at most."""
    if not isinstance(value, str) or len(value) > most:
        raise LmgymError(f"it is {told(value)}; a text of {most} characters at most is allowed")
    return value


def check_whole(value: Any, below: int) -> int:
    """A whole number from 0 on, and below a limit."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < below:
        raise LmgymError(f"it is {told(value)}; a whole number from 0 to {below - 1} is allowed")
    return value


def check_number(value: Any) -> float:
    """A number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise LmgymError(f"it is {told(value)}; a number is allowed")
    return float(value)


def told(value: Any) -> str:
    """A value in few words."""
    if isinstance(value, dict | list):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    if isinstance(value, str) and len(value) > 40:
        return f"a text of {len(value)} characters"
    return repr(value)


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise LmgymError(f"it is {told(value)}; an object is allowed")
    return value


def _list(value: Any) -> Sequence[Any]:
    if not isinstance(value, list) or len(value) > _MOST_ENTRIES:
        raise LmgymError(f"it is {told(value)}; a list of {_MOST_ENTRIES} at most is allowed")
    return value
