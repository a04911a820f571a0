"""lmgym/WebGoal-v0: goals, features and a list of commands."""

from __future__ import annotations

import hashlib
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from lmgym.envs.web.families import FAMILIES
from lmgym.envs.web.goal_task import WebGoalTask
from lmgym.envs.web.oracle import shortest_plan
from lmgym.errors import LmgymError
from lmgym.factory import make_task

WORLD = "lmgym/WebGoal-v0"
FAMILY = pytest.mark.parametrize("family", FAMILIES)
RNG = np.random.default_rng
GOLDEN = {
    "forms": "0442f60e1f9c4fcd",
    "shop": "93f6076fa9fd8900",
    "mail": "47af90a764624275",
    "calendar": "e191ca8b9497122b",
    "table": "b8972f1f25cd7851",
    "files": "a58412f8ed637397",
}
"""Digests of episodes; one that changes calls for a new version."""


def web(**arguments: Any) -> WebGoalTask:
    task = make_task(WORLD, **arguments)
    assert isinstance(task, WebGoalTask)
    return task


def reset_to(goal: list[int], **arguments: Any) -> None:
    env = gym.make(WORLD, **arguments)
    env.reset(seed=0, options={"goal": goal})


@FAMILY
def test_the_same_seeds_give_the_same_episodes_as_ever(family: str) -> None:
    env = gym.make(WORLD, family=family)
    rng, digest = RNG(0), hashlib.sha256()
    for seed in range(12):
        observation, info = env.reset(seed=seed)
        done = False
        digest.update(info["task_id"].encode())
        while not done:
            mask = observation["action_mask"]
            places = mask.nonzero()[0] if seed % 2 else np.arange(len(mask))
            action = places[int(rng.integers(len(places)))]
            observation, reward, terminated, truncated, info = env.step(action)
            done = terminated or truncated
            digest.update(repr((float(reward), terminated, sorted(info.items()))).encode())
            for key in sorted(observation):
                digest.update(observation[key].astype("<f4").tobytes())
    assert digest.hexdigest()[:16] == GOLDEN[family]


@FAMILY
def test_a_command_does_something_exactly_where_the_mask_says_so(family: str) -> None:
    task, rng = web(family=family), RNG(0)
    state = task.reset(rng).state
    for _ in range(25):
        mask = task.command_mask(state)
        for place, does_something in enumerate(mask):
            after, why = task.command(state, place)
            assert (why is None) == does_something
            assert does_something or after is state
        state = task.command(state, int(rng.choice(mask.nonzero()[0])))[0]


@FAMILY
def test_features_are_the_page_what_is_on_it_and_what_fields_hold(family: str) -> None:
    task, rng = web(family=family), RNG(1)
    n_commands, n_kinds = len(task.commands), len(FAMILIES[family].kinds)
    state = task.reset(rng).state
    for _ in range(30):
        features = task.features(state)
        assert features.shape == (task.n_features,) == (n_kinds + 2 * n_commands,)
        kind, present, current = np.split(features, [n_kinds, n_kinds + n_commands])
        assert kind.sum() == 1
        assert not (current > present).any()
        assert not (task.command_mask(state) > present).any()
        assert not (task.command_mask(state) & (current > 0)).any()
        state = task.command(state, int(rng.choice(task.command_mask(state).nonzero()[0])))[0]


@FAMILY
def test_what_is_returned_can_be_written_to_without_harm(family: str) -> None:
    env = gym.make(WORLD, family=family)
    first, _ = env.reset(seed=0)
    kept = {key: value.copy() for key, value in first.items()}
    for value in first.values():
        value[:] = 0
    again, _ = env.reset(seed=0)
    assert all(np.array_equal(again[key], kept[key]) for key in kept)


@pytest.mark.parametrize(
    ("arguments", "goal", "said"),
    [
        (
            {"family": "shop"},
            [0, 0, 0, 0, 0, 0, 0, 0, 1],
            "cannot be reached: an order can be placed",
        ),
        (
            {"family": "forms"},
            [4, 0, 0, 0, 0, 0, 0, 0],
            "cannot be reached: display name would have",
        ),
        ({"family": "forms"}, [0, 0, 0, 0, 0, 0, 0, 9], "fact 'two factor' of the goal is 9"),
        ({"family": "forms"}, [0, 0], "a goal holds 8 whole numbers"),
    ],
)
def test_goals_that_cannot_be_reached_are_refused(
    arguments: dict[str, Any], goal: list[int], said: str
) -> None:
    with pytest.raises(LmgymError, match=said):
        reset_to(goal, **arguments)


@FAMILY
def test_a_goal_that_is_reached_already_is_refused(family: str) -> None:
    task = web(family=family)
    start = list(task.reset(RNG(0)).state.problem.start)
    with pytest.raises(LmgymError, match="is reached already: the site starts like this"):
        task.reset(RNG(0), goal=start)


def test_a_goal_of_ones_own_has_an_address() -> None:
    task = web()
    opening = task.reset(RNG(0), goal=[1, 1, 1, 1, 1, 1, 1, 1])
    again = task.reset(RNG(5), task_id=opening.task_id)
    assert again.state.problem == opening.state.problem
    assert task.desired(again.state).tolist() == [1] * 8


def test_problems_of_other_families_are_refused() -> None:
    (shop,) = web(family="shop").task_ids("train", 1)
    with pytest.raises(LmgymError, match="forms/site/fact"):
        web(family="forms").reset(RNG(0), task_id=shop)


def test_there_is_no_split_site_and_no_mixed_family() -> None:
    assert "site" not in WebGoalTask.splits
    with pytest.raises(LmgymError, match="unknown split 'site'"):
        gym.make(WORLD, split="site")
    with pytest.raises(LmgymError, match="unknown family 'mixed'"):
        gym.make(WORLD, family="mixed")


def test_comp_needs_two_facts() -> None:
    env = gym.make(WORLD, difficulty=1, split="comp")
    with pytest.raises(LmgymError, match="give difficulty=2 or more"):
        env.reset(seed=0)


def test_test_is_another_word_for_iid() -> None:
    one, other = gym.make(WORLD, split="test"), gym.make(WORLD, split="iid")
    assert one.reset(seed=3)[1]["task_id"] == other.reset(seed=3)[1]["task_id"]


@FAMILY
def test_commands_of_every_site_reach_goals_by_their_numbers(family: str) -> None:
    task, rng = web(family=family), RNG(2)
    for split in ("train", "words"):
        state = task.reset(rng, split=split).state
        site = state.tab.site
        for command in shortest_plan(state.tab, state.problem.goal):
            state, why = task.command(state, site.commands.index(command))
            assert why is None
        assert np.array_equal(task.achieved(state), task.desired(state))
