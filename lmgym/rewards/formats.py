r"""Rewards for the form of what is written: a format, and how often a pattern occurs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

import numpy as np

from lmgym.errors import LmgymError, unknown
from lmgym.rewards.source import RewardBatch, RewardLevel
from lmgym.transcript import Transcript

__all__ = ["FORMATS", "FormatReward", "PatternReward"]


def _braced(depth: int) -> str:
    """Text whose braces are balanced, up to a depth; linear time, as no part can match twice."""
    inner = "" if depth == 0 else rf"(?:\{{{_braced(depth - 1)}\}}[^{{}}]*)*"
    return rf"[^{{}}]*{inner}"


_UNTAGGED = r"[^<]*(?:<(?!/?(?:think|answer)>)[^<]*)*"

FORMATS: dict[str, str] = {
    "boxed": rf".*\\boxed\{{(?!\s*\}}){_braced(3)}\}}.*",
    "think-answer": rf"\s*<think>{_UNTAGGED}</think>\s*<answer>{_UNTAGGED}</answer>\s*",
}
r"""Formats by name: a complete `\boxed{...}` that is not empty, anywhere; and
`<think>...</think><answer>...</answer>` and nothing else (DeepSeek-AI, 2025)."""


class FormatReward:
    r"""1 where the agent's last message has a format, else 0.

    Args:
        form: the name of one of the `FORMATS`, or a regular expression that must match the whole
            message; its dot matches line breaks too. An expression that is a name is written in
            brackets: `(boxed)`.

    Example:
        >>> said = [Transcript.from_strings("1+1=", text) for text in ("\\boxed{2}", "2")]
        >>> FormatReward().score(said).outcome
        array([1., 0.])
        >>> FormatReward("[0-9]+").score(said).outcome
        array([0., 1.])
    """

    level = RewardLevel.OUTCOME
    is_causal = True

    def __init__(self, form: str = "boxed") -> None:
        """Compile the expression."""
        self.form = form
        self._matches = compiled(_expression(form), re.DOTALL).fullmatch

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """Match the messages."""
        matches = self._matches
        found = [matches(t.completion_text) is not None for t in transcripts]
        outcome = np.array(found, np.float64)
        return RewardBatch(outcome, parts={"format": outcome})


class PatternReward:
    """How often a regular expression is found in the agent's last message, up to a cap.

    Args:
        pattern: the expression; matches do not overlap.
        cap: the most that is paid, so that a text cannot be filled with matches for ever.

    Example:
        >>> said = Transcript.from_strings("Think.", "wait, no. wait!")
        >>> PatternReward("wait").score([said]).outcome
        array([2.])
    """

    level = RewardLevel.OUTCOME
    is_causal = True

    def __init__(self, pattern: str, cap: int = 10) -> None:
        """Compile the expression."""
        if cap < 1:
            raise LmgymError(f"cap={cap} pays nothing; give the most that is paid, 1 or more")
        self.pattern, self.cap = pattern, cap
        self._finds = compiled(pattern).findall

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """Count in the messages."""
        finds, cap = self._finds, self.cap
        counts = [min(cap, len(finds(t.completion_text))) for t in transcripts]
        outcome = np.array(counts, np.float64)
        return RewardBatch(outcome, parts={"pattern": outcome})


def _expression(form: str) -> str:
    """The expression of a format; a word that looks like a name is refused."""
    is_plain = re.fullmatch(r"[\w\s-]+", form) is not None
    if form not in FORMATS and is_plain and get_close_matches(form.lower(), FORMATS, cutoff=0.7):
        raise unknown("format", form, FORMATS, f"for an expression write ({form})")
    return FORMATS.get(form, form)


def compiled(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """The compiled expression, or an error that shows where it breaks."""
    try:
        return re.compile(pattern, flags)
    except re.error as error:
        raise LmgymError(
            f"{pattern!r} is no regular expression: {error}; mend it, and put a backslash before"
            " characters that stand for themselves"
        ) from None
