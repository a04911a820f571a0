"""N episodes of a goal world as a `gymnasium.vector.VectorEnv`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.goal_env import no_command
from lmgym.goal_view import GoalMethods, GoalView
from lmgym.goals import GoalTask
from lmgym.task import Opening
from lmgym.transcript import conversation_text
from lmgym.vector.arguments import VectorArgs
from lmgym.vector.base_env import RowStep
from lmgym.vector.batched_spaces import batched_space
from lmgym.vector.buffers import Rows
from lmgym.vector.goal_batch import GoalBatch, Observations
from lmgym.vector.goal_options import GoalOptions
from lmgym.vector.infos import InfoColumns, batched_infos, step_infos
from lmgym.vector.options import checked_fork, seeds_of
from lmgym.vector.prompts import Prompts

__all__ = ["GoalRowStep", "GoalVectorEnv"]


@dataclass
class GoalRowStep(RowStep[Observations]):
    """A step of all rows of a goal world.

    Attributes:
        final_rows: in mode same_step, the rows that are over, shape (K,).
        final_arrays: what they showed last, by observation key, shape (K, ...); the dictionaries
            of `final_observations` look into these.
    """

    final_rows: Rows
    final_arrays: Observations


class GoalVectorEnv(GoalMethods, VectorEnv[Observations, Any, NDArray[Any]]):
    """One command a step in each of N rows; equal, step by step, to `SyncVectorEnv` of `GoalEnv`.

    Args:
        task: the world.
        args: see `VectorArgs`; there is nothing to compile.
        goals: how observations show goals, "one_hot" or "vector".
        goal_text: whether they hold the desired goal's description as byte ids, too.
        reward: "sparse", "verifier" or None.

    Raises:
        LmgymError: for arguments that do not fit.

    Example:
        >>> from lmgym.testing.flip_bits import FlipBitsTask
        >>> envs = GoalVectorEnv(FlipBitsTask(), VectorArgs(num_envs=2), goals="vector")
        >>> observations, infos = envs.reset(seed=0, options={"goal": [1, 1, 0, 0]})
        >>> observations["desired_goal"].tolist()
        [[1, 1, 0, 0], [1, 1, 0, 0]]
        >>> envs.step([0, 1])[1], envs.step([1, 1])[1]
        (array([-1., -1.]), array([ 0., -1.]))
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 4}

    def __init__(
        self,
        task: GoalTask[Any],
        args: VectorArgs,
        *,
        goals: str = "one_hot",
        goal_text: bool = False,
        reward: Any = "sparse",
    ) -> None:
        """Allocate the batch and declare the spaces."""
        if args.compiled:
            raise LmgymError(
                "compiled=True: level 'goal' has no loop over ids to compile; leave it out"
            )
        self.args = args
        self.num_envs = n = args.num_envs
        self.autoreset_mode = args.mode
        self.metadata = {**self.metadata, "autoreset_mode": args.mode}
        self.render_mode = args.render_mode
        self.task = task
        self.goal_view = GoalView(task.schema, goals=goals, goal_text=goal_text, reward=reward)
        self.single_observation_space = self.goal_view.observation_space(task)
        self.single_action_space = spaces.Discrete(len(task.commands))
        self.observation_space = batched_space(self.single_observation_space, n)
        self.action_space = batched_space(self.single_action_space, n)
        split = task.check_split(args.split)
        self.prompts = Prompts(task, None, n, split=split, group_size=args.group_size)
        self.batch = GoalBatch(task, self.goal_view, n)
        self._every = np.arange(n)
        self._is_due = np.ones(n, np.bool_)  # rows that have to be reset
        self._waiting: Rows | None = None

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> tuple[Observations, dict[str, Any]]:
        """Start episodes in all rows, or in some.

        Args:
            seed: of the rows' random generators; one number seeds row i with `seed + i`.
            options: `split`, `task_id` and `goal`, one value or a list with one a row, and
                `reset_mask`, a boolean array: only these rows start.
        """
        chosen = GoalOptions(self.task, self.prompts, self.num_envs, options)
        rows = chosen.rows
        seeds = seeds_of(seed, rows, self.num_envs)
        self._is_due[rows] = True  # until it is done
        self.prompts.seed(rows.tolist(), seeds)
        self.prompts.align(rows)
        begun = self._start(rows, chosen.openings())
        self._is_due[rows] = False
        self._waiting = self.batch.over()
        return self._observe(), batched_infos(self.num_envs, [begun])

    def step(
        self, actions: Any
    ) -> tuple[Observations, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Carry out one command in each row.

        Raises:
            LmgymError: before `reset`, for actions of the wrong shape or out of range, and in mode
                disabled where a row is over.
        """
        step = self.step_rows(actions)
        infos = step_infos(self.num_envs, step.ended, step.begun, step.final_observations)
        return step.observations, step.rewards, step.terminations, step.truncations, infos

    def step_rows(self, actions: Any) -> GoalRowStep:
        """As `step`, with infos by row: what adapters and collectors build on."""
        self._require_running()
        chosen = self._checked(actions)
        try:
            return self._complete(chosen)
        except BaseException:
            self._is_due[:] = True
            raise

    def action_masks(self) -> NDArray[np.bool_]:
        """True for every command that does something, shape (N, A)."""
        return self.batch.shown["action_mask"].astype(np.bool_)

    @property
    def states(self) -> list[Any]:
        """The world's own state of each row."""
        return self.batch.states.copy()

    @property
    def task_ids(self) -> list[str]:
        """The episode of each row, by its address."""
        return [opening.task_id for opening in self.batch.openings]

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """The random generators of the rows."""
        return tuple(self.prompts.generator(row) for row in range(self.num_envs))

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seeds of the rows."""
        return tuple(self.prompts.seeds)

    def fork(self, sources: Sequence[int] | Rows, targets: Sequence[int] | Rows) -> None:
        """Make rows copies of others: state, goal, steps so far and the random state.

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
        self.prompts.fork(from_rows, to_rows)
        self._is_due[to_rows] = self._is_due[from_rows]
        self._waiting = self.batch.over()

    def render(self) -> tuple[str, ...] | None:
        """The states as text."""
        if self.render_mode is None:
            return None
        return tuple(self.batch.render(row) for row in range(self.num_envs))

    def close_extras(self, **kwargs: Any) -> None:
        """Free what the world holds outside of this process."""
        del kwargs
        self.task.close()

    def _complete(self, actions: list[int]) -> GoalRowStep:
        """A step, once the actions are checked."""
        batch, waiting = self.batch, self._waiting
        is_played = np.ones(self.num_envs, np.bool_)
        if waiting is not None:
            is_played[waiting] = False
        errors = batch.command(actions, is_played.nonzero()[0])
        terminations = batch.is_reached & is_played
        spent = ~terminations & is_played & (batch.n_steps >= self.task.horizon)
        before, once = self.goal_view.pays
        rewards = np.where(terminations, once, before)
        rewards[~is_played] = 0.0
        ended = [errors, batch.end(terminations, spent)]
        limit = self.args.max_episode_steps
        truncations = spent if limit is None else spent | (is_played & (batch.n_steps >= limit))
        batch.is_over |= truncations
        begun = [] if waiting is None else [self._start_next(waiting)]
        self._waiting = over = batch.over()
        finals: Observations = {}
        if over is not None and self.autoreset_mode is AutoresetMode.SAME_STEP:
            finals = {key: shown[over] for key, shown in batch.shown.items()}
            begun, self._waiting = [self._start_next(over)], None
        rows = over if finals and over is not None else self._every[:0]
        return GoalRowStep(
            self._observe(),
            rewards,
            terminations,
            truncations,
            [part for part in ended if len(part.rows)],
            begun,
            {row: {k: a[i] for k, a in finals.items()} for i, row in enumerate(rows.tolist())},
            rows,
            finals,
        )

    def _observe(self) -> Observations:
        shown = self.batch.shown
        if self.args.copy:
            return {key: array.copy() for key, array in shown.items()}
        views = {key: array.view() for key, array in shown.items()}
        for view in views.values():
            view.flags.writeable = False
        return views

    def _start(self, rows: Rows, openings: list[Opening[Any]]) -> InfoColumns:
        """Begin episodes in some rows; what `reset` tells of them."""
        self.batch.start(rows, openings)
        columns: dict[str, list[Any]] = {
            "task_id": [opening.task_id for opening in openings],
            "prompt_text": [conversation_text(opening.messages) for opening in openings],
        }
        return InfoColumns(rows, columns)

    def _start_next(self, rows: Rows) -> InfoColumns:
        prompts = self.prompts
        listed = rows.tolist()
        return self._start(
            rows, [prompts.open(row, split=prompts.split, task_id=None) for row in listed]
        )

    def _checked(self, actions: Any) -> list[int]:
        """The commands of the rows; raises where actions are not what the action space holds."""
        array = np.asarray(actions)
        if array.shape != (self.num_envs,) or array.dtype.kind not in "iu":
            raise LmgymError(
                f"the actions have shape {array.shape} and type {array.dtype}; this environment"
                f" takes whole numbers of shape ({self.num_envs},)"
            )
        outside = (array < 0) | (array >= len(self.task.commands))
        if outside.any():
            raise no_command(int(array[outside][0]), self.task)
        chosen: list[int] = array.tolist()
        return chosen

    def _require_running(self) -> None:
        if self._is_due.any():
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
