"""What `reset` of batched goal worlds is given, checked before anything changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lmgym.errors import LmgymError, unknown
from lmgym.goal_env import GOAL_OPTIONS
from lmgym.goals import GoalTask
from lmgym.task import Opening
from lmgym.vector.options import check_count, check_listed, masked_rows, per_row
from lmgym.vector.prompts import Prompts

__all__ = ["GoalOptions"]

_OPTIONS = (*GOAL_OPTIONS, "reset_mask")


class GoalOptions:
    """The options of `reset`, one value a row.

    Args:
        task: the world.
        prompts: draw the episodes.
        n_rows: of the batch.
        options: `split`, `task_id` and `goal`, one value for all rows or one for each, and
            `reset_mask`.

    Attributes:
        rows: those that start.

    Raises:
        LmgymError: for what cannot be started.

    Example:
        >>> from lmgym.testing.flip_bits import FlipBitsTask
        >>> task = FlipBitsTask()
        >>> prompts = Prompts(task, None, 2, split="train")
        >>> chosen = GoalOptions(task, prompts, 2, {"goal": [[0, 0, 1, 1], [1, 0, 0, 0]]})
        >>> [opening.task_id for opening in chosen.openings()]
        ['flip/4/3', 'flip/4/8']
    """

    def __init__(
        self,
        task: GoalTask[Any],
        prompts: Prompts,
        n_rows: int,
        options: Mapping[str, Any] | None,
    ) -> None:
        """Check all of them."""
        if options is not None and not isinstance(options, Mapping):
            raise LmgymError(f"options={options!r:.60} is no dictionary of {', '.join(_OPTIONS)}")
        given = dict(options or {})
        for name in given:
            if name not in _OPTIONS:
                raise unknown("reset option", name, _OPTIONS)
        self._prompts = prompts
        self.rows = masked_rows(given.get("reset_mask"), n_rows)
        splits = per_row("split", given.get("split"), n_rows)
        self._splits = [task.check_split(split or prompts.split) for split in splits]
        self._task_ids = per_row("task_id", given.get("task_id"), n_rows)
        self._goals = _goals(given.get("goal"), task, n_rows)
        chosen = zip(self._splits, self._task_ids, self._goals, strict=True)
        for split, task_id, goal in set(chosen):  # what cannot be started is refused here
            if task_id is not None or goal is not None:
                task.reset(np.random.default_rng(0), split=split, task_id=task_id, goal=goal)

    def openings(self) -> list[Opening[Any]]:
        """How the rows start."""
        splits, task_ids, goals = self._splits, self._task_ids, self._goals
        return [
            self._prompts.open(row, split=splits[row], task_id=task_ids[row], goal=goals[row])
            for row in self.rows.tolist()
        ]


def _goals(given: Any, task: GoalTask[Any], n_rows: int) -> list[tuple[int, ...] | None]:
    """A goal or None for each row, from one for all or from a list."""
    if given is None:
        return [None] * n_rows
    check_listed("goal", given)
    is_per_row = any(goal is None or np.ndim(goal) for goal in given)
    goals = list(given) if is_per_row else [given] * n_rows
    check_count("goal", goals, n_rows)
    check = task.schema.check
    return [None if goal is None else tuple(check(goal).tolist()) for goal in goals]
