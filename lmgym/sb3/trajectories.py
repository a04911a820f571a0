"""Rollout buffers that keep each id once and hand out whole trajectories."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from sb3_contrib.common.maskable.buffers import (
    MaskableDictRolloutBuffer,
    MaskableDictRolloutBufferSamples,
)
from stable_baselines3.common.buffers import DictRolloutBuffer
from stable_baselines3.common.type_aliases import DictRolloutBufferSamples
from torch import Tensor

from lmgym.errors import LmgymError
from lmgym.sb3.language_model import FRAGMENTS, PLACES, ROWS

__all__ = ["MaskableTrajectoryBuffer", "TrajectoryBuffer"]

Ints = NDArray[np.int64]


class Trajectories(dict[str, Tensor]):
    """Observations of a minibatch: the ids of its fragments once, and where each step stands.

    Only a policy that reads trajectories can take it; others ask for its items, and are told so.
    """

    def items(self) -> Any:
        """Refuse: what prepares observations for other policies looks here first."""
        raise LmgymError(
            "this policy reads single observations, but the rollout buffer holds trajectories;"
            " choose TokenActorCriticPolicy, or leave rollout_buffer_class out"
        )


class BaseTrajectoryBuffer(DictRolloutBuffer):
    """What both buffers are; see `TrajectoryBuffer`."""

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Dict,
        action_space: spaces.Space[Any],
        device: torch.device | str = "auto",
        gae_lambda: float = 1,
        gamma: float = 0.99,
        n_envs: int = 1,
        seed: int | None = None,
    ) -> None:
        # torch's seed is the algorithm's; nothing is drawn from its generator
        self._rng = np.random.default_rng(torch.initial_seed() if seed is None else seed)
        super().__init__(
            buffer_size, observation_space, action_space, device, gae_lambda, gamma, n_envs
        )

    def reset(self) -> None:
        """Begin a rollout."""
        self.obs_shape = {}  # the parent keeps no observations
        self.lengths = np.zeros((self.buffer_size, self.n_envs), np.int64)
        self._last_tokens: NDArray[Any] = np.empty(0)
        self._ended: dict[int, NDArray[Any]] = {}
        self._store: _Store | None = None
        super().reset()

    def add(self, obs: Any, *args: Any, **words: Any) -> None:
        """Keep one step of every environment."""
        step = self.pos
        super().add(obs, *args, **words)
        lengths = self.lengths[step]
        lengths[:] = np.asarray(obs["length"]).reshape(-1)
        if step == 1:
            self._check_that_it_goes_on(obs["tokens"])
        if step:
            self._check_that_ids_grow(step - 1, obs["tokens"])
            self._end_fragments(step - 1)
        self._last_tokens = obs["tokens"]
        if self.full:
            self._last_tokens = self._last_tokens.copy()  # the rollout is over, its array is not

    def get(self, batch_size: int | None = None) -> Generator[Any, None, None]:
        """Minibatches of whole fragments, in a new order each time.

        Args:
            batch_size: steps of a minibatch, as nearly as whole fragments allow; None for all.
        """
        if not self.full:
            raise LmgymError("the rollout is not complete; collect it before training on it")
        if self._store is None:
            self._store = self._gathered()
        store = self._store
        order = self._rng.permutation(len(store.steps))
        for fragments in _cut(order, store.steps, batch_size):
            yield self._minibatch(store, fragments)

    def _check_that_it_goes_on(self, tokens: NDArray[Any]) -> None:
        """Raise where the first observation, kept since the last rollout, is of other episodes."""
        is_other = self._differ(0, tokens) | (self.lengths[1] <= self.lengths[0])
        if np.any(is_other & (self.episode_starts[1] == 0)):
            raise LmgymError(
                "the environment was reset since the last rollout; evaluate on another"
                " environment, or set algorithm._last_obs = None before learn()"
            )

    def _differ(self, step: int, tokens: NDArray[Any]) -> NDArray[np.bool_]:
        """Which rows do not begin with the ids that they had at `step`, shape (N,)."""
        width = int(self.lengths[step].max())
        is_read = np.arange(width) < self.lengths[step, :, None]
        differs = tokens[:, :width] != self._last_tokens[:, :width]
        found: NDArray[np.bool_] = np.any(differs & is_read, axis=1)
        return found

    def _check_that_ids_grow(self, step: int, tokens: NDArray[Any]) -> None:
        """Raise where an episode that goes on has other ids than those of `step` and more."""
        shrinks = self.lengths[step + 1] <= self.lengths[step]
        is_other = (shrinks | self._differ(step, tokens)) & (self.episode_starts[step + 1] == 0)
        if is_other.any():
            row = int(np.flatnonzero(is_other)[0])
            raise LmgymError(
                f"row {row} has {self.lengths[step + 1, row]} ids after"
                f" {self.lengths[step, row]} in the same episode, which do not go on from these;"
                " trajectories only grow: give the token observations as the environment makes"
                " them, and where replies start the context again leave rollout_buffer_class out"
            )

    def _end_fragments(self, step: int) -> None:
        """Keep the ids of the episodes that had their last step at `step`."""
        starts = self.episode_starts[step + 1] != 0
        for row in np.flatnonzero(starts).tolist():
            ids = self._last_tokens[row, : self.lengths[step, row]]
            self._ended[row * self.buffer_size + step] = np.array(ids)

    def _gathered(self) -> _Store:
        """The rollout as fragments, row by row."""
        size = self.buffer_size
        for row in range(self.n_envs):
            last = self._last_tokens[row, : self.lengths[-1, row]]
            self._ended[row * size + size - 1] = last
        ends = np.sort(np.fromiter(self._ended, np.int64, len(self._ended)))
        steps = np.diff(ends, prepend=-1)
        ids = [self._ended[end] for end in ends.tolist()]
        lengths = np.fromiter(map(len, ids), np.int64, len(ids))
        return _Store(
            ids=np.concatenate(ids),
            lengths=lengths,
            starts=np.cumsum(lengths) - lengths,
            steps=steps,
            firsts=ends + 1 - steps,
            places=self._by_row(self.lengths) - 1,
            columns={name: self._by_row(column) for name, column in self._columns().items()},
        )

    def _columns(self) -> dict[str, NDArray[Any]]:
        return {
            "actions": self.actions.astype(np.float32, copy=False),
            "old_values": self.values,
            "old_log_prob": self.log_probs,
            "advantages": self.advantages,
            "returns": self.returns,
        }

    def _by_row(self, column: NDArray[Any]) -> NDArray[Any]:
        """Steps of each environment one after another, (T, N, ...) to (N * T, ...)."""
        return column.swapaxes(0, 1).reshape(-1, *column.shape[2:])

    def _minibatch(self, store: _Store, fragments: Ints) -> Any:
        steps = store.steps_of(fragments)
        observations = Trajectories(
            {
                FRAGMENTS: self._tensor(store.padded(fragments)),
                ROWS: self._tensor(np.repeat(np.arange(len(fragments)), store.steps[fragments])),
                PLACES: self._tensor(store.places[steps]),
            }
        )
        columns = {name: self._tensor(column[steps]) for name, column in store.columns.items()}
        return self._samples(observations, columns)

    def _samples(self, observations: Any, columns: dict[str, Tensor]) -> Any:
        return DictRolloutBufferSamples(observations=observations, **columns)

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device)


class TrajectoryBuffer(BaseTrajectoryBuffer):
    """A `rollout_buffer_class` for PPO and A2C with `TokenActorCriticPolicy`.

    Rewards, advantages and returns are those of `DictRolloutBuffer`. Observations are not stored:
    within an episode the ids only grow, so the last observation of an episode holds all others.
    Minibatches are made of whole fragments, an episode's part in the rollout, with the ids before
    it where the episode began earlier; a policy reads each of them once.

    Args:
        buffer_size: steps of each environment.
        observation_space: of a token environment.
        action_space: its actions.
        device: where the tensors go.
        gae_lambda: of the generalized advantage estimator.
        gamma: discount.
        n_envs: environments.
        seed: of the order of fragments; by default torch's, which is the algorithm's.

    Example:
        >>> import gymnasium as gym, lmgym
        >>> from stable_baselines3 import PPO
        >>> from lmgym.sb3 import TokenActorCriticPolicy
        >>> env = gym.make("lmgym/Copy-v0")
        >>> words = {"n_steps": 8, "batch_size": 8, "rollout_buffer_class": TrajectoryBuffer}
        >>> PPO(TokenActorCriticPolicy, env, **words, device="cpu").learn(8).num_timesteps
        8
    """


class MaskableTrajectoryBuffer(BaseTrajectoryBuffer, MaskableDictRolloutBuffer):  # type: ignore[misc]
    """The same for MaskablePPO of sb3-contrib; see `TrajectoryBuffer`."""

    def _columns(self) -> dict[str, NDArray[Any]]:
        return super()._columns() | {"action_masks": self.action_masks}

    def _samples(self, observations: Any, columns: dict[str, Tensor]) -> Any:
        return MaskableDictRolloutBufferSamples(observations=observations, **columns)


@dataclass(frozen=True, slots=True)
class _Store:
    """A rollout as F fragments of S steps in all.

    Attributes:
        ids: of all fragments, one after another.
        lengths: ids of each fragment, (F,).
        starts: where its ids begin, (F,).
        steps: steps of each fragment, (F,).
        firsts: its first step, (F,).
        places: where in its fragment stands the last id that a step has seen, (S,).
        columns: what else belongs to the steps, each (S, ...).
    """

    ids: NDArray[Any]
    lengths: Ints
    starts: Ints
    steps: Ints
    firsts: Ints
    places: Ints
    columns: dict[str, NDArray[Any]]

    def steps_of(self, fragments: Ints) -> Ints:
        """The steps of some fragments, in their order."""
        return _ranges(self.firsts[fragments], self.steps[fragments])

    def padded(self, fragments: Ints) -> NDArray[np.int64]:
        """Ids of some fragments, (F, T), 0 behind their ends."""
        lengths = self.lengths[fragments]
        ids = np.zeros((len(fragments), lengths.max()), np.int64)
        ids[np.arange(ids.shape[1]) < lengths[:, None]] = self.ids[
            _ranges(self.starts[fragments], lengths)
        ]
        return ids


def _ranges(starts: Ints, lengths: Ints) -> Ints:
    """`range(start, start + length)` for each pair, joined."""
    ends = np.cumsum(lengths)
    joined: Ints = np.arange(ends[-1]) + np.repeat(starts - (ends - lengths), lengths)
    return joined


def _cut(order: Ints, steps: Ints, batch_size: int | None) -> Iterable[Ints]:
    """Parts of `order` that have about `batch_size` steps each, and at least two."""
    ends = np.cumsum(steps[order])
    total = int(ends[-1])
    parts = 1 if batch_size is None else max(1, round(total / batch_size))
    aims = np.arange(1, parts) * total / parts
    cuts = [0]
    for cut in (np.searchsorted(ends, aims) + 1).tolist():
        after = int(ends[cut - 1])
        before = int(ends[cuts[-1] - 1]) if cuts[-1] else 0
        if after - before > 1 and total - after > 1:  # one step alone has no spread
            cuts.append(cut)
    return np.split(order, cuts[1:])
