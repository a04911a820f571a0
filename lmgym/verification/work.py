"""What one verification may use in its thread: a share of work, a tolerance, and digits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lmgym.verification.lexing import UnreadableError

__all__ = ["context", "last_digit", "more_digits", "spend", "start", "stop", "tolerance"]

_WORK = 25_000
"""Nodes that are evaluated in one verification, each point and each pair counted."""
_DIGITS = 90
"""Decimal digits of numerical values."""
_MORE = 420
"""Digits that are computed besides for numbers that agree in all others."""
_LOCAL = threading.local()
"""Of each thread what is `left` of the work, the `tolerance`, the `context`, and `more` digits."""


def start(tolerance: float = 0.0) -> None:
    """Give the verification that begins in this thread its share of work, and its tolerance."""
    _LOCAL.left = _WORK
    _LOCAL.tolerance = tolerance


def stop() -> None:
    """The verification is over: what is evaluated outside of one has no share."""
    _LOCAL.left = None
    _LOCAL.tolerance = 0.0


def spend(amount: int) -> None:
    """Take work from what a verification has left.

    Raises:
        UnreadableError: where nothing is left.
    """
    left: int | None = getattr(_LOCAL, "left", None)
    if left is None:
        return
    _LOCAL.left = left - amount
    if left < amount:
        raise UnreadableError("too much work", too_big=True)


def tolerance() -> float:
    """The relative difference that this verification overlooks."""
    found: float = getattr(_LOCAL, "tolerance", 0.0)
    return found


def context() -> Any:
    """Mpmath's context of this thread, with a precision of its own."""
    found = getattr(_LOCAL, "context", None)
    if found is None:
        from mpmath.ctx_mp import MPContext  # type: ignore[import-untyped]

        found = _LOCAL.context = MPContext()
        found.dps = _DIGITS
    return found


@contextmanager
def more_digits() -> Iterator[None]:
    """Compute with `_MORE` digits more, for numbers that agree in all others."""
    mp = context()
    _LOCAL.more = _MORE
    mp.dps = _DIGITS + _MORE
    try:
        yield
    finally:
        _LOCAL.more, mp.dps = 0, _DIGITS


def last_digit(digits: int) -> Any:
    """One unit of a digit, which lies further behind where more are computed."""
    return context().mpf(10) ** -(digits + getattr(_LOCAL, "more", 0))
