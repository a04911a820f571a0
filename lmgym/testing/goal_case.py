"""A world at level "goal", and how the checks play it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmgym.goal_env import GoalEnv
from lmgym.testing.case import Case, Env, Step

__all__ = ["GoalCase", "drawn_commands", "goal_view_of"]


class GoalCase(Case):
    """A world at level "goal", with arguments as for `gymnasium.make`.

    Example:
        >>> from lmgym.testing.flip_bits import FLIP_BITS
        >>> from lmgym.registry import find_world
        >>> case = GoalCase(find_world(FLIP_BITS), "goal", {"n": 3})
        >>> case.play(case.make(), seed=0, reseeds=True)[-1].info["n_steps"] <= 6
        True
    """

    def wander(self, env: Env, seed: int, limit: int = 10_000) -> list[Step]:
        """Go on with an episode at random, to its end or for `limit` steps."""
        rng, view = np.random.default_rng(seed), goal_view_of(env)
        steps: list[Step] = []
        while view.verdict is None and len(steps) < limit:
            (action,) = drawn_commands(view.action_masks()[None], rng)
            steps.append(Step(*env.step(int(action))))
        return steps


def drawn_commands(masks: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    """A command for each row: three in four do something, the others are any at all.

    Args:
        masks: of the commands that do something, shape (N, A).
        rng: draws them.
    """
    n_rows, n_commands = masks.shape
    weights = rng.random(masks.shape)
    any_at_all = rng.integers(n_commands, size=n_rows)
    is_any = rng.random(n_rows) < 1 / 4
    return np.where(is_any, any_at_all, np.where(masks, weights, -1.0).argmax(1))


def goal_view_of(env: Any) -> GoalEnv:
    """The environment below gymnasium's wrappers."""
    view = env.unwrapped
    assert isinstance(view, GoalEnv), f"{view} is no GoalEnv"
    return view
