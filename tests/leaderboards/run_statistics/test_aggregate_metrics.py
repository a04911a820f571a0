"""Figures over runs and tasks: by hand, by scipy, and over leading axes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, trim_mean

from lmgym.errors import LmgymError
from lmgym.leaderboards.run_statistics.aggregate_metrics import (
    checked_scores,
    improvement_probability,
    interquartile_mean,
    mean_over_seeds,
    mean_score,
    median_of_tasks,
    optimality_gap,
)

from ..conftest import Floats


def scores(*shape: int, seed: int = 0) -> Floats:
    """With ties."""
    return np.random.default_rng(seed).normal(0.5, 0.4, shape).round(1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (2, 2), (5, 1), (3, 5), (10, 26), (7, 13)])
def test_interquartile_mean_is_the_trimmed_mean(shape: tuple[int, int]) -> None:
    given = scores(*shape)
    assert interquartile_mean(given) == pytest.approx(trim_mean(given.ravel(), 0.25), abs=1e-12)


def test_other_figures_are_what_they_say() -> None:
    given = np.array([[0.0, 1.0, 3.0], [1.0, 2.0, 1.0]])
    assert mean_score(given) == pytest.approx(8 / 6)
    assert median_of_tasks(given) == 1.5
    assert optimality_gap(given) == pytest.approx(1 / 6)
    assert optimality_gap(given, 2.0) == pytest.approx(2 - 7 / 6)


def test_improvement_is_mann_and_whitneys_statistic_over_tasks() -> None:
    first, second = scores(6, 4), scores(9, 4, seed=1)
    by_task = [
        mannwhitneyu(first[:, task], second[:, task], alternative="greater").statistic / 54
        for task in range(4)
    ]
    assert improvement_probability(first, second) == pytest.approx(np.mean(by_task), abs=1e-12)
    both = improvement_probability(first, second) + improvement_probability(second, first)
    assert both == pytest.approx(1)


def test_improvement_of_many_runs_is_counted_in_blocks() -> None:
    first, second = scores(900, 3), scores(2000, 3, seed=1)
    alone = [improvement_probability(row[None], second) for row in first[:50]]
    assert improvement_probability(first[:50], second) == pytest.approx(np.mean(alone))
    assert 0.45 < improvement_probability(first, second) < 0.55


@pytest.mark.parametrize(
    "statistic", [mean_score, median_of_tasks, interquartile_mean, optimality_gap]
)
def test_leading_axes_are_kept(statistic: Callable[[Floats], Floats]) -> None:
    stacked = scores(2, 3, 5, 4)
    expected = [[statistic(stacked[i, j]) for j in range(3)] for i in range(2)]
    assert statistic(stacked) == pytest.approx(np.array(expected), abs=1e-12)


def test_improvement_keeps_leading_axes() -> None:
    first, second = scores(3, 5, 4), scores(3, 6, 4, seed=1)
    expected = [improvement_probability(a, b) for a, b in zip(first, second, strict=True)]
    assert improvement_probability(first, second) == pytest.approx(np.array(expected))


def test_a_seed_counts_once() -> None:
    interval = mean_over_seeds({"a": [[0.0, 1.0], [1.0, 2.0]]})["a"]
    assert interval.mean == 1.0
    assert interval.high - interval.mean == pytest.approx(12.706 * 0.5, abs=1e-3)
    assert mean_over_seeds({"a": [[0.0, 1.0]]})["a"].high == math.inf


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([0.1, 0.2], r"scores of 'ppo' must have shape \(runs, tasks\); given \(2,\)"),
        (np.zeros((0, 3)), r"given \(0, 3\)"),
        ([[0.1, 0.2], [0.3, math.nan]], "the score of 'ppo' in run 1 on task 1 is nan"),
    ],
)
def test_what_are_no_scores_is_refused(given: Any, message: str) -> None:
    with pytest.raises(LmgymError, match=message):
        checked_scores("ppo", given)


def test_algorithms_are_compared_on_the_same_tasks() -> None:
    with pytest.raises(LmgymError, match="given 3 and 2 tasks"):
        improvement_probability(scores(2, 3), scores(2, 2))
