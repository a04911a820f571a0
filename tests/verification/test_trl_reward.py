"""Rewards in the form that TRL's trainer calls."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmgym import verification
from lmgym.errors import LmgymError
from lmgym.verification.trl_reward import format_reward, text_of, trl_reward, weighted
from lmgym.verification.verifier import Policy, Verdict, verify_batch

BOXED, PLAIN, WRONG = r"So \boxed{\frac{1}{2}}", "The answer is 0.5.", r"\boxed{3}"
KINDS = (r"\boxed{7}", "The answer is 7.", r"\boxed{8}", "The answer is 8.", "", r"\boxed{}")
"""Answers to a gold of 7: the first two are right."""


def spoken(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def test_right_answers_earn_one_and_others_nothing() -> None:
    assert trl_reward([BOXED, PLAIN, WRONG, ""], gold=["1/2"] * 4) == [1.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("name", ["gold", "answer", "solution"])
def test_golds_are_found_by_name(name: str) -> None:
    assert trl_reward([BOXED], **{name: ["0.5"]}) == [1.0]


def test_a_final_answer_goes_before_a_worked_solution() -> None:
    columns = {"solution": ["We halve 1, and then double it."], "answer": ["1/2"]}
    assert trl_reward([BOXED], **columns) == [1.0]


def test_a_worked_solution_is_read_by_its_box() -> None:
    assert trl_reward([BOXED, WRONG], solution=[r"First 3, then \boxed{0.5}."] * 2) == [1.0, 0.0]


def test_it_is_called_as_a_trainer_calls_it() -> None:
    rewards = trl_reward(
        prompts=["1/2?"],
        completions=[spoken(BOXED)],
        completion_ids=[[1, 2]],
        answer=["1/2"],
        trainer_state=object(),
        log_extra=lambda name, values: None,
        log_metric=lambda name, value: None,
    )
    assert rewards == [1.0]
    assert trl_reward.__name__ == "trl_reward"


def test_golds_may_be_numbers() -> None:
    assert trl_reward(["5", "2.50"], gold=[5, 2.5]) == [1.0, 1.0]


def test_a_batch_of_nothing_earns_nothing() -> None:
    assert trl_reward([], gold=[]) == []


@pytest.mark.parametrize(
    ("completion", "text"),
    [
        ("5", "5"),
        (spoken("5"), "5"),
        ([{"content": "5"}], "5"),
        ([*spoken("4"), {"role": "tool", "content": "9"}, *spoken("5")], "5"),
        ([*spoken("5"), {"role": "tool", "content": "5"}], ""),
        ([{"role": "assistant", "content": None, "tool_calls": []}], ""),
        ([{"role": "assistant", "content": [{"type": "text", "text": "5"}]}], "5"),
        ([], ""),
    ],
)
def test_the_last_message_counts_if_it_is_the_assistants(completion: Any, text: str) -> None:
    assert text_of(completion) == text


@pytest.mark.parametrize("completion", [None, 5, ["5"], {"content": "5"}])
def test_what_is_neither_text_nor_messages_is_an_error(completion: Any) -> None:
    with pytest.raises(LmgymError, match="give a text, or a list of messages"):
        trl_reward([completion], gold=["5"])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "no column of gold answers; given no column; the data set needs one of gold, answer"),
        ({"target": ["5"], "trainer_state": None}, "given target; the data set needs"),
        ({"gold": ["5", "6"]}, "gold is 2 long; it needs one gold answer for each of 1"),
        ({"gold": "5"}, "gold is 1 long"),
        ({"gold": 5}, "gold is no list"),
        ({"gold": [None]}, r"gold\[0\] is None; a gold answer is a text or a number"),
        ({"gold": [True]}, r"gold\[0\] is True"),
        ({"answer": [" "]}, r"answer\[0\]: the gold answer ' ' is empty"),
        ({"solution": ["we add the numbers " * 20]}, "is a text of 80 words"),
    ],
)
def test_a_gold_that_cannot_be_read_is_never_a_silent_zero(
    columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(LmgymError, match=message):
        trl_reward(["5"], **columns)


def test_form_is_a_box_with_something_in_it_outside_of_thoughts() -> None:
    texts = [
        r"\boxed{5}",
        "5",
        r"\boxed{}",
        r"\boxed{ }",
        r"\boxed{5",
        r"<think>\boxed{5}</think>5",
    ]
    assert format_reward(texts) == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]


@given(
    accuracy=st.floats(0.01, 100),
    share=st.floats(0, 0.999),
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=8),
)
def test_every_right_answer_earns_more_than_any_wrong_one(
    accuracy: float, share: float, kinds: list[str]
) -> None:
    earned = weighted(accuracy=accuracy, format=accuracy * share)(kinds, gold=["7"] * len(kinds))
    right = [r for kind, r in zip(kinds, earned, strict=True) if kind in KINDS[:2]]
    wrong = [r for kind, r in zip(kinds, earned, strict=True) if kind not in KINDS[:2]]
    assert min(right, default=accuracy) > max(wrong, default=0.0)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"accuracy": 1.0, "format": 1.0}, "format=1.0 must be less than accuracy=1.0"),
        ({"accuracy": 0.5, "format": 2.0}, "format=2.0 must be less than accuracy=0.5"),
        ({"format": -0.1}, "format=-0.1 is out of range"),
        ({"format": float("nan")}, "format=nan is out of range"),
        ({"format": float("inf")}, "must be less"),
        ({"accuracy": 0.0, "format": 0.0}, "accuracy=0.0 is out of range"),
        ({"accuracy": float("inf")}, "accuracy=inf is out of range"),
        ({"accuracy": float("nan")}, "accuracy=nan is out of range"),
    ],
)
def test_weights_under_which_form_could_win_are_refused(
    weights: dict[str, Any], message: str
) -> None:
    with pytest.raises(LmgymError, match=message):
        weighted(**weights)


def test_the_parts_are_logged_where_the_trainer_takes_them() -> None:
    logged: dict[str, float] = {}
    weighted(format=0.5)(KINDS[:4], gold=["7"] * 4, log_metric=logged.__setitem__)
    assert logged == {"reward_parts/accuracy": 0.5, "reward_parts/format": 0.5}


def test_a_policy_is_handed_on() -> None:
    near = weighted(format=0.0, policy=Policy(tolerance=0.01))
    assert near(["5.02", "5.2"], gold=["5", "5"]) == [1.0, 0.0]


def test_a_judge_of_ones_own_is_asked_once_for_the_whole_batch() -> None:
    asked: list[int] = []

    def judge(responses: Sequence[str], golds: Sequence[str]) -> list[Verdict]:
        asked.append(len(responses))
        return verify_batch(responses, golds)

    assert weighted(format=0.25, judge=judge)([PLAIN, WRONG], gold=["0.5"] * 2) == [1.0, 0.25]
    assert asked == [2]


def test_a_policy_that_would_go_unheard_is_an_error() -> None:
    with pytest.raises(LmgymError, match="a judge has its own policy"):
        weighted(policy=Policy(tolerance=0.1), judge=verify_batch)


def test_it_is_exported_and_loads_nothing_heavy() -> None:
    assert verification.trl_reward is trl_reward
    code = (
        "import sys; from lmgym.verification import trl_reward;"
        " print(trl_reward(['5'], gold=['5']));"
        " print(*sorted({'torch', 'transformers', 'sympy', 'trl', 'mpmath'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[1.0]", ""]
