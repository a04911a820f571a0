"""Why an answer was taken or refused."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Reason"]


class Reason(StrEnum):
    """Why an answer was taken or refused.

    Example:
        >>> [reason.value for reason in Reason if reason.is_correct]
        ['equal', 'equal_exact', 'equal_digits', 'equal_set']
    """

    EQUAL = "equal"
    EQUAL_EXACT = "equal_exact"
    EQUAL_DIGITS = "equal_digits"
    EQUAL_SET = "equal_set"
    NOT_EQUAL = "not_equal"
    HEDGED = "hedged"
    UNSOLVED = "unsolved_relation"
    WRONG_UNIT = "wrong_unit"
    UNPARSABLE = "unparsable"
    TOO_BIG = "too_big"
    EMPTY = "empty"
    TIMEOUT = "timeout"

    @property
    def is_correct(self) -> bool:
        """Whether it is one of the reasons to take an answer."""
        return self.value.startswith("equal")
