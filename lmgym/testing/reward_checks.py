"""Checks of what is paid: the same in every view, and graded by the world alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from lmgym.rewards.source import RewardBatch, RewardLevel
from lmgym.testing.case import Case, view_of
from lmgym.transcript import Transcript

__all__ = ["ProbeReward", "check_gold_rewards", "check_payments"]

_SEEDS = range(4)


class ProbeReward:
    """Pays units and outcomes numbers that follow from the ids up to them; sums of them are exact.

    Args:
        level: of the units.
        misses: leave one transcript in so many unscored; 0 scores all.

    Attributes:
        batches: how many transcripts each call was given.

    Example:
        >>> said = Transcript.from_strings("1+1=", "2")
        >>> ProbeReward(RewardLevel.OUTCOME).score([said]).outcome.shape
        (1,)
    """

    is_causal = True

    def __init__(self, level: RewardLevel, *, misses: int = 0) -> None:
        """Nothing was asked yet."""
        self.level = level
        self.batches: list[int] = []
        self._misses = misses

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """Numbers in eighths, from 0 to 15."""
        self.batches.append(len(transcripts))
        outcome = np.array([_number(repr(t.messages)) for t in transcripts])
        dense = None
        if self.level is not RewardLevel.OUTCOME:
            dense = [self._units(transcript) for transcript in transcripts]
        unscored = np.zeros(len(transcripts), np.bool_)
        if self._misses:
            unscored |= [crc32(_written(t)) % self._misses == 0 for t in transcripts]
        return RewardBatch(outcome, dense, {"probe": outcome}, unscored)

    def total(self, transcript: Transcript) -> float:
        """What the whole episode is worth."""
        batch = self.score([transcript])
        outcome = float(batch.outcome[0])
        return outcome if batch.dense is None else outcome + float(batch.dense[0].sum())

    def _units(self, transcript: Transcript) -> NDArray[np.float64]:
        units = [_units_of(s.ids, s.unit_ends(self.level)) for s in transcript.segments]
        return np.concatenate([np.zeros(0), *units])


def _units_of(ids: Sequence[int], ends: Sequence[int]) -> NDArray[np.float64]:
    """A number for each end, from all ids up to it; each id is read once."""
    numbers = np.zeros(len(ends))
    start = checksum = 0
    for place, end in enumerate(ends):
        checksum = crc32(repr(ids[start:end]).encode(), checksum)
        numbers[place] = checksum % 120 / 8
        start = end
    return numbers


def _number(text: str) -> float:
    return crc32(text.encode("utf-8", "surrogatepass")) % 120 / 8


def _written(transcript: Transcript) -> bytes:
    return repr([segment.ids for segment in transcript.segments]).encode()


def check_payments(case: Case) -> None:
    """Whatever is paid on the way, turns, steps or ids, adds up to what the episode is worth."""
    for level in RewardLevel:
        source = ProbeReward(level)
        env = case.make(reward=source)
        for seed in _SEEDS:
            steps = case.play(env, seed, reseeds=True)
            n_calls = len(source.batches)
            assert n_calls < len(steps), f"{n_calls} calls for {len(steps) - 1} steps"
            paid = sum(float(step.reward) for step in steps)
            worth = source.total(view_of(env).transcript())
            assert paid == worth, f"seed {seed} is paid {paid} of {worth} at level {level!s}"
            source.batches.clear()


def check_gold_rewards(case: Case) -> None:
    """Gold rewards are finite, told at an episode's end, and the same under any reward."""
    rewards = [None, "verifier", ProbeReward(RewardLevel.TOKEN)]
    envs = [case.make(reward=reward) for reward in rewards]
    has_gold = view_of(envs[0]).episode.task.has_gold_reward
    for seed in _SEEDS:
        grades = []
        for env in envs:
            *before, last = case.play(env, seed, reseeds=True)
            assert not any("gold_reward" in step.info for step in before), "told too early"
            grades.append(last.info.get("gold_reward"))
            assert view_of(env).transcript().gold_reward == grades[-1], "not in the transcript"
        assert grades == grades[:1] * len(envs), f"seed {seed} is graded {grades}"
        is_graded = isinstance(grades[0], float) and math.isfinite(grades[0])
        assert is_graded == has_gold, f"has_gold_reward is {has_gold}, the grade {grades[0]!r}"
