"""The benchmark of learning with Stable-Baselines3, with runs that are made up."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lmgym.errors import LmgymError

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "sb3_learning.py"

pytestmark = pytest.mark.skipif(not SCRIPT.is_file(), reason="the source tree is not here")


class Trainer:
    """Stands for `lmgym train`: writes a run folder whose success depends on the command."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.share = 0.9
        self.control_share = 0.1
        self.code = 0

    def __call__(self, words: Sequence[str]) -> int:
        self.commands.append(list(words))
        folder = Path(words[words.index("--out") + 1])
        folder.mkdir(parents=True)
        share = self.control_share if "--reward" in words else self.share
        figures = {"greedy": share} if words[0] == "sb3-dqn" else {"greedy": share, "pass@1": share}
        record = {
            "status": "finished" if self.code == 0 else "interrupted",
            "before": {"greedy": 0.0},
            "after": {**figures, "greedy": figures["greedy"] - 0.05},
            "train_after": figures,
            "seconds": 60.0,
            "updates": 1000,
        }
        (folder / "lmgym.json").write_text(json.dumps(record))
        rows = [{"step": i, "seconds": 30.0 * i, "validation/greedy": 0.3 * i} for i in range(3)]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return self.code


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("sb3_learning_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "run_train", Trainer())
    full = module.chance
    monkeypatch.setattr(module, "chance", lambda: full(500))
    monkeypatch.chdir(tmp_path)
    return module


def results() -> dict[str, Any]:
    file = Path("benchmarks/results/sb3_learning.json")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def test_writes_figures_a_page_and_curves(bench: Any) -> None:
    assert bench.main(["--seeds", "2", "--controls"]) == 0
    found = results()
    assert found["is_met"]
    assert found["n_met"]["dqn"] == found["n_seeds"]["dqn"] == 2
    assert found["settings"]["warm-ppo"]["drawn"]["mean"] == pytest.approx(0.9)
    assert "drawn" not in found["settings"]["dqn"]
    assert set(found["p_values"]) == {"unpaid", "warm-unpaid"}
    page = Path("benchmarks/results/sb3_learning.md").read_text(encoding="utf-8")
    assert "| DQN | 110 | none | 90.0% | 0.0% | 85.0% | 1,000 | 60 | 0 | met |" in page
    assert "DQN 2 of 2" in page
    assert "    lmgym train sb3-maskable-ppo lmgym/Math-v0 --seconds 140 --target 0.88" in page
    assert Path("benchmarks/results/sb3_learning.png").read_bytes().startswith(b"\x89PNG")


def test_a_seed_below_the_bar_is_said_and_is_the_exit_code(bench: Any) -> None:
    bench.run_train.share = 0.7  # enough from scratch, too little from the warm start
    assert bench.main(["--seeds", "1"]) == 1
    found = results()
    assert found["n_met"] == {
        "ppo": 1, "maskable-ppo": 1, "a2c": 1, "dqn": 1, "warm-ppo": 0, "warm-maskable-ppo": 0
    }  # fmt: skip


def test_a_command_that_takes_too_long_misses_the_bar(bench: Any) -> None:
    bench.main(["--seeds", "1"])
    wall = Path("runs/sb3_learning/a2c-seed110/wall_seconds.json")
    record = json.loads(wall.read_text())
    wall.write_text(json.dumps({**record, "wall_seconds": 180.5}))
    assert bench.main(["--seeds", "1"]) == 1
    assert results()["n_met"]["a2c"] == 0


def test_finished_runs_are_kept_and_broken_ones_run_again(bench: Any) -> None:
    bench.run_train.code = 130
    with pytest.raises(KeyboardInterrupt):
        bench.main(["--seeds", "1"])
    bench.run_train.code = 0
    bench.main(["--seeds", "1"])
    assert len(bench.run_train.commands) == 1 + 6
    bench.main(["--seeds", "1"])
    assert len(bench.run_train.commands) == 1 + 6


def test_a_finished_run_of_another_command_is_not_taken(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.main(["--seeds", "1"])
    words = bench.Setting.words.fget
    monkeypatch.setattr(bench.Setting, "words", property(lambda s: [*words(s), "--lr", "1"]))
    with pytest.raises(LmgymError, match=r"ppo-seed110 was made with 'sb3-ppo .* delete it"):
        bench.main(["--seeds", "1"])


def test_a_control_at_the_bar_is_said_and_is_the_exit_code(bench: Any) -> None:
    assert bench.main(["--seeds", "1", "--controls"]) == 0
    page = Path("benchmarks/results/sb3_learning.md")
    assert "Controls at the bar: none." in page.read_text(encoding="utf-8")
    bench.run_train.control_share = 0.7  # enough from scratch only
    assert bench.main(["--seeds", "1", "--controls", "--runs", "others"]) == 1
    found = results()
    assert (found["is_met"], found["controls_at_bar"]) == (True, ["unpaid-seed110"])
    assert "Controls at the bar: unpaid-seed110." in page.read_text(encoding="utf-8")


def test_a_failed_run_stops_with_its_folder(bench: Any) -> None:
    bench.run_train.code = 2
    with pytest.raises(LmgymError, match="ppo with seed 110 failed, exit code 2; see"):
        bench.main(["--seeds", "1"])


def test_every_command_is_one_that_the_command_line_takes(bench: Any) -> None:
    from lmgym.commands.arguments import parse_options
    from lmgym.envs.math_problems.task import MathArgs
    from lmgym.registry import AGENTS, load

    for setting in bench.SETTINGS.values():
        agent, env, *options = setting.words
        groups = {agent: load(AGENTS[agent]), env: MathArgs}
        args, world = parse_options(groups, options, f"train {agent} {env}", "")
        if setting.is_from_scratch:
            room = {"max_tokens": args.max_tokens, "context": args.context}
            assert (room, world.difficulty) == (bench.ROOM, 1)


def test_chance_is_measured(bench: Any) -> None:
    levels = bench.chance()
    assert 0 < levels["random_actions"] < 0.05
    assert 0.05 < levels["best_single_answer"] < 0.2
