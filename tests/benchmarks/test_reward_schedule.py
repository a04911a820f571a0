"""The benchmark of what rewards cost, over a handful of steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gymnasium.vector import AutoresetMode

Script = Callable[[str], Any]


@pytest.mark.slow
def test_it_writes_its_claims_and_exits_by_them(script: Script, tmp_path: Path) -> None:
    out, words = tmp_path / "it.json", ["--rows", "4", "--steps", "40", "--repetitions", "2"]
    schedule = script("reward_schedule")
    code = schedule.main([*words, "--out", str(out)])
    claims = json.loads(out.read_text(encoding="utf-8"))["claims"]
    assert len(claims) == len(schedule.RULES) + 4 + len(AutoresetMode)
    assert code == (0 if all(claim["is_met"] for claim in claims) else 1)
    assert [claim["what"] for claim in claims if not claim["bar"]] == ["N = 4, read at level token"]


@pytest.mark.parametrize("mode", AutoresetMode)
def test_a_step_calls_once_at_most(script: Script, mode: AutoresetMode) -> None:
    schedule = script("reward_schedule")
    args = schedule.RewardScheduleArgs(repetitions=1, steps=60)
    assert schedule.most_calls(mode, 4, args) == [1.0]


def test_costs_are_those_above_no_reward(script: Script) -> None:
    schedule = script("reward_schedule")
    costs = {"N = 1": {"none": [1000.0, 2000.0], "verifier": [3000.0, 9000.0]}}
    (claim,) = schedule.cost_claims(costs)
    assert list(claim.values) == [2.0, 7.0]
    assert claim.is_met
