"""The claim about learning to call: what is shown, what is examined, what is judged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.policies.loading import load_policy
from lmgym.rollouts import RolloutBatch, RolloutCollector, demonstrations

Script = Callable[[str], Any]


def test_what_is_shown_changes_a_copy_of_the_embedded_policy(script: Script) -> None:
    benchmark = script("claims.tool_math")
    policy = benchmark.shown(benchmark.ToolMathStudyArgs(shown=1), seed=0)
    before = load_policy("embedded").model.state_dict()
    assert any((before[name] != w).any() for name, w in policy.model.state_dict().items())


@pytest.mark.parametrize("tools", [True, False])
def test_episodes_that_call_are_counted_and_judged(
    script: Script, monkeypatch: pytest.MonkeyPatch, tools: bool
) -> None:
    def demonstrated(self: RolloutCollector, *_: Any, task_ids: list[str], **__: Any) -> Any:
        renderer, rng = self.policy.renderer, np.random.default_rng(0)
        played = demonstrations(self.task, renderer, rng, len(task_ids))
        return RolloutBatch.paid(self.task, played, self.schedule)

    monkeypatch.setattr(RolloutCollector, "collect", demonstrated)
    exam = script("claims.tool_math").examined(load_policy("embedded"), 0, 4, tools=tools)
    assert exam == (float(tools), 1.0, 1.0)


@pytest.mark.parametrize(("after", "code"), [(0.97, 0), (0.4, 1)])
def test_bars_judge_what_was_found(
    script: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, after: float, code: int
) -> None:
    benchmark = script("claims.tool_math")
    exam, out = benchmark.Exam, tmp_path / "tool_math.json"

    def study(args: Any, runs: Path, seed: int) -> dict[str, Any]:
        return {
            benchmark.BEFORE: exam(0.3, 0.2 + seed / 10_000, 0.2),
            benchmark.AFTER: exam(1.0, after, after),
            benchmark.UNAIDED_BEFORE: exam(0.0, 0.01, 0.0),
            benchmark.UNAIDED: exam(0.0, 0.02, 0.0),
        }

    monkeypatch.setattr(benchmark, "study", study)
    assert benchmark.main(["--seeds", "5", "--out", str(out)]) == code
    written = json.loads(out.read_text())
    assert len(written["outcomes"][benchmark.AFTER]) == 5
    assert all(claim["bar"] for claim in written["claims"])


def test_arguments_that_measure_nothing_are_told(script: Script) -> None:
    with pytest.raises(LmgymError, match=r"needs 2 seeds and counts of 1 or more"):
        script("claims.tool_math").ToolMathStudyArgs(seeds=1)
