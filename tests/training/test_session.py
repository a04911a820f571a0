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
        if split in ("train", "validation", "test"):  # further splits are told at the end
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


@pytest.mark.parametrize(("reward", "is_told"), [("verifier", True), (None, False)])
def test_only_who_is_paid_is_told_that_a_reward_may_have_no_signal(
    args: dict[str, Any], capsys: pytest.CaptureFixture[str], reward: str | None, is_told: bool
) -> None:
    given = LearnerArgs(**args, updates=0)
    with TrainingSession("none", given, "lmgym/Math-v0", {}, reward) as session:
        assert list(session.updates()) == []
    assert ("nothing is right yet" in capsys.readouterr().out) == is_told


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


def test_the_preset_that_is_told_is_that_of_the_model_without_its_adapter(
    args: dict[str, Any],
) -> None:
    pytest.importorskip("peft")
    record = json.loads((run(args | {"lora_rank": 16}, 0).run.path / "lmgym.json").read_text())
    size = load_policy(args["model"]).n_parameters
    assert record["preset"].startswith(f"preset for {size / 1000:.3g} k parameters")


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


def shorter(prompts: list[str], completions: list[str]) -> list[float]:
    return [float(-len(text)) for text in completions]


def train_in(
    args: dict[str, Any], world_args: dict[str, Any], reward: Any
) -> tuple[TrainingSession, dict[str, Any]]:
    """Two updates, with a validation after each."""
    given = LearnerArgs(**args, updates=2, validate_every=0.0)
    with TrainingSession("none", given, "lmgym/Preference-v0", world_args, reward) as session:
        weight = next(session.policy.model.parameters())
        for _ in session.updates():
            session._next_validation = 0.0
            batch = session.collector.collect(session.rng, session.generator, n_groups=2)
            session.log({}, batch)
            with torch.no_grad():
                weight += 1.0
    return session, json.loads((session.run.path / "lmgym.json").read_text())


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    path = tmp_path / "prompts.txt"
    path.write_text("\n".join(f"Greet guest {n}." for n in range(60)), encoding="utf-8")
    return str(path)


def test_the_best_checkpoint_has_the_highest_reward_where_a_reward_is_learned(
    args: dict[str, Any], prompts: str
) -> None:
    paid = iter([1.0, -3.0, -3.0, -1.0, -2.0, -2.0])  # tests are the first and the last

    def reward(prompts: list[str], completions: list[str]) -> list[float]:
        return [next(paid) if len(completions) > 2 else 0.0] * len(completions)

    session, record = train_in(args | {"max_tokens": 4}, {"prompts": prompts}, reward)
    assert record["best"] == {"update": 1, "validation/reward": -1.0}
    assert (record["before"]["reward"], record["after"]["reward"]) == (1.0, -2.0)
    start = next(load_policy(args["model"]).model.parameters())[0, 0].item()
    best = next(load_policy(session.run.path / "best").model.parameters())
    assert best[0, 0].item() == pytest.approx(start + 1)


def test_of_equal_rewards_the_later_checkpoint_is_the_best(
    args: dict[str, Any], prompts: str
) -> None:
    def same(prompts: list[str], completions: list[str]) -> list[float]:
        return [0.5] * len(completions)

    _, record = train_in(args | {"max_tokens": 4}, {"prompts": prompts}, same)
    assert record["best"]["update"] == 2


def test_the_hidden_gold_is_shown_and_chooses_nothing(
    args: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    _, record = train_in(args | {"max_tokens": 4}, {}, shorter)
    assert {"reward", "reward_interval", "gold_reward", "greedy"} <= set(record["before"])
    assert {"validation/reward", "validation/gold_reward"} <= set(record["best"])
    told = capsys.readouterr().out
    assert "gold reward, greedy" in told
    assert "best by its mean reward on validation" in told.replace("\n", " ")


def test_where_nothing_is_judged_no_accuracy_is_told(args: dict[str, Any], prompts: str) -> None:
    session, record = train_in(args | {"max_tokens": 4}, {"prompts": prompts}, shorter)
    for row in read_metrics(session.run.path):
        assert not {"accuracy", "validation/greedy", "validation/pass@1"} & set(row)
    assert not {"greedy", "pass@1", "greedy_interval"} & set(record["before"])


def test_verdicts_are_no_reward_where_nothing_is_judged(args: dict[str, Any], prompts: str) -> None:
    with pytest.raises(LmgymError, match="nothing judges answers in lmgym/Preference-v0"):
        train_in(args, {"prompts": prompts}, "verifier")
    assert not Path(args["out"]).exists()
