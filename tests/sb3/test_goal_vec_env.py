"""Batched goal worlds as a `VecEnv`."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3 import DQN
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor
from stable_baselines3.her import HerReplayBuffer

from lmgym.errors import LmgymError
from lmgym.sb3 import GoalReplayBuffer, MaskedDQN, as_sb3
from lmgym.testing.flip_bits import FLIP_BITS

N = 4
OF_GOALS = ["compute_reward", "compute_terminated", "compute_truncated"]


def batch(**words: Any) -> Any:
    given: dict[str, Any] = {"autoreset_mode": "same_step"} | words
    return gym.make_vec(FLIP_BITS, N, **given)


def assert_same(found: Any, expected: Any) -> None:
    assert found.keys() == expected.keys()
    for key, array in expected.items():
        assert np.array_equal(found[key], array), key
        assert found[key].dtype == array.dtype, key


@pytest.mark.parametrize("words", [{}, {"goal_text": True, "reward": "verifier"}], ids=str)
def test_steps_are_those_of_single_environments(words: dict[str, Any]) -> None:
    ours, theirs = (
        as_sb3(batch(n=3, **words)),
        DummyVecEnv([lambda: gym.make(FLIP_BITS, n=3, **words)] * N),
    )
    for vec_env in (ours, theirs):
        vec_env.seed(3)
    assert_same(ours.reset(), theirs.reset())
    rng = np.random.default_rng(0)
    n_ends = 0
    for _ in range(60):
        actions = rng.integers(0, 4, N)
        observation, rewards, dones, infos = ours.step(actions)
        expected, expected_rewards, expected_dones, expected_infos = theirs.step(actions)
        assert_same(observation, expected)
        assert np.array_equal(rewards, expected_rewards)
        assert rewards.dtype == np.float32
        assert np.array_equal(dones, expected_dones)
        for row in dones.nonzero()[0].tolist():
            n_ends += 1
            assert_same(infos[row].pop("terminal_observation"), expected_infos[row].pop(LAST))
            assert infos[row] == expected_infos[row]
    assert n_ends > N


LAST = "terminal_observation"


@pytest.mark.parametrize("words", [{"n": 3}, {"max_episode_steps": 3}], ids=str)
def test_ends_tell_whether_a_limit_cut_them_off(words: dict[str, Any]) -> None:
    vec_env = as_sb3(batch(**words))
    vec_env.seed(0)
    vec_env.reset()
    rng = np.random.default_rng(0)
    told = []
    for _ in range(100):
        _, rewards, dones, infos = vec_env.step(rng.integers(0, 4, N))
        for row in dones.nonzero()[0].tolist():
            info = infos[row]
            told.append(info["is_success"])
            assert info["TimeLimit.truncated"] is not info["is_success"]
            assert info["is_success"] is bool(rewards[row] == 0)
    assert {True, False} == set(told)


def test_goals_are_judged_in_one_call_for_all_rows() -> None:
    vec_env: Any = as_sb3(batch(goal_text=True))
    observations = vec_env.reset()
    goals = observations["desired_goal"]
    achieved = observations["achieved_goal"]
    for method in OF_GOALS:
        (found,) = vec_env.env_method(method, achieved, goals, [{}] * N, indices=[0])
        assert np.array_equal(found, getattr(vec_env.env, method)(achieved, goals))
    derived = vec_env.env_method("derive_goal_keys", goals)
    assert len(derived) == N
    assert np.array_equal(derived[2]["instruction"], observations["instruction"])


@pytest.mark.parametrize("method", [*OF_GOALS, "derive_goal_keys", "action_masks"])
def test_buffers_find_what_they_ask_for(method: str) -> None:
    assert as_sb3(batch()).has_attr(method)
    assert VecMonitor(as_sb3(batch())).has_attr(method)


def test_missing_methods_are_named() -> None:
    with pytest.raises(LmgymError, match="action_masks"):
        as_sb3(batch()).env_method("transcript")


def test_masks_are_known_to_maskable_algorithms() -> None:
    vec_env: Any = as_sb3(batch())
    observations = vec_env.reset()
    observations, *_ = vec_env.step(np.array([4, 0, 4, 1]))
    assert is_masking_supported(vec_env)
    masks = get_action_masks(vec_env)
    assert np.array_equal(masks, observations["action_mask"].astype(bool))
    assert masks[:, 0].tolist() == [False, True, False, True]


def test_seeds_decide_what_is_played() -> None:
    first, second = as_sb3(batch()), as_sb3(batch())
    assert first.seed(7) == [7, 8, 9, 10]
    second.seed(7)
    assert_same(first.reset(), second.reset())


@pytest.mark.parametrize("words", [{"autoreset_mode": "next_step"}, {"copy": False}], ids=str)
def test_batches_that_do_not_fit_are_refused(words: dict[str, Any]) -> None:
    with pytest.raises(LmgymError, match="Stable-Baselines3"):
        as_sb3(batch(**words))


@pytest.mark.parametrize("algorithm_class", [DQN, MaskedDQN])
@pytest.mark.parametrize("buffer_class", [HerReplayBuffer, GoalReplayBuffer])
def test_all_pairs_of_algorithm_and_buffer_run(algorithm_class: Any, buffer_class: Any) -> None:
    algorithm = algorithm_class(
        "MultiInputPolicy",
        as_sb3(batch()),
        learning_starts=80,
        buffer_size=1000,
        replay_buffer_class=buffer_class,
        seed=0,
        device="cpu",
    )
    algorithm.learn(240)
    assert algorithm._n_updates > 0
    assert len(algorithm.ep_success_buffer) > 0
