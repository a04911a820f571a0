"""The benchmark of Stable-Baselines3 over batches, in its smallest form."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmgym.errors import LmgymError

Script = Callable[[str], Any]


@pytest.mark.slow
def test_it_prints_the_spread_and_writes_every_run(
    script: Script,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # figures of a busy machine take more room
    out = tmp_path / "rollouts.json"
    sizes = ["--num-envs", "2", "--train-envs", "2", "--context", "24", "--batch-size", "48"]
    words = ["--models", "0.1M", "--repetitions", "3", "--adapter-steps", "100", *sizes]
    assert script("sb3_rollouts").main([*words, "--out", str(out)]) in (0, 1)
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("adapter, N=4096", "collect, 0.1M", "train, 0.1M"))
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
def test_what_cannot_be_measured_is_a_clear_error(
    script: Script, words: list[str], message: str
) -> None:
    with pytest.raises(LmgymError, match=message):
        script("sb3_rollouts").main(words)
