"""What several runs of an algorithm on several tasks come to, in one number.

Scores are arrays of shape (runs, tasks), normalized so that those of different tasks are alike, for
instance success rates. Each statistic takes leading axes too and returns their shape. Agarwal et
al. (2021) recommend the interquartile mean: it is less noisy than the median and, other than the
mean, not carried by a few tasks.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from lmgym.errors import LmgymError
from lmgym.training.uncertainty import MeanInterval, mean_interval

from ..arrays import Floats

__all__ = [
    "checked_scores",
    "improvement_probability",
    "interquartile_mean",
    "mean_over_seeds",
    "mean_score",
    "median_of_tasks",
    "optimality_gap",
]

_BLOCK = 1 << 22  # comparisons made at a time


def mean_over_seeds(
    scores: Mapping[str, ArrayLike], confidence: float = 0.95
) -> dict[str, MeanInterval]:
    """Each algorithm's mean score, with Student's interval over runs.

    A run counts once, with its mean over tasks. One run has no spread to judge by: its interval is
    infinite.

    Example:
        >>> interval = mean_over_seeds({"ppo": [[0.2, 0.4], [0.4, 0.6], [0.6, 0.8]]})["ppo"]
        >>> round(interval.low, 2), round(interval.mean, 2), round(interval.high, 2)
        (0.0, 0.5, 1.0)
    """
    return {
        name: mean_interval(checked_scores(name, given).mean(1).tolist(), confidence)
        for name, given in scores.items()
    }


def mean_score(scores: Floats) -> Floats:
    """The mean over tasks of the mean over runs."""
    mean: Floats = scores.mean((-2, -1))
    return mean


def median_of_tasks(scores: Floats) -> Floats:
    """The median over tasks of the mean over runs."""
    median: Floats = np.median(scores.mean(-2), -1)
    return median


def interquartile_mean(scores: Floats) -> Floats:
    """The mean of the middle half of all runs on all tasks.

    A quarter of the scores is cut off at either end, rounded down to whole scores.

    Example:
        >>> float(interquartile_mean(np.array([[0.0, 0.4], [0.6, 9.0]])))
        0.5
    """
    flat = scores.reshape(*scores.shape[:-2], -1)
    count = flat.shape[-1]
    cut = count // 4
    middle = np.partition(flat, (cut, count - cut - 1), -1)[..., cut : count - cut]
    mean: Floats = middle.mean(-1)
    return mean


def optimality_gap(scores: Floats, target: float = 1.0) -> Floats:
    """By how much scores fall short of a target on the mean; what is above it counts as reached.

    Example:
        >>> float(optimality_gap(np.array([[0.5, 3.0]])))
        0.25
    """
    gap: Floats = target - np.minimum(scores, target).mean((-2, -1))
    return gap


def improvement_probability(first: Floats, second: Floats) -> Floats:
    """The chance that a run of the first beats one of the second on a random task.

    The mean over tasks of Mann and Whitney's (1947) statistic; a draw is half a win.

    Args:
        first: shape (..., runs, tasks).
        second: shape (..., runs', tasks), with the same leading axes.

    Example:
        >>> x, y = np.array([[1.0], [2.0]]), np.array([[1.0], [0.0]])
        >>> float(improvement_probability(x, y))
        0.875
    """
    if first.shape[-1] != second.shape[-1]:
        raise LmgymError(
            f"both need the same tasks; given {first.shape[-1]} and {second.shape[-1]} tasks"
        )
    total = np.zeros(first.shape[:-2])
    rows = max(1, _BLOCK // max(1, second.size))
    for start in range(0, first.shape[-2], rows):
        some = first[..., start : start + rows, None, :]
        others = second[..., None, :, :]
        total += ((some > others).mean((-2, -1)) + (some >= others).mean((-2, -1))).sum(-1) / 2
    chance: Floats = total / first.shape[-2]
    return chance


def checked_scores(name: str, given: ArrayLike) -> Floats:
    """An algorithm's scores, shape (runs, tasks), all finite."""
    scores = np.asarray(given, np.float64)
    if scores.ndim != 2 or not scores.size:
        raise LmgymError(f"scores of {name!r} must have shape (runs, tasks); given {scores.shape}")
    if not np.isfinite(scores).all():
        run, task = np.argwhere(~np.isfinite(scores))[0]
        raise LmgymError(
            f"the score of {name!r} in run {run} on task {task} is {scores[run, task]}; give every"
            " run's score on every task"
        )
    return scores
