"""The claim about choosing prompts: its learners and its figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Script = Callable[[str], Any]


@pytest.fixture
def claim(script: Script) -> Any:
    return script("claims.prompt_select")


def test_gains_are_points_above_one_prompt_a_question(claim: Any) -> None:
    scores = np.array([[0.1, 0.9], [0.8, 0.2], [0.6, 0.4]])
    outcomes = np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    assert claim.gains(scores, outcomes, fixed=0).tolist() == [100.0, 0.0, 0.0]
    assert claim.gains(scores, outcomes, fixed=1).tolist() == [0.0, -100.0, 100.0]


@pytest.mark.parametrize("name", ["heads", "unpenalised", "policy", "forest"])
def test_every_learner_finds_a_plain_rule(claim: Any, name: str) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(600, 4))
    is_first = features[:, 0] > 0
    outcomes = np.stack([is_first, ~is_first, rng.random(600) < 0.4], 1).astype(float)
    scores = getattr(claim, name)(features[:400], outcomes[:400], features[400:], rng)
    assert claim.gains(scores, outcomes[400:], fixed=0).mean() > 35  # 50 at best


@pytest.mark.slow
def test_every_seed_has_its_own_generated_log(claim: Any) -> None:
    args = claim.PromptSelectClaims(repetitions=2, seed=5)
    gained, facts = claim.on_generated(args)
    assert [each["log seed"] for each in facts] == [5, 6]
    assert facts[0]["best fixed prompt"] != facts[1]["best fixed prompt"]
    assert min(gained) > 20


def test_counts_are_of_the_text(claim: Any) -> None:
    size, largest, mean, n, ends, commas, *_ = claim.counts("Ann has 1,200 pens. Is 3.5 more?")
    assert np.expm1([size, largest, mean]).tolist() == pytest.approx([32, 1200, 601.75])
    assert (n, ends, commas) == (2, 3, 1)
    assert len(claim.counts("no number")) == 10
