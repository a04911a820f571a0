"""The benchmark of forks, over a handful of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmgym.errors import LmgymError

Script = Callable[[str], Any]


@pytest.mark.slow
def test_it_prints_the_spread_and_writes_every_round(
    script: Script, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, plot = tmp_path / "fork.json", tmp_path / "fork.png"
    sizes = ["--contexts", "64,96", "--rows", "4", "--repetitions", "2", "--prompts", "5,70"]
    words = [*sizes, "--rollouts", "2", "--out", str(out), "--plot", str(plot)]
    assert script("fork").main(words) in (0, 1)
    printed = capsys.readouterr().out
    for told in ("microseconds a fork", "context 96", "as cheap as", "prompt 70", "as fast as"):
        assert told in printed
    written = json.loads(out.read_text(encoding="utf-8"))
    assert written["microseconds"].keys() == {"64", "96"}
    assert written["group_seconds"].keys() == {"5", "70"}
    for measured in ("microseconds", "group_seconds"):
        for rounds in written[measured].values():
            assert {len(costs) for costs in rounds.values()} == {2}
            assert min(cost for costs in rounds.values() for cost in costs) > 0
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--repetitions", "0"), "--rows, --repetitions and --rollouts count"),
        (("--contexts", "32"), "--contexts '32' is no list of numbers from 64 on"),
        (("--prompts", "a,b"), "--prompts 'a,b' is no list of numbers from 1 on"),
        (("--plot", "fork.pdf"), "does not name a .png file"),
    ],
)
def test_what_makes_no_sense_is_a_clear_error(
    script: Script, words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(LmgymError, match=message):
        script("fork").main(words)
