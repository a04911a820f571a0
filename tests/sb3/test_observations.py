"""Observations that wrappers have changed, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import pytest
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack, VecNormalize

from lmgym.errors import LmgymError
from lmgym.sb3 import TokenActorCriticPolicy, TokenFeatures, as_sb3, clone_behaviour

FEATURES = {"features_extractor_class": TokenFeatures}


def batch() -> VecEnv:
    return as_sb3(gym.make_vec("lmgym/Math-v0", num_envs=4, autoreset_mode="same_step"))


def ppo_with_features(env: VecEnv) -> PPO:
    return PPO(
        "MultiInputPolicy", env, policy_kwargs=FEATURES, n_steps=8, batch_size=32, device="cpu"
    )


def learn_with_features(env: VecEnv) -> None:
    ppo_with_features(env).learn(32)


def learn_values(env: VecEnv) -> None:
    words: dict[str, Any] = {"buffer_size": 100, "learning_starts": 8, "device": "cpu"}
    DQN("MultiInputPolicy", env, policy_kwargs=FEATURES, **words).learn(64)


def learn_with_tokens(env: VecEnv, *, use_cache: bool = True) -> None:
    sizes = {"hidden_size": 16, "use_cache": use_cache}
    A2C(TokenActorCriticPolicy, env, policy_kwargs=sizes, device="cpu").learn(20)


def learn_without_cache(env: VecEnv) -> None:
    learn_with_tokens(env, use_cache=False)


def clone(env: VecEnv) -> None:
    clone_behaviour(ppo_with_features(env), "embedded", env, rounds=1, steps=4)


USES = [learn_with_features, learn_values, learn_with_tokens, learn_without_cache, clone]


@pytest.mark.parametrize("use", USES)
def test_normalised_observations_are_refused(use: Callable[[VecEnv], None]) -> None:
    with pytest.raises(LmgymError, match=r"wrap with VecNormalize\(env, norm_obs=False\)"):
        use(VecNormalize(batch()))


@pytest.mark.parametrize("key", ["tokens", "length"])
@pytest.mark.parametrize("use", USES)
def test_one_normalised_part_is_refused_too(use: Callable[[VecEnv], None], key: str) -> None:
    with pytest.raises(LmgymError, match="observations are normalised"):
        use(VecNormalize(batch(), norm_obs_keys=[key]))


@pytest.mark.parametrize("use", USES)
def test_normalised_rewards_are_fine(use: Callable[[VecEnv], None]) -> None:
    use(VecNormalize(batch(), norm_obs=False))


@pytest.mark.parametrize("use", [learn_with_features, learn_with_tokens])
def test_stacked_frames_are_refused(use: Callable[[VecEnv], None]) -> None:
    with pytest.raises(LmgymError, match=r"frames are stacked; .* leave VecFrameStack out"):
        use(VecFrameStack(batch(), 3))
