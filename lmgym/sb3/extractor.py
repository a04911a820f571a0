"""Token observations as a fixed number of features, for policies that are no language models."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from lmgym.errors import LmgymError
from lmgym.sb3.observations import require_ids, token_spaces

__all__ = ["TokenFeatures"]


class TokenFeatures(BaseFeaturesExtractor):
    """Embeddings of the last ids, each in its place, and the share of the budget that is left.

    What a small network needs to act on tokens: the last id is always in the last place, however
    long the prompt is. For `MultiInputPolicy` of PPO, A2C, DQN and MaskablePPO.

    Args:
        observation_space: of a token or chunk environment.
        window: how many ids are seen, counted from the end.
        embedding_dim: numbers an id.

    Example:
        >>> import gymnasium as gym, lmgym
        >>> space = gym.make("lmgym/Math-v0").observation_space
        >>> TokenFeatures(space, window=10, embedding_dim=8).features_dim
        81
    """

    def __init__(
        self, observation_space: spaces.Space[Any], window: int = 16, embedding_dim: int = 16
    ) -> None:
        sizes = token_spaces(observation_space)
        if min(window, embedding_dim) < 1:
            raise LmgymError(
                f"window is {window} and embedding_dim {embedding_dim}; both start at 1"
            )
        window = min(window, sizes.context)
        super().__init__(observation_space, window * embedding_dim + 1)
        self.window = window
        self.blank = sizes.vocab  # stands before the first id
        self.budget = max(1, sizes.budget)
        self.embedding = nn.Embedding(self.blank + 1, embedding_dim)

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """Features, shape (B, features_dim), of observations that Stable-Baselines3 made floats."""
        remaining = observations["remaining"].float() / self.budget  # (B, 1)
        return torch.cat([self.embedding(self._last_ids(observations)).flatten(1), remaining], 1)

    def _last_ids(self, observations: dict[str, Tensor]) -> Tensor:
        """The last `window` ids, shape (B, window), blank before the first."""
        tokens, length = observations["tokens"], observations["length"]
        places = length.long() - self.window + torch.arange(self.window, device=tokens.device)
        ids = tokens.gather(1, places.clamp(min=0))
        require_ids(ids, length)
        return ids.long().masked_fill_(places < 0, self.blank)
