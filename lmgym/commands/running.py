"""`lmgym train` in a process of its own, for benchmarks that train."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import lmgym

__all__ = ["INTERRUPTED", "run_train"]

INTERRUPTED = 130
"""The exit code of a command that was stopped by Ctrl-C."""


def run_train(words: Sequence[str]) -> int:
    """Run `lmgym train` with these words; returns its exit code."""
    root = str(Path(lmgym.__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "lmgym.cli", "train", *words]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})
    try:
        return process.wait()
    except KeyboardInterrupt:  # the process got the signal too, and saves what it has
        return process.wait() and INTERRUPTED
