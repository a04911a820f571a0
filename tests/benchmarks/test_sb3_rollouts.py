"""The benchmark of Stable-Baselines3 over batches, in its smallest form."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "sb3_rollouts.py"

pytestmark = [
    pytest.mark.skipif(not SCRIPT.is_file(), reason="the source tree is not here"),
    pytest.mark.slow,
]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    wide = {**os.environ, "COLUMNS": "200"}  # figures of a busy machine take more room
    command = [sys.executable, str(SCRIPT), *words]
    return subprocess.run(command, capture_output=True, text=True, env=wide)


def test_it_prints_the_spread_and_writes_every_run(tmp_path: Path) -> None:
    out = tmp_path / "rollouts.json"
    sizes = ["--num-envs", "2", "--train-envs", "2", "--context", "24", "--batch-size", "48"]
    words = ["--models", "0.1M", "--repetitions", "3", "--adapter-steps", "100", *sizes]
    done = run(*words, "--out", str(out))
    assert done.returncode in (0, 1), done.stderr
    assert all(word in done.stdout for word in ("adapter, N=4096", "collect, 0.1M", "train, 0.1M"))
    written = json.loads(out.read_text(encoding="utf-8"))
    assert set(written["runs"]) == {
        *(f"adapter, N={rows}" for rows in (64, 256, 1024, 4096)),
        "collect, 0.1M",
        "train, 0.1M",
    }
    for name, sides in written["runs"].items():
        assert {side: len(seconds) for side, seconds in sides.items()} == {
            "ours": 3,
            "reference": 3,
        }
        ratios = sorted(b / a for a, b in zip(sides["ours"], sides["reference"], strict=True))
        spread = written["summary"][name]["ratio"]
        assert [spread["min"], spread["median"], spread["max"]] == pytest.approx(ratios)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--repetitions", "0"], "must be 1 or more"),
        (["--models", "0.1M,7B"], "unknown size '7B'; known: 0.1M, 1.3M"),
    ],
)
def test_what_cannot_be_measured_is_a_clear_error(words: list[str], message: str) -> None:
    assert message in run(*words).stderr
