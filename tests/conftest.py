"""What tests share: one thread, and the command line."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

import lmgym
from lmgym.cli import main
from lmgym.registry import WORLDS, load

REPRESENTATIVES = {"lmgym.games.task:GameTask": "lmgym/Nim-v0"}
"""The world that is checked in full for each class of tasks that all its subclasses share.

Whatever else is derived from the class passes the checks that are cheap. That holds as long as it
only names what differs (`tests/test_worlds.py` says what that may be); a world that does more has
to be added to `IN_FULL`.
"""
MAY_DIFFER = frozenset({"answer_bytes"})
"""Methods that a represented world may have of its own: they give sizes."""
IN_FULL: tuple[str, ...] = ()
"""Worlds of a shared class that are checked in full besides its representative."""

WITH_CURVES = ("test_curves.py", "test_the_checkpoint_of_a_language_model_is_one")
"""Files of tests, and tests, in which the curves of runs are drawn."""

settings.register_profile("untimed", deadline=None)  # no test fails on a busy machine
settings.load_profile("untimed")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Models this small lose time to a second thread, and much of it on a busy machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True, scope="session")
def _curves_are_drawn_where_they_matter() -> Iterator[None]:
    """A picture takes as long as a short run does; elsewhere it's a file without one."""
    from lmgym.training import curves, runs

    draw = curves.draw_curve

    def draw_or_touch(metrics: Any, path: Path, **words: Any) -> None:
        if any(name in os.environ.get("PYTEST_CURRENT_TEST", "") for name in WITH_CURVES):
            draw(metrics, path, **words)
        else:
            path.touch()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "draw_curve", draw_or_touch)
        yield


@pytest.fixture
def run_cli(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Runs a command in an empty folder; returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        code = main(words)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def start_cli() -> Callable[..., subprocess.Popen[str]]:
    """Starts a command in a process of its own."""

    def start(words: Sequence[str], **options: Any) -> subprocess.Popen[str]:
        root = str(Path(lmgym.__file__).resolve().parents[1])
        given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        environment = {**os.environ, "PYTHONPATH": root, **given.pop("env", {})}
        command = [sys.executable, "-m", "lmgym.cli", *words]
        return subprocess.Popen(command, env=environment, **given)

    return start


def representative_of(world: str) -> str:
    """The world whose expensive checks stand for those of `world`: mostly itself."""
    if world in IN_FULL:
        return world
    for place, representative in REPRESENTATIVES.items():
        if issubclass(WORLDS[world].task_class, load(place)):
            return representative
    return world


def is_in_full(world: str) -> bool:
    """Whether a world takes part in the expensive checks."""
    return representative_of(world) == world


def worlds_of_ours(*, in_full: bool = False) -> list[str]:
    """The worlds that come with the package; on request only those that are checked in full."""
    ours = [world for world in WORLDS if world.startswith("lmgym/")]
    return [world for world in ours if is_in_full(world)] if in_full else ours


def worlds_of_texts(*, in_full: bool = False) -> list[str]:
    """Those of them that offer level "token"."""
    return [w for w in worlds_of_ours(in_full=in_full) if "token" in WORLDS[w].levels]
