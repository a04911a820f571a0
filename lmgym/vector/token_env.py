"""Token by token, and a few tokens at a time, in N rows at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from lmgym.episode import Episode
from lmgym.errors import LmgymError
from lmgym.rewards.schedule import RewardSchedule
from lmgym.token_env import Choices, TokenObservation, chunk_space, token_space
from lmgym.vector.arguments import VectorArgs
from lmgym.vector.base_env import EpisodeVectorEnv, RowStep
from lmgym.vector.buffers import Rows
from lmgym.vector.infos import InfoColumns

__all__ = ["ChunkVectorEnv", "TokenVectorEnv"]

_UNSIGNED = {np.dtype(np.int32): np.uint32, np.dtype(np.int64): np.uint64}


class TokenVectorEnv(EpisodeVectorEnv[TokenObservation, Any]):
    """One step, one token in each of N rows.

    Args:
        episode: says which task, tokenizer and sizes.
        schedule: pays the rewards.
        args: see `VectorArgs`.
        alphabet: the actions stand for these ids only; None: for all.
        mask: an alphabet that `action_masks` lets through.

    Example:
        >>> import gymnasium as gym, lmgym
        >>> envs = gym.make_vec("lmgym/Math-v0", num_envs=3, alphabet="digits")
        >>> observations, infos = envs.reset(seed=0)
        >>> observations["tokens"].shape, envs.action_space
        ((3, 128), MultiDiscrete([11 11 11]))
        >>> observations, rewards, terminations, truncations, infos = envs.step([4, 5, 10])
        >>> terminations.tolist(), infos["verdict"].tolist()
        ([False, False, True], [None, None, 'incorrect'])
    """

    def __init__(
        self,
        episode: Episode,
        schedule: RewardSchedule,
        args: VectorArgs,
        *,
        alphabet: str | None = None,
        mask: str | None = None,
    ) -> None:
        """Declare the spaces."""
        super().__init__(episode, schedule, args)
        self.choices = Choices(episode, alphabet, mask)
        self._set_spaces(token_space(episode), spaces.Discrete(self.choices.size))

    @property
    def alphabet(self) -> NDArray[np.int32] | None:
        """The id that each action writes, shape (A,); None where the actions are ids."""
        return self.choices.ids

    def action_masks(self) -> NDArray[np.bool_]:
        """True for the actions an agent may take, read-only, shape (N, A)."""
        mask = self.choices.mask
        return np.broadcast_to(mask, (self.num_envs, len(mask)))

    def _write(self, actions: Any, waiting: Rows | None) -> Rows:
        chosen = self._checked(actions, (self.num_envs,), self.choices.size)
        return self.batch.buffers.append(self._ids_of(chosen), waiting)

    def _n_written(self) -> int | NDArray[np.int64]:
        return 1

    def _observe(self) -> TokenObservation:
        return self.batch.buffers.observe(copy=self.args.copy)

    def _final_observations(self, rows: Rows) -> dict[int, Any]:
        buffers = self.batch.buffers
        arrays = buffers.tokens[rows], buffers.lengths[rows], buffers.remaining[rows]
        names = ("tokens", "length", "remaining")
        parts = zip(rows.tolist(), *arrays, strict=True)
        return {row: dict(zip(names, last, strict=True)) for row, *last in parts}

    def _ids_of(self, chosen: NDArray[np.integer]) -> NDArray[np.integer]:
        ids = self.choices.ids
        return chosen if ids is None else ids[chosen]

    def _checked(self, actions: Any, shape: tuple[int, ...], size: int) -> NDArray[np.integer]:
        """Actions as an array; raises where they are not what the action space holds."""
        array = np.asarray(actions)
        if array.shape != shape or array.dtype.kind not in "iu":
            raise LmgymError(
                f"the actions have shape {array.shape} and type {array.dtype}; this environment"
                f" takes whole numbers of shape {shape}"
            )
        unsigned = _UNSIGNED.get(array.dtype)
        if unsigned is None:  # short ones might lack room for the size
            array, unsigned = array.astype(np.int64), np.uint64
        # Negative numbers are large unsigned ones.
        if np.maximum.reduce(array.view(unsigned), axis=None) >= size:
            worst = array[(array < 0) | (array >= size)][0]
            raise self.choices.out_of_range(int(worst))
        return array


class ChunkVectorEnv(TokenVectorEnv):
    """One step, up to `chunk_size` tokens in each of N rows.

    Args:
        episode: says which task, tokenizer and sizes.
        schedule: pays the rewards.
        args: see `VectorArgs`.
        chunk_size: ids a step.
        alphabet: the actions stand for these ids only; None: for all.
        mask: an alphabet that `action_masks` lets through.
    """

    def __init__(
        self,
        episode: Episode,
        schedule: RewardSchedule,
        args: VectorArgs,
        *,
        chunk_size: int = 4,
        alphabet: str | None = None,
        mask: str | None = None,
    ) -> None:
        """Declare the spaces."""
        super().__init__(episode, schedule, args, alphabet=alphabet, mask=mask)
        self.chunk_size = chunk_size
        self._set_spaces(token_space(episode), chunk_space(self.choices.size, chunk_size))
        self._counts = np.zeros(args.num_envs, np.int64)

    def action_masks(self) -> NDArray[np.bool_]:
        """The masks of the chunk's positions, joined, shape (N, chunk_size * (A + 1) - 1)."""
        mask = self.choices.mask
        whole = np.concatenate([mask, *[np.append(mask, True)] * (self.chunk_size - 1)])
        return np.broadcast_to(whole, (self.num_envs, len(whole)))

    def _write(self, actions: Any, waiting: Rows | None) -> Rows:
        stop = self.choices.size
        chosen = self._checked(actions, (self.num_envs, self.chunk_size), stop + 1)
        is_due = np.ones(self.num_envs, np.bool_)
        if waiting is not None:
            is_due[waiting] = False
        if (chosen[is_due, 0] == stop).any():
            raise self.choices.out_of_range(stop)
        self._counts[:] = 0
        ended = [np.empty(0, np.intp)]
        for column in chosen.T:
            is_due &= column != stop
            rows = is_due.nonzero()[0]
            ended.append(self.batch.buffers.append_to(rows, self._ids_of(column[rows])))
            self._counts[rows] += 1
            is_due[ended[-1]] = False
        return np.sort(np.concatenate(ended))

    def _n_written(self) -> NDArray[np.int64]:
        return self._counts

    def _more_of_turns(self, rows: Rows) -> dict[str, list[Any]]:
        return {"n_tokens": self._counts[rows].tolist()}

    def _batched(self, step: RowStep[TokenObservation]) -> dict[str, Any]:
        counted = self._counts.nonzero()[0]
        counts = InfoColumns(counted, {"n_tokens": self._counts[counted].tolist()})
        return super()._batched(replace(step, ended=[counts, *step.ended]))
