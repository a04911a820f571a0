"""Games as worlds for one agent: seats, opponents, addresses, what is won."""

from __future__ import annotations

from typing import Any, cast

import gymnasium as gym
import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.games.task import GameTask
from lmgym.registry import WORLDS
from lmgym.task import Verdict

from .conftest import GAMES


def task_of(world: str, **arguments: Any) -> GameTask:
    task = make_task(world, **arguments)
    assert isinstance(task, GameTask)
    return task


def play_out(task: GameTask, task_id: str) -> tuple[Any, Any]:
    """The last state and reply, where the agent takes the first move that is allowed."""
    rng = np.random.default_rng(0)
    state = task.reset(rng, task_id=task_id).state
    while True:
        reply = task.reply(state, f"#{task.allowed(state)[0]}", rng)
        state = reply.state
        if reply.verdict is not None:
            return state, reply


@pytest.mark.parametrize("world", GAMES)
def test_an_address_plays_the_same_game_again(world: str) -> None:
    task = task_of(world)
    ids = task.task_ids("test", 10)
    first = [play_out(task, task_id)[0] for task_id in ids]
    again = [play_out(task_of(world), task_id)[0] for task_id in reversed(ids)]
    assert first == again[::-1]
    assert {task_id.rpartition("/")[2] for task_id in ids} == {"0", "1"}


@pytest.mark.parametrize("world", GAMES)
def test_the_seat_can_be_chosen(world: str) -> None:
    for seat in (0, 1):
        task = task_of(world, seat=seat)
        assert {i.rpartition("/")[2] for i in task.task_ids("train", 6)} == {str(seat)}
        opening = task.reset(np.random.default_rng(0))
        assert opening.state.seat == seat
        assert task.game.mover(opening.state.state) == seat


@pytest.mark.parametrize("world", GAMES)
def test_the_rules_are_told_on_request(world: str) -> None:
    said = task_of(world, guide=True).reset(np.random.default_rng(0)).messages
    assert [str(message.role) for message in said] == ["system", "user"]
    assert len(said[0].content) > 80


def test_opponents_play_as_their_name_says() -> None:
    ids = task_of("lmgym/Nim-v0", seat=0).task_ids("test", 40)
    won = {
        opponent: np.mean(
            [
                play_out(task_of("lmgym/Nim-v0", opponent=opponent), i)[1].verdict
                is Verdict.CORRECT
                for i in ids
            ]
        )
        for opponent in ("random", "best")
    }
    assert won["best"] < won["random"]


def test_a_wrong_message_may_be_made_good_once() -> None:
    task = task_of("lmgym/TicTacToe-v0", seat=0)
    rng = np.random.default_rng(0)
    state = task.reset(rng, task_id="tic_tac_toe/0/0").state
    reply = task.reply(state, "z9", rng)
    assert reply.verdict is None
    assert reply.messages[0].content.startswith("no cell in 'z9'")
    assert reply.state.state == state.state
    assert task.reply(reply.state, "b2", rng).state.complaint == ""
    lost = task.reply(reply.state, "z9", rng)
    assert lost.verdict is Verdict.INCORRECT
    assert lost.info["game_return"] == -1.0


@pytest.mark.parametrize("world", GAMES)
def test_what_is_won_is_the_gold_reward_at_every_level(world: str) -> None:
    for level in ("choice", "message"):
        env = gym.make(world, level=level, reward="gold")
        for seed in range(6):
            env.reset(seed=seed)
            over, reward, info = False, cast(Any, 0.0), dict[str, Any]()
            while not over:
                action = int(env.get_wrapper_attr("episode").task.allowed(_state(env))[-1])
                _, reward, over, _, info = env.step(action if level == "choice" else f"#{action}")
            assert float(reward) == info["gold_reward"] == info["game_return"]
            assert info["is_success"] == (info["game_return"] > 0)


def _state(env: Any) -> Any:
    return env.get_wrapper_attr("episode").state


def test_an_unfinished_game_is_lost() -> None:
    env = gym.make("lmgym/Nim-v0", level="token", reward="gold", seat=0, max_tokens=4)
    env.reset(seed=0)
    over, reward, info = False, cast(Any, 0.0), dict[str, Any]()
    while not over:
        _, reward, over, _, info = env.step(ord("a"))
    assert info["verdict"] == "unfinished"
    assert reward == info["gold_reward"] == -1.0


def test_masks_at_level_choice_are_what_is_allowed() -> None:
    env = gym.make("lmgym/TicTacToe-v0", level="choice", seat=0)
    env.reset(seed=0)
    masks = env.get_wrapper_attr("action_masks")
    assert masks().all()
    env.step(4)
    assert masks().sum() == 7
    assert not masks()[4]
    envs = gym.make_vec("lmgym/TicTacToe-v0", num_envs=2, level="choice", seat=0)
    envs.reset(seed=0)
    envs.step(np.array([4, 0]))
    assert envs.unwrapped.action_masks().sum(axis=1).tolist() == [7, 7]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seat": 2}, "seat=2 does not exist; seats are 0 to 1"),
        ({"seat": True}, "seat=True does not exist"),
        ({"opponent": "alphago"}, "unknown player 'alphago'; known: "),
        ({"opponent": "random:3"}, "player 'random:3': random takes nothing after it"),
    ],
)
def test_bad_arguments_are_clear_errors(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(LmgymError, match=message):
        task_of("lmgym/Nim-v0", **arguments)


def test_an_opponent_that_cannot_play_is_refused_at_once() -> None:
    with pytest.raises(LmgymError, match="kuhn_poker knows no best moves"):
        task_of("lmgym/KuhnPoker-v0", opponent="best")


@pytest.mark.parametrize(
    "task_id", ["nim/1", "nim/x/0", "nim/1/2", "nim/99999999999/0", "chess/1/0"]
)
def test_addresses_that_do_not_exist_are_refused(task_id: str) -> None:
    with pytest.raises(LmgymError, match="it has the form nim/deal/seat"):
        task_of("lmgym/Nim-v0").reset(np.random.default_rng(0), task_id=task_id)


@pytest.mark.parametrize("world", GAMES)
def test_game_worlds_offer_the_level_of_moves(world: str) -> None:
    assert "choice" in WORLDS[world].levels
