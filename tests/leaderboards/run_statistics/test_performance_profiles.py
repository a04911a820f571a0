"""Performance profiles: shares above thresholds, of runs and of tasks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.leaderboards.run_statistics.performance_profiles import performance_profiles
from lmgym.leaderboards.run_statistics.stratified_bootstrap import Resampling

SCORES = {"a": np.array([[0.1, 0.5], [0.3, 0.9]]), "b": np.array([[0.2, 0.2], [0.2, 0.2]])}
LEVELS = [0.0, 0.2, 0.5, 1.0]


def resampling() -> Resampling:
    return Resampling(np.random.default_rng(0), n_resamples=200)


def test_a_profile_is_the_share_of_runs_above_each_threshold() -> None:
    profiles = performance_profiles(SCORES, LEVELS, resampling())
    assert profiles["a"].value.tolist() == [1.0, 0.75, 0.25, 0.0]
    assert profiles["b"].value.tolist() == [1.0, 0.0, 0.0, 0.0]


def test_of_tasks_it_is_the_share_of_mean_scores() -> None:
    profiles = performance_profiles(SCORES, LEVELS, resampling(), of_tasks=True)
    assert profiles["a"].value.tolist() == [1.0, 0.5, 0.5, 0.0]


def test_intervals_enclose_it_and_are_of_each_threshold() -> None:
    profile = performance_profiles(SCORES, LEVELS, resampling())["a"]
    assert profile.low.shape == profile.high.shape == (4,)
    assert (profile.low <= profile.value).all()
    assert (profile.high >= profile.value).all()
    assert profile.low[1] < profile.high[1]


@pytest.mark.parametrize("levels", [[], [[0.1]], [0.1, np.nan]])
def test_thresholds_are_numbers(levels: Any) -> None:
    with pytest.raises(LmgymError, match="thresholds must be a flat list of numbers"):
        performance_profiles(SCORES, levels, resampling())
