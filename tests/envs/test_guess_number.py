"""The guessing world."""

from __future__ import annotations

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.task import Verdict

RNG = np.random.default_rng


def talk(secret: int, *said: str) -> list[str]:
    """What the world answers, a verdict where the episode is over."""
    task = make_task("lmgym/GuessNumber-v0")
    state = task.reset(RNG(0), task_id=f"guess/{secret}").state
    answers = []
    for text in said:
        reply = task.reply(state, text, RNG(0))
        state = reply.state
        answers.append(str(reply.verdict or reply.messages[0].content))
    return answers


def test_guesses_are_answered() -> None:
    said = ("50", "12.5", "I guess 36", "-4", "1000", "37.5", "37")
    answers = ["lower", "higher", "higher", "higher", "lower", "lower", "correct"]
    assert talk(37, *said) == answers


def test_a_message_without_a_number_is_told_and_changes_nothing() -> None:
    assert talk(37, "hm", "", "37.0") == ["write a number", "write a number", "correct"]


@pytest.mark.parametrize("high", [2, 3, 100, 1000])
def test_bisection_finds_every_number_in_time(high: int) -> None:
    task = make_task("lmgym/GuessNumber-v0", high=high)
    for secret in range(1, high + 1):
        state = task.reset(RNG(0), task_id=f"guess/{secret}").state
        verdict, n_turns = None, 0
        while verdict is None:
            reply = task.reply(state, task.demonstrate(state) or "", RNG(0))
            state, verdict, n_turns = reply.state, reply.verdict, n_turns + 1
        assert verdict is Verdict.CORRECT
        assert n_turns < task.max_turns


def test_the_splits_share_no_secret_and_hold_them_all() -> None:
    task = make_task("lmgym/GuessNumber-v0")
    ids = [task_id for split in task.splits for task_id in task.task_ids(split, 1000)]
    assert sorted(ids) == sorted(f"guess/{n}" for n in range(1, 101))


def test_a_split_without_a_secret_is_told() -> None:
    task = make_task("lmgym/GuessNumber-v0", high=2)
    with pytest.raises(LmgymError, match=r"split .* has no secret up to 2; raise high"):
        _ = [task.reset(RNG(0), split=split) for split in task.splits]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"high": 1}, "high 1 is out of range; allowed are 2 to 100000"),
        ({"high": 100_001}, "high 100001 is out of range"),
        ({"max_turns": 0}, "max_turns 0 is out of range; at least 1 is needed"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(LmgymError, match=message):
        make_task("lmgym/GuessNumber-v0", **arguments)


@pytest.mark.parametrize("task_id", ["guess", "guess/0", "guess/101", "guess/x", "copy/4/1"])
def test_unknown_addresses_are_told_with_an_example(task_id: str) -> None:
    with pytest.raises(LmgymError, match="it has the form guess/number, as 'guess/"):
        make_task("lmgym/GuessNumber-v0").reset(RNG(0), task_id=task_id)
