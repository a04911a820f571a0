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
