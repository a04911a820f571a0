"""One of a world's listed answers a step, in N rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from lmgym.choice_env import Answers, Features, encoder_for, observation_space
from lmgym.episode import Episode
from lmgym.errors import LmgymError
from lmgym.rewards.schedule import RewardSchedule
from lmgym.vector.arguments import VectorArgs
from lmgym.vector.base_env import EpisodeVectorEnv
from lmgym.vector.buffers import Rows
from lmgym.vector.infos import InfoColumns
from lmgym.vector.prompts import Started

__all__ = ["ChoiceVectorEnv"]


class ChoiceVectorEnv(EpisodeVectorEnv[Features, Any]):
    """One step, one of the listed answers in each of N rows; all are rewarded in one batch.

    Args:
        episode: says which task, tokenizer and sizes.
        schedule: pays the rewards.
        args: see `VectorArgs`.
        encoder: "auto", or the name of an encoder, as for `ChoiceEnv`.

    Example:
        >>> import gymnasium as gym, lmgym
        >>> envs = gym.make_vec("lmgym/PromptSelect-v0", num_envs=3, level="choice")
        >>> observations, infos = envs.reset(options={"task_id": "generated/0/0"})
        >>> observations.shape, envs.action_space
        ((3, 1024), MultiDiscrete([4 4 4]))
        >>> envs.step([0, 1, 2])[1]
        array([1., 0., 1.])
    """

    def __init__(
        self,
        episode: Episode,
        schedule: RewardSchedule,
        args: VectorArgs,
        *,
        encoder: str = "auto",
    ) -> None:
        """Declare the spaces."""
        super().__init__(episode, schedule, args)
        self.answers = Answers(episode)
        self.encoder = encoder_for(episode.task, encoder)
        space = observation_space(episode.task, self.encoder)
        self._set_spaces(space, spaces.Discrete(self.answers.size))
        self._seen = np.zeros(self.observation_space.shape or (), np.float32)
        self._is_stale = np.zeros(args.num_envs, np.bool_)  # rows that were told something new

    def action_masks(self) -> NDArray[np.bool_]:
        """True for every answer that may be given, shape (N, A); for all in rows that are over."""
        return np.stack([self.answers.mask(self._allowed(row)) for row in range(self.num_envs)])

    def fork(self, sources: Sequence[int] | Rows, targets: Sequence[int] | Rows) -> None:
        """Make rows copies of others."""
        super().fork(sources, targets)
        self._seen[targets] = self._seen[sources]

    def _write(self, actions: Any, waiting: Rows | None) -> Rows:
        chosen = self._checked(actions)
        is_due = np.ones(self.num_envs, np.bool_)
        if waiting is not None:
            is_due[waiting] = False
        rows = is_due.nonzero()[0]
        for row in rows.tolist():
            self.batch.write(row, self.answers.ids(int(chosen[row])))
        self._is_stale[rows] = True
        return rows

    def _observe(self) -> Features:
        self._look()
        if self.args.copy:
            return self._seen.copy()
        view = self._seen.view()
        view.flags.writeable = False
        return view

    def _final_observations(self, rows: Rows) -> dict[int, Any]:
        self._look()
        return dict(zip(rows.tolist(), self._seen[rows], strict=True))

    def _look(self) -> None:
        """Encode what is new; of a text that is over, what its last answer was given to."""
        batch, rows = self.batch, self._is_stale.nonzero()[0]
        self._is_stale[rows] = False
        if self.encoder is None:
            for row in rows.tolist():
                self._seen[row] = batch.task.features(batch.state(row))
            return
        going_on = [row for row in rows.tolist() if batch.verdict(row) is None]
        self._seen[going_on] = self.encoder.of([batch.seen(row) for row in going_on])

    def _start(
        self, rows: Rows, started: Started, prefixes: Sequence[Sequence[int]] | None = None
    ) -> InfoColumns:
        self._is_stale[rows] = True
        return super()._start(rows, started, prefixes)

    def _allowed(self, row: int) -> Sequence[int] | None:
        batch = self.batch
        if not batch.has_started(row) or batch.verdict(row) is not None:
            return None
        return batch.task.allowed(batch.state(row))

    def _checked(self, actions: Any) -> NDArray[np.integer]:
        """Actions as an array; raises where they are not what the action space holds."""
        array = np.asarray(actions)
        if array.shape != (self.num_envs,) or array.dtype.kind not in "iu":
            raise LmgymError(
                f"the actions have shape {array.shape} and type {array.dtype}; this environment"
                f" takes whole numbers of shape ({self.num_envs},)"
            )
        outside = (array < 0) | (array >= self.answers.size)
        if outside.any():
            raise self.answers.out_of_range(int(array[outside][0]))
        return array
