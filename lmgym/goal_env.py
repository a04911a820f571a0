"""A goal world as a `gymnasium.Env`, in the convention of Gymnasium-Robotics' `GoalEnv`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import index
from typing import Any, SupportsIndex

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from lmgym.base_env import RenderModeError
from lmgym.errors import LmgymError, unknown
from lmgym.goal_view import GoalMethods, GoalView
from lmgym.goals import GoalTask, GoalVector
from lmgym.task import Opening, Verdict
from lmgym.transcript import conversation_text

__all__ = ["GOAL_OPTIONS", "GoalEnv", "GoalState", "ending_info", "no_command"]

GOAL_OPTIONS = ("goal", "split", "task_id")
"""What `reset` can be told."""

Observation = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class GoalState:
    """A snapshot of an episode: values only, so it can be kept, compared and restored often."""

    opening: Opening[Any]
    state: Any
    n_steps: int
    verdict: Verdict | None
    random_state: Mapping[str, Any]
    sizes: tuple[int, ...]


class GoalEnv(GoalMethods, gym.Env[Observation, Any]):
    """One command a step, until the goal is reached or the commands are spent.

    Observations hold `observation`, float32 features of shape (n_features,), each from 0 to 1;
    `achieved_goal` and `desired_goal`; `action_mask`, int8 of shape (A,), 1 for each command that
    does something here; and `instruction` on request. A command that does nothing costs a step,
    and `info["last_action_error"]` says why.

    Reaching the goal terminates the episode, `correct`. Spending the `horizon` truncates it,
    `unfinished`, unlike the token budget at other levels: whether a step terminates has to follow
    from its goals alone, so that past steps can be told again with other goals, and the steps
    that are left are not observed.

    Args:
        task: the world.
        goals: how observations show goals, "one_hot" or "vector".
        goal_text: whether they hold the desired goal's description as byte ids, too, padded
            with 256.
        reward: "sparse", -1 a step and 0 once the goal is reached; "verifier", 0 and then 1; None.
        split: where `reset` draws episodes from unless its options say otherwise.
        render_mode: "ansi" returns the state as text.

    Attributes:
        state: the world's own.
        desired: the goal of the episode, shape (D,), int16.
        n_steps: commands of the episode so far.
        verdict: None while the episode goes on.
        opening: how the episode started.

    Example:
        >>> from lmgym.testing.flip_bits import FlipBitsTask
        >>> env = GoalEnv(FlipBitsTask(), goals="vector")
        >>> observation, info = env.reset(seed=0, options={"goal": [1, 0, 1, 0]})
        >>> observation["achieved_goal"].tolist(), observation["desired_goal"].tolist()
        ([0, 0, 0, 0], [1, 0, 1, 0])
        >>> env.step(0)[1:3], env.step(2)[1:3]
        ((-1.0, False), (0.0, True))
        >>> env.compute_reward([[1, 0, 0, 0], [1, 0, 1, 0]], observation["desired_goal"])
        array([-1.,  0.])
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 4}
    observation_space: spaces.Space[Any]

    def __init__(
        self,
        task: GoalTask[Any],
        *,
        goals: str = "one_hot",
        goal_text: bool = False,
        reward: Any = "sparse",
        split: str = "train",
        render_mode: str | None = None,
    ) -> None:
        """Check the arguments and declare the spaces."""
        if render_mode not in (None, "ansi"):
            raise RenderModeError(str(unknown("render_mode", render_mode, ["ansi", "None"])))
        self.task = task
        self.split = task.check_split(split)
        self.render_mode = render_mode
        self.goal_view = GoalView(task.schema, goals=goals, goal_text=goal_text, reward=reward)
        self.observation_space = self.goal_view.observation_space(task)
        self.action_space = spaces.Discrete(len(task.commands))
        self.state: Any = None
        self.desired: GoalVector = np.zeros(len(task.schema.facts), np.int16)
        self.n_steps = 0
        self.verdict: Verdict | None = Verdict.ENDED
        self.opening: Opening[Any] | None = None
        self._wanted: Observation = {}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode.

        Args:
            seed: of the environment's random generator.
            options: `split`, `task_id` (start this episode), `goal` (pursue this one, a vector of
                shape (D,) in any view).
        """
        super().reset(seed=seed)
        given = options or {}
        for name in given:
            if name not in GOAL_OPTIONS:
                raise unknown("reset option", name, GOAL_OPTIONS)
        goal = given.get("goal")
        opening = self.task.reset(
            self.np_random,
            split=self.task.check_split(given.get("split") or self.split),
            task_id=given.get("task_id"),
            goal=None if goal is None else self.task.schema.check(goal).tolist(),
        )
        self._begin(opening)
        info = {"task_id": opening.task_id, "prompt_text": conversation_text(opening.messages)}
        return self._observe(), info

    def step(self, action: SupportsIndex) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Carry out a command.

        Raises:
            LmgymError: where the episode is over, or the action stands for no command.
        """
        chosen = self._checked(action)
        state, error = self.task.command(self.state, chosen)
        info: dict[str, Any] = {}
        if error is None:
            self.state = state
        else:
            info["last_action_error"] = error
        self.n_steps += 1
        observation = self._observe()
        achieved, desired = observation["achieved_goal"], observation["desired_goal"]
        is_reached = achieved.tobytes() == desired.tobytes()  # both are whole numbers
        is_spent = not is_reached and self.n_steps >= self.task.horizon
        if is_reached or is_spent:
            self.verdict = Verdict.CORRECT if is_reached else Verdict.UNFINISHED
            info |= ending_info(self.verdict, self.n_steps)
        return observation, self.goal_view.pays[is_reached], is_reached, is_spent, info

    def action_masks(self) -> NDArray[np.bool_]:
        """True for every command that does something here, shape (A,), as sb3-contrib asks."""
        return np.array(self.task.command_mask(self._running_state()), np.bool_)

    def get_state(self) -> GoalState:
        """A snapshot of the episode, the steps so far and the random state included."""
        self._running_state()
        assert self.opening is not None
        random_state = self.np_random.bit_generator.state
        return GoalState(
            self.opening, self.state, self.n_steps, self.verdict, random_state, self._sizes
        )

    def set_state(self, state: GoalState) -> Observation:
        """Go back to a snapshot of this environment or of one of the same task.

        Returns:
            The observation there.

        Raises:
            LmgymError: where the facts of goals or the commands are not as many; nothing changes
                then.
        """
        if state.sizes != self._sizes:
            raise LmgymError(
                f"the snapshot is of an episode with {state.sizes} commands and values of facts,"
                f" this one has {self._sizes}; restore it into an environment of the same task"
            )
        self._begin(state.opening)
        self.state, self.n_steps, self.verdict = state.state, state.n_steps, state.verdict
        self.np_random.bit_generator.state = state.random_state
        return self._observe()

    def render(self) -> str | None:
        """The state as text, and how the episode ended."""
        if self.render_mode is None:
            return None
        shown = self.task.describe_state(self._running_state())
        return shown if self.verdict is None else f"{shown}\n[{self.verdict}]"

    def close(self) -> None:
        """Free what the world holds outside of this process."""
        self.task.close()

    @property
    def _sizes(self) -> tuple[int, ...]:
        return len(self.task.commands), *self.task.schema.sizes.tolist()

    def _begin(self, opening: Opening[Any]) -> None:
        self.opening, self.state = opening, opening.state
        self.n_steps, self.verdict = 0, None
        self.desired = np.array(self.task.desired(self.state), np.int16)
        self._wanted = self.goal_view.wanted(self.desired)

    def _observe(self) -> Observation:
        task, state = self.task, self.state
        return {
            "observation": np.array(task.features(state), np.float32),
            "achieved_goal": self.goal_view.shown(task.achieved(state)),
            "action_mask": np.array(task.command_mask(state), np.int8),
            **{key: value.copy() for key, value in self._wanted.items()},
        }

    def _checked(self, action: SupportsIndex) -> int:
        """The command of an action."""
        if self.verdict is not None:
            raise LmgymError("the episode is over or was never started; call reset() before step()")
        try:
            place = index(action)
        except TypeError:  # no whole number
            raise no_command(action, self.task) from None
        if not 0 <= place < len(self.task.commands):
            raise no_command(place, self.task)
        return place

    def _running_state(self) -> Any:
        if self.opening is None:
            raise LmgymError("the episode was never started; call reset() first")
        return self.state


def ending_info(verdict: Verdict, n_steps: int) -> dict[str, Any]:
    """What `info` tells at an episode's end."""
    return {
        "verdict": str(verdict),
        "is_success": verdict is Verdict.CORRECT,
        "n_steps": n_steps,
    }


def no_command(action: object, task: GoalTask[Any]) -> LmgymError:
    """An error for an action that stands for no command."""
    return LmgymError(
        f"action {action!r} stands for no command; allowed are 0 to {len(task.commands) - 1}"
    )
