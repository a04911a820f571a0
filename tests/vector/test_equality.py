"""Batched environments are equal, step by step, to SyncVectorEnv over single ones."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from lmgym.registry import LEVELS, WORLDS

IDS = [world for world in WORLDS if world.startswith("lmgym/")]
ROWS = 5
STEPS = 150


def both(
    world: str,
    mode: AutoresetMode,
    n_rows: int = ROWS,
    batched: dict[str, Any] | None = None,
    **arguments: Any,
) -> tuple[VectorEnv[Any, Any, Any], SyncVectorEnv]:
    """Ours, and gymnasium's over single environments."""
    name = f"lmgym:{world}"
    ours = gym.make_vec(
        name, num_envs=n_rows, autoreset_mode=mode.name, **arguments, **(batched or {})
    )
    make = lambda: gym.make(name, disable_env_checker=True, **arguments)  # noqa: E731
    return ours, SyncVectorEnv([make] * n_rows, autoreset_mode=mode)


def action_of(level: str, rng: np.random.Generator, n_rows: int, n_choices: int, end: int) -> Any:
    """Random actions of all rows; a sixth of the ids end the turn."""
    shape = (n_rows, 4)
    ids = rng.integers(n_choices, size=shape)
    ids[rng.random(shape) < 1 / 6] = end
    if level == "token":
        return ids[:, 0]
    if level == "chunk":
        ids[:, 1:][rng.random((n_rows, 3)) < 1 / 6] = n_choices
        return ids
    return tuple(
        str(rng.integers(1, 120)) if rng.random() < 0.8 else "\u00fc?" for _ in range(n_rows)
    )


def assert_equal(one: Any, other: Any, what: str) -> None:
    assert data_equivalence(one, other, exact=True), f"{what}:\n{one}\n{other}"


def play(
    ours: Any,
    theirs: Any,
    level: str,
    mode: AutoresetMode,
    seed: int,
    steps: int = STEPS,
    n_choices: int = 262,
    end: int = 257,
) -> int:
    """Play both; how many episodes ended."""
    rng = np.random.default_rng(seed)
    assert_equal(ours.reset(seed=seed), theirs.reset(seed=seed), "reset")
    n_ended = 0
    for number in range(steps):
        actions = action_of(level, rng, ours.num_envs, n_choices, end)
        one, other = ours.step(actions), theirs.step(actions)
        for name, mine, their in zip(
            ("observations", "rewards", "terminations", "truncations", "infos"),
            one,
            other,
            strict=True,
        ):
            assert_equal(mine, their, f"{name} of step {number}")
        over = one[2] | one[3]
        n_ended += int(over.sum())
        if mode is AutoresetMode.DISABLED and over.any():
            assert_equal(
                ours.reset(options={"reset_mask": over}),
                theirs.reset(options={"reset_mask": over.copy()}),
                f"masked reset after step {number}",
            )
    return n_ended


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("world", IDS)
def test_equals_single_environments(world: str, level: str, mode: AutoresetMode) -> None:
    ours, theirs = both(world, mode, level=level)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert play(ours, theirs, level, mode, seed=3) > ROWS
