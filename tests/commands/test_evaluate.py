"""`lmgym eval`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import lmgym

RunCli = Callable[..., tuple[int, str, str]]

COPY, GUESS = "lmgym/Copy-v0", "lmgym/GuessNumber-v0"


def test_eval_prints_intervals_and_answers_and_writes_the_file(
    run_cli: RunCli, tmp_path: Path
) -> None:
    code, out, _ = run_cli("eval", "--limit", "6", "--samples", "2", "--out", "deep/e.json")
    assert code == 0
    assert all(text in out for text in ("greedy accuracy", "pass@1 of 2", "tokens/s", "gold"))
    record = json.loads((tmp_path / "deep" / "e.json").read_text(encoding="utf-8"))
    assert record["figures"]["n"] == 6
    assert record["figures"]["samples"] == 2
    assert record["versions"]["lmgym"] == lmgym.__version__
    assert record["args"]["model"] == "embedded"
    assert len(record["answers"]) == 6
    assert {"task_id", "question", "answer", "gold", "verdict"} == set(record["answers"][0])


def test_eval_tells_gold_rewards_where_the_world_has_them(run_cli: RunCli, tmp_path: Path) -> None:
    words = ("--limit", "4", "--samples", "0", "--out", "e.json")
    assert "gold reward" not in run_cli("eval", *words)[1]
    code, out, _ = run_cli("eval", "lmgym/Preference-v0", *words)
    assert code == 0
    assert "gold reward" in out
    record = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))
    low, high = record["figures"]["gold_reward_interval"]
    grades = [answer["gold_reward"] for answer in record["answers"]]
    assert low <= record["figures"]["gold_reward"] == sum(grades) / 4 <= high


def test_eval_without_samples_measures_the_greedy_answer_alone(run_cli: RunCli) -> None:
    out = run_cli("eval", GUESS, "--limit", "3", "--samples", "0", "--show", "0")[1]
    assert "greedy accuracy" in out
    assert "pass@1" not in out
    assert "question" not in out


def test_eval_repeats_itself_for_the_same_seed(run_cli: RunCli, tmp_path: Path) -> None:
    figures = []
    for _ in range(2):
        run_cli("eval", COPY, "--limit", "8", "--samples", "3", "--seed", "7", "--out", "e.json")
        record = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))
        figures.append(record["figures"])
    assert figures[0] == figures[1]
