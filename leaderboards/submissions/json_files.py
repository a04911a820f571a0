"""JSON of a stranger's file: parsed strictly and within limits, its problems named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lmgym.errors import LmgymError
from lmgym.games.strict_json import strict_decoder

from .files import read_small

__all__ = ["parsed_object", "read_object"]

_DECODER = strict_decoder(most_digits=40)  # tokenizers write 10^30 for "no limit"


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
        found = _DECODER.decode(content.decode("utf-8"))
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
