"""gymnasium's vector environments over every world."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

from lmgym.registry import LEVELS

from .conftest import worlds_of_texts

IDS = worlds_of_texts(in_full=True)
EVERY_STEP = ("lmgym/Math-v0", "lmgym/GuessNumber-v0")
"""Worlds of one turn and of several, which play on for longer than the others."""
ROWS = 3


def maker(world: str, level: str) -> Callable[[], gym.Env[Any, Any]]:
    return lambda: gym.make(f"lmgym:{world}", level=level, disable_env_checker=True)


def row_of(batch: Any, row: int) -> Any:
    """What one environment's part of a vector environment's observation or info is."""
    if isinstance(batch, dict):
        absent = {k for k, v in batch.items() if f"_{k}" in batch and not batch[f"_{k}"][row]}
        kept = {k for k in batch if not (k.startswith("_") and k[1:] in batch)} - absent
        return {k: row_of(batch[k], row) for k in kept}
    part = batch[row]
    return part.item() if isinstance(part, np.generic) else part


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("world", IDS)
def test_rows_of_a_vector_env_equal_single_ones(world: str, level: str) -> None:
    vector = SyncVectorEnv([maker(world, level)] * ROWS)
    singles = [maker(world, level)() for _ in range(ROWS)]
    observations, infos = vector.reset(seed=5)
    returned = [env.reset(seed=5 + row) for row, env in enumerate(singles)]
    for row, (observation, info) in enumerate(returned):
        assert data_equivalence(row_of(observations, row), observation)
        assert row_of(infos, row) == info
    vector.action_space.seed(0)
    is_over = [False] * ROWS
    for _ in range(60 if world in EVERY_STEP else 20):
        actions = vector.action_space.sample()
        observations, rewards, terminations, truncations, infos = vector.step(actions)
        for row, env in enumerate(singles):
            if is_over[row]:
                observation, info = env.reset()
                step: tuple[Any, ...] = (observation, 0.0, False, False, info)
            else:
                step = env.step(actions[row])
            is_over[row] = step[2]
            assert data_equivalence(row_of(observations, row), step[0])
            assert (rewards[row], terminations[row], truncations[row]) == step[1:4]
            assert row_of(infos, row) == step[4]


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
def test_worlds_run_in_other_processes(level: str) -> None:
    makers = [maker("lmgym/GuessNumber-v0", level)] * 2
    apart = AsyncVectorEnv(makers, shared_memory=level != "message", context="spawn")
    together = SyncVectorEnv(makers)
    try:
        assert data_equivalence(apart.reset(seed=1)[0], together.reset(seed=1)[0])
        together.action_space.seed(0)
        for _ in range(60):
            actions = together.action_space.sample()
            one, other = apart.step(actions), together.step(actions)
            assert data_equivalence(list(one[:4]), list(other[:4]))
            assert [row_of(one[4], row) for row in range(2)] == [
                row_of(other[4], row) for row in range(2)
            ]
    finally:
        apart.close()
