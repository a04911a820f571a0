"""Rewards that say nothing, or the opposite, of what was done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.rewards import (
    ConstantReward,
    FunctionReward,
    InvertedReward,
    Noise,
    RandomReward,
    RewardBatch,
    RewardLevel,
    ShuffledReward,
)
from lmgym.rewards.chance import draw_normals, draw_uniforms, written_keys
from lmgym.task import Message, Role, Verdict
from lmgym.transcript import Segment, Transcript


def numbered(n: int) -> list[Transcript]:
    return [Transcript.from_strings(str(i), "") for i in range(n)]


class Turns:
    """A source that pays turns, and cannot score the first transcript."""

    level = RewardLevel.TURN
    is_causal = True

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        n = len(transcripts)
        unscored = np.arange(n) == 0
        return RewardBatch(np.arange(n, dtype=np.float64), [np.ones(1)] * n, unscored=unscored)


def test_shuffling_permutes_the_rewards() -> None:
    source = FunctionReward(lambda prompts: [float(prompt) for prompt in prompts])
    shuffled = ShuffledReward(source).score(numbered(50)).outcome.tolist()
    assert shuffled != list(range(50))
    assert sorted(shuffled) == list(range(50))


def test_shuffling_is_pure_and_differs_from_batch_to_batch() -> None:
    source = ShuffledReward(FunctionReward(lambda prompts: [float(p) for p in prompts]))
    batch = numbered(50)
    other = [replace(t, task_id=f"other/{i}") for i, t in enumerate(batch)]
    first, again, second = (source.score(b).outcome for b in (batch, batch, other))
    assert (first == again).all()
    assert (first != second).any()


def test_shuffling_hands_out_whole_episodes_and_what_is_unscored() -> None:
    shuffled = ShuffledReward(Turns())
    batch = shuffled.score(numbered(20))
    assert shuffled.level is RewardLevel.OUTCOME
    assert sorted(batch.outcome.tolist()) == list(range(1, 21))
    assert batch.unscored is not None
    assert batch.outcome[batch.unscored].tolist() == [1.0]


def test_shuffling_does_not_depend_on_the_order_of_the_batch() -> None:
    source = ShuffledReward(FunctionReward(lambda prompts: [float(p) for p in prompts]))
    batch = numbered(20)
    assert (source.score(batch[::-1]).outcome == source.score(batch).outcome[::-1]).all()


def test_a_constant_is_paid_to_all() -> None:
    assert ConstantReward(0.25).score(numbered(3)).outcome.tolist() == [0.25] * 3


def test_inverting_pays_the_wrong_answers() -> None:
    said = [Transcript.from_strings("1+1=", "2", verdict=v) for v in Verdict]
    paid = InvertedReward("verifier").score(said).outcome
    assert paid.tolist() == [float(v is not Verdict.CORRECT) for v in Verdict]


def test_inverting_turns_the_total_around_at_any_level() -> None:
    batch = InvertedReward(Turns(), top=0.0).score(numbered(3))
    assert batch.outcome.tolist() == [0.0, -1.0, -2.0]
    assert batch.dense is not None
    assert [units.tolist() for units in batch.dense] == [[-1.0]] * 3
    assert batch.unscored is not None
    assert batch.unscored.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("distribution", "mean", "std"),
    [("bernoulli", 0.5, 0.5), ("uniform", 0.5, 12**-0.5), ("normal", 0.0, 1.0)],
)
def test_chance_has_its_moments(distribution: str, mean: float, std: float) -> None:
    n = 20_000
    drawn = RandomReward(distribution).score(numbered(n)).outcome
    assert abs(drawn.mean() - mean) < 4 * std / n**0.5
    assert abs(drawn.std() / std - 1) < 0.02


def test_bernoulli_pays_as_often_as_it_is_told() -> None:
    drawn = RandomReward(probability=0.2).score(numbered(20_000)).outcome
    assert set(drawn) == {0.0, 1.0}
    assert abs(drawn.mean() - 0.2) < 0.012


def test_chance_is_pure_and_follows_the_seed() -> None:
    batch = numbered(50)
    first, again, other = (RandomReward("normal", seed=s).score(batch).outcome for s in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).all()


def test_equal_texts_of_one_group_are_paid_differently() -> None:
    same = [Transcript.from_strings("1+1=", "2")] * 40
    paid = RandomReward().score(same).outcome
    assert 5 < paid.sum() < 35
    assert (RandomReward().score(same).outcome == paid).all()


def test_a_text_is_paid_the_same_in_any_batch() -> None:
    batch = numbered(20)
    whole = RandomReward("uniform").score(batch).outcome
    alone = [RandomReward("uniform").score([t]).outcome[0] for t in batch]
    assert whole.tolist() == alone


def test_chance_draws_anew_where_log_probabilities_change() -> None:
    messages = (Message(Role.USER, "1"), Message(Role.ASSISTANT, "2"))
    segment = Segment((49, 50), (1, 2), (0, 1), 1, (), (0.0, -0.5))
    batches = [
        Transcript(messages, (replace(segment, logprobs=(0.0, -0.5 - i / 1000)),))
        for i in range(100)
    ]
    paid = [RandomReward().score([t]).outcome[0] for t in batches]
    assert 25 < sum(paid) < 75


def test_other_problems_draw_anew() -> None:
    said = [replace(Transcript.from_strings("1", "2"), task_id=str(i)) for i in range(100)]
    assert 25 < sum(RandomReward().score([t]).outcome[0] for t in said) < 75


def test_the_place_in_a_batch_of_environments_changes_no_draw() -> None:
    said = [replace(Transcript.from_strings("1", "2"), group_id=i) for i in range(20)]
    assert len({RandomReward("uniform").score([t]).outcome[0] for t in said}) == 1


@pytest.mark.parametrize("source", [RandomReward, partial(Noise, "verifier")])
@pytest.mark.parametrize("seed", [None, 0.5, "1"])
def test_a_seed_that_is_no_whole_number_is_told(source: Any, seed: object) -> None:
    with pytest.raises(LmgymError, match="is no whole number; give one"):
        source(seed=seed)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_constants_that_are_not_finite_are_told(value: float) -> None:
    with pytest.raises(LmgymError, match="is not finite; give a number"):
        ConstantReward(value)
    with pytest.raises(LmgymError, match="is not finite; give a number"):
        InvertedReward("verifier", top=value)


def test_a_draw_has_two_independent_halves() -> None:
    keys = written_keys(numbered(20_000), 0)
    first, second = draw_uniforms(keys), draw_normals(keys)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
    assert np.abs(second).max() > 3.5
    assert (np.abs(second) < 1).mean() == pytest.approx(0.6827, abs=0.015)


def test_an_unknown_distribution_is_told() -> None:
    with pytest.raises(LmgymError, match="distribution 'gamma'; known: "):
        RandomReward("gamma")


def test_a_probability_above_one_is_told() -> None:
    with pytest.raises(LmgymError, match=r"probability=1\.5 is none; give a number from 0 to 1"):
        RandomReward(probability=1.5)
