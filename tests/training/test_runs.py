import json
import math
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import lmgym.training.records
from lmgym.errors import LmgymError
from lmgym.training.runs import Interrupt, Position, RunFolder, read_metrics, read_record


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunFolder]:
    with RunFolder("grpo", "lmgym/Math-v0", tmp_path / "run", tensorboard=False, seed=3) as run:
        yield run


def test_the_folder_is_named_for_agent_and_world(tmp_path: Path) -> None:
    for _ in range(3):  # also within one second
        with RunFolder("grpo", "lmgym/Math-v0", root=tmp_path, tensorboard=False) as run:
            assert run.path.name.startswith("grpo-Math-v0-2")
    assert len(list(tmp_path.iterdir())) == 3


def test_a_name_cannot_leave_the_root(tmp_path: Path) -> None:
    with RunFolder("../../x", "a b/../..", root=tmp_path, tensorboard=False) as run:
        assert run.path.parent == tmp_path


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(LmgymError, match="is not empty"):
        RunFolder("grpo", "e", tmp_path)
    with RunFolder("grpo", "e", tmp_path, exist_ok=True, tensorboard=False):
        assert (tmp_path / "notes.txt").read_text() == "mine"


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    with RunFolder("grpo", "e", tmp_path, tensorboard=False) as run:
        assert run.path == tmp_path


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(LmgymError, match="is a file"):
        RunFolder("grpo", "e", tmp_path / "f")


def test_metrics_are_read_back(run: RunFolder) -> None:
    run.log(1, {"reward": 0.5, "seconds": 1.5})
    run.log(2, {"entropy": np.float32(0.25), "loss": torch.tensor(2.0), "n": 3})
    first, second = read_metrics(run.path)
    assert first == {"step": 1, "seconds": 1.5, "reward": 0.5}
    assert (second["entropy"], second["loss"], second["n"]) == (0.25, 2.0, 3.0)
    assert 0 <= second["seconds"] < 60


def test_lines_are_on_disk_at_once(run: RunFolder) -> None:
    run.log(1, {"reward": 0.5})
    assert len((run.path / "metrics.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_null_and_read_as_nan(run: RunFolder, value: float) -> None:
    run.log(1, {"loss": value})
    line = (run.path / "metrics.jsonl").read_text()
    assert json.loads(line, parse_constant=pytest.fail)["loss"] is None
    assert math.isnan(read_metrics(run.path)[0]["loss"])


def test_a_text_is_no_metric(run: RunFolder) -> None:
    with pytest.raises(LmgymError, match=r"metric 'answer' is 'four', .* log_texts"):
        run.log(1, {"answer": "four"})
    with pytest.raises(LmgymError, match="metric 'loss'"):
        run.log(1, {"loss": torch.zeros(2)})
    assert read_metrics(run.path) == []


def test_a_resumed_run_appends_after_a_torn_line(run: RunFolder) -> None:
    run.log(1, {"reward": 0.5, "seconds": 40.0})
    run.close()
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "rew')
    assert [row["step"] for row in read_metrics(run.path)] == [1]
    with RunFolder("grpo", "e", run.path, exist_ok=True, tensorboard=False) as resumed:
        resumed.log(2, {"reward": 0.75})
    assert [row["step"] for row in read_metrics(run.path)] == [1, 2]
    assert read_metrics(run.path)[1]["seconds"] >= 40.0


def test_metrics_that_are_not_json_are_told(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\nrubbish\n')
    with pytest.raises(LmgymError, match=r"line 2 of metrics\.jsonl is not JSON"):
        read_metrics(tmp_path)
    with pytest.raises(LmgymError, match="no metrics at"):
        read_metrics(tmp_path / "nowhere")


def test_the_record_says_how_the_run_was_made(run: RunFolder) -> None:
    run.write_record({"args": {"lr": 3e-4, "loss": math.nan}, "test": (0.5, np.float64(0.75))})
    run.write_record({"steps": torch.tensor(7)})
    record = json.loads((run.path / "lmgym.json").read_text())
    assert (record["agent"], record["env"], record["seed"]) == ("grpo", "lmgym/Math-v0", 3)
    assert set(record["versions"]) >= {"lmgym", "python", "torch", "transformers", "gymnasium"}
    assert record["args"] == {"lr": 3e-4, "loss": None}
    assert (record["test"], record["steps"]) == ([0.5, 0.75], 7)
    assert record["started"].endswith("+00:00")
    assert set(record["machine"]) == {"cpu_count", "platform"}


def test_the_record_is_replaced_in_one_step(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.write_record({"good": True})

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        run.write_record({"good": False})
    assert json.loads((run.path / "lmgym.json").read_text())["good"] is True
    assert sorted(p.name for p in run.path.iterdir()) == ["lmgym.json", "metrics.jsonl"]


def test_the_record_names_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setattr(sys, "argv", ["/home/ada/bin/lmgym", "train", "--out=/home/ada/runs"])
    with RunFolder("grpo", "e", tmp_path, tensorboard=False) as run:
        record = run.write_record({"data": Path("/home/ada/x.json"), "other": "/home/adam"})
    assert record["command"] == ["lmgym", "train", "--out=~/runs"]
    assert record["data"] == str(Path("~/x.json"))
    assert record["other"] == "/home/adam"


def test_dataclasses_and_sets_become_plain() -> None:
    @dataclass
    class Arguments:
        rate: float = 0.5
        ids: frozenset[int] = frozenset({3, 1})

    assert lmgym.training.records.plain_value(Arguments()) == {"rate": 0.5, "ids": [1, 3]}
    with pytest.raises(TypeError, match="given object"):
        lmgym.training.records.plain_value({"x": object()})


def test_tensorboard_events_can_be_read(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with RunFolder("grpo", "e", tmp_path, tensorboard=True) as run:
        run.log(1, {"reward": 0.5})
        run.log(2, {"reward": math.inf})
        run.log_texts(2, {"samples": "1+1=\n<b>2</b>\ud800"})
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("reward")] == [(1, 0.5), (2, math.inf)]
    text = events.Tensors("samples/text_summary")[0].tensor_proto.string_val[0]
    assert text == b"    1+1=\n    <b>2</b>?"


def test_event_files_do_not_name_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "ada-laptop")
    with RunFolder("grpo", "e", tmp_path, tensorboard=True):
        names = [path.name for path in tmp_path.rglob("*")]
    assert len(names) == 3
    assert not [name for name in names if "ada-laptop" in name]


def test_missing_tracker_is_told_before_a_folder_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(LmgymError, match="wandb is not installed; run: pip install wandb"):
        RunFolder("grpo", "e", tmp_path / "run", track="wandb")
    with pytest.raises(LmgymError, match="unknown tracker 'wanbd'; known: wandb"):
        RunFolder("grpo", "e", tmp_path / "run", track="wanbd")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_tracker_gets_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    calls: list[tuple[str, Any]] = []
    fake = SimpleNamespace(
        init=lambda **options: calls.append(("init", options)),
        log=lambda metrics, step: calls.append(("log", (step, metrics))),
        finish=lambda: calls.append(("finish", None)),
    )
    monkeypatch.setitem(sys.modules, name, fake)
    with RunFolder("grpo", "e", tmp_path / "run", track=name, tensorboard=False) as run:
        run.log(4, {"reward": 0.5, "seconds": 1.0})
    run.close()
    assert [call for call, _ in calls] == ["init", "log", "finish"]
    assert calls[0][1]["name"] == "run"
    assert calls[1][1] == (4, {"reward": 0.5, "seconds": 1.0})


def test_first_interrupt_sets_the_flag_and_second_one_raises() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupt() as interrupt:
        assert not interrupt.interrupted
        signal.raise_signal(signal.SIGINT)
        assert interrupt.interrupted
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_the_handler_is_restored_after_an_error() -> None:
    before = signal.getsignal(signal.SIGINT)

    def learn() -> None:
        with Interrupt():
            raise RuntimeError("training broke")

    with pytest.raises(RuntimeError, match="training broke"):
        learn()
    assert signal.getsignal(signal.SIGINT) is before


def test_off_the_main_thread_it_does_nothing() -> None:
    seen: list[bool] = []

    def work() -> None:
        with Interrupt() as interrupt:
            seen.append(interrupt.interrupted)

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
    assert signal.getsignal(signal.SIGINT) is before


def test_sigterm_sets_the_flag_as_well_and_its_handler_is_restored() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGTERM)
        assert interrupt.interrupted
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_tracker_goes_on_with_the_run_that_it_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    calls: list[dict[str, Any]] = []
    fake = SimpleNamespace(
        init=lambda **options: calls.append(options),
        log=lambda metrics, step: None,
        finish=lambda: None,
    )
    monkeypatch.setitem(sys.modules, name, fake)
    for place in (None, Position(3, 0)):
        with RunFolder(
            "grpo", "e", tmp_path / "run", track=name, tensorboard=False, resumed_at=place
        ) as run:
            run.write_record()
    first, second = calls
    assert "resume" not in first
    assert second["resume"] == "allow"
    assert (first["name"], second["name"]) == ("run", "run")
    assert first.get("id") == second.get("id")
    assert ("id" in first) is (name == "wandb")
    other = "trackio" if name == "wandb" else "wandb"
    monkeypatch.setitem(sys.modules, other, fake)
    with RunFolder("grpo", "e", tmp_path / "run", track=other, resumed_at=Position(3, 0)):
        assert "resume" not in calls[-1]  # it knows nothing of the run yet


def test_a_resumed_folder_keeps_its_record_and_cuts_what_is_beyond(run: RunFolder) -> None:
    run.log(0, {"seconds": 1.0})
    size = run.sync()
    run.log(1, {"seconds": 2.0})
    started = run.write_record({"best": {"update": 1}})["started"]
    run.close()
    position = Position(1, size)
    with RunFolder("x", "e", run.path, tensorboard=False, resumed_at=position) as resumed:
        resumed.log(1, {"seconds": 3.0})
        record = resumed.write_record({})
    assert [row["seconds"] for row in read_metrics(run.path)] == [1.0, 3.0]
    assert (record["started"], record["agent"], record["best"]) == (started, "grpo", {"update": 1})


def test_a_folder_is_written_by_one_process_at_a_time(run: RunFolder) -> None:
    with pytest.raises(LmgymError, match="another process is writing to the run in"):
        RunFolder("grpo", "e", run.path, exist_ok=True, tensorboard=False)
    run.close()
    RunFolder("grpo", "e", run.path, exist_ok=True, tensorboard=False).close()


@pytest.mark.parametrize("content", [None, "{"])
def test_a_record_that_cannot_be_read_is_told(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "lmgym.json").write_text(content)
    with pytest.raises(LmgymError, match=r"is no run folder|is not JSON"):
        read_record(tmp_path)


@pytest.mark.parametrize(
    "text", ["~/x", "rm:/home/ada/x", "--out=/home/ada", "no~tilde", "/home/b"]
)
def test_the_home_folder_comes_back_into_what_a_record_names(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    recorded = lmgym.training.records.plain_value({"a": [text]})
    assert lmgym.training.records.with_home(recorded) == {"a": [text.replace("~/", "/home/ada/")]}
