"""The check of reward sources finds what is broken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lmgym.rewards import Gate, RandomReward, RewardBatch, RewardLevel, VerifierReward, check_reward
from lmgym.task import Verdict
from lmgym.transcript import Transcript

SAID = [Transcript.from_strings("?", t, verdict=Verdict.ENDED) for t in ("a", "b\nc", "d\ne\nf")]
Scoring = Callable[[Sequence[Transcript]], RewardBatch]


class Made:
    """A source with a scoring of its own."""

    def __init__(self, scoring: Scoring, level: Any, is_causal: Any = True) -> None:
        self.level, self.is_causal, self.scoring = level, is_causal, scoring

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        return self.scoring(transcripts)


def outcomes(**facts: Any) -> Scoring:
    """Lengths, with something else besides."""

    def score(transcripts: Sequence[Transcript]) -> RewardBatch:
        lengths = np.array([len(t.completion_text) for t in transcripts], np.float64)
        made = {name: fact(len(transcripts)) for name, fact in facts.items()}
        return replace(RewardBatch(lengths), **made)

    return score


def steps(units: Callable[[Transcript], list[float]]) -> Scoring:
    def score(transcripts: Sequence[Transcript]) -> RewardBatch:
        dense = [np.array(units(t), np.float64) for t in transcripts]
        return RewardBatch(np.zeros(len(transcripts)), dense)

    return score


def n_steps(transcript: Transcript) -> int:
    return transcript.n_units("step")


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"outcome": lambda n: np.zeros((n, 1))}, r"outcome has the shape \(3, 1\) for 3 trans"),
        ({"outcome": lambda n: np.full(n, np.nan)}, "outcome is .*nan.*, which is not finite"),
        ({"std": lambda n: np.zeros(n + 1)}, r"std has the shape \(4,\)"),
        ({"std": lambda n: np.full(n, -1.0)}, "std is .*, below 0"),
        ({"unscored": lambda n: np.zeros(1, np.bool_)}, "unscored has the shape"),
        ({"unscored": lambda n: np.zeros(n)}, "unscored holds float64, not booleans"),
        ({"parts": lambda n: {"a": np.zeros(9)}}, r"parts\['a'\] has the shape \(9,\)"),
        ({"parts": lambda n: {"a": np.full(n, np.inf)}}, r"parts\['a'\] is .*not finite"),
        ({"dense": lambda n: [np.zeros(1)] * n}, "level outcome returned dense rewards"),
        (
            {"parts": lambda n: {"a": np.full(n, float(n))}},
            r"alone, .* otherwise: parts\['a",
        ),
        ({"outcome": lambda n: np.full(n, float(n))}, "alone, transcript 0 is paid otherwise"),
        ({"outcome": lambda n: np.arange(float(n))}, "in another order, the batch is paid other"),
    ],
)
def test_a_broken_outcome_is_named(facts: dict[str, Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_reward(Made(outcomes(**facts), RewardLevel.OUTCOME), SAID)


@pytest.mark.parametrize(
    ("scoring", "message"),
    [
        (steps(lambda t: [0.0]), r"dense\[1\] has the shape \(1,\); the transcript has 2 finished"),
        (steps(lambda t: [np.inf] * n_steps(t)), r"dense\[0\] is \[inf\], not finite"),
        (steps(lambda t: [float(n_steps(t))] * n_steps(t)), "unit by unit it paid transcript 1"),
        (outcomes(dense=lambda n: []), "dense has 0 arrays for 3 transcripts"),
    ],
)
def test_broken_dense_rewards_are_named(scoring: Scoring, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_reward(Made(scoring, RewardLevel.STEP), SAID)


def test_chance_that_is_not_pure_is_named() -> None:
    rng = np.random.default_rng(0)
    source = Made(outcomes(outcome=rng.random), RewardLevel.OUTCOME)
    with pytest.raises(AssertionError, match="scored once more, the same batch is paid otherwise"):
        check_reward(source, SAID)


def test_sources_that_are_none_are_named() -> None:
    with pytest.raises(AssertionError, match="int needs level, is_causal and score"):
        check_reward(3, SAID)  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match=r"Made.level is 'outcome', no RewardLevel"):
        check_reward(Made(outcomes(), "outcome"), SAID)
    with pytest.raises(AssertionError, match=r"Made.is_causal is 1, no bool"):
        check_reward(Made(outcomes(), RewardLevel.OUTCOME, 1), SAID)


def test_names_and_functions_are_read() -> None:
    check_reward("verifier + 0.1*length:characters", SAID)
    check_reward(lambda prompts, completions: [1.0 for _ in completions], SAID)
    with pytest.raises(AssertionError, match="FunctionReward: alone, transcript 0"):
        check_reward(lambda completions: [float(len(completions))] * len(completions), SAID)


def test_parts_that_are_left_out_are_zeros() -> None:
    check_reward(Gate("format:[abc]", "verifier"), SAID)


def test_one_transcript_is_too_few() -> None:
    with pytest.raises(AssertionError, match="at least two transcripts that differ"):
        check_reward(VerifierReward(), SAID[:1] * 3)


def test_what_is_right_passes() -> None:
    check_reward(Made(outcomes(), RewardLevel.OUTCOME), SAID)
    check_reward(Made(outcomes(), RewardLevel.STEP), SAID)  # pays outcomes only
    check_reward(Made(steps(lambda t: list(map(float, range(n_steps(t))))), RewardLevel.STEP), SAID)


def test_equal_transcripts_may_be_told_apart() -> None:
    check_reward(RandomReward(), SAID * 3)


def test_sources_that_need_the_batch_may_depend_on_it() -> None:
    def ranks(transcripts: Sequence[Transcript]) -> RewardBatch:
        lengths = np.array([len(t.completion_text) for t in transcripts])
        return RewardBatch(lengths.argsort().argsort().astype(np.float64))

    check_reward(Made(ranks, RewardLevel.OUTCOME, is_causal=False), SAID)


def test_what_is_unscored_is_not_compared() -> None:
    rng = np.random.default_rng(0)
    facts = {"outcome": rng.random, "unscored": lambda n: np.ones(n, np.bool_)}
    check_reward(Made(outcomes(**facts), RewardLevel.OUTCOME), SAID)
