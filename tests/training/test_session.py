"""The training session: selected on validation, reported on test, nothing half-written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lmgym.agents.embedded import new_policy
from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.policies.loading import load_policy
from lmgym.training.arguments import LearnerArgs
from lmgym.training.runs import read_metrics
from lmgym.training.session import TrainingSession, require_finite


@pytest.fixture
def args(tmp_path: Path) -> dict[str, Any]:
    new_policy(16, 1, 0).save(tmp_path / "policy")
    return {
        "model": str(tmp_path / "policy"),
        "out": str(tmp_path / "run"),
        "test_limit": 4,
        "test_samples": 1,
        "validation_limit": 4,
    }


def run(args: dict[str, Any], updates: int = 2) -> TrainingSession:
    given = LearnerArgs(**args, updates=updates)
    with TrainingSession("none", given, "lmgym/Math-v0", {}, "verifier") as session:
        for _ in session.updates():
            batch = session.collector.collect(session.rng, session.generator, n_groups=2)
            session.log({}, batch)
    return session


def test_the_record_holds_the_test_figures_and_the_seconds(args: dict[str, Any]) -> None:
    record = json.loads((run(args).run.path / "lmgym.json").read_text())
    assert record["status"] == "finished"
    assert record["updates"] == 2
    assert record["seconds"] > 0
    for moment in ("before", "after"):
        figures = record[moment]
        assert figures["split"] == "test"
        assert {"greedy", "greedy_interval", "pass@1", "pass@1_interval"} <= set(figures)
    assert record["args"]["model"] == args["model"]


def test_the_test_split_is_touched_before_and_after_and_by_nothing_else(
    args: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    splits: list[str] = []
    task_class = type(make_task("lmgym/Math-v0"))
    original = task_class.task_ids

    def watched(self: Any, split: str, limit: int) -> list[str]:
        splits.append(split)
        return original(self, split, limit)

    monkeypatch.setattr(task_class, "task_ids", watched)
    run(args)
    assert splits[0] == splits[-1] == "test"
    assert set(splits[1:-1]) == {"validation"}


def test_the_best_checkpoint_by_validation_is_the_one_reported(
    args: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.5, 0.9, 0.1])  # at the start, after the first update, at the end
    original = TrainingSession._evaluate

    def scored(self: TrainingSession, split: str) -> Any:
        from dataclasses import replace

        found = original(self, split)
        return found if split == "test" else replace(found, greedy=next(scores))

    monkeypatch.setattr(TrainingSession, "_evaluate", scored)
    given = LearnerArgs(**args, updates=2, validate_every=1e9)
    marks = []
    with TrainingSession("none", given, "lmgym/Math-v0", {}) as session:
        weight = next(session.policy.model.parameters())
        for update in session.updates():
            session._next_validation = 0.0 if update == 0 else float("inf")
            with torch.no_grad():
                weight += 1.0
            marks.append(weight[0, 0].item())
    best = next(load_policy(session.run.path / "best").model.parameters())
    last = next(load_policy(session.run.path / "last").model.parameters())
    assert best[0, 0].item() == pytest.approx(marks[0])
    assert last[0, 0].item() == pytest.approx(marks[1])
    assert next(session.policy.model.parameters())[0, 0].item() == pytest.approx(marks[0])


def test_an_error_keeps_the_weights_and_says_why(args: dict[str, Any]) -> None:
    def explode() -> None:
        with TrainingSession("none", LearnerArgs(**args), "lmgym/Math-v0", {}) as session:
            for update in session.updates():
                require_finite(torch.tensor(float("nan")), "loss", update)

    with pytest.raises(LmgymError, match="the loss is nan"):
        explode()
    run_folder = Path(args["out"])
    record = json.loads((run_folder / "lmgym.json").read_text())
    assert record["status"].startswith("failed: the loss is nan in update 0")
    assert (run_folder / "last" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("name", "value"),
    [("lr", -1.0), ("lr", float("nan")), ("seed", -1), ("test_limit", 0), ("max_grad_norm", 0.0)],
)
def test_a_number_out_of_its_range_is_named(name: str, value: Any) -> None:
    with pytest.raises(LmgymError, match=f"{name}={value} is out of range; allowed is"):
        LearnerArgs(**{name: value})


def test_bad_arguments_leave_no_folder_behind(args: dict[str, Any]) -> None:
    with pytest.raises(LmgymError, match="the prompt takes 9 tokens and the context has 4"):
        TrainingSession("none", LearnerArgs(**args, context=4), "lmgym/Math-v0", {})
    for env, world, reward in [
        ("lmgym/Mth-v0", {}, "verifier"),
        ("lmgym/Math-v0", {"problems": "adition"}, "verifier"),
        ("lmgym/Math-v0", {}, "verifer"),
    ]:
        with pytest.raises(LmgymError, match="unknown"):
            TrainingSession("none", LearnerArgs(**args), env, world, reward)
    assert not Path(args["out"]).exists()


@pytest.mark.parametrize(
    ("error", "status"),
    [(KeyboardInterrupt(), "interrupted"), (LmgymError("full"), "failed: full")],
)
def test_a_failure_at_the_end_keeps_the_weights_and_is_written_down(
    args: dict[str, Any], monkeypatch: pytest.MonkeyPatch, error: BaseException, status: str
) -> None:
    def fail(self: TrainingSession) -> None:
        raise error

    monkeypatch.setattr(TrainingSession, "_finish", fail)
    with pytest.raises(type(error)):
        run(args)
    folder = Path(args["out"])
    assert json.loads((folder / "lmgym.json").read_text())["status"] == status
    assert (folder / "last" / "model.safetensors").is_file()


def test_the_smallest_budget_still_trains(args: dict[str, Any]) -> None:
    given = LearnerArgs(**args, seconds=1e-6)
    numbers: list[int] = []
    with TrainingSession("none", given, "lmgym/Math-v0", {}) as session:
        numbers += session.updates()
    assert numbers == [0]


def test_unscored_episodes_are_left_out_of_what_is_logged(args: dict[str, Any]) -> None:
    def half(prompts: list[str], completions: list[str]) -> list[float | None]:
        return [1.0 if i % 2 else None for i in range(len(prompts))]

    given = LearnerArgs(**args, updates=1)
    with TrainingSession("none", given, "lmgym/Math-v0", {}, half) as session:
        for _ in session.updates():
            batch = session.collector.collect(session.rng, session.generator, n_groups=4)
            session.log({}, batch)
    row = read_metrics(session.run.path)[0]
    assert (row["reward"], row["reward/half"], row["unscored"]) == (1.0, 1.0, 0.5)
    record = json.loads((session.run.path / "lmgym.json").read_text())
    assert record["reward"] == "half"
