"""The benchmarks of over-optimisation, made small."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmgym.overoptimization import Curve

Script = Callable[[str], Any]


def test_gold_peaks_and_falls_and_variance_helps_with_vectors(script: Script) -> None:
    benchmark = script("claims.overoptimization_best_of_n")
    studies = [benchmark.study(benchmark.gaussians, seed) for seed in (70, 71)]
    assert all(benchmark.fall(each[benchmark.SINGLE]) > 1 for each in studies)
    claims = benchmark.claims_of("Gaussian", studies, has_bars=True)
    assert all(claim.is_met for claim in claims)
    for curve in benchmark.means(studies):
        assert curve.n[-1] == 4096
        assert (np.diff(curve.proxy) > 0).all()


@pytest.mark.slow
def test_texts_make_the_same_curves(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = script("claims.overoptimization_best_of_n")
    monkeypatch.setattr(benchmark, "TEXT_PROMPTS", 2)
    monkeypatch.setattr(benchmark, "MOST", 256)
    curves = benchmark.study(benchmark.cheers, 0)
    assert {len(curve.n) for curve in curves.values()} == {9}
    assert all(curve.gold[3] > curve.gold[0] for curve in curves.values())


def test_gold_is_compared_where_both_runs_are_as_far_from_their_start(script: Script) -> None:
    benchmark = script("claims.overoptimization_grpo")

    def run(pace: float, slope: float) -> Curve:
        kl = np.arange(21, dtype=np.float64) * pace
        return Curve("run", "rl", np.arange(21), kl, kl, slope * kl)

    near, far = run(1.0, 0.5), run(4.0, -0.5)
    assert benchmark.gold_above(near, far) == pytest.approx(0.5 * 18 + 0.5 * 20)
    assert benchmark.gold_above(far, near) == pytest.approx(-0.5 * 72 - 0.5 * 18)


@pytest.mark.learning
def test_grpo_against_a_reward_model_is_followed_by_its_gold(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark = script("claims.overoptimization_grpo")
    for name, value in {
        "IMITATION": 40,
        "GROUPS": 8,
        "PAIRS": 120,
        "MEMBERS": 3,
        "SAMPLES": 16,
        "PROMPTS": 2,
        "LEARNING_RATE": 1e-3,
    }.items():
        monkeypatch.setattr(benchmark, name, value)
    settings = {benchmark.SINGLE: (1, 0.0), benchmark.PENALTY: (1, 1.0)}
    monkeypatch.setattr(benchmark, "SETTINGS", settings)
    start = benchmark.starting_policy(tmp_path / "runs")
    models = {
        n: benchmark.reward_model(tmp_path / "runs", start, 0, n) for n in (1, benchmark.MEMBERS)
    }
    args = benchmark.GRPOStudyArgs(repetitions=1, updates=12, runs=str(tmp_path / "runs"))
    free, held = (benchmark.learn(args, start, models, name, 0) for name in settings)
    assert free.kl[-1] > 3 * held.kl[-1]
    assert free.proxy[-1] > free.proxy[0] + 0.5
    assert free.gold is not None
    assert len(benchmark.smoothed(free)) == 8
