"""`GoalBatch`: N episodes of a goal world, their observations in arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmgym.goal_env import ending_info
from lmgym.goal_view import GoalView
from lmgym.goals import GoalTask
from lmgym.task import Opening, Verdict
from lmgym.vector.buffers import Rows
from lmgym.vector.infos import InfoColumns

__all__ = ["GoalBatch", "Observations"]

Observations = dict[str, NDArray[Any]]
"""By observation key, of all rows, shape (N, ...)."""


class GoalBatch:
    """N episodes of a goal world.

    Args:
        task: the world.
        view: how goals are shown.
        n_rows: of the batch.

    Attributes:
        states: the world's own, one a row.
        openings: how the episodes started.
        shown: observations, written in place.
        n_steps: commands of each episode so far, shape (N,).
        is_reached: whether each goal is reached, shape (N,).
        is_over: whether each episode is over, shape (N,).
        verdicts: how those ended; None where a limit from outside cut them off.

    Example:
        >>> from lmgym.testing.flip_bits import FlipBitsTask
        >>> task = FlipBitsTask()
        >>> batch = GoalBatch(task, GoalView(task.schema), 1)
        >>> batch.start(np.array([0]), [task.reset(np.random.default_rng(0), goal=[1, 0, 0, 0])])
        >>> _ = batch.command([0], np.array([0]))
        >>> batch.is_reached
        array([ True])
    """

    def __init__(self, task: GoalTask[Any], view: GoalView, n_rows: int) -> None:
        """Allocate the arrays."""
        self.task = task
        self.view = view
        self.states: list[Any] = [None] * n_rows
        self.openings: list[Any] = [None] * n_rows
        self.verdicts: list[Verdict | None] = [None] * n_rows
        space = view.observation_space(task)
        self.shown: Observations = {
            key: np.zeros((n_rows, *(part.shape or ())), part.dtype) for key, part in space.items()
        }
        n_facts = len(task.schema.facts)
        self._achieved = np.zeros((n_rows, n_facts), np.int16)
        self._desired = np.zeros((n_rows, n_facts), np.int16)
        self.n_steps = np.zeros(n_rows, np.int64)
        self.is_reached = np.zeros(n_rows, np.bool_)
        self.is_over = np.zeros(n_rows, np.bool_)

    def start(self, rows: Rows, openings: Sequence[Opening[Any]]) -> None:
        """Begin episodes in some rows."""
        view, shown = self.view, self.shown
        listed = rows.tolist()
        for row, opening in zip(listed, openings, strict=True):
            self.openings[row], self.states[row] = opening, opening.state
            self.verdicts[row] = None
        self.n_steps[rows] = 0
        self.is_over[rows] = False
        self._desired[rows] = self._told(listed, self.task.desired)
        shown["desired_goal"][rows] = view.shown(self._desired[rows])
        for key in view.keys:
            shown[key][rows] = [view.instruction(goal) for goal in self._desired[rows]]
        self._look(rows)

    def command(self, actions: Sequence[int], rows: Rows) -> InfoColumns:
        """Carry out commands in some rows; why some of them did nothing."""
        states, command = self.states, self.task.command
        changed: list[int] = []
        refused: list[int] = []
        reasons: list[str] = []
        for row in rows.tolist():
            state, error = command(states[row], actions[row])
            if error is None:
                states[row] = state
                changed.append(row)
            else:
                refused.append(row)
                reasons.append(error)
        self.n_steps[rows] += 1
        if changed:
            self._look(np.array(changed))
        return InfoColumns(np.array(refused, np.intp), {"last_action_error": reasons})

    def end(self, correct: NDArray[np.bool_], unfinished: NDArray[np.bool_]) -> InfoColumns:
        """Mark episodes as over; the infos of their ends."""
        over = correct | unfinished
        rows = over.nonzero()[0]
        self.is_over |= over
        ends: list[dict[str, Any]] = []
        for row, is_correct in zip(rows.tolist(), correct[rows].tolist(), strict=True):
            self.verdicts[row] = verdict = Verdict.CORRECT if is_correct else Verdict.UNFINISHED
            ends.append(ending_info(verdict, int(self.n_steps[row])))
        keys = ends[0] if ends else ()
        return InfoColumns(rows, {key: [end[key] for end in ends] for key in keys})

    def over(self) -> Rows | None:
        """The rows that are over; None where there are none."""
        rows = self.is_over.nonzero()[0]
        return rows if len(rows) else None

    def fork(self, sources: Rows, targets: Rows) -> None:
        """Make `targets` copies of `sources`."""
        for source, target in zip(sources.tolist(), targets.tolist(), strict=True):
            self.states[target] = self.states[source]
            self.openings[target] = self.openings[source]
            self.verdicts[target] = self.verdicts[source]
        flat: tuple[NDArray[Any], ...] = (
            self._achieved,
            self._desired,
            self.n_steps,
            self.is_reached,
            self.is_over,
        )
        for array in (*flat, *self.shown.values()):
            array[targets] = array[sources]

    def render(self, row: int) -> str:
        """A row's state as text, and how its episode ended."""
        shown, verdict = self.task.describe_state(self.states[row]), self.verdicts[row]
        return shown if verdict is None else f"{shown}\n[{verdict}]"

    def _look(self, rows: Rows) -> None:
        """Observe some rows anew, all but what follows from their goals."""
        task, shown = self.task, self.shown
        listed = rows.tolist()
        achieved = self._told(listed, task.achieved)
        self._achieved[rows] = achieved
        self.is_reached[rows] = (achieved == self._desired[rows]).all(1)
        shown["achieved_goal"][rows] = self.view.shown(achieved)
        shown["observation"][rows] = self._told(listed, task.features)
        shown["action_mask"][rows] = self._told(listed, task.command_mask)

    def _told(self, rows: list[int], tell: Callable[[Any], NDArray[Any]]) -> NDArray[Any]:
        """What the task tells of the states of some rows, shape (n, ...)."""
        states = self.states
        return np.concatenate([tell(states[row]) for row in rows]).reshape(len(rows), -1)
