"""The benchmark of the main job, with runs that are made up."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lmgym.errors import LmgymError

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "main_job.py"

pytestmark = pytest.mark.skipif(not SCRIPT.is_file(), reason="the source tree is not here")


class Trainer:
    """Stands for `lmgym train`: writes a run folder whose success depends on the command."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.greedy_after = 0.95
        self.code = 0

    def __call__(self, words: Sequence[str]) -> int:
        self.commands.append(list(words))
        folder = Path(words[words.index("--out") + 1])
        folder.mkdir(parents=True)
        is_main = "--reward" not in words and words[0] == "grpo"
        after = self.greedy_after if is_main else 0.3
        record = {
            "status": "finished" if self.code == 0 else "interrupted",
            "args": {"seconds": 100.0},
            "before": {"greedy": 0.31, "pass@1": 0.2},
            "after": {"greedy": after, "pass@1": after - 0.1},
            "seconds": 60.0,
            "updates": 1000,
        }
        (folder / "lmgym.json").write_text(json.dumps(record))
        rows = [
            {"step": i, "seconds": 30.0 * i, "validation/greedy": 0.3 + 0.3 * i} for i in range(3)
        ]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return self.code


@pytest.fixture
def main_job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("main_job_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "run_train", Trainer())
    monkeypatch.chdir(tmp_path)
    return module


def results(out: Path = Path("benchmarks/results/main_job.json")) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


def test_writes_figures_a_page_and_curves(main_job: Any) -> None:
    assert main_job.main(["--seeds", "2"]) == 0
    found = results()
    assert (found["n_met"], found["n_seeds"], found["is_met"]) == (2, 2, True)
    assert found["jobs"]["main"]["greedy_after"]["mean"] == pytest.approx(0.95)
    page = Path("benchmarks/results/main_job.md").read_text(encoding="utf-8")
    assert "is met by 2 of 2 seeds" in page
    assert "| GRPO, verifier's reward | 1 | 31.0% | 95.0% | 20.0% | 85.0% |" in page
    assert Path("benchmarks/results/main_job.png").read_bytes().startswith(b"\x89PNG")


def test_each_seed_and_control_is_a_command_of_its_own(main_job: Any) -> None:
    main_job.main(["--seeds", "2", "--first-seed", "7", "--controls", "--seconds", "100"])
    commands = [" ".join(words) for words in main_job.run_train.commands]
    assert len(commands) == 6
    assert commands[0] == (
        "grpo lmgym/Math-v0 --seed 7 --out runs/main_job/main-seed7 --seconds 100.0"
    )
    assert "--reward shuffled" in commands[1]
    assert commands[2].startswith("sft lmgym/Math-v0 --source samples")
    assert set(results()["p_values"]) == {"shuffled", "samples"}


def test_finished_runs_are_kept_and_broken_ones_run_again(main_job: Any) -> None:
    main_job.run_train.code = 130
    with pytest.raises(KeyboardInterrupt):
        main_job.main(["--seeds", "2"])
    main_job.run_train.code = 0
    main_job.main(["--seeds", "2"])
    assert len(main_job.run_train.commands) == 3
    main_job.main(["--seeds", "3"])
    assert len(main_job.run_train.commands) == 4


def test_kept_runs_must_have_had_the_same_budget(main_job: Any) -> None:
    main_job.main(["--seeds", "1"])
    with pytest.raises(LmgymError, match="was trained with --seconds 100, not 5"):
        main_job.main(["--seeds", "1", "--seconds", "5"])


def test_a_failed_run_stops_the_benchmark(main_job: Any) -> None:
    main_job.run_train.code = 2
    with pytest.raises(LmgymError, match="main with seed 0 failed, exit code 2"):
        main_job.main(["--seeds", "1"])


@pytest.mark.parametrize(("n_missed", "code"), [(1, 0), (2, 1)])
def test_four_of_five_seeds_must_meet_the_bar(
    main_job: Any, monkeypatch: pytest.MonkeyPatch, n_missed: int, code: int
) -> None:
    train = main_job.run_train

    def run_train(words: Sequence[str]) -> int:
        train.greedy_after = 0.89 if len(train.commands) < n_missed else 0.95
        return int(train(words))

    monkeypatch.setattr(main_job, "run_train", run_train)
    assert main_job.main(["--seeds", "5"]) == code


def test_a_slow_command_misses_the_bar(main_job: Any) -> None:
    shares = {
        "greedy_before": 0.3,
        "greedy_after": 0.95,
        "sampled_before": 0.2,
        "sampled_after": 0.9,
    }
    common = {"job": "main", "seed": 0, "seconds": 90.0, "updates": 10, **shares}
    assert main_job.Result(**common, wall_seconds=180.0).meets_bar
    assert not main_job.Result(**common, wall_seconds=181.0).meets_bar
