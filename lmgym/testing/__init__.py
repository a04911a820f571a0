"""The conformance suite: what every world promises, as checks to run on your own.

Example:
    >>> import lmgym
    >>> check_world("lmgym/Copy-v0", skip=["gymnasium", "sb3", "growth"], length=2)
    >>> run_check("budget", "lmgym/Copy-v0", level="chunk")
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import gymnasium as gym

from lmgym.errors import unknown
from lmgym.registry import WORLDS, WorldSpec, find_world
from lmgym.testing import (
    env_checks,
    game_checks,
    goal_checks,
    goal_vector_checks,
    reward_checks,
    vector_checks,
    world_checks,
)
from lmgym.testing.case import Case
from lmgym.testing.goal_case import GoalCase

__all__ = [
    "CHECKS",
    "GAME_CHECKS",
    "GOAL_CHECKS",
    "Case",
    "GoalCase",
    "check_game",
    "check_world",
    "checks_for",
    "run_check",
    "run_game_check",
]

_LEVEL_CHECKS: dict[str, Callable[[Case], None]] = {
    "gymnasium": env_checks.check_gymnasium,
    "sb3": env_checks.check_sb3,
    "seeding": env_checks.check_seeding,
    "fresh_data": env_checks.check_fresh_data,
    "pickling": env_checks.check_pickling,
    "spec": env_checks.check_spec,
    "snapshots": env_checks.check_snapshots,
    "growth": env_checks.check_growth,
    "vector": vector_checks.check_vector,
    "payments": reward_checks.check_payments,
    "gold_rewards": reward_checks.check_gold_rewards,
    "masks": world_checks.check_masks,
    "budget": world_checks.check_budget,
}
_WORLD_CHECKS: dict[str, Callable[[Case], None]] = {
    "gold": world_checks.check_gold,
    "garbage": world_checks.check_garbage,
    "levels": world_checks.check_levels,
    "addresses": world_checks.check_addresses,
    "splits": world_checks.check_splits,
    "card": world_checks.check_card,
}

_GOAL_LEVEL_CHECKS: dict[str, Callable[[Case], None]] = {
    "gymnasium": env_checks.check_gymnasium,
    "sb3": env_checks.check_sb3,
    "seeding": env_checks.check_seeding,
    "fresh_data": env_checks.check_fresh_data,
    "pickling": env_checks.check_pickling,
    "spec": env_checks.check_spec,
    "snapshots": env_checks.check_snapshots,
    "growth": env_checks.check_growth,
    "vector": goal_vector_checks.check_vector,
    "goals": goal_checks.check_goals,
    "action_masks": goal_checks.check_action_masks,
}
_GOAL_WORLD_CHECKS: dict[str, Callable[[Case], None]] = {
    "addresses": goal_checks.check_addresses,
    "splits": goal_checks.check_splits,
    "card": world_checks.check_card,
}

CHECKS: tuple[str, ...] = (*_LEVEL_CHECKS, *_WORLD_CHECKS)
"""The checks of worlds of text; a test can run over them, one world and one check at a time."""

GOAL_CHECKS: tuple[str, ...] = (*_GOAL_LEVEL_CHECKS, *_GOAL_WORLD_CHECKS)
"""The checks of level "goal"."""

GAME_CHECKS: tuple[str, ...] = tuple(game_checks.CHECKS)
"""The checks of games as environments of PettingZoo, beside those of their worlds."""


def checks_for(world: str) -> tuple[str, ...]:
    """The names of the checks that apply to a world, at one of its levels or more.

    Example:
        >>> set(checks_for("lmgym/Copy-v0")) == set(CHECKS)
        True
    """
    levels = find_world(world).levels
    names = [name for level in levels for name in _checks_at(level)]
    return tuple(dict.fromkeys(names))


def check_world(world: str, *, skip: Collection[str] = (), **arguments: Any) -> None:
    """Check that a world keeps its promises at every level it offers.

    Args:
        world: its id, or "module:id" where importing the module registers it.
        skip: names of checks to leave out.
        arguments: as for `gymnasium.make`; with `level` only that one is checked.

    Raises:
        AssertionError: at the first promise that is broken; it names world, level and check.
    """
    for name in skip:
        _check_name(name)
    level = arguments.get("level")
    for name in checks_for(world) if level is None else _checks_at(level):
        if name not in skip:
            run_check(name, world, **arguments)


def run_check(name: str, world: str, **arguments: Any) -> None:
    """Run a check on a world, at each level where it applies; arguments as for `check_world`."""
    _check_name(name)
    spec = find_world(world)
    level = arguments.pop("level", None)
    levels = [
        each for each in (spec.levels if level is None else (level,)) if name in _checks_at(each)
    ]
    if not levels:
        known = checks_for(world) if level is None else _checks_at(level)
        raise unknown(f"check of {world}", name, known)
    if name in _WORLD_CHECKS:
        levels = levels[:1]
    for each in levels:
        try:
            _checks_at(each)[name](_case(spec, each, arguments))
        except (AssertionError, ValueError, Warning, gym.error.Error) as error:
            raise AssertionError(
                f"{world} at level {each!r} fails the check {name!r}: {error}"
            ) from error


def check_game(world: str, *, skip: Collection[str] = (), **arguments: Any) -> None:
    """Check a game's rules, and what PettingZoo expects of its environments.

    Args:
        world: the id of a game.
        skip: names of checks to leave out.
        arguments: of the game.

    Raises:
        AssertionError: at the first promise that is broken.

    Example:
        >>> import lmgym
        >>> check_game("lmgym/KuhnPoker-v0", skip=["pettingzoo", "growth"])
    """
    for name in skip:
        if name not in GAME_CHECKS:
            raise unknown("check of games", name, GAME_CHECKS)
    for name in GAME_CHECKS:
        if name not in skip:
            run_game_check(name, world, **arguments)


def run_game_check(name: str, world: str, **arguments: Any) -> None:
    """Run a check on a game; arguments as for `check_game`."""
    if name not in GAME_CHECKS:
        raise unknown("check of games", name, GAME_CHECKS)
    spec = find_world(world)
    if not spec.multi_agent:
        games = [spec.id for spec in WORLDS.values() if spec.multi_agent]
        raise unknown("game", world, games, "a WorldSpec says in multi_agent where its env() is")
    module = importlib.import_module(spec.multi_agent)
    try:
        game_checks.CHECKS[name](partial(module.env, **arguments))
        if name == "pettingzoo" and spec.is_simultaneous:
            game_checks.check_pettingzoo_parallel(partial(module.parallel_env, **arguments))
    except (AssertionError, ValueError, Warning) as error:
        raise AssertionError(f"{world} fails the check {name!r}: {error}") from error


def _checks_at(level: str) -> dict[str, Callable[[Case], None]]:
    """The checks that apply at a level."""
    if level == "goal":
        return _GOAL_LEVEL_CHECKS | _GOAL_WORLD_CHECKS
    return _LEVEL_CHECKS | _WORLD_CHECKS


def _check_name(name: str) -> None:
    known = {*CHECKS, *GOAL_CHECKS}
    if name not in known:
        raise unknown("check", name, known)


def _case(spec: WorldSpec, level: str, arguments: Mapping[str, Any]) -> Case:
    """A world at one level; what is checked of its other levels is their own kind only."""
    if level == "goal":
        return GoalCase(spec, level, arguments)
    levels = tuple(each for each in spec.levels if each != "goal")
    return Case(spec if levels == spec.levels else replace(spec, levels=levels), level, arguments)
