"""When rewards are paid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.registry import LEVELS
from lmgym.rewards import (
    RewardBatch,
    RewardLevel,
    RewardSchedule,
    RewardSource,
    VerifierReward,
)
from lmgym.task import Verdict
from lmgym.transcript import Transcript

RUNNING = Transcript.from_strings("?", "1")
OVER = Transcript.from_strings("?", "1", verdict=Verdict.CORRECT)


class Counting:
    """Pays an outcome of 10; at level turn also the number of each turn. Keeps its batches."""

    is_causal = True

    def __init__(self, level: RewardLevel) -> None:
        self.level = level
        self.batches: list[int] = []

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        n = len(transcripts)
        self.batches.append(n)
        n_turns = [len(t.segments[0].turns) if t.segments else 1 for t in transcripts]
        turns = [np.arange(1.0, 1 + count) for count in n_turns]
        is_dense = self.level is RewardLevel.TURN
        return RewardBatch(np.full(n, 10.0), turns if is_dense else None, {"ten": np.full(n, 10.0)})


class Given:
    """Returns one batch."""

    level = RewardLevel.OUTCOME
    is_causal = True

    def __init__(self, **batch: Any) -> None:
        self.batch = RewardBatch(**batch)

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        return self.batch


def test_an_outcome_is_paid_where_the_episode_is_over() -> None:
    source = Counting(RewardLevel.OUTCOME)
    payments = RewardSchedule(source).pay([RUNNING, OVER, RUNNING, OVER])
    assert [payment.reward for payment in payments] == [0.0, 10.0, 0.0, 10.0]
    assert [payment.parts for payment in payments] == [{}, {"ten": 10.0}, {}, {"ten": 10.0}]


def test_a_batch_is_scored_in_one_call() -> None:
    source = Counting(RewardLevel.OUTCOME)
    schedule = RewardSchedule(source)
    schedule.pay([OVER] * 5 + [RUNNING])
    schedule.pay([RUNNING])
    assert source.batches == [5]


def test_turns_are_paid_at_each_turns_end_and_the_outcome_at_the_last() -> None:
    payments = RewardSchedule(Counting(RewardLevel.TURN)).pay([RUNNING, OVER])
    assert [payment.reward for payment in payments] == [1.0, 11.0]


def test_parts_of_the_outcome_are_told_with_it() -> None:
    first, last = RewardSchedule(Counting(RewardLevel.TURN)).pay([RUNNING, OVER])
    assert (first.parts, last.parts) == ({}, {"ten": 10.0})


def test_nothing_is_paid_without_a_source() -> None:
    assert RewardSchedule(None).pay([OVER])[0].reward == 0.0


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("kind", "paid"),
    [(RewardLevel.OUTCOME, [0.0, 0.0, 10.0]), (RewardLevel.TURN, [1.0, 2.0, 13.0])],
)
def test_every_level_pays_alike(level: str, kind: RewardLevel, paid: list[float]) -> None:
    env = gym.make("lmgym/GuessNumber-v0", level=level, reward=Counting(kind))
    env.reset(options={"task_id": "guess/37"})
    for text, expected in zip(("50", "25", "37"), paid, strict=True):
        actions: list[Any] = [*text.encode(), 257]
        if level == "chunk":
            actions = [[*actions, 262]]
        steps = [env.step(action) for action in ([text] if level == "message" else actions)]
        *before, last = [step[1] for step in steps]
        assert last == expected
        assert not any(before)


def test_unscored_pays_nothing_whatever_stands_in_the_outcome() -> None:
    nan = np.array([np.nan, 1.0])
    source = Given(outcome=nan, parts={"x": nan}, unscored=np.array([True, False]))
    unscored, scored = RewardSchedule(source).pay([OVER, OVER])
    assert (unscored.reward, unscored.parts, unscored.is_scored) == (0.0, {}, False)
    assert (scored.reward, scored.parts, scored.is_scored) == (1.0, {"x": 1.0}, True)


def test_a_source_that_is_not_finite_is_refused() -> None:
    with pytest.raises(LmgymError, match="returned inf, which is not finite; mark what it"):
        RewardSchedule(Given(outcome=np.array([np.inf]))).pay([OVER])


@pytest.mark.parametrize("shape", [(), (1,), (2, 1)])
def test_a_source_of_another_size_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(LmgymError, match=r"outcomes of shape .* for 2 transcripts; it must return"):
        RewardSchedule(Given(outcome=np.zeros(shape))).pay([OVER, OVER])


class Stingy(VerifierReward):
    """Pays half of what the verifier pays, by a scoring of its own."""

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        return RewardBatch(super().score(transcripts).outcome / 2)


def replaced() -> RewardSource:
    """A verifier whose scoring was replaced in one object."""
    source = VerifierReward()
    source.score = Stingy().score  # type: ignore[method-assign]
    return source


@pytest.mark.parametrize(
    ("source", "paid"), [(VerifierReward(), 1.0), (Stingy(), 0.5), (replaced(), 0.5)]
)
def test_batches_pay_what_a_subclass_scores(source: RewardSource, paid: float) -> None:
    verdicts = [Verdict.CORRECT, None, Verdict.UNFINISHED]
    ended = [Transcript.from_strings("1+1=", "2", verdict=verdict) for verdict in verdicts]
    payments = RewardSchedule(source).pay_rows(verdicts, lambda due: [ended[i] for i in due])
    assert [payment.reward for payment in payments] == [paid, 0.0, 0.0]
