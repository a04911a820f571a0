"""Checks of a goal world's batched environments: equal, step by step, to single ones."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray

from lmgym.goal_view import GOAL_VIEWS
from lmgym.testing.case import Case
from lmgym.testing.goal_case import drawn_commands, goal_view_of
from lmgym.testing.vector_checks import assert_same_batch, compare_steps

__all__ = ["check_vector"]

_ROWS = 3
_LEAST, _MOST = 40, 200
"""Steps of a comparison."""


def check_vector(case: Case) -> None:
    """`gymnasium.make_vec` plays as `SyncVectorEnv` over single environments, in every mode."""
    steps = min(max(_LEAST, 2 * goal_view_of(case.make()).task.horizon), _MOST)
    for mode in AutoresetMode:
        for goals in GOAL_VIEWS:
            _check_mode(case, mode, steps, goals=goals, goal_text=goals == "vector")


def _check_mode(case: Case, mode: AutoresetMode, steps: int, **shown: Any) -> None:
    arguments = {"level": case.level, **case.arguments, **shown}
    ours: Any = gym.make_vec(case.spec.id, _ROWS, autoreset_mode=mode.name.lower(), **arguments)
    theirs = SyncVectorEnv([lambda: case.make(**shown)] * _ROWS, autoreset_mode=mode)
    assert ours.observation_space == theirs.observation_space, "the observation spaces differ"
    assert ours.action_space == theirs.action_space, "the action spaces differ"

    def draw(rng: np.random.Generator) -> NDArray[np.int64]:
        return drawn_commands(ours.unwrapped.action_masks(), rng)

    assert_same_batch(ours.reset(seed=7), theirs.reset(seed=7), f"{mode.name}: reset")
    compare_steps(ours, theirs, draw, seed=0, steps=steps)
