"""The world with a calculator."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmgym.addresses import split_of
from lmgym.envs.tool_math.problems import FAMILIES, MAX_DIFFICULTY, longest, problem_at
from lmgym.errors import LmgymError
from lmgym.factory import make_episode, make_source, make_task
from lmgym.task import Role
from lmgym.testing import run_check
from lmgym.tools import FAILED
from lmgym.transcript import Transcript
from lmgym.verification.arithmetic import evaluate

WORLD = "lmgym/ToolMath-v0"
RNG = np.random.default_rng
FIRST = "multiplication/2/0/0"
"""43*38, which is 1634."""
NONE_LEFT = f"{FAILED}no calls are left; write your answer without one"


def tagged(expression: str) -> str:
    arguments = f'{{"expression": "{expression}"}}'
    return f'<tool_call>{{"name": "calculator", "arguments": {arguments}}}</tool_call>'


def talk(*said: str, **arguments: Any) -> list[str]:
    """What the world says to each message: what the tools say, or the verdict."""
    task = make_task(WORLD, **arguments)
    state = task.reset(RNG(0), task_id=FIRST).state
    answers = []
    for text in said:
        reply = task.reply(state, text, RNG(0))
        state = reply.state
        answers.append(str(reply.verdict or "|".join(m.content for m in reply.messages)))
        assert all(message.role is Role.TOOL for message in reply.messages)
    return answers


def transcript(*said: str, **arguments: Any) -> Transcript:
    """An episode of whole messages."""
    env = gym.make(WORLD, level="message", **arguments)
    env.reset(seed=0, options={"task_id": FIRST})
    for text in said:
        env.step(text)
    told: Transcript = env.get_wrapper_attr("transcript")()
    return told


@pytest.mark.parametrize(
    "call", ["=43*38", "= 43 * 38 ", tagged("43*38"), f"Hm. {tagged('43*38')}"]
)
def test_a_call_is_answered_and_the_answer_judged(call: str) -> None:
    assert talk(call, "1634") == ["1634", "correct"]
    assert talk(call, "It is 1643.") == ["1634", "incorrect"]


def test_an_answer_without_a_call_is_judged_at_once() -> None:
    assert talk("\\boxed{1634}") == ["correct"]
    assert talk("43*38") == ["incorrect"]


def test_the_agent_may_call_again() -> None:
    said = ["=43*8", "=43*30", "344+1290 is 1634"]
    assert talk(*said) == ["344", "1290", "correct"]
    assert talk("=7/3*2", "=-4")[0] == "14/3"


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("=1/0", "cannot read '1/0': it divides by zero; give an expression such as"),
        ("=", "cannot read '': a number or '(' is missing at the end; give an expression"),
        ("=43x38", "cannot read '43x38': 'x' is none of numbers"),
        ("=9**999999999", "has more than 400 digits; give an expression such as"),
        ("=9**90", "the result has 86 characters; at most 80 are shown"),
        (f"={'9' * 2000}", "the expression has 2000 characters; at most 1000 are read"),
        ("=__import__('os')", "none of numbers, + - * / % ** and parentheses"),
        ("<tool_call>43*38</tool_call>", "cannot read the call '43*38</tool_call>'"),
        ("calculator(43*38)", "to call calculator write =EXPRESSION"),
    ],
)
def test_a_call_that_fails_is_told_why_and_what_to_do(call: str, told: str) -> None:
    (answer,) = talk(call)
    assert answer.startswith(FAILED)
    assert told in answer


def test_a_call_that_fails_counts_and_can_be_made_good() -> None:
    said = talk("=1/", "=43*38", "=43*38", "1634")
    assert said[1:] == [
        "1634",
        f"{FAILED}no calls are left; write your answer without one",
        "correct",
    ]


def test_the_last_message_must_be_the_answer() -> None:
    assert transcript("=1", "=2", "1634").verdict == "correct"
    assert transcript("=1", "=2", "=3").verdict == "unfinished"
    assert transcript("=43*38", "=1", max_calls=1).verdict == "unfinished"


def test_calls_of_one_message_count_one_by_one() -> None:
    (said,) = talk(tagged("1+1") + tagged("2+2") + tagged("3+3"))
    assert said == f"2|4|{NONE_LEFT}"


def test_without_tools_the_problems_are_the_same_and_calls_are_answers() -> None:
    with_tools, without = make_task(WORLD), make_task(WORLD, tools=False)
    openings = [task.reset(RNG(3)) for task in (with_tools, without)]
    assert openings[0].task_id == openings[1].task_id
    assert openings[0].messages[0].content == openings[1].messages[0].content
    assert openings[1].messages[0].tools == ()
    assert talk("=43*38", tools=False) == ["incorrect"]
    assert talk("1634", tools=False) == ["correct"]


@pytest.mark.parametrize("call_form", ["compact", "hermes"])
@pytest.mark.parametrize("problems", FAMILIES)
@pytest.mark.parametrize("difficulty", [1, 2, MAX_DIFFICULTY])
def test_demonstrations_call_and_then_answer(
    problems: str, difficulty: int, call_form: str
) -> None:
    arguments: dict[str, Any] = {"problems": problems, "difficulty": difficulty}
    episode = make_episode(WORLD, call_form=call_form, **arguments)
    for seed in range(10):
        episode.reset(RNG(seed))
        while episode.verdict is None:
            episode.write(episode.demonstration() or [])
        assert episode.verdict == "correct"
        assert [turn.text for turn in episode.turns][1:] == [episode.opening.gold]
        assert episode.state.n_calls == 1


def test_there_is_room_for_calls_that_fail_and_for_a_demonstration_after_them() -> None:
    episode = make_episode(WORLD, max_calls=4)
    episode.reset(RNG(0))
    for said in ("=(((((((((", "=(\u4e2d", "=\u4e2d\u4e2d"):
        episode.write([*episode.renderer.encode(said), episode.renderer.end_id])
    while episode.verdict is None:
        episode.write(episode.demonstration() or [])
    assert episode.verdict == "correct"
    assert episode.state.n_failed == 3


@given(
    family=st.sampled_from(list(FAMILIES)),
    difficulty=st.integers(1, MAX_DIFFICULTY),
    index=st.integers(0, 1 << 40),
)
def test_answers_are_exact_and_fit(family: str, difficulty: int, index: int) -> None:
    problem = problem_at(family, difficulty, 0, index)
    assert evaluate(problem.expression) == Fraction(problem.answer)
    assert evaluate(problem.canonical) == Fraction(problem.answer)
    sizes = longest(family, difficulty)
    assert len(problem.expression) <= sizes[0]
    assert len(str(problem.answer)) <= sizes[1]


def test_difficulty_counts_operations() -> None:
    for difficulty in range(1, MAX_DIFFICULTY + 1):
        for family in ("sum", "expression"):
            for index in range(20):
                expression = problem_at(family, difficulty, 0, index).expression
                assert sum(expression.count(sign) for sign in "+-*/") == difficulty


def test_spellings_of_one_problem_are_in_one_split() -> None:
    splits: dict[str, str] = {}
    for index in range(3000):
        problem = problem_at("multiplication", 1, 0, index)
        product = "*".join(sorted(problem.expression.split("*")))
        split = split_of(problem.canonical)
        assert splits.setdefault(product, split) == split
    assert set(splits.values()) == {"train", "validation", "test"}


@pytest.mark.parametrize(
    "arguments",
    [
        {"problems": "sum", "difficulty": 9},
        {"problems": "expression", "difficulty": 4, "max_calls": 5},
        {"call_form": "hermes", "instruction": "\nBox it: \\boxed{}."},
        {"tools": False},
    ],
)
@pytest.mark.parametrize("check", ["gold", "levels", "budget", "garbage", "splits", "addresses"])
def test_keeps_its_promises_with_arguments(check: str, arguments: dict[str, Any]) -> None:
    run_check(check, WORLD, **arguments)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"problems": "sums"}, "unknown problems 'sums'; known: sum"),
        ({"difficulty": 10}, "difficulty 10 is out of range; allowed are 1 to 9"),
        ({"max_calls": 0}, "max_calls 0 is out of range; allowed are 1 to 20"),
        ({"problem_seed": -1}, "problem_seed -1 is out of range"),
        ({"call_form": "xml"}, "unknown call_form 'xml'; known: hermes, compact"),
    ],
)
def test_wrong_arguments_are_told(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(LmgymError, match=told):
        make_task(WORLD, **arguments)


@pytest.mark.parametrize("task_id", ["sum/2/0/0", "multiplication/2/1/0", f"{FIRST}0x", "\u0663"])
def test_other_addresses_are_told(task_id: str) -> None:
    with pytest.raises(LmgymError, match="it has the form multiplication/2/0/index"):
        make_task(WORLD).reset(RNG(0), task_id=task_id)


def test_figures_tell_how_many_episodes_called() -> None:
    task = make_task(WORLD)
    plays = [("=43*38", "1634"), ("1634",), ("=1/0", "=43*38", "1"), ("=", "2")]
    journeys = []
    for said in plays:
        states = [task.reset(RNG(0), task_id=FIRST).state]
        for text in said:
            states.append(task.reply(states[-1], text, RNG(0)).state)
        journeys.append(states)
    assert task.figures(journeys) == {"call_rate": 0.75, "failed_call_rate": 0.5}


def test_the_reward_for_tool_use_is_paid_by_turns_beside_the_verdict() -> None:
    env = gym.make(WORLD, level="message", reward="verifier + 0.1*tool-use")
    paid = []
    for said in (("=43*38", "1634"), ("=43*", "=43*38", "1634"), ("1634",), ("=1", "=1", "0")):
        env.reset(seed=0, options={"task_id": FIRST})
        paid.append([float(env.step(text)[1]) for text in said])
    assert paid == [[0.1, 1.0], [-0.1, 0.1, 1.0], [1.0], [0.1, 0.0, 0.0]]


def test_calling_again_and_again_earns_no_more_than_one_call() -> None:
    source = make_source("tool-use")
    assert source is not None
    counts = range(1, 20)
    played = [transcript(*["=1+1"] * n, "1634", max_calls=20) for n in counts]
    batch = source.score([*played, transcript("=1", "=", "=2", "=", "=3", max_calls=20)])
    assert batch.dense is not None
    assert [float(units.sum()) for units in batch.dense[:-1]] == [1.0] * len(counts)
    assert batch.dense[-1].tolist() == [1.0, -1.0, 0.0, -1.0, 0.0]


def test_a_call_that_nobody_answered_earns_nothing() -> None:
    source = make_source("tool-use")
    assert source is not None
    batch = source.score([transcript("=1", "=2", "=3"), transcript("=4" * 100)])
    assert batch.dense is not None
    assert [units.tolist() for units in batch.dense] == [[1.0, 0.0, 0.0], [0.0]]


def test_a_person_is_told_how_to_call(run_cli: Callable[..., tuple[int, str, str]]) -> None:
    command = ("play", WORLD, "--task-id", FIRST)
    code, out, _ = run_cli(*command, stdin="=43*38\n1634\n")
    assert code == 0
    assert "to call calculator write =EXPRESSION" in out
    assert "tool: 1634" in out
    assert "correct, reward 1" in out
