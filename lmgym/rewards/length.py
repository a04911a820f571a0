"""Rewards for how much was written."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError, unknown
from lmgym.rewards.source import RewardBatch, RewardLevel
from lmgym.task import Role
from lmgym.transcript import Transcript

__all__ = ["LengthReward", "length_reward"]

UNITS = ("tokens", "characters")
OPTIONS = ("unit", "target", "limit", "buffer")


class LengthReward:
    """The length of what the agent wrote in an episode, or what it is worth.

    Without more it pays the length itself, to be weighted: `"verifier - 0.001*length"`. With
    `target` it pays -|length - target|. With `limit` it is the soft overlong punishment of DAPO
    (Yu et al., 2025): 0 up to `limit - buffer`, from there falling to -1 at `limit`, and -1
    beyond.

    Args:
        unit: "tokens", the ids that the agent drew, its message ends included; or "characters"
            of its messages and its draft.
        target: the length to meet.
        limit: the longest that is not punished in full.
        buffer: over how many the punishment sets in, from 0 to `limit`.

    Example:
        >>> said = [Transcript.from_strings("?", "a" * n) for n in (5, 9, 12)]
        >>> LengthReward("characters", limit=10, buffer=4).score(said).outcome
        array([ 0.  , -0.75, -1.  ])
    """

    level = RewardLevel.OUTCOME
    is_causal = True

    def __init__(
        self,
        unit: str = "tokens",
        *,
        target: float | None = None,
        limit: float | None = None,
        buffer: float = 0.0,
    ) -> None:
        """Choose what a length is worth."""
        if unit not in UNITS:
            raise unknown("unit of length", unit, UNITS)
        _check(target, limit, buffer)
        self.unit, self.target, self.limit, self.buffer = unit, target, limit, buffer

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """Measure the transcripts."""
        length = _tokens if self.unit == "tokens" else _characters
        outcome = self._worth(np.array([length(t) for t in transcripts], np.float64))
        return RewardBatch(outcome, parts={"length": outcome})

    def _worth(self, lengths: NDArray[np.float64]) -> NDArray[np.float64]:
        """What lengths are worth, both of shape (n,)."""
        if self.target is not None:
            return -np.abs(lengths - self.target)
        if self.limit is None:
            return lengths
        room = np.clip(self.limit - lengths, 0.0, self.buffer)
        inside = room / self.buffer - 1.0 if self.buffer else np.zeros(len(lengths))
        return np.where(lengths > self.limit, -1.0, inside)


def length_reward(options: str = "") -> LengthReward:
    """A `LengthReward` from text, as "characters" or "unit=characters,limit=512,buffer=128".

    Raises:
        LmgymError: for an option that does not exist or is no number.
    """
    values: dict[str, str] = {}
    for option in filter(None, options.split(",")):
        name, equals, value = option.partition("=")
        name, value = (name.strip(), value.strip()) if equals else ("unit", option.strip())
        if name not in OPTIONS:
            raise unknown("option of the reward length", name, OPTIONS, "as length:target=20")
        if name in values:
            raise LmgymError(f"length:{options} gives {name!r} twice; give it once")
        values[name] = value
    unit = values.pop("unit", "tokens")
    return LengthReward(unit, **{name: _number(name, value) for name, value in values.items()})


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise LmgymError(f"{name}={text!r} is no number; write it as {name}=20") from None


def _tokens(transcript: Transcript) -> int:
    if not transcript.has_ids:
        raise LmgymError(
            f"the transcript of {transcript.task_id or transcript.prompt_text!r} was made from"
            " strings and has no tokens to count; use unit='characters', as 'length:characters'"
        )
    return transcript.n_tokens


def _characters(transcript: Transcript) -> int:
    said = transcript.messages[transcript.n_opening :]
    return len(transcript.draft) + sum(len(m.content) for m in said if m.role is Role.ASSISTANT)


def _check(target: float | None, limit: float | None, buffer: float) -> None:
    if target is not None and limit is not None:
        raise LmgymError(f"target={target} and limit={limit} are two rewards; give one of them")
    if target is not None and not (isfinite(target) and target >= 0):
        raise LmgymError(f"target={target} is no length; give 0 or more")
    if limit is not None and not (isfinite(limit) and 0 <= buffer <= limit):
        raise LmgymError(f"limit={limit}, buffer={buffer}: 0 <= buffer <= limit must hold")
    if limit is None and buffer:
        raise LmgymError(f"buffer={buffer} belongs to limit=; give both, or neither")
