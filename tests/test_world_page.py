"""The page on writing a world: its code runs, and its world keeps every promise."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import pytest

from lmgym.registry import WORLDS
from lmgym.testing import CHECKS, run_check

PAGE = Path(__file__).resolve().parents[1] / "docs" / "write-your-own-world.md"
WORLD = "my/Between-v0"

pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="the documentation is not here")


def blocks() -> list[str]:
    """The page's blocks of Python."""
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the world lies as a module."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "between.py").write_text(blocks()[0], encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def world(folder: Path) -> Iterator[str]:
    """The world's id while it is registered."""
    sys.path.insert(0, str(folder))
    importlib.import_module("between")
    yield WORLD
    sys.path.remove(str(folder))
    del sys.modules["between"], WORLDS[WORLD], gym.registry[WORLD]


def run(folder: Path, *command: str) -> str:
    """What a Python command prints in the folder of the world."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_world_takes_at_most_forty_lines() -> None:
    assert sum(bool(line.strip()) for line in blocks()[0].splitlines()) <= 40


@pytest.mark.parametrize("check", [check for check in CHECKS if check != "growth"])
def test_the_world_keeps_its_promises(world: str, check: str) -> None:
    run_check(check, world)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, 7))
def test_every_other_block_runs(folder: Path, number: int) -> None:
    """The first of them runs all checks, growth among them."""
    run(folder, "-c", blocks()[number])


def test_every_block_is_tried() -> None:
    assert len(blocks()) == 7


@pytest.mark.slow
def test_the_world_is_found_in_a_fresh_process(folder: Path) -> None:
    """A spec that was written elsewhere brings its module along."""
    load = "import gymnasium as gym; from gymnasium.envs.registration import EnvSpec; "
    spec = run(folder, "-c", f"{load}print(gym.make('between:{WORLD}').spec.to_json())").strip()
    assert WORLD in run(folder, "-c", f"{load}print(gym.make(EnvSpec.from_json({spec!r})))")


@pytest.mark.slow
def test_grpo_trains_on_the_world(folder: Path) -> None:
    arguments = ["--updates", "2", "--test-limit", "8", "--validation-limit", "8", "--out", "run"]
    run(folder, "-m", "lmgym.cli", "train", "grpo", f"between:{WORLD}", *arguments)
    assert (folder / "run" / "best" / "model.safetensors").is_file()
