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
