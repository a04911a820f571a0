"""Spaces for text that any language can be written in."""

from __future__ import annotations

from typing import Any

from gymnasium import spaces

__all__ = ["UnicodeText"]


class UnicodeText(spaces.Text):
    """Any Unicode string up to a length; samples are printable ASCII.

    `gymnasium.spaces.Text` knows letters and digits only, and looks at every character.

    Args:
        max_length: characters of the longest string.
        seed: of the sampler.

    Example:
        >>> UnicodeText(8).contains("Grüße")
        True
    """

    def __init__(self, max_length: int, *, seed: Any = None) -> None:
        """Draw samples from printable ASCII."""
        printable = "".join(chr(code) for code in range(32, 127))
        super().__init__(max_length, min_length=0, charset=printable, seed=seed)

    def contains(self, x: Any) -> bool:
        """Whether `x` is a string that is not too long."""
        return isinstance(x, str) and len(x) <= self.max_length

    def __repr__(self) -> str:
        """The space as it is made."""
        return f"UnicodeText({self.max_length})"
