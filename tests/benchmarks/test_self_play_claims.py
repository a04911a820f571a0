"""The benchmarks of self-play: what is claimed, and small runs from end to end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmgym.errors import LmgymError

Script = Callable[[str], Any]


def debated(accuracy: float, exploitability: float, high: float = 0.55) -> dict[str, Any]:
    """What came of a seed on the debate."""
    start = {"judge accuracy": 0.7, "exploitability": 0.64}
    end = {"judge accuracy": accuracy, "exploitability": exploitability}
    earlier = {
        "000": {"rate": 0.7, "low": 0.65, "high": 0.75},
        "640": {"rate": high - 0.05, "low": high - 0.1, "high": high},
    }
    test = {"start": start, "end": end, "against random": {"low": 0.8}, "against earlier": earlier}
    return {"cpu": 30.0, "test": test}


def curved(last: float, average: float) -> dict[str, Any]:
    """What came of a seed on Kuhn poker."""
    curve = {"exploitability": [0.458, last], "exploitability/average": [0.458, average]}
    return {"cpu": 10.0, "curve": curve}


@pytest.mark.parametrize(
    ("found", "missed"),
    [
        ({"debate": [debated(0.96, 0.04)]}, set()),
        (
            {"debate": [debated(0.92, 0.09, high=0.45)]},
            {"debate: accuracy", "debate: exploitability", "debate: lost to, high < 1/2"},
        ),
        ({"kuhn, plain": [curved(0.2, 0.02)], "kuhn, regularised": [curved(0.03, 0.01)]}, set()),
        (
            {"kuhn, regularised": [curved(0.05, 0.02)]},
            {"kuhn, regularised, last", "kuhn, regularised, average"},
        ),
    ],
)
def test_bars(script: Script, found: dict[str, Any], missed: set[str]) -> None:
    claims = list(script("self_play")._claims(found))
    assert {claim.what for claim in claims if not claim.is_met} == missed


@pytest.mark.learning
@pytest.mark.slow
def test_runs_are_made_once(script: Script, tmp_path: Path) -> None:
    benchmark, out = script("self_play"), tmp_path / "out.json"
    words = ["--seeds", "1", "--only", "kuhn, plain", "--runs", str(tmp_path), "--out", str(out)]
    costs = []
    for games in ("512", "512", "768"):
        benchmark.main([*words, "--games", games])
        (run,) = json.loads(out.read_text())["runs"]["kuhn, plain"]
        costs.append(run["cpu"])
        assert run["curve"]["games"][-1] == int(games)
    assert costs[0] == costs[1] != costs[2]
    assert (tmp_path / "out.png").stat().st_size > 10_000


@pytest.mark.learning
@pytest.mark.slow
def test_debates_tell_more_than_consultants(script: Script, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    words = ["--seeds", "1", "--games", "320", "--documents", "60", "--out", str(out)]
    script("claims.debate_consultancy").main(words)
    found = json.loads(out.read_text())["accuracy"]
    assert found["debate"]["low"] > found["consultancy"]["mean"]
    assert found["nobody"]["mean"] == pytest.approx(0.5, abs=0.2)


def test_what_cannot_be_measured_is_told(script: Script) -> None:
    with pytest.raises(LmgymError, match="unknown arm 'foo'"):
        script("self_play").main(["--only", "foo"])
    with pytest.raises(LmgymError, match="each must be above 0"):
        script("self_play").main(["--seeds", "0"])
    with pytest.raises(LmgymError, match="2 documents or more"):
        script("claims.debate_consultancy").main(["--documents", "1"])
