import io
import json
from typing import Any

import pytest
from rich.console import Console

from lmgym.training.report import compare_evaluations, print_comparison

BEFORE = {
    "greedy": 0.25, "greedy_interval": [0.2, 0.31], "pass@1": 0.2, "pass@1_interval": [0.1, 0.3],
    "n": 200,
}  # fmt: skip
AFTER = {
    "greedy": 0.9, "greedy_interval": (0.85, 0.94), "pass@1": 0.15, "pass@1_interval": [0.1, 0.2],
    "n": 200,
}  # fmt: skip


def printed(before: dict[str, Any], after: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=100)
    print_comparison(before, after, "Test split of lmgym/Math-v0", console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_numbers_side_by_side() -> None:
    compared = compare_evaluations(BEFORE, AFTER)
    assert compared["greedy"]["before_interval"] == [0.2, 0.31]
    assert compared["greedy"]["after"] == 0.9
    assert compared["pass@1"]["change"] == pytest.approx(-0.05)
    assert (compared["n_before"], compared["n_after"]) == (200, 200)
    assert json.loads(json.dumps(compared)) == compared


def test_table_shows_percentages_intervals_and_problems() -> None:
    text = printed(BEFORE, AFTER)
    for part in (
        "Test split of lmgym/Math-v0", "25.0% [20.0, 31.0]", "90.0% [85.0, 94.0]", "+65.0 points",
        "-5.0 points", "200 problems",
    ):  # fmt: skip
        assert part in text


def test_a_missing_measure_is_left_out() -> None:
    compared = compare_evaluations({"greedy": 0.5}, {"greedy": 0.5, "pass@1": 0.1})
    assert "pass@1" not in compared
    assert "sampled" not in printed({"greedy": 0.5}, {"greedy": 0.5, "pass@1": 0.1})


def test_different_numbers_of_problems_are_both_told() -> None:
    assert "10 before, 20 after problems" in printed(
        {"greedy": 0.5, "n": 10}, {"greedy": 0.5, "n": 20}
    )


def test_rewards_are_told_as_numbers() -> None:
    before = BEFORE | {"reward": -0.5, "reward_interval": [-0.75, -0.25], "gold_reward": 1.0}
    text = printed(before, AFTER | {"reward": 0.25, "gold_reward": 0.5})
    for part in ("-0.500 [-0.750, -0.250]", "0.250", "+0.750", "gold reward", "-0.500", "25.0%"):
        assert part in text
