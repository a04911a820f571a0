"""Token by token, and a few tokens at a time."""

from __future__ import annotations

from typing import Any, SupportsInt

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from lmgym.base_env import EpisodeEnv
from lmgym.episode import Episode
from lmgym.errors import LmgymError
from lmgym.rewards.schedule import RewardSchedule

__all__ = ["ChunkEnv", "TokenEnv", "TokenObservation"]

TokenObservation = dict[str, NDArray[np.int32]]
"""`tokens` (context,), padded; `length` (1,); `remaining` (1,): ids that may still be written."""


class TokenEnv(EpisodeEnv[TokenObservation, Any]):
    """One step, one token.

    The observation is a flat `Dict` of int32 boxes, which Stable-Baselines3 takes as it is; the
    action is `Discrete(vocabulary)`.

    Example:
        >>> import gymnasium as gym, lmgym
        >>> env = gym.make("lmgym/Math-v0")
        >>> observation, info = env.reset(seed=0, options={"task_id": "addition/2/0/0"})
        >>> for token in [*map(ord, "45"), 257]:
        ...     observation, reward, terminated, truncated, info = env.step(token)
        >>> terminated, info["text"], info["verdict"]
        (True, '45', 'incorrect')
    """

    observation_space: spaces.Space[Any]

    def __init__(
        self,
        episode: Episode,
        schedule: RewardSchedule,
        *,
        split: str = "train",
        render_mode: str | None = None,
    ) -> None:
        """Declare the spaces."""
        super().__init__(episode, schedule, split=split, render_mode=render_mode)
        vocab, context = episode.renderer.vocab_size, episode.context
        self.observation_space = spaces.Dict(
            {
                "tokens": spaces.Box(0, vocab - 1, (context,), np.int32),
                "length": spaces.Box(0, context, (1,), np.int32),
                "remaining": spaces.Box(0, episode.max_tokens, (1,), np.int32),
            }
        )
        self.action_space = spaces.Discrete(vocab)
        self._vocab = vocab

    def step(
        self, action: SupportsInt
    ) -> tuple[TokenObservation, float, bool, bool, dict[str, Any]]:
        """Write one id.

        Raises:
            LmgymError: where the episode is over, or the id is outside the vocabulary.
        """
        episode = self.episode
        token = int(action)
        if not 0 <= token < self._vocab:
            self._refuse(token)
        if episode.append(token):
            reward, is_over, info = self._after_turn()
            return self._observe(), reward, is_over, False, info
        return self._observe(), 0.0, False, False, {}

    def action_masks(self) -> NDArray[np.bool_]:
        """True for the ids an agent may write, shape (vocabulary,): all but other roles' headers.

        A proposal in the convention of sb3-contrib; `step` takes every id of the vocabulary.
        """
        mask = np.ones(self._vocab, np.bool_)
        mask[list(self.episode.renderer.masked_ids)] = False
        return mask

    def _observe(self) -> TokenObservation:
        episode = self.episode
        return {
            "tokens": episode.tokens.copy(),
            "length": np.array((episode.length,), np.int32),
            "remaining": np.array((episode.remaining,), np.int32),
        }

    def _refuse(self, token: int) -> None:
        self._require_running()
        raise LmgymError(
            f"action {token} is outside the vocabulary; allowed are 0 to {self._vocab - 1}"
        )


class ChunkEnv(TokenEnv):
    """One step, up to `chunk_size` tokens: an option in a semi-MDP.

    The action is `MultiDiscrete([V] + [V + 1] * (chunk_size - 1))`: at least one id; the value V
    ends the chunk early, and so does the end of the turn. `info["n_tokens"]` counts the ids this
    step took, so that a learner can discount by gamma to that power.

    Example:
        >>> import gymnasium as gym, lmgym
        >>> env = gym.make("lmgym/Math-v0", level="chunk", chunk_size=3)
        >>> _ = env.reset(seed=0)
        >>> env.step([ord("4"), ord("6"), 262])[-1]
        {'n_tokens': 2}
    """

    def __init__(
        self,
        episode: Episode,
        schedule: RewardSchedule,
        *,
        chunk_size: int = 4,
        split: str = "train",
        render_mode: str | None = None,
    ) -> None:
        """Declare the spaces."""
        super().__init__(episode, schedule, split=split, render_mode=render_mode)
        if chunk_size < 1:
            raise LmgymError(f"chunk_size={chunk_size} is out of range; a step takes 1 id or more")
        self.chunk_size = chunk_size
        self.action_space = spaces.MultiDiscrete(
            [self._vocab] + [self._vocab + 1] * (chunk_size - 1)
        )

    def step(self, action: Any) -> tuple[TokenObservation, float, bool, bool, dict[str, Any]]:
        """Write the chunk's ids, up to its end or the turn's."""
        tokens = self._chunk(action)
        episode = self.episode
        for count, token in enumerate(tokens, 1):
            if episode.append(token):
                reward, is_over, info = self._after_turn()
                return self._observe(), reward, is_over, False, {**info, "n_tokens": count}
        return self._observe(), 0.0, False, False, {"n_tokens": len(tokens)}

    def action_masks(self) -> NDArray[np.bool_]:
        """The masks of the chunk's positions, joined, shape (chunk_size * (V + 1) - 1,)."""
        mask = super().action_masks()
        later = np.append(mask, True)
        return np.concatenate([mask] + [later] * (self.chunk_size - 1))

    def _chunk(self, action: Any) -> list[int]:
        """The ids of an action, without what follows the chunk's end."""
        values = [int(value) for value in action]
        if len(values) != self.chunk_size:
            raise LmgymError(
                f"the action has {len(values)} values; this environment takes {self.chunk_size},"
                f" padded with {self._vocab} where the chunk is shorter"
            )
        tokens = values[: values.index(self._vocab)] if self._vocab in values else values
        for token in tokens or [self._vocab]:
            if not 0 <= token < self._vocab:
                self._refuse(token)
        self._require_running()
        return tokens
