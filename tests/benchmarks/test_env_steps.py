"""The benchmark of token steps, over a handful of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "env_steps.py"

pytestmark = pytest.mark.skipif(not SCRIPT.is_file(), reason="the source tree is not here")


@pytest.mark.slow
def test_it_prints_the_spread_and_writes_every_run(tmp_path: Path) -> None:
    out = tmp_path / "steps.json"
    command = [str(SCRIPT), "--steps", "300", "--repetitions", "3", "--out", str(out)]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    assert all(word in done.stdout for word in ("min", "median", "max", "lmgym/Math-v0", "ratio"))
    written = json.loads(out.read_text(encoding="utf-8"))
    assert {len(runs) for runs in written["runs"].values()} == {3}
    for name, runs in written["runs"].items():
        rates = [run["cpu"] for run in runs]
        assert written["summary"][name]["min"] == min(rates)
        assert written["summary"][name]["max"] == max(rates)


@pytest.mark.slow
def test_no_repetition_is_a_clear_error() -> None:
    command = [sys.executable, str(SCRIPT), "--repetitions", "0"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "--steps and --repetitions count; each must be 1 or more" in done.stderr
