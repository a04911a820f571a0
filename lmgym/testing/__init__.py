"""The conformance suite: what every world promises, as checks to run on your own.

Example:
    >>> import lmgym
    >>> check_world("lmgym/Copy-v0", skip=["gymnasium", "sb3", "growth"], length=2)
    >>> run_check("budget", "lmgym/Copy-v0", level="chunk")
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import gymnasium as gym

from lmgym.errors import unknown
from lmgym.registry import find_world
from lmgym.testing import env_checks, reward_checks, vector_checks, world_checks
from lmgym.testing.case import Case

__all__ = ["CHECKS", "Case", "check_world", "run_check"]

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
    "gold": world_checks.check_gold,
    "garbage": world_checks.check_garbage,
}
_WORLD_CHECKS: dict[str, Callable[[Case], None]] = {
    "levels": world_checks.check_levels,
    "addresses": world_checks.check_addresses,
    "splits": world_checks.check_splits,
    "card": world_checks.check_card,
}

CHECKS: tuple[str, ...] = (*_LEVEL_CHECKS, *_WORLD_CHECKS)
"""The names of the checks; a test can run over them, one world and one check at a time."""


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
        if name not in CHECKS:
            raise unknown("check", name, CHECKS)
    for name in CHECKS:
        if name not in skip:
            run_check(name, world, **arguments)


def run_check(name: str, world: str, **arguments: Any) -> None:
    """Run one of the `CHECKS` on a world; arguments as for `check_world`."""
    if name not in CHECKS:
        raise unknown("check", name, CHECKS)
    spec = find_world(world)
    level = arguments.pop("level", None)
    levels = spec.levels if level is None else (level,)
    check = _LEVEL_CHECKS.get(name)
    if check is None:
        check, levels = _WORLD_CHECKS[name], levels[:1]
    for level in levels:
        try:
            check(Case(spec, level, arguments))
        except (AssertionError, ValueError, Warning, gym.error.Error) as error:
            raise AssertionError(
                f"{world} at level {level!r} fails the check {name!r}: {error}"
            ) from error
