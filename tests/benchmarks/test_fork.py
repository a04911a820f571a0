"""The benchmark of forks, over a handful of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "fork.py"

pytestmark = pytest.mark.skipif(not SCRIPT.is_file(), reason="the source tree is not here")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True)


@pytest.mark.slow
def test_it_prints_the_spread_and_writes_every_round(tmp_path: Path) -> None:
    out, plot = tmp_path / "fork.json", tmp_path / "fork.png"
    done = run(
        *("--contexts", "64,96", "--rows", "4", "--repetitions", "2", "--prompts", "5,70"),
        *("--rollouts", "2", "--out", str(out), "--plot", str(plot)),
    )
    assert done.returncode in (0, 1), done.stderr
    for words in ("microseconds a fork", "context 96", "as cheap as", "prompt 70", "as fast as"):
        assert words in done.stdout
    written = json.loads(out.read_text(encoding="utf-8"))
    assert written["microseconds"].keys() == {"64", "96"}
    assert written["group_seconds"].keys() == {"5", "70"}
    for measured in ("microseconds", "group_seconds"):
        for rounds in written[measured].values():
            assert {len(costs) for costs in rounds.values()} == {2}
            assert min(cost for costs in rounds.values() for cost in costs) > 0
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--repetitions", "0"), "--rows, --repetitions and --rollouts count"),
        (("--contexts", "32"), "--contexts '32' is no list of numbers from 64 on"),
        (("--prompts", "a,b"), "--prompts 'a,b' is no list of numbers from 1 on"),
        (("--plot", "fork.pdf"), "does not name a .png file"),
    ],
)
def test_what_makes_no_sense_is_a_clear_error(words: tuple[str, ...], message: str) -> None:
    assert message in run(*words).stderr
