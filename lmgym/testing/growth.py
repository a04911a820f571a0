"""How much memory grows, where others in the process allocate as well."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["least_growth"]

_TRIES = 4


def least_growth(measure: Callable[[], int], allowed: int) -> int:
    """The least growth of some measurements, the first if it is allowed.

    What others allocate comes now and then; a leak goes on.

    Args:
        measure: bytes that some episodes leave behind.
        allowed: less than this needs no other measurement.

    Example:
        >>> least_growth(iter([900, 50, 10]).__next__, 100)
        50
    """
    grown = measure()
    for _ in range(_TRIES - 1):
        if grown < allowed:
            break
        grown = min(grown, measure())
    return grown
