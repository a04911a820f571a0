"""Features of token observations."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.preprocessing import preprocess_obs

from lmgym.errors import LmgymError
from lmgym.sb3 import TokenFeatures


def features_of(extractor: TokenFeatures, *rows: list[int], remaining: int = 4) -> torch.Tensor:
    """The features of rows of ids, through the preprocessing of Stable-Baselines3."""
    space: Any = extractor._observation_space
    tokens: Any = np.full((len(rows), *space["tokens"].shape), 256, np.int32)
    for row, ids in zip(tokens, rows, strict=True):
        row[: len(ids)] = ids
    observation = {
        "tokens": torch.as_tensor(tokens),
        "length": torch.tensor([[len(ids)] for ids in rows]),
        "remaining": torch.full((len(rows), 1), remaining),
    }
    prepared: Any = preprocess_obs(observation, space)
    features: torch.Tensor = extractor(prepared)
    return features


@pytest.fixture
def extractor() -> TokenFeatures:
    space = gym.make("lmgym/Math-v0", max_tokens=8).observation_space
    return TokenFeatures(space, window=3, embedding_dim=2)


def test_the_last_id_is_always_in_the_last_place(extractor: TokenFeatures) -> None:
    features = features_of(extractor, [1, 2, 3], [9, 9, 9, 9, 1, 2, 3])
    assert torch.equal(features[0], features[1])
    expected = extractor.embedding(torch.tensor([1, 2, 3])).flatten()
    assert torch.equal(features[0, :-1], expected)


def test_the_place_before_the_first_id_is_blank(extractor: TokenFeatures) -> None:
    features = features_of(extractor, [7])
    blank = extractor.embedding.weight[262]
    assert torch.equal(features[0, :4], torch.cat([blank, blank]))
    assert torch.equal(features[0, 4:6], extractor.embedding.weight[7])


def test_the_share_of_the_budget_comes_last(extractor: TokenFeatures) -> None:
    assert features_of(extractor, [7], remaining=4)[0, -1] == 0.5


def test_the_window_is_no_wider_than_the_context() -> None:
    space = gym.make("lmgym/Math-v0", context=40).observation_space
    assert TokenFeatures(space, window=99, embedding_dim=1).features_dim == 41


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (gym.spaces.Discrete(3), 'level="token"'),
        (gym.spaces.Dict({"text": gym.spaces.Text(3)}), 'level="token"'),
    ],
)
def test_a_space_without_tokens_is_refused(space: Any, words: str) -> None:
    with pytest.raises(LmgymError, match=words):
        TokenFeatures(space)


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(LmgymError, match="window is 0"):
        TokenFeatures(gym.make("lmgym/Math-v0").observation_space, window=0)


def test_ppo_trains_with_it() -> None:
    model = PPO(
        "MultiInputPolicy",
        gym.make("lmgym/Math-v0"),
        n_steps=16,
        batch_size=16,
        n_epochs=1,
        device="cpu",
        policy_kwargs={"features_extractor_class": TokenFeatures},
    )
    extractor = model.policy.features_extractor
    assert isinstance(extractor, TokenFeatures)
    before = extractor.embedding.weight.clone()
    model.learn(16)
    assert not torch.equal(before, extractor.embedding.weight)
