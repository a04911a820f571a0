"""What the batched views share: resets, autoresets, endings, infos, forks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from lmgym.episode import Episode
from lmgym.errors import LmgymError
from lmgym.rewards.schedule import RewardSchedule
from lmgym.transcript import Transcript, conversation_text
from lmgym.vector.arguments import VectorArgs
from lmgym.vector.batched_spaces import batched_space
from lmgym.vector.boundaries import rows_at_boundary
from lmgym.vector.buffers import Rows
from lmgym.vector.episodes import EpisodeBatch
from lmgym.vector.infos import InfoColumns, batched_infos, infos_by_row, step_infos
from lmgym.vector.options import ResetOptions, checked_fork, seeds_of
from lmgym.vector.prompts import Started

__all__ = ["EpisodeVectorEnv", "RowStep"]

Obs = TypeVar("Obs")
Act = TypeVar("Act")


@dataclass
class RowStep(Generic[Obs]):
    """A step of all rows; infos cost little until somebody asks for them.

    Attributes:
        observations: of all rows.
        rewards: shape (N,), float64.
        terminations: shape (N,).
        truncations: shape (N,).
        ended: infos of the rows whose turn ended in this step, or whose line or id is unscored.
        begun: what `reset` tells of the rows that started again in this step.
        final_observations: in mode same_step, what the rows that are over were last.
    """

    observations: Obs
    rewards: NDArray[np.float64]
    terminations: NDArray[np.bool_]
    truncations: NDArray[np.bool_]
    ended: list[InfoColumns]
    begun: list[InfoColumns]
    final_observations: dict[int, Any]

    @cached_property
    def infos(self) -> dict[int, dict[str, Any]]:
        """By row, the infos of the rows whose turn ended."""
        return infos_by_row(self.ended)

    @cached_property
    def started(self) -> dict[int, dict[str, Any]]:
        """By row, what `reset` tells of the rows that started again."""
        return infos_by_row(self.begun)


class EpisodeVectorEnv(VectorEnv[Obs, Act, NDArray[Any]], Generic[Obs, Act]):
    """N episodes as a `gymnasium.vector.VectorEnv`; subclasses say what actions are.

    Step by step equal to `SyncVectorEnv` over the single environment.

    Args:
        episode: says which task, tokenizer and sizes.
        schedule: pays the rewards.
        args: see `VectorArgs`.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 4}

    def __init__(self, episode: Episode, schedule: RewardSchedule, args: VectorArgs) -> None:
        """Allocate the batch."""
        self.args = args
        self.num_envs = args.num_envs
        self.autoreset_mode = args.mode
        self.metadata = {**self.metadata, "autoreset_mode": args.mode}
        self.render_mode = args.render_mode
        self.batch = EpisodeBatch(
            episode,
            schedule,
            args.num_envs,
            split=episode.task.check_split(args.split),
            group_size=args.group_size,
            buffers=args.buffers,
        )
        self._every = np.arange(args.num_envs)
        self._waiting: Rows | None = None
        self._is_due = np.ones(args.num_envs, np.bool_)  # rows that have to be reset
        self._is_started = False  # none of them is
        self._elapsed = np.zeros(args.num_envs, np.int64)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> tuple[Obs, dict[str, Any]]:
        """Start episodes in all rows, or in some.

        Args:
            seed: of the rows' random generators; one number seeds row i with `seed + i`.
            options: `split`, `task_id` and `prefix_ids`, one value or a list with one a row, and
                `reset_mask`, a boolean array: only these rows start.
        """
        chosen = ResetOptions(self.batch, options)
        rows, prompts = chosen.rows, self.batch.prompts
        seeds = seeds_of(seed, rows, self.num_envs)
        self._require_reset(rows)  # until it is done
        prompts.seed(rows.tolist(), seeds)
        prompts.align(rows)
        begun = self._start(rows, chosen.openings(), chosen.prefixes())
        self._waiting = self._over()
        self._is_due[rows] = False
        self._is_started = not self._is_due.any()
        return self._observe(), batched_infos(self.num_envs, [begun])

    def step(
        self, actions: Act
    ) -> tuple[Obs, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Take one action in each row.

        Raises:
            LmgymError: before `reset`, for actions of the wrong shape or out of range, and in mode
                disabled where a row is over.
        """
        step = self.step_rows(actions)
        infos = self._batched(step)
        return step.observations, step.rewards, step.terminations, step.truncations, infos

    def step_rows(self, actions: Act) -> RowStep[Obs]:
        """As `step`, with infos by row: what adapters and collectors build on."""
        self._require_running()
        is_written = False
        try:
            turned = self._write(actions, self._waiting)
            is_written = True
            return self._complete(turned, self._due(turned), self._waiting)
        except BaseException as error:
            if is_written or not isinstance(error, LmgymError):  # else it was refused as it is
                self._require_reset(self._every)
            raise

    def _complete(self, turned: Rows, due: Rows, waiting: Rows | None) -> RowStep[Obs]:
        """The rest of a step, once the ids are written."""
        rewards = np.zeros(self.num_envs, np.float64)
        terminations = np.zeros(self.num_envs, np.bool_)
        ended: list[InfoColumns] = []
        over = turned
        if len(due):
            paid, over, ended = self.batch.finish(turned, due)
            rewards[due] = paid
            terminations[over] = True
            if len(turned):
                ended[0].columns.update(self._more_of_turns(turned))
        truncations = np.zeros(self.num_envs, np.bool_)
        if self.args.max_episode_steps is not None:
            truncations = self._truncated(self.args.max_episode_steps, waiting)
            over = (terminations | truncations).nonzero()[0]
        begun = [] if waiting is None else [self._start_next(waiting)]
        finals: dict[int, Any] = {}
        self._waiting = over if len(over) else None
        if len(over) and self.autoreset_mode is AutoresetMode.SAME_STEP:
            finals = self._final_observations(over)
            begun = [self._start_next(over)]
            self._waiting = None
        return RowStep(self._observe(), rewards, terminations, truncations, ended, begun, finals)

    @property
    def task_ids(self) -> list[str]:
        """The problem of each row."""
        return [self.batch.opening(row).task_id for row in range(self.num_envs)]

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """The random generators of the rows."""
        return tuple(self.batch.prompts.generator(row) for row in range(self.num_envs))

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seeds of the rows."""
        return tuple(self.batch.prompts.seeds)

    def transcripts(self, rows: Sequence[int] | None = None) -> list[Transcript]:
        """What happened so far in some rows, or in all."""
        return [self.batch.transcript(int(row)) for row in (self._every if rows is None else rows)]

    def fork(self, sources: Sequence[int] | Rows, targets: Sequence[int] | Rows) -> None:
        """Make rows copies of others: ids, budget, the world's state and the random state.

        Args:
            sources: the rows to copy; one may stand several times.
            targets: the rows that become copies; none of them twice or among the sources.

        Raises:
            LmgymError: where these do not fit; nothing is copied then.
        """
        from_rows, to_rows = checked_fork(sources, targets, self.num_envs)
        if not len(to_rows):
            return
        self.batch.fork(from_rows, to_rows)
        self._elapsed[to_rows] = self._elapsed[from_rows]
        self._is_due[to_rows] = self._is_due[from_rows]
        self._is_started = not self._is_due.any()
        self._waiting = self._over()

    def render(self) -> tuple[str, ...] | None:
        """The conversations so far as text."""
        if self.render_mode is None:
            return None
        return tuple(self.batch.render(row) for row in range(self.num_envs))

    def close_extras(self, **kwargs: Any) -> None:
        """Free what the world holds outside of this process."""
        del kwargs
        self.batch.task.close()

    @abstractmethod
    def _write(self, actions: Act, waiting: Rows | None) -> Rows:
        """Write the actions' ids, except to rows that wait; the rows whose turn ended."""

    @abstractmethod
    def _observe(self) -> Obs:
        """The observations of all rows."""

    @abstractmethod
    def _final_observations(self, rows: Rows) -> dict[int, Any]:
        """The observations of some rows, each as a single environment returns it."""

    def _due(self, turned: Rows) -> Rows:
        """The rows that are paid something, those whose turn ended among them."""
        batch = self.batch
        if not batch.schedule.pays_within_turns:
            return turned
        level, n_new = batch.schedule.level, self._n_written()
        return rows_at_boundary(level, turned, self._waiting, batch.buffers, batch.renderer, n_new)

    def _n_written(self) -> int | NDArray[np.int64]:
        """How many ids each row was given, where a step may write some without ending a turn."""
        return 0

    def _more_of_turns(self, rows: Rows) -> dict[str, list[Any]]:
        """What a view adds to the infos of rows whose turn ended."""
        del rows
        return {}

    def _more_of_starts(self, rows: Rows) -> dict[str, list[Any]]:
        """What a view adds to the infos of rows that started."""
        del rows
        return {}

    def _batched(self, step: RowStep[Obs]) -> dict[str, Any]:
        """The infos of a step in gymnasium's form."""
        return step_infos(self.num_envs, step.ended, step.begun, step.final_observations)

    def _set_spaces(self, observation_space: Any, action_space: Any) -> None:
        self.single_observation_space = observation_space
        self.single_action_space = action_space
        self.observation_space = batched_space(observation_space, self.num_envs)
        self.action_space = batched_space(action_space, self.num_envs)

    def _start(
        self, rows: Rows, started: Started, prefixes: Sequence[Sequence[int]] | None = None
    ) -> InfoColumns:
        """Begin episodes in some rows; what `reset` tells of them."""
        self.batch.start(rows, started, prefixes)
        if self.args.max_episode_steps is not None:
            self._elapsed[rows] = 0
        openings = started.openings
        columns: dict[str, list[Any]] = {
            "task_id": [opening.task_id for opening in openings],
            "prompt_text": [conversation_text(opening.messages) for opening in openings],
        }
        return InfoColumns(rows, columns | self._more_of_starts(rows))

    def _start_next(self, rows: Rows) -> InfoColumns:
        return self._start(rows, self.batch.prompts.take(rows))

    def _truncated(self, limit: int, waiting: Rows | None) -> NDArray[np.bool_]:
        self._elapsed += 1
        truncated = self._elapsed >= limit
        if waiting is not None:
            truncated[waiting] = False
        self.batch.truncate(truncated.nonzero()[0])
        return truncated

    def _over(self) -> Rows | None:
        """The rows that are over."""
        rows = self.batch.over()
        return rows if len(rows) else None

    def _require_reset(self, rows: Rows) -> None:
        """Allow no step before these rows are reset."""
        self._is_due[rows] = True
        self._is_started = False

    def _require_running(self) -> None:
        if not self._is_started:
            rows = self._is_due.nonzero()[0].tolist()
            raise LmgymError(
                f"rows {rows[:8]} were never started, or an error left them half way; call reset()"
                " before step()"
            )
        if self._waiting is not None and self.autoreset_mode is AutoresetMode.DISABLED:
            rows = self._waiting.tolist()
            raise LmgymError(
                f"the episodes of rows {rows[:8]} are over; reset them with"
                " reset(options={'reset_mask': mask}), or choose autoreset_mode='next_step'"
            )
