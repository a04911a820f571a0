"""What a step of MiniWoB++'s own environment costs, the browser's processes included."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmgym.envs.miniwob_tasks.browser import find_programs
from lmgym.errors import LmgymError

__all__ = ["Timing", "time_miniwob"]

_MOST_STEPS = 6


@dataclass(frozen=True)
class Timing:
    """What some steps cost, start-up excluded, resets included.

    Attributes:
        steps: of the environment.
        episodes: that were started.
        wall_seconds: by the clock on the wall.
        cpu_seconds: of this process and all that it has started, browser and driver among them.
    """

    steps: int
    episodes: int
    wall_seconds: float
    cpu_seconds: float


def time_miniwob(
    task: str = "login-user",
    *,
    seconds: float = 10.0,
    screenshots: bool = False,
    seed: int = 0,
) -> Timing:
    """Run MiniWoB++'s own environment for some seconds: a text typed into a field, or a click.

    Half of the steps type a word into a random element, the others click one, so an episode of
    login-user takes a few steps and fails.

    Args:
        task: as MiniWoB++ calls it.
        seconds: by the clock on the wall; the last episode is not cut off.
        screenshots: whether observations have them, as they do by default.
        seed: of actions and problems.

    Raises:
        LmgymError: where the package, psutil, Chromium or chromedriver is missing.
    """
    rng = np.random.default_rng(seed)
    with _environment(task) as env:
        options = {"record_screenshots": screenshots}
        env.reset(seed=seed, options=options)  # what is loaded once is not counted
        steps = episodes = 0
        cpu, start = _tree_seconds(), time.perf_counter()
        while time.perf_counter() - start < seconds:
            steps += _play(env, rng, int(rng.integers(1 << 31)), options)
            episodes += 1
        wall = time.perf_counter() - start
        return Timing(steps, episodes, wall, _tree_seconds() - cpu)


def _play(env: Any, rng: np.random.Generator, seed: int, options: dict[str, Any]) -> int:
    """One episode of some steps at most; how many it took."""
    seen, _ = env.reset(seed=seed, options=options)
    steps, is_over = 0, False
    while steps < _MOST_STEPS and not is_over:
        refs = [element["ref"] for element in seen["dom_elements"] if element["ref"] > 0]
        ref = int(rng.choice(refs))
        if steps % 2:
            action = env.create_action("CLICK_ELEMENT", ref=ref)
        else:
            action = env.create_action("FOCUS_ELEMENT_AND_TYPE_TEXT", ref=ref, text="macie")
        seen, _, is_over, _, _ = env.step(action)
        steps += 1
    return steps


@contextmanager
def _environment(task: str) -> Iterator[Any]:
    """MiniWoB++'s environment with its defaults, closed in the end."""
    try:
        module = importlib.import_module("miniwob.environment")
    except ModuleNotFoundError as error:
        raise LmgymError(f"{error}; install it with: pip install 'lmgym[miniwob]'") from None
    names = ("MINIWOB_CHROME_BINARY", "MINIWOB_CHROMEDRIVER")
    os.environ.update(zip(names, find_programs(), strict=True))
    env = module.MiniWoBEnvironment(subdomain=task)
    try:
        yield env
    finally:
        env.close()


def _tree_seconds() -> float:
    """CPU time of this process and of all below it, those that have ended among them."""
    psutil = importlib.import_module("psutil")
    me = psutil.Process()
    spent = 0.0
    for process in [me, *me.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:  # it ended while we looked
            continue
        spent += times.user + times.system + times.children_user + times.children_system
    return float(spent)
