"""Rewards by rule: the world's verdict, its gold reward, and any function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lmgym.errors import LmgymError, unknown
from lmgym.rewards.source import RewardBatch, RewardLevel
from lmgym.task import Verdict
from lmgym.transcript import Transcript

__all__ = ["FunctionReward", "GoldReward", "VerifierReward"]


class VerifierReward:
    """1 for an episode that its world judges correct, else 0.

    Where the world judges nothing, as in environments that are not ours, that is always 0.

    Example:
        >>> right = Transcript.from_strings("1+1=", "2", verdict=Verdict.CORRECT)
        >>> VerifierReward().score([right]).outcome
        array([1.])
    """

    level = RewardLevel.OUTCOME
    is_causal = True

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """Read the verdicts."""
        return self.score_verdicts([transcript.verdict for transcript in transcripts])

    def score_verdicts(self, verdicts: Sequence[Verdict | None]) -> RewardBatch:
        """The rewards of episodes that ended so."""
        outcome = np.array([verdict is Verdict.CORRECT for verdict in verdicts], np.float64)
        return RewardBatch(outcome, parts={"verifier": outcome})


class GoldReward:
    """The graded ground truth that the world itself knows.

    Where a learned reward is what is optimised, it is the reward that was meant.

    Example:
        >>> GoldReward().score([Transcript.from_strings("1+1=", "2", gold_reward=0.75)]).outcome
        array([0.75])
    """

    level = RewardLevel.OUTCOME
    is_causal = True

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """Read the gold rewards.

        Raises:
            LmgymError: for a transcript without one.
        """
        outcome = np.array([_gold_reward(t) for t in transcripts], np.float64)
        return RewardBatch(outcome, parts={"gold": outcome})


def _gold_reward(transcript: Transcript) -> float:
    if transcript.gold_reward is None:
        raise LmgymError(
            f"the transcript of {transcript.task_id or transcript.prompt_text!r} has no gold"
            " reward; 'gold' needs a world that grades its finished episodes (has_gold_reward);"
            " 'verifier' pays what others judge correct"
        )
    return transcript.gold_reward


class FunctionReward:
    """A function `f(prompts, completions, **columns) -> list[float]` as a source.

    Prompts and completions are strings, the completion the agent's last message; the columns are
    `gold`, `task_id`, `verdict` and what the world says of its problems under other names
    (`answer`, `question`). A function that names its columns gets those; one with `**kwargs` gets
    all. None instead of a number leaves an episode unscored.

    Example:
        >>> short = FunctionReward(lambda prompts, completions: [-len(c) for c in completions])
        >>> short.score([Transcript.from_strings("1+1=", "2")]).outcome
        array([-1.])
    """

    level = RewardLevel.OUTCOME
    is_causal = True

    def __init__(self, function: Callable[..., Sequence[float | None]]) -> None:
        """Find out which columns the function takes."""
        self._function = function
        self.name = getattr(function, "__name__", type(function).__name__)
        parameters = inspect.signature(function).parameters.values()
        named = [p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
        if any(p.kind is p.POSITIONAL_ONLY for p in named):
            raise LmgymError(
                f"the reward function {self.name!r} takes arguments by place only; it is called by"
                " name, as f(prompts=..., completions=..., **columns)"
            )
        self._takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
        self._taken = [p.name for p in named]
        self._needed = [p.name for p in named if p.default is p.empty]

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """Call the function once."""
        completions = [t.completion_text for t in transcripts]
        returned = self._function(**self._arguments(transcripts, completions))
        rewards = _listed(returned, self.name)
        if len(rewards) != len(transcripts):
            raise LmgymError(
                f"the reward function {self.name!r} returned {len(rewards)} rewards for"
                f" {len(transcripts)} completions; it must return one for each"
            )
        outcome = np.array([0.0 if r is None else float(r) for r in rewards], np.float64)
        unscored = np.array([r is None for r in rewards], np.bool_)
        if not np.isfinite(outcome).all():
            worst = int(np.flatnonzero(~np.isfinite(outcome))[0])
            raise LmgymError(
                f"the reward function {self.name!r} returned {rewards[worst]} for"
                f" {completions[worst][:60]!r}; return a finite number, or None for no reward"
            )
        return RewardBatch(outcome, parts={self.name: outcome}, unscored=unscored)

    def _arguments(
        self, transcripts: Sequence[Transcript], completions: list[str]
    ) -> dict[str, list[Any]]:
        columns = _columns(transcripts)
        columns |= {"prompts": [t.prompt_text for t in transcripts], "completions": completions}
        for name in self._needed:
            if name not in columns:
                raise unknown(f"column of the reward function {self.name!r}", name, columns)
        names = columns if self._takes_all else [n for n in self._taken if n in columns]
        return {name: columns[name] for name in names}


def _listed(returned: Any, name: str) -> list[float | None]:
    """The rewards a function returned, where they are a sequence of numbers and Nones."""
    if hasattr(returned, "tolist"):  # numpy and torch
        returned = returned.tolist()
    if not isinstance(returned, (list, tuple)) or not all(
        reward is None or hasattr(reward, "__float__") for reward in returned
    ):
        raise LmgymError(
            f"the reward function {name!r} returned {returned!r:.80}; it must return a list with"
            " one number, or None, for each completion"
        )
    return list(returned)


def _columns(transcripts: Sequence[Transcript]) -> dict[str, list[Any]]:
    names = {name for t in transcripts for name in t.columns}
    columns = {name: [t.columns.get(name) for t in transcripts] for name in names}
    return columns | {
        "gold": [t.gold for t in transcripts],
        "task_id": [t.task_id for t in transcripts],
        "verdict": [t.verdict for t in transcripts],
    }
