"""What the benchmarks share: rounds, spreads, claims and their files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmgym.errors import LmgymError

Script = Callable[[str], Any]


def test_kinds_are_measured_in_turn_and_the_first_round_does_not_count(script: Script) -> None:
    calls: list[str] = []

    def kind(name: str) -> Callable[[], float]:
        def measure() -> float:
            calls.append(name)
            return float(len(calls))

        return measure

    costs = script("measuring").in_turn({"a": kind("a"), "b": kind("b")}, 2)
    assert calls == ["a", "b"] * 3
    assert costs == {"a": [3.0, 5.0], "b": [4.0, 6.0]}


def test_ratios_are_taken_round_by_round(script: Script) -> None:
    assert script("measuring").ratios([6.0, 10.0], [2.0, 5.0]) == [3.0, 2.0]


@pytest.mark.parametrize(
    ("bar", "is_met"),
    [
        ({}, True),
        ({"least": 2.0}, True),
        ({"least": 2.1}, False),
        ({"most": 2.0}, True),
        ({"most": 1.9}, False),
    ],
)
def test_the_median_decides_whether_a_claim_is_met(
    script: Script, bar: dict[str, float], is_met: bool
) -> None:
    assert script("measuring").Claim("it", [100.0, 2.0, 0.1], **bar).is_met is is_met


def test_a_claim_names_median_spread_and_bar(script: Script) -> None:
    claim = script("measuring").Claim("it", [1234.5, 56.78, 0.01234], unit="%", most=3)
    assert str(claim) == "56.8 % (0.0123 to 1,234)"
    assert claim.bar == "\u2264 3 %"


def test_one_claim_that_is_missed_makes_the_code_1(
    script: Script, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measuring = script("measuring")
    out = tmp_path / "it.json"
    args = measuring.MeasuringArgs(repetitions=2, out=str(out))
    met = measuring.Claim("fast", [3.0, 5.0], least=4)
    missed = measuring.Claim("small", [3.0, 5.0], most=3)
    assert measuring.claimed([met], args, costs={"a": [1.0]}) == 0
    written = json.loads(out.read_text(encoding="utf-8"))
    assert written["costs"] == {"a": [1.0]}
    assert written["arguments"] == {"repetitions": 2, "seed": 0}
    assert written["versions"]["numpy"]
    assert {"cpu", "cores"} <= written["machine"].keys()
    (record,) = written["claims"]
    assert (record["min"], record["median"], record["max"]) == (3.0, 4.0, 5.0)
    assert measuring.claimed([met, missed], args) == 1
    assert "MISSED" in capsys.readouterr().out


def test_what_makes_no_sense_is_a_clear_error(script: Script) -> None:
    measuring = script("measuring")
    assert measuring.numbers("--rows", "64, 256") == [64, 256]
    with pytest.raises(LmgymError, match="--rows '64,x' is no list of numbers"):
        measuring.numbers("--rows", "64,x")
    with pytest.raises(LmgymError, match="--repetitions 0 is out of range"):
        measuring.MeasuringArgs(repetitions=0)
    with pytest.raises(LmgymError, match=r"does not name a \.json file"):
        measuring.MeasuringArgs(out="results.txt")
