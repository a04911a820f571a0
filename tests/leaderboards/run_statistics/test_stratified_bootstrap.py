"""Resampled runs: what is drawn, what comes of it, and how often intervals hold."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.leaderboards.run_statistics.aggregate_metrics import (
    improvement_probability,
    interquartile_mean,
    mean_score,
)
from lmgym.leaderboards.run_statistics.stratified_bootstrap import (
    Resampling,
    aggregate,
    bootstrap_statistic,
    compare_algorithms,
)

from ..conftest import Floats


def resampling(seed: int = 0, **options: Any) -> Resampling:
    return Resampling(np.random.default_rng(seed), **options)


def scores(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(0.5, 0.2, shape)


def test_each_task_draws_runs_of_its_own() -> None:
    runs, tasks = resampling().indices((4, 3), 5000)
    assert runs.shape == (5000, 4, 3)
    assert tasks.shape == (5000, 1, 3)
    assert (tasks == [0, 1, 2]).all()
    assert np.bincount(runs.ravel()) == pytest.approx([15_000] * 4, rel=0.03)
    assert abs(np.corrcoef(runs[:, 0, 0], runs[:, 0, 1])[0, 1]) < 0.05


def test_tasks_are_drawn_when_they_are_asked_for() -> None:
    _, tasks = resampling(resample_tasks=True).indices((4, 3), 2000)
    assert np.bincount(tasks.ravel()) == pytest.approx([2000] * 3, rel=0.1)


@pytest.mark.parametrize("resample_tasks", [False, True])
def test_intervals_are_percentiles_of_resampled_figures(resample_tasks: bool) -> None:
    given = scores(5, 3)
    options: Any = {"n_resamples": 300, "resample_tasks": resample_tasks, "confidence": 0.9}
    estimate = aggregate({"a": given}, resampling(**options))["a"]
    runs, tasks = resampling(**options).indices((5, 3), 300)
    values = []
    for run, task in zip(runs, tasks, strict=True):
        drawn = [[given[run[i, j], task[0, j]] for j in range(3)] for i in range(5)]
        values.append(interquartile_mean(np.array(drawn)))
    assert estimate == pytest.approx(
        (interquartile_mean(given), *np.quantile(values, [0.05, 0.95]))
    )


def test_blocks_change_nothing_but_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = aggregate({"a": scores(5, 3)}, resampling(n_resamples=100))
    monkeypatch.setattr("lmgym.leaderboards.run_statistics.stratified_bootstrap._BLOCK", 7 * 15)
    assert aggregate({"a": scores(5, 3)}, resampling(n_resamples=100)) == whole


def test_algorithms_are_compared_by_independent_resamples() -> None:
    given = {"a": scores(5, 3), "b": scores(8, 3, seed=1)}
    estimate = compare_algorithms(given, "a", "b", resampling(n_resamples=50))
    draws = resampling()
    (first, task), (second, _) = (draws.indices(shape, 50) for shape in ((5, 3), (8, 3)))
    values = improvement_probability(given["a"][first, task], given["b"][second, task])
    assert estimate.value == pytest.approx(improvement_probability(given["a"], given["b"]))
    assert [estimate.low, estimate.high] == pytest.approx(np.quantile(values, [0.025, 0.975]))


def test_one_run_has_no_interval() -> None:
    estimate = aggregate({"a": scores(1, 3)}, resampling())["a"]
    assert (estimate.low, estimate.high) == (-math.inf, math.inf)
    drawn = aggregate({"a": scores(1, 3)}, resampling(resample_tasks=True))["a"]
    assert math.isfinite(drawn.high)


def test_intervals_hold_the_truth_19_times_in_20() -> None:
    rng, held = np.random.default_rng(0), []
    means = np.array([0.2, 0.5, 0.7, 0.9])
    for _ in range(400):
        drawn = rng.normal(means, 0.1, size=(20, 4))
        estimate = bootstrap_statistic(mean_score, [drawn], Resampling(rng, 200))
        held.append(estimate.low <= means.mean() <= estimate.high)
    assert 0.92 <= np.mean(held) <= 0.98


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confidence": 95}, "confidence 95, 2000 resamples: give one between 0 and 1"),
        ({"n_resamples": 0}, "0 resamples: give one between"),
    ],
)
def test_what_is_no_resampling_is_refused(options: Any, message: str) -> None:
    with pytest.raises(LmgymError, match=message):
        aggregate({"a": scores(2, 2)}, resampling(**options))


def test_comparisons_that_cannot_be_made_are_refused() -> None:
    given = {"a": scores(2, 2), "b": scores(2, 2)}
    with pytest.raises(LmgymError, match="unknown algorithm 'c'; known: a, b"):
        compare_algorithms(given, "a", "c", resampling())
    with pytest.raises(LmgymError, match="tasks of two algorithms belong together"):
        compare_algorithms(given, "a", "b", resampling(resample_tasks=True))
