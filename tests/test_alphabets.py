"""Alphabets and masks of the token and chunk levels."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from lmgym.errors import LmgymError

WORLD = "lmgym:lmgym/Math-v0"
FIRST = {"task_id": "addition/2/0/0"}


def make(**arguments: Any) -> gym.Env[Any, Any]:
    return gym.make(WORLD, **arguments)


def test_actions_of_an_alphabet_write_its_ids() -> None:
    env, plain = make(alphabet="digits"), make()
    for one in (env, plain):
        one.reset(seed=0, options=FIRST)
    for action, token in ((4, ord("4")), (5, ord("5")), (10, 257)):
        mine, theirs = env.step(action), plain.step(token)
        np.testing.assert_array_equal(mine[0]["tokens"], theirs[0]["tokens"])
    assert mine[1:] == theirs[1:]
    assert mine[4]["text"] == "45"


def test_chunks_of_an_alphabet_write_its_ids() -> None:
    env = make(level="chunk", chunk_size=3, alphabet="digits")
    env.reset(seed=0, options=FIRST)
    assert env.step(np.array([4, 5, 11]))[4] == {"n_tokens": 2}
    assert env.step(np.array([10, 11, 11]))[4]["text"] == "45"


def test_a_mask_keeps_actions_ids() -> None:
    env = make(mask="digits")
    mask = env.get_wrapper_attr("action_masks")()
    assert env.action_space == gym.spaces.Discrete(262)
    assert np.flatnonzero(mask).tolist() == [*range(48, 58), 257]


def test_an_alphabet_of_ones_own_keeps_its_order() -> None:
    assert make(alphabet="chars:10").get_wrapper_attr("alphabet").tolist() == [49, 48, 257]


def test_without_an_alphabet_actions_are_ids() -> None:
    assert make().get_wrapper_attr("alphabet") is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alphabet": "letters"}, "unknown alphabet 'letters'.*digits.*chars:"),
        ({"alphabet": "chars:"}, "no characters"),
        ({"alphabet": "chars:11"}, "'1' twice"),
        ({"alphabet": "chars:ü"}, "'ü' is 2 ids"),
        ({"alphabet": "digits", "mask": "digits"}, "exclude each other"),
        ({"alphabet": "digits", "level": "message"}, "takes text, not ids"),
        ({"mask": "digits", "level": "message"}, "takes text, not ids"),
    ],
)
def test_bad_alphabets_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(LmgymError, match=message):
        make(**arguments)


@pytest.mark.parametrize("action", [-1, 11, 257])
def test_actions_outside_an_alphabet_are_refused(action: int) -> None:
    env = make(alphabet="digits").unwrapped
    env.reset(seed=0)
    with pytest.raises(LmgymError, match="alphabet 'digits'; allowed are 0 to 10"):
        env.step(action)
