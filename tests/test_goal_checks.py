"""The conformance suite at level "goal": what passes, and what fails."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.goals import GoalVector
from lmgym.registry import WORLDS, WorldSpec, register_world
from lmgym.testing import CHECKS, GOAL_CHECKS, check_world, checks_for, run_check
from lmgym.testing.flip_bits import FLIP_BITS, FlipBitsTask


@pytest.mark.parametrize("check", [name for name in GOAL_CHECKS if name != "growth"])
def test_a_goal_world_keeps_its_promises(check: str) -> None:
    run_check(check, FLIP_BITS)


@pytest.mark.slow
def test_a_goal_world_does_not_grow() -> None:
    run_check("growth", FLIP_BITS)


def test_checks_are_those_of_a_worlds_levels() -> None:
    assert set(checks_for(FLIP_BITS)) == set(GOAL_CHECKS)
    assert set(checks_for("lmgym/Copy-v0")) == set(CHECKS)


def test_checks_that_do_not_apply_are_told() -> None:
    with pytest.raises(LmgymError, match=r"unknown check of test/FlipBits-v0 'budget'; known: "):
        run_check("budget", FLIP_BITS)
    with pytest.raises(LmgymError, match="unknown check of lmgym/Copy-v0 'goals'; known: gold, "):
        run_check("goals", "lmgym/Copy-v0")


def test_a_whole_world_is_checked() -> None:
    check_world(FLIP_BITS, skip=["growth", "sb3", "gold"], n=3)


class Unmasked(FlipBitsTask):
    """Lets through what it does not carry out."""

    def command_mask(self, state: Any) -> Any:
        return np.ones(len(self.commands), np.bool_)


class Silent(FlipBitsTask):
    """Carries out what it leaves out."""

    def command_mask(self, state: Any) -> Any:
        return super().command_mask(state) & (np.arange(5) != 1)


class OutOfRange(FlipBitsTask):
    """Features beyond 1."""

    def features(self, state: Any) -> Any:
        return 2 * super().features(state)


class Wandering(FlipBitsTask):
    """A goal that changes."""

    def desired(self, state: Any) -> GoalVector:
        bits = np.array(state.bits, np.int16)
        return 1 - bits


class Forgetful(FlipBitsTask):
    """A task_id that does not tell the goal."""

    def reset(self, rng: Any, **start: Any) -> Any:
        opening = super().reset(rng, **start)
        return opening._replace(task_id="flip/4/1") if start.get("goal") else opening


class Random(FlipBitsTask):
    """Features from nowhere."""

    def features(self, state: Any) -> Any:
        return np.random.default_rng().random(5, np.float32)


BROKEN = [
    (Unmasked, "action_masks", "the mask lets 'flip 0' through, but: bit 0 is locked"),
    (Silent, "action_masks", "the mask leaves 'flip 1' out; nobody says why"),
    (OutOfRange, "goals", "not within the observation space"),
    (Wandering, "goals", "the desired goal changes within an episode"),
    (Forgetful, "addresses", "'flip/4/1' differs"),
    (Random, "seeding", "observation 0"),
    (Random, "vector", "reset: the batch has"),
    (Random, "snapshots", "the observation: observation 0"),
]


@pytest.mark.parametrize(
    ("task", "check", "told"), BROKEN, ids=[f"{b[0].__name__}-{b[1]}" for b in BROKEN]
)
def test_a_broken_goal_world_fails(task: type[FlipBitsTask], check: str, told: str) -> None:
    spec = WorldSpec("test/Broken-v0", task, "", levels=("goal",), defaults={"level": "goal"})
    register_world(spec)
    try:
        with pytest.raises(AssertionError, match=told):
            run_check(check, spec.id, reward="sparse")
    finally:
        WORLDS.pop(spec.id)
        gym.registry.pop(spec.id)
