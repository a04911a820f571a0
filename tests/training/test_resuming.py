"""Runs that were stopped and go on: the same weights, metrics and figures as in one go."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lmgym.agents.embedded import new_policy
from lmgym.errors import LmgymError
from lmgym.policies.learned_tokenizer import learn_renderer
from lmgym.registry import AGENTS, load
from lmgym.training.arguments import LearnerArgs
from lmgym.training.resuming import RunFinished, StoredRun
from lmgym.training.runs import read_metrics
from lmgym.training.session import TrainingSession

MATH = "lmgym/Math-v0"
SIZES: dict[str, dict[str, Any]] = {
    "grpo": {"groups": 2, "group_size": 2, "reward": "length", "minibatches": 2, "beta": 0.1},
    "best-of-n": {"groups": 2, "n": 2, "reward": "length", "log_kl": True},
    "sft": {"batch_size": 4},
}
SHARED: dict[str, Any] = {
    "test_limit": 2,
    "test_samples": 1,
    "validation_limit": 2,
    "validate_updates": 2,
    "checkpoint_every": 0.0,
    "max_tokens": 4,
    "seconds": 1e6,
    "lr": 0.01,
}


class _Killed(BaseException):
    """Stands for a signal that nothing can catch."""


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = tmp_path_factory.mktemp("policies") / "start"
    new_policy(16, 1, 0).save(directory)
    return str(directory)


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmgym.training.runs.draw_curve", lambda *_, **__: None)


@pytest.fixture
def kill(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Trains until a method of the session is called for the n-th time, which never returns."""

    def run(args: LearnerArgs, agent: str, method: str, n: int) -> None:
        original, calls = getattr(TrainingSession, method), iter(range(1, n + 1))
        leave = TrainingSession.__exit__

        def leaves(self: Any, kind: Any, *rest: Any) -> bool:
            is_killed = kind is _Killed  # then nothing is saved any more
            return bool(self.run.close()) if is_killed else leave(self, kind, *rest)

        def dies(self: Any, *words: Any, **more: Any) -> Any:
            if next(calls, n) == n:
                raise _Killed
            return original(self, *words, **more)

        with monkeypatch.context() as patched:
            patched.setattr(TrainingSession, method, dies)
            patched.setattr(TrainingSession, "__exit__", leaves)
            with pytest.raises(_Killed):
                train(args, agent)

    return run


def args_of(agent: str, policy: str, out: Path, **more: Any) -> Any:
    given = {"model": policy, "out": str(out), **SHARED, **SIZES[agent], **more}
    return load(AGENTS[agent])(**given)


def train(args: Any, agent: str, world: dict[str, Any] | None = None) -> Path:
    module = importlib.import_module(type(args).__module__)
    path: Path = module.train(args, MATH, world or {})
    return path


def resumed(args: Any, folder: Path, **changed: Any) -> Any:
    return replace(args, resume=str(folder), out=None, **changed)


def record_of(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "lmgym.json").read_text())
    return record


def results(folder: Path) -> tuple[Any, ...]:
    """All that must not depend on whether a run was stopped on the way."""
    weights = [load_file(folder / kind / "model.safetensors") for kind in ("best", "last")]
    timed = ("seconds", "tokens_per_second")
    rows = [
        {name: value for name, value in row.items() if not name.startswith(timed)}
        for row in read_metrics(folder)
    ]
    record = record_of(folder)
    numbers = [{name: w.tolist() for name, w in some.items()} for some in weights]
    return (*numbers, rows, *(record[name] for name in ("before", "after", "best", "updates")))


@pytest.mark.slow
@pytest.mark.parametrize("agent", SIZES)
def test_a_killed_run_ends_as_one_that_was_not(
    agent: str,
    policy: str,
    tmp_path: Path,
    kill: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(TrainingSession, "_is_better", lambda *_: True)
    whole = train(args_of(agent, policy, tmp_path / "whole", updates=5), agent)
    args, folder = args_of(agent, policy, tmp_path / "killed", updates=5), tmp_path / "killed"
    kill(args, agent, "log", 1)  # in the first update
    kill(resumed(args, folder), agent, "log", 3)  # in the third
    kill(resumed(args, folder), agent, "_save", 1)  # before a new best checkpoint is written
    kill(resumed(args, folder), agent, "_take_back", 1)  # before the last evaluation
    train(resumed(args, folder), agent)
    assert results(folder) == results(whole)
    places = [told["update"] for told in record_of(folder)["resumes"]]
    assert places[0] == 0
    assert places == sorted(places)
    assert places[-1] == 5
    assert record_of(folder)["status"] == "finished"


class Learner:
    """A learner whose state is a number and what it has seen."""

    def __init__(self, policy: Any) -> None:
        self.start = next(policy.model.parameters())[0, 0].item()
        self.seen: list[int] = []

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seen = state["seen"]


def session_of(args: LearnerArgs, **words: Any) -> TrainingSession:
    return TrainingSession("sft", args, MATH, words.pop("world", {}), **words)


def go(args: LearnerArgs, until: int | None = None, **words: Any) -> tuple[Learner, list[int]]:
    """Run the updates, or so many, and then stop as by Ctrl-C."""
    numbers = []
    session = session_of(args, **words)
    learner = Learner(session.policy)
    with session:
        session.keep("learner", learner)
        for update in session.updates():
            numbers.append(update)
            learner.seen.append(update)
            with torch.no_grad():
                next(session.policy.model.parameters()).add_(1.0)
            session.log_numbers({"loss": 0.5})
            if update + 1 == until:
                session._interrupt.interrupted = True
    return learner, numbers


@pytest.fixture
def args(policy: str, tmp_path: Path) -> LearnerArgs:
    return LearnerArgs(model=policy, out=str(tmp_path / "run"), updates=3, **SHARED)


@pytest.fixture
def stopped(args: LearnerArgs, tmp_path: Path) -> Path:
    """A run that was stopped after two of three updates."""
    go(args, until=2)
    return tmp_path / "run"


def test_what_is_kept_comes_back_and_the_start_is_the_start(
    args: LearnerArgs, stopped: Path
) -> None:
    first = record_of(stopped)
    assert first["status"] == "interrupted"
    learner, numbers = go(resumed(args, stopped))
    assert (numbers, learner.seen) == ([2], [0, 1, 2])
    start = next(iter(load_file(Path(args.model) / "model.safetensors").values()))
    assert learner.start in start.flatten().tolist()
    record = record_of(stopped)
    assert (record["before"], record["started"]) == (first["before"], first["started"])
    assert (record["command"], len(record["resumes"])) == (first["command"], 1)
    assert record["args"] == first["args"]
    assert record["seconds"] > first["seconds"]


def test_a_signal_during_a_validation_keeps_all_updates(
    args: LearnerArgs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Any, split: str) -> Any:
        if split == "validation" and self._n_updates:
            raise KeyboardInterrupt
        return original(self, split)

    original = TrainingSession._evaluate
    rare = replace(args, checkpoint_every=1e9)
    with monkeypatch.context() as patched:
        patched.setattr(TrainingSession, "_evaluate", interrupted)
        go(rare)
    assert go(resumed(rare, tmp_path / "run"))[1] == [2]


def test_an_error_within_an_update_leaves_the_checkpoint_before_it(
    args: LearnerArgs, tmp_path: Path
) -> None:
    def failing() -> None:
        with session_of(replace(args, checkpoint_every=1e9)) as session:
            session.keep("learner", Learner(session.policy))
            for update in session.updates():
                if update == 1:
                    raise LmgymError("in the middle")

    with pytest.raises(LmgymError, match="in the middle"):
        failing()
    assert go(resumed(args, tmp_path / "run"))[1] == [0, 1, 2]


def test_lines_beyond_the_checkpoint_are_cut(args: LearnerArgs, stopped: Path) -> None:
    with (stopped / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "seconds": 9.0, "lost": 1}\n{"step": 3, "sec')
    go(resumed(args, stopped))
    assert [row["step"] for row in read_metrics(stopped)] == [0, 1, 2, 3]
    assert not any("lost" in row for row in read_metrics(stopped))


def test_tensorboard_shows_each_step_once(args: LearnerArgs, stopped: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    go(resumed(args, stopped))
    events = EventAccumulator(str(stopped / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [0, 1, 2]


def test_a_finished_run_says_so_and_goes_on_with_more(args: LearnerArgs, stopped: Path) -> None:
    go(resumed(args, stopped))
    written = {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}
    for same in (resumed(args, stopped), resumed(args, stopped, updates=2)):
        with pytest.raises(RunFinished, match=r"is finished: . updates are done\. To go on"):
            go(same)
    assert {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()} == written
    learner, numbers = go(resumed(args, stopped, updates=5))
    assert (numbers, learner.seen) == ([3, 4], [0, 1, 2, 3, 4])
    assert record_of(stopped)["resumes"][-1]["changed"] == {"updates": 5}


def test_after_the_last_update_only_the_evaluation_is_left(
    args: LearnerArgs, tmp_path: Path
) -> None:
    go(args, until=3)
    assert record_of(tmp_path / "run")["status"] == "interrupted"
    _, numbers = go(resumed(args, tmp_path / "run"))
    assert numbers == []
    assert record_of(tmp_path / "run")["status"] == "finished"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"lr": 0.5}, r"lr is 0\.5, and the run in .* was started with 0\.01; .* may change"),
        ({"seed": 3}, "seed is 3"),
        ({"out": "elsewhere"}, "a run goes on in its own folder"),
    ],
)
def test_arguments_that_decide_results_must_be_the_same(
    args: LearnerArgs, stopped: Path, changed: dict[str, Any], message: str
) -> None:
    before = (stopped / "lmgym.json").read_bytes()
    with pytest.raises(LmgymError, match=message):
        go(replace(args, **{"resume": str(stopped), "out": None, **changed}))
    assert (stopped / "lmgym.json").read_bytes() == before


def test_the_reward_must_be_the_same(args: LearnerArgs, stopped: Path) -> None:
    with pytest.raises(LmgymError, match=r"reward is 'verifier', and the run in .* with None"):
        go(resumed(args, stopped), reward="verifier")


def test_the_world_must_be_the_same(args: LearnerArgs, stopped: Path) -> None:
    with pytest.raises(LmgymError, match=r"difficulty is 1, and the run in .* started with 2"):
        go(resumed(args, stopped), world={"difficulty": 1})


def test_another_policy_is_refused_and_the_same_one_elsewhere_is_not(
    args: LearnerArgs, stopped: Path, tmp_path: Path
) -> None:
    new_policy(16, 1, 1).save(tmp_path / "other")
    words = learn_renderer(["what", "is", "7", "8", "9", "+", "?"] * 20, 512)
    new_policy(16, 1, 0, words).save(tmp_path / "words")
    for name, what in (("other", "other weights"), ("words", "another tokenizer")):
        with pytest.raises(LmgymError, match=f"this policy has {what} than .* had, from which"):
            go(resumed(args, stopped, model=str(tmp_path / name)))
    new_policy(16, 1, 0).save(tmp_path / "moved")
    assert go(resumed(args, stopped, model=str(tmp_path / "moved")))[1] == [2]
    assert record_of(stopped)["started_from"] == args.model


def test_a_run_without_a_checkpoint_is_refused(args: LearnerArgs, stopped: Path) -> None:
    (stopped / "state.safetensors").unlink()
    with pytest.raises(LmgymError, match="it ended before its first update; start it again"):
        go(resumed(args, stopped))
    (stopped / "lmgym.json").unlink()
    with pytest.raises(LmgymError, match=r"is no run folder: it has no lmgym\.json"):
        go(resumed(args, stopped))


@pytest.fixture
def finished(args: LearnerArgs, stopped: Path) -> Path:
    """A run that was stopped, and then came to its end."""
    go(resumed(args, stopped))
    return stopped


def results_kept(folder: Path) -> list[bytes]:
    """What a run that is not gone on with must not lose."""
    names = ("lmgym.json", "metrics.jsonl", "best/model.safetensors", "last/model.safetensors")
    return [(folder / name).read_bytes() for name in names]


def test_a_broken_checkpoint_stops_before_a_model_is_loaded_and_costs_no_results(
    args: LearnerArgs, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = results_kept(finished)
    content = bytearray((finished / "state.safetensors").read_bytes())
    content[-7] ^= 1
    (finished / "state.safetensors").write_bytes(content)
    monkeypatch.setattr("lmgym.training.session.load_policy", pytest.fail)
    with pytest.raises(LmgymError, match="is broken: its numbers changed"):
        go(resumed(args, finished, updates=5))
    assert results_kept(finished) == before


def test_other_states_than_the_checkpoint_holds_are_refused_and_cost_no_results(
    args: LearnerArgs, finished: Path
) -> None:
    def keeping_nothing() -> None:
        with session_of(resumed(args, finished, updates=5)) as session:
            list(session.updates())

    before = results_kept(finished)
    with pytest.raises(LmgymError, match=r"holds the states \['learner'\], .* keeps \[\]"):
        keeping_nothing()
    assert results_kept(finished) == before


def test_the_results_of_the_first_end_go_once_training_goes_on(
    args: LearnerArgs, finished: Path
) -> None:
    session = session_of(resumed(args, finished, updates=5))
    assert "after" in record_of(finished)
    with session:
        session.keep("learner", Learner(session.policy))
        for _ in session.updates():
            record = record_of(finished)
            assert (record["status"], "after" in record) == ("running", False)
    assert "after" in record_of(finished)


def test_a_policy_of_its_own_making_is_not_resumed(args: LearnerArgs, stopped: Path) -> None:
    own = new_policy(16, 1, 0)
    for asked in (resumed(args, stopped), replace(args, checkpoint_every=0.0)):
        with pytest.raises(LmgymError, match="runs of sft cannot be resumed, and write no"):
            go(asked, policy=own)


def test_a_folder_that_another_writes_to_is_refused(args: LearnerArgs, stopped: Path) -> None:
    with session_of(resumed(args, stopped)) as session:
        with pytest.raises(LmgymError, match="another process is writing to the run"):
            session_of(resumed(args, stopped))
        session.keep("learner", Learner(session.policy))
        assert list(session.updates()) == [2]


def test_arguments_come_back_from_the_record(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    given = load(AGENTS["grpo"])(model="~/policy", seconds=float("inf"), clip_low=0.1)
    record = {"args": {**vars(given), "seconds": None}}
    stored = StoredRun(tmp_path, record)
    assert stored.arguments(type(given)) == replace(given, model=str(tmp_path / "policy"))
    record["args"]["gone"] = 1
    with pytest.raises(LmgymError, match="with an argument 'gone', which GRPOArgs of this version"):
        stored.arguments(type(given))
