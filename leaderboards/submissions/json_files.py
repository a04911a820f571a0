"""JSON of a stranger's file: parsed strictly and within limits, its problems named."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from lmgym.errors import LmgymError

from .files import read_small

__all__ = ["parsed_object", "read_object"]

_MOST_DIGITS = 40
"""Of a whole number; tokenizers write 10^30 for "no limit"."""


def read_object(folder: Path, name: str, most: int) -> dict[str, Any]:
    """The object in a JSON file of a folder.

    Raises:
        LmgymError: where there is no file, it is too large, or it holds anything else.
    """
    return parsed_object(read_small(folder, name, most), name)


def parsed_object(content: bytes, name: str) -> dict[str, Any]:
    """The object that some bytes spell.

    Args:
        content: in UTF-8.
        name: where they come from, for errors.

    Example:
        >>> parsed_object(b'{"a": NaN}', "config.json")
        Traceback (most recent call last):
        lmgym.errors.LmgymError: config.json: NaN is no number that JSON knows
    """
    try:
        found = json.loads(
            content.decode("utf-8"),
            parse_constant=_refused_constant,
            parse_int=_parsed_int,
            parse_float=_parsed_float,
            object_pairs_hook=_parsed_pairs,
        )
    except UnicodeDecodeError as error:
        raise LmgymError(f"{name}: is no UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise LmgymError(f"{name}: is no JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise LmgymError(f"{name}: is nested too deeply") from None
    except LmgymError as error:
        raise LmgymError(f"{name}: {error}") from None
    if not isinstance(found, dict):
        raise LmgymError(f"{name}: holds no object")
    return found


def _refused_constant(name: str) -> Any:
    raise LmgymError(f"{name} is no number that JSON knows")


def _parsed_int(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise LmgymError(f"a number of {len(text)} digits is too large")
    return int(text)


def _parsed_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise LmgymError(f"{text[:20]} is too large a number")
    return value


def _parsed_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise LmgymError("a key stands in an object twice")
    return found
