"""Performance profiles (Agarwal et al. 2021): the share of runs above each threshold.

Where the curve of one algorithm lies above another's everywhere, it is better whatever statistic is
taken; where the curves cross, it depends.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from lmgym.errors import LmgymError

from ..arrays import Floats
from .aggregate_metrics import checked_scores
from .stratified_bootstrap import Estimate, Resampling, bootstrap_statistic

__all__ = ["performance_profiles", "score_distribution", "task_distribution"]


def performance_profiles(
    scores: Mapping[str, ArrayLike],
    thresholds: ArrayLike,
    resampling: Resampling,
    *,
    of_tasks: bool = False,
) -> dict[str, Estimate]:
    """Each algorithm's profile with pointwise intervals, all of shape (K,).

    Args:
        scores: of each algorithm, shape (runs, tasks).
        thresholds: shape (K,).
        resampling: how intervals are made.
        of_tasks: count tasks by their mean score in place of runs; that is more biased the fewer
            runs there are.

    Example:
        >>> scores = {"ppo": [[0.1, 0.9], [0.3, 0.7]]}
        >>> profile = performance_profiles(scores, [0, 0.5], Resampling(np.random.default_rng(0)))
        >>> profile["ppo"].value
        array([1. , 0.5])
    """
    levels = np.asarray(thresholds, np.float64)
    if levels.ndim != 1 or not len(levels) or np.isnan(levels).any():
        raise LmgymError("thresholds must be a flat list of numbers, as [0, 0.25, 0.5, 0.75, 1]")
    distribution = task_distribution if of_tasks else score_distribution
    return {
        name: bootstrap_statistic(
            lambda given: distribution(given, levels), [checked_scores(name, given)], resampling
        )
        for name, given in scores.items()
    }


def score_distribution(scores: Floats, thresholds: Floats) -> Floats:
    """The share of scores above each threshold, shape (..., K) for scores (..., runs, tasks)."""
    return np.stack([(scores > level).mean((-2, -1)) for level in thresholds], -1)


def task_distribution(scores: Floats, thresholds: Floats) -> Floats:
    """The share of tasks whose mean score is above each threshold, likewise."""
    means = scores.mean(-2)
    return np.stack([(means > level).mean(-1) for level in thresholds], -1)
