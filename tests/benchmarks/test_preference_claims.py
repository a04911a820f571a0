"""The benchmarks of comparisons across prompts and of choosing comparisons."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmgym.errors import LmgymError

Script = Callable[[str], Any]


@pytest.fixture(autouse=True)
def _without_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LMGYM_DATA", raising=False)


@pytest.mark.slow
def test_comparisons_across_prompts_help_where_answers_are_alike(
    script: Script, tmp_path: Path
) -> None:
    out = tmp_path / "x.json"
    assert script("claims.cross_prompt").main(["--seeds", "2", "--out", str(out)]) == 0
    record = json.loads(out.read_text())
    assert record["claims"][0]["values"] == [2.0]
    assert [*record["accuracies"]] == ["drawn features"]


@pytest.mark.slow
def test_fisher_beats_chance_with_the_same_labels(script: Script, tmp_path: Path) -> None:
    out = tmp_path / "x.json"
    script("claims.fisher").main(["--seeds", "1", "--labels", "120", "--out", str(out)])
    (curves,) = json.loads(out.read_text())["qualities"].values()
    assert set(curves) == {"random", "entropy", "max_difference", "fisher"}
    assert curves["fisher"][0]["120"] > curves["random"][0]["120"]


def test_gold_scores_are_standardised_and_nearly_linear(script: Script) -> None:
    module = script("claims.answer_features")
    rng = np.random.default_rng(0)
    answers = module.drawn_answers(rng, n_prompts=50).with_gold(rng)
    gold, features = np.concatenate(answers.gold), np.concatenate(answers.features)
    assert gold.std() == pytest.approx(1)
    weights = np.linalg.lstsq(features, gold - gold.mean(), rcond=None)[0]
    assert np.corrcoef(features @ weights, gold)[0, 1] > 0.9


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("claims.cross_prompt", ["--seeds", "0"]),
        ("claims.cross_prompt", ["--labels", "3"]),
        ("claims.fisher", ["--seeds", "0"]),
        ("claims.fisher", ["--labels", "100"]),
    ],
)
def test_arguments_out_of_range_are_an_error(script: Script, name: str, words: list[str]) -> None:
    with pytest.raises(LmgymError, match=words[0]):
        script(name).main(words)
