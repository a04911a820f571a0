"""How environments show goals, and what they pay for them: shared by single and batched ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from lmgym.errors import LmgymError, unknown
from lmgym.goals import GoalSchema, GoalTask, GoalVector, text_bytes

__all__ = ["GOAL_REWARDS", "GOAL_VIEWS", "GoalMethods", "GoalView"]

GOAL_VIEWS = ("one_hot", "vector")
"""The forms in which observations show goals."""

GOAL_REWARDS: dict[str | None, tuple[float, float]] = {
    "sparse": (-1.0, 0.0),
    "verifier": (0.0, 1.0),
    None: (0.0, 0.0),
}
"""What goals can compute, by name: the reward before the goal is reached, and once it is."""

_PAD = 256
"""What follows an instruction's bytes."""
_REMEMBERED = 4096
"""Goals whose instructions are remembered."""

Int32s = NDArray[np.int32]
Rewards = float | NDArray[np.float64]
Flags = bool | NDArray[np.bool_]


class GoalView:
    """Goals as observations show them, and the rewards that follow from them.

    Args:
        schema: of the goals.
        goals: "one_hot", float32 vectors of shape (n_values,), or "vector", int16 of shape (D,).
        goal_text: whether observations hold the desired goal's description, too, as byte ids of
            shape (L,), int32, padded with 256; L is the length of the longest.
        reward: a name of `GOAL_REWARDS`.

    Attributes:
        pays: the reward before the goal is reached, and once it is.
        space: of a goal.
        keys: the spaces of what else follows from the desired goal, by observation key.

    Raises:
        LmgymError: for a view or a reward that goals cannot have.

    Example:
        >>> from lmgym.goals import Fact
        >>> view = GoalView(GoalSchema([Fact("light", ("off", "on"))]))
        >>> view.shown([1]).tolist()
        [0.0, 1.0]
        >>> view.compute_reward(view.shown([[0], [1]]), view.shown([[1], [1]]), [{}, {}]).tolist()
        [-1.0, 0.0]
    """

    def __init__(
        self,
        schema: GoalSchema,
        *,
        goals: str = "one_hot",
        goal_text: bool = False,
        reward: Any = "sparse",
    ) -> None:
        """Check the arguments."""
        if goals not in GOAL_VIEWS:
            raise unknown("goals", goals, GOAL_VIEWS)
        if not isinstance(goal_text, bool):
            raise LmgymError(f"goal_text={goal_text!r:.60} is neither True nor False")
        self.schema = schema
        self.is_one_hot = goals == "one_hot"
        self.reward = checked_goal_reward(reward)
        self.pays = GOAL_REWARDS[self.reward]
        self.space = self._space()
        self.keys: dict[str, spaces.Box[Any]] = {}
        if goal_text:
            self.keys["instruction"] = spaces.Box(0, _PAD, (schema.longest,), np.int32)
        self._places: dict[bytes, int] = {}
        self._table: Int32s = np.zeros((0, schema.longest), np.int32)

    def shown(self, goals: Any) -> NDArray[Any]:
        """Vectors of shape (..., D) as observations show them, fresh."""
        return self.schema.one_hot(goals) if self.is_one_hot else np.array(goals, np.int16)

    def vectors(self, shown: Any) -> GoalVector:
        """The inverse of `shown`, shape (..., D)."""
        return self.schema.from_one_hot(shown) if self.is_one_hot else np.asarray(shown, np.int16)

    def observation_space(self, task: GoalTask[Any]) -> spaces.Dict:
        """The space of an environment's observations."""
        n_commands = len(task.commands)
        return spaces.Dict(
            {
                "observation": spaces.Box(0.0, 1.0, (task.n_features,), np.float32),
                "achieved_goal": self.space,
                "desired_goal": self._space(),
                "action_mask": spaces.Box(0, 1, (n_commands,), np.int8),
                **self.keys,
            }
        )

    def compute_reward(self, achieved: Any, desired: Any, info: Any) -> Rewards:
        """The reward for goals; see `GoalMethods.compute_reward`."""
        del info
        before, once = self.pays
        is_reached = self._is_reached(achieved, desired)
        if isinstance(is_reached, bool):
            return once if is_reached else before
        return np.where(is_reached, once, before)

    def compute_terminated(self, achieved: Any, desired: Any, info: Any) -> Flags:
        """Whether goals are reached; see `GoalMethods.compute_terminated`."""
        del info
        return self._is_reached(achieved, desired)

    def compute_truncated(self, achieved: Any, desired: Any, info: Any) -> Flags:
        """No goal truncates an episode; see `GoalMethods.compute_truncated`."""
        del info
        is_reached = self._is_reached(achieved, desired)
        return False if isinstance(is_reached, bool) else np.zeros(is_reached.shape, np.bool_)

    def derive_goal_keys(self, goals: Any) -> dict[str, Int32s]:
        """What follows from desired goals; see `GoalMethods.derive_goal_keys`."""
        if not self.keys:
            return {}
        given = np.ascontiguousarray(goals, self.space.dtype)
        if not given.ndim or given.shape[-1:] != self.space.shape:
            raise self._bad_shape(given.shape)
        rows = given.reshape(-1, given.shape[-1])
        if len(self._places) + len(rows) > len(self._table):
            self._make_room(len(rows))
        places = [self._place(row) for row in rows]
        return {"instruction": self._table[places].reshape(*given.shape[:-1], -1)}

    def wanted(self, goal: GoalVector) -> dict[str, NDArray[Any]]:
        """What observations show of one desired goal, shape (D,), by observation key."""
        shown = {"desired_goal": self.shown(goal)}
        return shown | {key: self.instruction(goal) for key in self.keys}

    def instruction(self, goal: GoalVector) -> Int32s:
        """The description of one goal, shape (D,), as byte ids of shape (L,)."""
        ids = np.full(self.schema.longest, _PAD, np.int32)
        written = np.frombuffer(text_bytes(self.schema.describe(goal)), np.uint8)
        ids[: len(written)] = written
        return ids

    def _space(self) -> spaces.Box[Any]:
        if self.is_one_hot:
            return spaces.Box(0.0, 1.0, (self.schema.n_values,), np.float32)
        high = (self.schema.sizes - 1).astype(np.int16)
        return spaces.Box(np.zeros_like(high), high, dtype=np.int16)

    def _is_reached(self, achieved: Any, desired: Any) -> Flags:
        one, other = np.asarray(achieved), np.asarray(desired)
        size = self.space.shape
        if one.shape[-1:] != size or other.shape[-1:] != size:
            raise self._bad_shape(one.shape if one.shape[-1:] != size else other.shape)
        try:
            is_reached = GoalSchema.matches(one, other)
        except ValueError:
            raise LmgymError(
                f"achieved goals of shape {one.shape} and desired goals of shape {other.shape}"
                " cannot be compared; give as many of the ones as of the others, or one of either"
            ) from None
        return is_reached if np.ndim(is_reached) else bool(is_reached)

    def _bad_shape(self, shape: tuple[int, ...]) -> LmgymError:
        size = ", ".join(map(str, self.space.shape))
        return LmgymError(
            f"goals of shape {shape} were given; in this environment's view a goal has the shape"
            f" ({size},), and several have ({size}) as their last axis"
        )

    def _make_room(self, n: int) -> None:
        """Forget what is remembered and allocate what `n` more goals may need."""
        self._places.clear()
        if len(self._table) < max(n, _REMEMBERED):
            self._table = np.zeros((max(n, _REMEMBERED), self.schema.longest), np.int32)

    def _place(self, goal: NDArray[Any]) -> int:
        """The place of a goal's instruction in the table."""
        key = goal.tobytes()
        place = self._places.get(key)
        if place is None:
            place = len(self._places)
            self._table[place] = self.instruction(self.vectors(goal))
            self._places[key] = place
        return place


class GoalMethods:
    """What buffers of hindsight ask an environment for; `goal_view` answers.

    Goals are given as the environment's observations show them: (G,), (B, G) or (B, N, G). For one
    goal the answers are Python numbers, otherwise arrays of the leading axes. They follow from the
    goals alone, and are what `step` returns for the goals of its observation.
    """

    goal_view: GoalView

    def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any = None) -> Rewards:
        """The reward of a step that achieves a goal while another, or the same, is desired."""
        return self.goal_view.compute_reward(achieved_goal, desired_goal, info)

    def compute_terminated(self, achieved_goal: Any, desired_goal: Any, info: Any = None) -> Flags:
        """Whether that step ends the episode: whether the goals are equal."""
        return self.goal_view.compute_terminated(achieved_goal, desired_goal, info)

    def compute_truncated(self, achieved_goal: Any, desired_goal: Any, info: Any = None) -> Flags:
        """Whether the goals truncate the episode: never, only the horizon does."""
        return self.goal_view.compute_truncated(achieved_goal, desired_goal, info)

    def derive_goal_keys(self, goals: Any) -> dict[str, Int32s]:
        """What observations hold besides `desired_goal` that follows from it.

        Args:
            goals: desired goals, shape (B, G).

        Returns:
            Arrays of shape (B, ...) by observation key; empty where there is no such key.
        """
        return self.goal_view.derive_goal_keys(goals)


def checked_goal_reward(reward: Any) -> str | None:
    """The name of a reward that goals can compute.

    Raises:
        LmgymError: for any other reward.
    """
    if reward is None or (isinstance(reward, str) and reward in GOAL_REWARDS):
        return reward
    raise LmgymError(
        f"reward={reward!r:.100} cannot be computed from goals, and past steps could not be paid"
        " again for other goals; level 'goal' knows 'sparse' (-1 a step, 0 once the goal is"
        " reached), 'verifier' (0, and 1 once it is reached) and None (0)"
    )
