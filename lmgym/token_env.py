"""Token by token, and a few tokens at a time."""

from __future__ import annotations

from typing import Any, SupportsInt

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from lmgym.alphabets import alphabet_ids
from lmgym.base_env import EpisodeEnv
from lmgym.episode import Episode
from lmgym.errors import LmgymError
from lmgym.rewards.schedule import RewardSchedule

__all__ = ["Choices", "ChunkEnv", "TokenEnv", "TokenObservation", "chunk_space", "token_space"]

TokenObservation = dict[str, NDArray[np.int32]]
"""`tokens` (context,), padded; `length` (1,); `remaining` (1,): ids that may still be written."""


class Choices:
    """What the agent chooses from at each id: the whole vocabulary, or an alphabet.

    Args:
        episode: knows the world and the tokenizer.
        alphabet: the actions stand for these ids only (`lmgym.alphabets`); None: for all.
        mask: the actions stand for all ids, and the mask lets these through.

    Attributes:
        size: how many there are.
        ids: the id of each, shape (size,), int32; None where each stands for itself.
        mask: True for what an agent may write, shape (size,).
    """

    def __init__(self, episode: Episode, alphabet: str | None, mask: str | None) -> None:
        """Look the names up."""
        if alphabet is not None and mask is not None:
            raise LmgymError(
                f"alphabet={alphabet!r} and mask={mask!r} exclude each other; take the alphabet for"
                " fewer actions, or the mask to keep every id an action"
            )
        task, renderer = episode.task, episode.renderer
        self.alphabet = alphabet
        self.ids = None if alphabet is None else alphabet_ids(alphabet, task, renderer)
        self.size = renderer.vocab_size if self.ids is None else len(self.ids)
        self.mask = np.ones(self.size, np.bool_)
        if mask is not None:
            self.mask[:] = False
            self.mask[alphabet_ids(mask, task, renderer)] = True
        elif alphabet is None:
            self.mask[list(renderer.masked_ids)] = False

    def out_of_range(self, action: int) -> LmgymError:
        """An error for a number that stands for no id."""
        where = "vocabulary" if self.alphabet is None else f"alphabet {self.alphabet!r}"
        return LmgymError(
            f"action {action} is outside the {where}; allowed are 0 to {self.size - 1}"
        )


class TokenEnv(EpisodeEnv[TokenObservation, Any]):
    """One step, one token.

    The observation is a flat `Dict` of int32 boxes, which Stable-Baselines3 takes as it is; the
    action is `Discrete(vocabulary)`, or `Discrete(A)` with an alphabet of A ids.

    Example:
        >>> import gymnasium as gym, lmgym
        >>> env = gym.make("lmgym/Math-v0")
        >>> observation, info = env.reset(seed=0, options={"task_id": "addition/2/0/0"})
        >>> for token in [*map(ord, "45"), 257]:
        ...     observation, reward, terminated, truncated, info = env.step(token)
        >>> terminated, info["text"], info["verdict"]
        (True, '45', 'incorrect')
        >>> gym.make("lmgym/Math-v0", alphabet="digits").action_space
        Discrete(11)
    """

    observation_space: spaces.Space[Any]

    def __init__(
        self,
        episode: Episode,
        schedule: RewardSchedule,
        *,
        split: str = "train",
        alphabet: str | None = None,
        mask: str | None = None,
        render_mode: str | None = None,
    ) -> None:
        """Declare the spaces."""
        super().__init__(episode, schedule, split=split, render_mode=render_mode)
        self.choices = Choices(episode, alphabet, mask)
        self.observation_space = token_space(episode)
        self.action_space = spaces.Discrete(self.choices.size)
        self._n_choices = self.choices.size
        self._ids = None if self.choices.ids is None else self.choices.ids.tolist()

    @property
    def alphabet(self) -> NDArray[np.int32] | None:
        """The id that each action writes, shape (A,); None where the actions are ids."""
        return self.choices.ids

    def step(
        self, action: SupportsInt
    ) -> tuple[TokenObservation, float, bool, bool, dict[str, Any]]:
        """Write one id.

        Raises:
            LmgymError: where the episode is over, or the action stands for no id.
        """
        episode = self.episode
        token = int(action)
        if not 0 <= token < self._n_choices:
            self._refuse(token)
        written = token if self._ids is None else self._ids[token]
        if episode.append(written):
            reward, is_over, info = self._after_turn()
            return self._observe(), reward, is_over, False, info
        if self._schedule.pays_within_turns:
            reward, info = self._within_turn([written])
            return self._observe(), reward, False, False, info
        return self._observe(), 0.0, False, False, {}

    def action_masks(self) -> NDArray[np.bool_]:
        """True for the actions an agent may take, shape (A,): all but other roles' headers.

        With `mask=` only the ids of that alphabet. A proposal in the convention of sb3-contrib;
        `step` takes every action of the space.
        """
        return self.choices.mask.copy()

    def _observe(self) -> TokenObservation:
        episode = self.episode
        return {
            "tokens": episode.tokens.copy(),
            "length": np.array((episode.length,), np.int32),
            "remaining": np.array((episode.remaining,), np.int32),
        }

    def _refuse(self, token: int) -> None:
        self._require_running()
        raise self.choices.out_of_range(token)


class ChunkEnv(TokenEnv):
    """One step, up to `chunk_size` tokens: an option in a semi-MDP.

    The action is `MultiDiscrete([V] + [V + 1] * (chunk_size - 1))`: at least one id; the value V
    (with an alphabet, its size) ends the chunk early, and so does the end of the turn.
    `info["n_tokens"]` counts the ids this step took, so that a learner can discount by gamma to
    that power.

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
        alphabet: str | None = None,
        mask: str | None = None,
        render_mode: str | None = None,
    ) -> None:
        """Declare the spaces."""
        super().__init__(
            episode, schedule, split=split, alphabet=alphabet, mask=mask, render_mode=render_mode
        )
        self.chunk_size = chunk_size
        self.action_space = chunk_space(self.choices.size, chunk_size)

    def step(self, action: Any) -> tuple[TokenObservation, float, bool, bool, dict[str, Any]]:
        """Write the chunk's ids, up to its end or the turn's."""
        tokens = self._chunk(action)
        episode = self.episode
        for count, token in enumerate(tokens, 1):
            if episode.append(token):
                reward, is_over, info = self._after_turn()
                return self._observe(), reward, is_over, False, {**info, "n_tokens": count}
        reward, info = 0.0, {}
        if self._schedule.pays_within_turns:
            reward, info = self._within_turn(tokens)
        return self._observe(), reward, False, False, {**info, "n_tokens": len(tokens)}

    def action_masks(self) -> NDArray[np.bool_]:
        """The masks of the chunk's positions, joined, shape (chunk_size * (V + 1) - 1,)."""
        mask = super().action_masks()
        later = np.append(mask, True)
        return np.concatenate([mask] + [later] * (self.chunk_size - 1))

    def _chunk(self, action: Any) -> list[int]:
        """The ids of an action, without what follows the chunk's end."""
        values = [int(value) for value in action]
        stop, ids = self._n_choices, self._ids
        if len(values) != self.chunk_size:
            raise LmgymError(
                f"the action has {len(values)} values; this environment takes {self.chunk_size},"
                f" padded with {stop} where the chunk is shorter"
            )
        tokens = values[: values.index(stop)] if stop in values else values
        for token in tokens or [stop]:
            if not 0 <= token < stop:
                self._refuse(token)
        self._require_running()
        return tokens if ids is None else [ids[token] for token in tokens]


def token_space(episode: Episode) -> spaces.Dict:
    """The observations of the token and chunk levels."""
    vocab, context = episode.renderer.vocab_size, episode.context
    return spaces.Dict(
        {
            "tokens": spaces.Box(0, vocab - 1, (context,), np.int32),
            "length": spaces.Box(0, context, (1,), np.int32),
            "remaining": spaces.Box(0, episode.max_tokens, (1,), np.int32),
        }
    )


def chunk_space(n_choices: int, chunk_size: int) -> spaces.MultiDiscrete:
    """The actions of the chunk level: at least one id, then ids or the end of the chunk."""
    if chunk_size < 1:
        raise LmgymError(f"chunk_size={chunk_size} is out of range; a step takes 1 id or more")
    return spaces.MultiDiscrete([n_choices] + [n_choices + 1] * (chunk_size - 1))
