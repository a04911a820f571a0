r"""LaTeX's commands around words, as ``\text{cm}``, and texts without them and without markdown."""

from __future__ import annotations

import re

__all__ = ["WRAPPER", "unwrapped"]

WRAPPER = (
    r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|math(?:rm|bf|it|sf)|mbox|hbox|operatorname\*?|emph)\s?"
)
"""A command around words, without the braces behind it."""
_WRAPPED = re.compile(WRAPPER + r"\{([^{}]*)\}|[*`]{1,3}|\\ |\\[,;:!()\[\]]|\$|~")
_BRACED = re.compile(r"(?<![a-z])\{([:.,])\}")


def unwrapped(text: str) -> str:
    r"""The text without LaTeX's wrappers, its spaces and markdown.

    Example:
        >>> unwrapped(r"**\text{(B)}~$7$**")
        '(B) 7'
    """
    text = _BRACED.sub(r"\1", text)
    return " ".join(_WRAPPED.sub(lambda m: f" {m[1]} " if m[1] is not None else " ", text).split())
