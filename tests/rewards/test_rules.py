"""The verifier's reward, the world's gold reward, and functions as rewards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.rewards import FunctionReward, GoldReward, VerifierReward
from lmgym.task import Verdict
from lmgym.transcript import Transcript

TWO = [
    Transcript.from_strings(
        "1+1=", "2", gold="2", task_id="a/1", verdict=Verdict.CORRECT, columns={"level": 1}
    ),
    Transcript.from_strings("2+2=", "5", gold="4", task_id="a/2", verdict=Verdict.INCORRECT),
]


@pytest.mark.parametrize("verdict", Verdict)
def test_the_verifier_pays_correct_episodes_only(verdict: Verdict) -> None:
    batch = VerifierReward().score([Transcript.from_strings("1+1=", "2", verdict=verdict)])
    assert batch.outcome.tolist() == [float(verdict is Verdict.CORRECT)]
    assert batch.parts["verifier"].tolist() == batch.outcome.tolist()


def test_gold_pays_what_the_world_graded() -> None:
    graded = [replace(t, gold_reward=g) for t, g in zip(TWO, (0.25, -3.0), strict=True)]
    batch = GoldReward().score(graded)
    assert batch.outcome.tolist() == [0.25, -3.0]
    assert batch.parts["gold"].tolist() == [0.25, -3.0]


def test_a_world_without_a_gold_reward_is_named() -> None:
    with pytest.raises(LmgymError, match=r"'a/1' has no gold reward; .* 'verifier' pays"):
        GoldReward().score(TWO)


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


def test_a_worlds_columns_never_stand_for_the_verdict_and_the_answer() -> None:
    got: dict[str, Any] = {}

    def reward(completions: list[str], **columns: list[Any]) -> list[float]:
        got.update(columns)
        return [0.0] * len(completions)

    forged = {"verdict": "won", "gold": "7", "task_id": "z", "completions": "c", "level": 1}
    FunctionReward(reward).score([replace(t, columns=forged) for t in TWO])
    assert got["verdict"] == [Verdict.CORRECT, Verdict.INCORRECT]
    assert (got["gold"], got["task_id"], got["level"]) == (["2", "4"], ["a/1", "a/2"], [1, 1])


def test_a_function_that_takes_arguments_by_place_is_told() -> None:
    def reward(completions: list[str], /) -> list[float]:
        return [0.0] * len(completions)

    for function in (reward, len):
        with pytest.raises(LmgymError, match="takes arguments by place only; it is called by name"):
            FunctionReward(function)  # type: ignore[arg-type]
