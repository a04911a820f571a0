"""Hindsight over seeds: which runs are kept, and what is claimed of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lmgym.errors import LmgymError

Script = Callable[[str], Any]


@pytest.mark.learning
@pytest.mark.slow
def test_runs_are_made_once_and_again_when_their_words_change(
    script: Script,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    benchmark = script("web_hindsight")
    short = (
        "her lmgym/WebGoal-v0 --sites 1 --learning-starts 300 --test-limit 4 --validation-limit 4"
    )
    monkeypatch.setattr(benchmark, "ARMS", {"forms, DQN": short})
    out = tmp_path / "out.json"
    words = ["--seeds", "1", "--runs", str(tmp_path / "runs"), "--out", str(out), "--steps"]
    for steps, n_made in (("320", 1), ("320", 0), ("340", 1)):
        assert (
            benchmark.main([*words, steps]) == 0
        )  # it claims no more than that nothing is learned
        assert capsys.readouterr().out.count("CPU seconds\n") == n_made
    args = benchmark.WebHindsightArgs(seeds=1, steps=340, runs=str(tmp_path / "runs"), out=str(out))
    assert benchmark._is_kept(args, "forms, DQN", 300)
    monkeypatch.setattr(benchmark, "ARMS", {"forms, DQN": short.replace("--sites 1", "--sites 2")})
    assert not benchmark._is_kept(args, "forms, DQN", 300)
    (run,) = json.loads(out.read_text())["runs"]["forms, DQN"]
    assert run["cpu"] > 0
    assert {"iid", "comp", "words"} == set(run["splits"])


def test_an_arm_that_is_not_there_is_an_error(script: Script) -> None:
    with pytest.raises(LmgymError, match="unknown arm 'foo'"):
        script("web_hindsight").main(["--only", "foo"])
    with pytest.raises(LmgymError, match="each must be above 0"):
        script("web_hindsight").main(["--seeds", "0"])


def outcome(success: float, comp: float = 0.9, cpu: float = 60.0) -> Mapping[str, Any]:
    def figures(both: float) -> dict[str, float]:
        return {"success": both, "success, 1 change": both, "success, 2 changes": both}

    return {"cpu": cpu, "splits": {"iid": figures(success), "comp": figures(comp)}}


@pytest.mark.parametrize(
    ("arms", "missed"),
    [
        ({"shop, DQN + HER": [outcome(0.9), outcome(1.0)]}, set()),
        (
            {"shop, DQN + HER": [outcome(0.6), outcome(0.9, cpu=130.0)]},
            {
                "mean success, shop, DQN + HER",
                "worst seed, shop, DQN + HER",
                "most CPU, shop, DQN + HER",
            },
        ),
        ({"forms, DQN": [outcome(0.2), outcome(0.0)]}, {"mean success, forms, DQN"}),
        ({"forms, stock": [outcome(0.0)]}, set()),
        (
            {
                "language, hindsight": [outcome(0.95, comp=0.7, cpu=301)],
                "language, success only": [outcome(0.7)],
            },
            {
                "most CPU, language, hindsight",
                "level 2, seen pairs over unseen ones",
                "level 2, lead over language, success only",
            },
        ),
    ],
)
def test_bars(script: Script, arms: Mapping[str, Any], missed: set[str]) -> None:
    claims = list(script("web_hindsight")._claims(arms))
    assert {claim.what for claim in claims if not claim.is_met} == missed
