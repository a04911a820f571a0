"""What a reward source is: transcripts in, rewards out, in one batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError, unknown
from lmgym.registry import REWARDS, load
from lmgym.transcript import Transcript

__all__ = ["Reward", "RewardBatch", "RewardLevel", "RewardSource", "make_source"]


class RewardLevel(StrEnum):
    """What a reward is given for."""

    OUTCOME = "outcome"
    """One number for a finished episode."""
    TURN = "turn"
    """One number for each finished message of the agent."""


@dataclass(frozen=True, slots=True)
class RewardBatch:
    """Rewards of n transcripts.

    Attributes:
        outcome: one number a transcript, shape (n,).
        dense: for sources of level turn, the rewards of the turns so far, one array a transcript.
        parts: named parts of the outcome, each of shape (n,).
        unscored: True where no reward could be given, shape (n,): left out of baselines and
            losses, never counted as zero, whatever stands in `outcome`.
        std: how uncertain the source is, shape (n,), where it knows.
    """

    outcome: NDArray[np.float64]
    dense: Sequence[NDArray[np.float64]] | None = None
    parts: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    unscored: NDArray[np.bool_] | None = None
    std: NDArray[np.float64] | None = None


@runtime_checkable
class RewardSource(Protocol):
    """Scores transcripts, purely and in a batch.

    Attributes:
        level: what a reward is given for.
        is_causal: whether it can be paid while the episode runs; the others rewrite complete
            episodes in a rollout.
    """

    level: RewardLevel
    is_causal: bool

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """The rewards of the transcripts; errors are raised, never turned into a reward."""
        ...


Reward = str | RewardSource | Callable[..., Sequence[float | None]] | None
"""What `reward=` takes: a registered name, a source, a function of prompts and completions, or
None for the MDP without a reward."""


def make_source(reward: Reward) -> RewardSource | None:
    """The source that `reward` stands for.

    Example:
        >>> make_source("verifier").level
        <RewardLevel.OUTCOME: 'outcome'>
    """
    if reward is None or reward == "none":
        return None
    if isinstance(reward, str):
        if reward not in REWARDS:
            raise unknown("reward", reward, [*REWARDS, "none"], "or a function or RewardSource")
        source: Any = load(REWARDS[reward])()
        return _checked(source)
    if isinstance(reward, type):
        raise LmgymError(f"reward={reward.__name__} is a class; pass an instance of it")
    if isinstance(reward, RewardSource):
        return reward
    if callable(reward):
        from lmgym.rewards.rules import FunctionReward

        return FunctionReward(reward)
    raise LmgymError(
        f"reward={reward!r} is no reward; allowed are a name ({', '.join(REWARDS)}, none), a"
        " function f(prompts, completions, **columns) -> list[float], a RewardSource, or None"
    )


def _checked(source: Any) -> RewardSource:
    assert isinstance(source, RewardSource)
    return source
