"""What the verifier lets pass."""

from __future__ import annotations

from dataclasses import dataclass

from lmgym.errors import LmgymError

__all__ = ["STRICT", "Policy"]

_ALLOWED = {"units": ("checked", "ignored"), "percent": ("hundredths", "ignored")}


@dataclass(frozen=True, slots=True)
class Policy:
    """What is let pass; strict by default.

    Attributes:
        tolerance: relative difference of two numbers that is overlooked, as 0.01.
        units: "checked" refuses another unit than the gold's, "ignored" reads values alone.
        percent: "hundredths" reads 50 % as 1/2 (and as 50, where the gold is a bare number above
            1), "ignored" as 50 as well.
        ordered: whether solutions in a list have to come in the gold's order.

    Raises:
        LmgymError: for a value that is not allowed.

    Example:
        >>> Policy(tolerance=0.01).units
        'checked'
    """

    tolerance: float = 0.0
    units: str = "checked"
    percent: str = "hundredths"
    ordered: bool = False

    def __post_init__(self) -> None:
        """Raise for what is not allowed."""
        if not 0 <= self.tolerance < 1:
            raise LmgymError(f"tolerance={self.tolerance} is out of range; it is relative, 0 to 1")
        for name, allowed in _ALLOWED.items():
            value = getattr(self, name)
            if value not in allowed:
                raise LmgymError(f"{name}={value!r}; allowed are {', '.join(allowed)}")


STRICT = Policy()
