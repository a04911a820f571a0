"""`lmgym train`: run folders, worlds of other people, interruption."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmgym import registry
from lmgym.registry import WORLDS
from lmgym.training.session import TrainingSession

RunCli = Callable[..., tuple[int, str, str]]
StartCli = Callable[..., subprocess.Popen[str]]

MATH = "lmgym/Math-v0"
QUICK = ("--test-limit", "8", "--test-samples", "1", "--validation-limit", "4")
A_WORLD = """
from lmgym.envs.copy_text.task import CopyTask
from lmgym.registry import WorldSpec, register_world

class MyTask(CopyTask):
    pass

register_world(WorldSpec("mine/Echo-v0", MyTask, "Mine."))
"""


@pytest.fixture
def my_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The name of a world that a file in the current folder registers."""
    (tmp_path / "my_echo_world.py").write_text(A_WORLD)
    monkeypatch.setattr(registry, "WORLDS", dict(WORLDS))
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr("gymnasium.envs.registration.registry", {})
    monkeypatch.delitem(sys.modules, "my_echo_world", raising=False)
    return "my_echo_world:mine/Echo-v0"


def trained(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "lmgym.json").read_text(encoding="utf-8"))
    return record


@pytest.mark.slow
@pytest.mark.parametrize("agent", ["grpo", "sft"])
def test_train_leaves_a_run_folder(run_cli: RunCli, agent: str, tmp_path: Path) -> None:
    options = ("--updates", "2", "--out", "r", "--problems", "modular", *QUICK)
    code, out, _ = run_cli("train", agent, MATH, *options)
    assert code == 0
    assert "watch it: lmgym play lmgym/Math-v0 --problems modular --model r" in out
    folder = tmp_path / "r"
    for name in ("metrics.jsonl", "curve.png", "best/model.safetensors", "last/config.json"):
        assert (folder / name).is_file(), name
    record = trained(folder)
    assert (record["status"], record["updates"], record["agent"]) == ("finished", 2, agent)
    assert record["world"]["problems"] == "modular"
    assert record["world"]["difficulty"] == 2


@pytest.mark.slow
def test_train_takes_the_world_of_a_file_in_the_current_folder(
    run_cli: RunCli, my_world: str, tmp_path: Path
) -> None:
    options = ("--updates", "1", "--groups", "2", "--out", "r", "--length", "2", *QUICK)
    assert run_cli("train", my_world, *options)[0] == 0
    assert trained(tmp_path / "r")["env"] == my_world
    assert run_cli("eval", my_world, "--model", "r/best", "--limit", "2", "--length", "2")[0] == 0


@pytest.mark.slow
def test_ctrl_c_in_training_keeps_the_last_weights(start_cli: StartCli, tmp_path: Path) -> None:
    process = start_cli(["train", "--out", "r", *QUICK], cwd=tmp_path, start_new_session=True)
    metrics = tmp_path / "r" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.is_file() and metrics.read_text()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in out + err
    assert trained(tmp_path / "r")["status"] == "interrupted"
    assert (tmp_path / "r" / "last" / "model.safetensors").is_file()


def wait_for_line(process: subprocess.Popen[str], metrics: Path, number: int) -> None:
    """Until a run has logged so many updates."""
    deadline = time.monotonic() + 120
    while not (metrics.is_file() and metrics.read_text().count("\n") >= number):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_a_killed_process_is_gone_on_with_bit_by_bit(
    run_cli: RunCli, start_cli: StartCli, tmp_path: Path
) -> None:
    budget = ("--updates", "40", "--validate-updates", "10", "--groups", "4", "--seconds", "600")
    options = ("train", *budget, "--checkpoint-every", "0", *QUICK)
    process = start_cli([*options, "--out", "killed"], cwd=tmp_path, start_new_session=True)
    wait_for_line(process, tmp_path / "killed" / "metrics.jsonl", 8)
    process.kill()
    process.communicate()
    assert trained(tmp_path / "killed")["status"] == "running"
    code, out, _ = run_cli("train", "--resume", "killed")
    assert code == 0
    assert "going on after" in out
    assert run_cli(*options, "--out", "whole")[0] == 0
    for kind in ("best", "last"):
        files = [tmp_path / run / kind / "model.safetensors" for run in ("killed", "whole")]
        assert files[0].read_bytes() == files[1].read_bytes()
    killed, whole = trained(tmp_path / "killed"), trained(tmp_path / "whole")
    assert killed["after"] == whole["after"]
    assert 7 <= killed["resumes"][0]["update"] < 40


@pytest.mark.slow
def test_sigterm_stops_in_good_order_and_tells_how_to_go_on(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--updates", "3", "--groups", "2", "--out", "r", *QUICK)
    with monkeypatch.context() as patched:
        original = TrainingSession.log

        def log(self: TrainingSession, *words: Any) -> None:
            original(self, *words)
            signal.raise_signal(signal.SIGTERM)

        patched.setattr(TrainingSession, "log", log)
        code, out, _ = run_cli("train", *options)
    assert code == 130
    assert "go on: lmgym train --resume r" in out
    assert trained(tmp_path / "r")["updates"] == 1
    assert run_cli("train", "--resume", "r", "--updates", "2")[0] == 0
    record = trained(tmp_path / "r")
    assert (record["status"], record["updates"]) == ("finished", 2)
    code, out, _ = run_cli("train", "--resume=r")
    assert code == 0
    assert "is finished: 2 updates are done" in out


def a_record(folder: Path, **facts: Any) -> None:
    folder.mkdir()
    record = {"agent": "grpo", "env": MATH, "args": {"lr": 0.1}, "world": {}, "reward": "verifier"}
    (folder / "lmgym.json").write_text(json.dumps(record | facts))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--resume", "nowhere"), "'nowhere' is no run folder"),
        (("--resume", "r"), "ended before its first update"),
        (("sft", "--resume", "r"), "agent is 'sft', and the run in 'r' was started with 'grpo'"),
        (("grpo", "lmgym/Copy-v0", "--resume", "r"), "env is 'lmgym/Copy-v0'"),
        (("--resume", "r", "--lr", "0.2"), "lr is 0.2, and the run in 'r' was started with 0.1"),
        (("--resume", "r", "--difficulty", "3"), "difficulty is 3"),
        (("--resume", "r", "--no-log-kl", "--lr=0.2"), "lr is 0.2"),
        (("--resume", "r", "--out", "q"), "a run goes on in its own folder"),
        (("--resume", "her"), "runs of her cannot be resumed"),
        (("--resume",), "--resume needs a value"),
        (("--resume", "r/best"), "'r/best' is a policy of the run in 'r'; name 'r'"),
        (("--resume", "list"), "lmgym.json' is no record of a run: it is no JSON object"),
        (("--resume", "other"), "lmgym.json' is no record of a run: 'agent' is not there"),
        (("--resume", "odd"), "lmgym.json' is no record of a run: 'world' is []"),
    ],
)
def test_what_does_not_fit_a_run_is_told_before_anything_is_written(
    run_cli: RunCli, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    a_record(tmp_path / "r")
    a_record(tmp_path / "her", agent="her")
    a_record(tmp_path / "odd", world=[])
    a_record(tmp_path / "r" / "best")
    for name, content in (("list", "[]"), ("other", '{"status": "finished"}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "lmgym.json").write_text(content)
    before = sorted(tmp_path.rglob("*"))
    code, _, err = run_cli("train", *words)
    assert code == 2
    assert message in err
    assert sorted(tmp_path.rglob("*")) == before
