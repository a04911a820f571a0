"""Checks of a world's batched environments: equal, step by step, to single ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from lmgym.base_env import EpisodeEnv
from lmgym.rewards.source import RewardLevel
from lmgym.task import Task
from lmgym.testing.case import Case, view_of
from lmgym.testing.reward_checks import ProbeReward

__all__ = ["assert_same_batch", "check_vector", "compare_steps"]

_ROWS = 3
_BLOCKS = (1, 9, 64)
_STEPS = 40
_PAID = (RewardLevel.STEP, RewardLevel.TOKEN, RewardLevel.TURN)
"""What a reward is paid for in each mode."""
_PARTS = ("observations", "rewards", "terminations", "truncations", "infos")

Vector = VectorEnv[Any, Any, Any]


def check_vector(case: Case) -> None:
    """`gymnasium.make_vec` plays as `SyncVectorEnv` over single environments, in every mode.

    It calls a reward once a step at most, at whatever level that pays.
    """
    view = view_of(case.make())
    _check_blocks(view.episode.task)
    for mode, level in zip(AutoresetMode, _PAID, strict=True):
        _check_mode(case, view, mode, {}, {})
        source = ProbeReward(level)
        _check_mode(case, view, mode, {"reward": source}, {"reward": ProbeReward(level)})
        n_calls = len(source.batches)
        assert n_calls <= _STEPS, f"{n_calls} calls of the reward for {_STEPS} steps"


def _check_mode(
    case: Case,
    view: EpisodeEnv[Any, Any],
    mode: AutoresetMode,
    changes: dict[str, Any],
    their_changes: dict[str, Any],
) -> None:
    """Play both; what each is made with besides comes apart, because sources count."""
    arguments = {"level": case.level, **case.arguments, **changes}
    ours = gym.make_vec(case.spec.id, _ROWS, autoreset_mode=mode.name.lower(), **arguments)
    theirs = SyncVectorEnv([lambda: case.make(**their_changes)] * _ROWS, autoreset_mode=mode)
    assert ours.observation_space == theirs.observation_space, "the observation spaces differ"
    assert ours.action_space == theirs.action_space, "the action spaces differ"

    def draw(rng: np.random.Generator) -> Any:
        actions = [case.random_action(view, rng) for _ in range(_ROWS)]
        return tuple(actions) if case.level == "message" else np.array(actions)

    assert_same_batch(ours.reset(seed=7), theirs.reset(seed=7), f"{mode.name}: reset")
    compare_steps(ours, theirs, draw, seed=0, steps=_STEPS)


def _check_blocks(task: Task[Any]) -> None:
    """Problems drawn in blocks are those drawn singly, and leave the generator where these do."""
    for split in task.splits:
        for n in _BLOCKS:
            one, other = np.random.default_rng(n), np.random.default_rng(n)
            block = list(task.draw_many(one, n, split=split))
            drawn = [task.reset(other, split=split) for _ in range(n)]
            assert block == drawn, f"draw_many draws other problems of {split!r} than reset"
            same = one.bit_generator.state == other.bit_generator.state
            assert same, f"draw_many leaves the generator elsewhere than {n} calls of reset"


def compare_steps(
    ours: Vector,
    theirs: Vector,
    draw: Callable[[np.random.Generator], Any],
    *,
    seed: int,
    steps: int,
) -> int:
    """Play both with the same actions, failing where they differ; how many episodes ended."""
    rng = np.random.default_rng(seed)
    mode = ours.metadata["autoreset_mode"]
    n_ended = 0
    for number in range(steps):
        actions = draw(rng)
        mine, their = ours.step(actions), theirs.step(actions)
        for name, one, other in zip(_PARTS, mine, their, strict=True):
            assert_same_batch(one, other, f"{mode.name}: {name} of step {number}")
        over = mine[2] | mine[3]
        n_ended += int(over.sum())
        if mode is AutoresetMode.DISABLED and over.any():
            one = ours.reset(options={"reset_mask": over})
            other = theirs.reset(options={"reset_mask": over.copy()})
            assert_same_batch(one, other, f"masked reset after step {number}")
    return n_ended


def assert_same_batch(one: Any, other: Any, what: str) -> None:
    """Fail unless two batches are equal to the bit."""
    same = data_equivalence(one, other, exact=True)
    assert same, f"{what}: the batch has {one!r}, single environments {other!r}"
