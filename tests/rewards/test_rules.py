"""The verifier's reward, functions as rewards, and the shuffled control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.rewards import (
    FunctionReward,
    RewardBatch,
    RewardLevel,
    ShuffledReward,
    VerifierReward,
)
from lmgym.task import Verdict
from lmgym.transcript import Transcript

TWO = [
    Transcript.from_strings(
        "1+1=", "2", gold="2", task_id="a/1", verdict=Verdict.CORRECT, columns={"level": 1}
    ),
    Transcript.from_strings("2+2=", "5", gold="4", task_id="a/2", verdict=Verdict.INCORRECT),
]


def numbered(n: int) -> list[Transcript]:
    return [Transcript.from_strings(str(i), "") for i in range(n)]


class Turns:
    """A source that pays turns, and cannot score the first transcript."""

    level = RewardLevel.TURN
    is_causal = True

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        n = len(transcripts)
        unscored = np.arange(n) == 0
        return RewardBatch(np.arange(n, dtype=np.float64), [np.ones(2)] * n, unscored=unscored)


@pytest.mark.parametrize("verdict", Verdict)
def test_the_verifier_pays_correct_episodes_only(verdict: Verdict) -> None:
    batch = VerifierReward().score([Transcript.from_strings("1+1=", "2", verdict=verdict)])
    assert batch.outcome.tolist() == [float(verdict is Verdict.CORRECT)]
    assert batch.parts["verifier"].tolist() == batch.outcome.tolist()


def test_a_function_gets_prompts_completions_and_all_columns() -> None:
    got: dict[str, Any] = {}

    def reward(prompts: list[str], completions: list[str], **columns: list[Any]) -> list[float]:
        got.update(columns, prompts=prompts, completions=completions)
        return [0.5, -1.0]

    batch = FunctionReward(reward).score(TWO)
    assert batch.outcome.tolist() == [0.5, -1.0]
    assert batch.parts["reward"].tolist() == [0.5, -1.0]
    assert got == {
        "prompts": ["1+1=", "2+2="],
        "completions": ["2", "5"],
        "gold": ["2", "4"],
        "task_id": ["a/1", "a/2"],
        "verdict": [Verdict.CORRECT, Verdict.INCORRECT],
        "level": [1, None],
    }


def test_a_function_gets_the_columns_it_names() -> None:
    def exact(completions: list[str], gold: list[str], scale: float = 2.0) -> list[float]:
        return [scale * (c == g) for c, g in zip(completions, gold, strict=True)]

    assert FunctionReward(exact).score(TWO).outcome.tolist() == [2.0, 0.0]


def test_a_column_that_no_world_has_is_told() -> None:
    def reward(completions: list[str], golds: list[str]) -> list[float]:
        raise AssertionError(golds)

    with pytest.raises(LmgymError, match=r"column .*'reward' 'golds'; known: gold, "):
        FunctionReward(reward).score(TWO)


def test_none_is_unscored() -> None:
    batch = FunctionReward(lambda prompts, completions: [None, 1.0]).score(TWO)
    assert batch.unscored is not None
    assert batch.unscored.tolist() == [True, False]
    assert batch.outcome.tolist() == [0.0, 1.0]


def test_a_wrong_number_of_rewards_is_told() -> None:
    with pytest.raises(LmgymError, match="returned 1 rewards for 2 completions; it must return"):
        FunctionReward(lambda prompts, completions: [1.0]).score(TWO)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_reward_that_is_not_finite_is_told_with_its_completion(value: float) -> None:
    with pytest.raises(LmgymError, match=rf"returned {value} for '5'; return a finite number"):
        FunctionReward(lambda prompts, completions: [0.0, value]).score(TWO)


def test_an_error_of_a_function_is_not_swallowed() -> None:
    def broken(**columns: Any) -> list[float]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        FunctionReward(broken).score(TWO)


def test_a_callable_object_is_named_by_its_class() -> None:
    class Constant:
        def __call__(self, prompts: list[str]) -> list[float]:
            return [1.0] * len(prompts)

    assert list(FunctionReward(Constant()).score(TWO).parts) == ["Constant"]


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
    assert sorted(batch.outcome.tolist()) == list(range(2, 22))
    assert batch.unscored is not None
    assert batch.outcome[batch.unscored].tolist() == [2.0]


@pytest.mark.parametrize("junk", [1.0, None, [[1.0], [1.0]], {0: 1.0, 1: 1.0}, ["1", "2"], "ab"])
def test_junk_is_named(junk: Any) -> None:
    def strange(prompts: list[str]) -> Any:
        return junk

    with pytest.raises(LmgymError, match=r"'strange' returned .*; it must return a list"):
        FunctionReward(strange).score(TWO)


def test_an_array_will_do() -> None:
    def array(prompts: list[str]) -> Any:
        return np.array([0.25, 0.5])

    source = FunctionReward(array)
    assert source.score(TWO).outcome.tolist() == [0.25, 0.5]
