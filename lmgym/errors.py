"""Errors a user can cause: told in one sentence, without a traceback on the command line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["LmgymError", "unknown"]


class LmgymError(ValueError):
    """A mistake in what was asked for: says what was given, what is allowed and what to do."""


def unknown(kind: str, given: object, known: Iterable[str], hint: str = "") -> LmgymError:
    """An error for a name that does not exist, with the known names nearest first.

    Example:
        >>> print(unknown("reward", "verifer", ["none", "verifier"]))
        unknown reward 'verifer'; known: verifier, none
    """
    text = str(given)
    names = sorted(set(known), key=lambda name: (-_similarity(text, name), name))
    listed = ", ".join(names) or "nothing yet"
    return LmgymError(f"unknown {kind} {text!r}; known: {listed}" + (f"; {hint}" if hint else ""))


def _similarity(given: str, name: str) -> float:
    return difflib.SequenceMatcher(None, given.lower(), name.lower()).ratio()
