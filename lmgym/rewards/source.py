"""What a reward source is: transcripts in, rewards out, in one batch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from lmgym.task import Verdict
from lmgym.transcript import Transcript

__all__ = ["Reward", "RewardBatch", "RewardLevel", "RewardSource", "VerdictSource"]


class RewardLevel(StrEnum):
    """What a reward is given for."""

    OUTCOME = "outcome"
    """One number for a finished episode."""
    TURN = "turn"
    """One number for each finished message of the agent."""
    STEP = "step"
    """One number for each finished line of the agent's messages; a message's end closes one too."""
    TOKEN = "token"
    """One number for each id that the agent drew."""


@dataclass(frozen=True, slots=True)
class RewardBatch:
    """Rewards of n transcripts: an episode is paid its outcome, and its dense rewards' sum.

    Attributes:
        outcome: one number a transcript, paid at the episode's end, shape (n,).
        dense: for sources of level turn, step and token, one array a transcript, with one number
            for each turn, step or drawn id that is finished (`Transcript.n_units`). None: zeros.
        parts: named parts of the outcome, each of shape (n,).
        unscored: True where no reward could be given, or none for one of the units, shape (n,):
            left out of baselines and losses, never counted as zero, whatever stands in `outcome`.
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
        is_causal: whether it can be paid while the episode runs: what it gives for a finished unit
            depends on nothing later and on no other transcript. The others rewrite complete
            batches of episodes in a rollout.
    """

    level: RewardLevel
    is_causal: bool

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """The rewards of the transcripts; errors are raised, never turned into a reward."""
        ...


@runtime_checkable
class VerdictSource(RewardSource, Protocol):
    """An outcome reward that follows from the verdict alone, so that no transcript is needed."""

    def score_verdicts(self, verdicts: Sequence[Verdict | None]) -> RewardBatch:
        """The rewards of episodes that ended so."""
        ...


Rewards = Sequence[float | None]
"""What a function pays: one number for each completion, None where it cannot say."""

Reward = str | RewardSource | Callable[..., Rewards | Awaitable[Rewards | float | None]] | None
"""What `reward=` takes: a registered name or a sum of them, a source, a function of prompts and
completions, a coroutine function, or None for the MDP without a reward."""
