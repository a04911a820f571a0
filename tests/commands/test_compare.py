"""`lmgym compare`: which runs belong together, what is told of them, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

RunCli = Callable[..., tuple[int, str, str]]


def a_run(folder: Path, after: float, seed: int = 0, **changed: Any) -> None:
    """A run folder whose validation rises from 0.2 to `after` within 10 seconds and 5 updates."""
    folder.mkdir(parents=True)
    figures = {"n": 512, **changed.pop("figures", {})}
    args = {"loss": "grpo", "lr": None, "seed": seed, "out": str(folder), "track": None}
    record = {
        "agent": "grpo",
        "env": "lmgym/Math-v0",
        "seed": seed,
        "status": "finished",
        "lr": 5e-4,
        "args": args | changed.pop("args", {}),
        "world": {"difficulty": 2} | changed.pop("world", {}),
        "before": {"greedy": 0.2, **figures},
        "after": {"greedy": after, **figures},
        "updates": 5,
        "seconds": 10.0,
    }
    (folder / "lmgym.json").write_text(json.dumps(record | changed))
    rows = [
        {"step": i, "seconds": 2.0 * i, "validation/greedy": 0.2 + (after - 0.2) * i / 5}
        for i in range(6)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def two_groups(tmp_path: Path) -> Path:
    """Three seeds each of two losses."""
    for seed in range(3):
        a_run(tmp_path / "runs" / f"a{seed}", 0.6 + 0.1 * seed, seed)
        a_run(tmp_path / "runs" / f"b{seed}", 0.3 + 0.01 * seed, seed, args={"loss": "dapo"})
    return tmp_path / "runs"


def told(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_runs_are_grouped_by_what_differs_besides_the_seed(
    run_cli: RunCli, two_groups: Path, tmp_path: Path
) -> None:
    code, out, _ = run_cli("compare", "runs", "--json", "c.json")
    assert code == 0
    found = told(tmp_path / "c.json")
    assert found["by"] == ["loss"]
    assert [(g["label"], g["seeds"]) for g in found["groups"]] == [
        ("loss=grpo", [0, 1, 2]),
        ("loss=dapo", [0, 1, 2]),
    ]
    assert (tmp_path / "comparison.png").read_bytes().startswith(b"\x89PNG")
    assert "70.0% ± 24.8" in out
    assert "31.0% ± 2.5" in out


def test_two_groups_are_tested_by_relabelling_their_runs(
    run_cli: RunCli, two_groups: Path, tmp_path: Path
) -> None:
    _, out, _ = run_cli("compare", "runs/a*", "runs/b*", "--json", "c.json")
    assert told(tmp_path / "c.json")["p_values"] == {"greedy": pytest.approx(0.1)}  # 2 of 20
    assert "greedy p = 0.1000" in out


def test_the_curve_is_the_mean_with_its_interval_at_each_place(
    run_cli: RunCli, two_groups: Path, tmp_path: Path
) -> None:
    run_cli("compare", "runs/a*", "--json", "c.json", "--x", "step")
    curve = told(tmp_path / "c.json")["groups"][0]["curve"]
    assert (curve["x"][0], curve["x"][-1]) == (0.0, 5.0)
    assert curve["mean"][-1] == pytest.approx(0.7)
    assert curve["high"][-1] - curve["mean"][-1] == pytest.approx(0.2484, abs=1e-3)
    assert np.diff(curve["mean"]).min() > 0


def test_the_last_value_of_a_short_run_stands_for_what_would_follow(
    run_cli: RunCli, two_groups: Path, tmp_path: Path
) -> None:
    lines = (two_groups / "a0" / "metrics.jsonl").read_text().splitlines(keepends=True)
    (two_groups / "a0" / "metrics.jsonl").write_text("".join(lines[:3]))  # until 0.36
    run_cli("compare", "runs/a*", "--json", "c.json")
    curve = told(tmp_path / "c.json")["groups"][0]["curve"]
    assert curve["mean"][-1] == pytest.approx((0.36 + 0.7 + 0.8) / 3)


def test_one_seed_has_no_interval(run_cli: RunCli, two_groups: Path, tmp_path: Path) -> None:
    code, out, _ = run_cli("compare", "runs/a0", "--json", "c.json")
    assert code == 0
    assert "±" not in out.replace("± is half", "")
    (group,) = told(tmp_path / "c.json")["groups"]
    assert set(group["curve"]["low"]) == {None}


def test_groups_can_be_made_by_one_argument_alone(
    run_cli: RunCli, two_groups: Path, tmp_path: Path
) -> None:
    a_run(two_groups / "c", 0.5, seed=3, args={"lr": 0.1})
    run_cli("compare", "runs", "--json", "c.json")
    assert told(tmp_path / "c.json")["by"] == ["loss", "lr"]
    code, _, _ = run_cli("compare", "runs", "--by", "lr", "--force", "--json", "c.json")
    assert code == 0
    labels = [group["label"] for group in told(tmp_path / "c.json")["groups"]]
    assert labels == ["lr=0.0005", "lr=0.1"]


@pytest.mark.parametrize(
    "changed",
    [
        {"micro_tokens": 4096},
        {"gradient_checkpointing": "on"},
        {"threads": 2},
        {"model": "elsewhere"},
    ],
    ids=str,
)
def test_what_a_resumed_run_may_change_without_a_trace_makes_no_group_of_its_own(
    run_cli: RunCli, tmp_path: Path, changed: dict[str, Any]
) -> None:
    usual = {"micro_tokens": 16_384, "gradient_checkpointing": None, "threads": 1, "model": "here"}
    for seed in range(2):
        a_run(tmp_path / "runs" / f"a{seed}", 0.6, seed, args=usual)
    a_run(tmp_path / "runs" / "b", 0.5, seed=2, args=usual | changed, started_from="here")
    assert run_cli("compare", "runs", "--json", "c.json")[0] == 0
    (group,) = told(tmp_path / "c.json")["groups"]
    assert group["seeds"] == [0, 1, 2]


def test_a_policy_of_another_name_makes_a_group_of_its_own(run_cli: RunCli, tmp_path: Path) -> None:
    for seed, model in enumerate(("here", "elsewhere")):
        a_run(tmp_path / "runs" / model, 0.6, seed, args={"model": model})
    run_cli("compare", "runs", "--json", "c.json")
    assert told(tmp_path / "c.json")["by"] == ["model"]


def test_all_is_told_within_80_columns(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    names = ("greedy", "pass@1", "reward", "gold_reward")
    for seed in range(6):
        figures = dict.fromkeys(names, 0.1 + 0.15 * seed)
        loss = "a_loss_with_a_name_that_has_no_end" if seed % 2 else "grpo"
        folder = tmp_path / "runs" / str(seed)
        a_run(folder, 0.6, seed, args={"loss": loss}, figures=figures, updates=12_345)
    _, out, _ = run_cli("compare", "runs")
    assert max(map(len, out.splitlines())) <= 80
    assert "…" not in out
    words = ("loss=grpo", "no_end", "40.0% ± 74.5", "0.400 ± 0.745", "gold reward", "12,345")
    assert all(word in out for word in words), out


def test_a_pattern_may_begin_at_the_root(run_cli: RunCli, two_groups: Path, tmp_path: Path) -> None:
    assert run_cli("compare", f"{two_groups}/a*", "--json", "c.json")[0] == 0
    assert len(told(tmp_path / "c.json")["groups"][0]["runs"]) == 3


def test_agents_are_named_and_may_have_arguments_of_their_own(
    run_cli: RunCli, two_groups: Path, tmp_path: Path
) -> None:
    a_run(two_groups / "c", 0.5, agent="ppo", args={"lam": 0.9})
    run_cli("compare", "runs/a*", "runs/c", "--json", "c.json")
    assert [g["label"] for g in told(tmp_path / "c.json")["groups"]] == ["grpo", "ppo"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "name the runs to compare"),
        (("nothing*",), "no runs in 'nothing*'; give run folders"),
        (("empty",), "no runs in 'empty'"),
        (("/nowhere/at/all*",), "no runs in '/nowhere/at/all*'; give run folders"),
        (("runs/a0/best", "runs/a1"), "'runs/a0/best' is a policy of the run in 'runs/a0'; name"),
        (("odd",), "'odd/lmgym.json' is no record of a run"),
        (("runs", "--metric", "validation/gredy"), "unknown metric 'validation/gredy'"),
        (("runs", "--by", "los"), "unknown argument 'los'; known: "),
        (("runs", "--out", "x.jpg"), "does not name a .png file"),
        (("runs", "twice"), "a0 and twice/a0 are the same run with seed 0, and would count twice"),
        (("runs", "open"), "not finished: open/a (running); go on with lmgym train --resume DIR"),
        (("runs", "hard"), "(difficulty is 2 and 3), so their figures do not compare"),
        (("runs", "--by", "loss", "hard"), "unexpected 'hard'"),
    ],
)
def test_what_cannot_be_compared_is_told(
    run_cli: RunCli, two_groups: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    for folder, content in ((two_groups / "a0" / "best", "{}"), (tmp_path / "odd", "[]")):
        folder.mkdir()
        (folder / "lmgym.json").write_text(content)
    a_run(tmp_path / "twice" / "a0", 0.6)
    a_run(tmp_path / "open" / "a", 0.6, seed=9, status="running")
    a_run(tmp_path / "hard" / "a", 0.6, seed=9, world={"difficulty": 3})
    code, _, err = run_cli("compare", *words)
    assert code == 2
    assert message in err
    assert not (tmp_path / "comparison.png").exists()


def test_worlds_can_be_what_is_compared(run_cli: RunCli, two_groups: Path, tmp_path: Path) -> None:
    a_run(tmp_path / "hard" / "a", 0.6, seed=9, world={"difficulty": 3})
    words = ("compare", "runs/a*", "hard", "--json", "c.json", "--by", "difficulty")
    assert run_cli(*words)[0] == 0
    labels = [group["label"] for group in told(tmp_path / "c.json")["groups"]]
    assert labels == ["difficulty=2", "difficulty=3"]


def test_force_draws_what_is_there(run_cli: RunCli, two_groups: Path, tmp_path: Path) -> None:
    a_run(tmp_path / "open" / "a", 0.9, seed=9, status="running")
    assert run_cli("compare", "runs/a*", "open", "--json", "c.json", "--force")[0] == 0
    (group,) = told(tmp_path / "c.json")["groups"]
    assert group["seeds"] == [0, 1, 2, 9]
    assert group["values"]["greedy"] == pytest.approx([0.6, 0.7, 0.8])  # it has no last figures
