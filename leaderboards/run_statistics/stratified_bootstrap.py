"""Intervals of statistics over runs and tasks: runs are resampled on each task by themselves.

The stratified bootstrap of Agarwal et al. (2021): what the figure would be with other seeds on the
same tasks. With `resample_tasks` it is what it would be on other tasks of the kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lmgym.errors import LmgymError, unknown

from ..arrays import Floats
from .aggregate_metrics import checked_scores, improvement_probability, interquartile_mean

__all__ = [
    "Estimate",
    "Resampling",
    "aggregate",
    "bootstrap_statistic",
    "compare_algorithms",
]

Indices: TypeAlias = NDArray[np.int64]
Statistic: TypeAlias = Callable[..., Floats]
"""From scores (..., runs, tasks) to numbers (..., *shape)."""

_BLOCK = 1 << 20  # scores resampled at a time


class Estimate(NamedTuple):
    """A figure, or an array of some, with the ends of its interval."""

    value: Any
    low: Any
    high: Any


class Resampling(NamedTuple):
    """How to resample.

    Attributes:
        rng: draws the resamples.
        n_resamples: how many.
        confidence: of the percentile intervals.
        resample_tasks: whether tasks are drawn, too.
    """

    rng: np.random.Generator
    n_resamples: int = 2000
    confidence: float = 0.95
    resample_tasks: bool = False

    def indices(self, shape: tuple[int, ...], count: int) -> tuple[Indices, Indices]:
        """Places in an array of scores of some resamples.

        Args:
            shape: of the array: runs, tasks.
            count: how many resamples.

        Returns:
            Runs, shape (count, runs, tasks), and tasks, shape (count, 1, tasks).
        """
        n_runs, n_tasks = shape
        runs = self.rng.integers(n_runs, size=(count, n_runs, n_tasks))
        if self.resample_tasks:
            return runs, self.rng.integers(n_tasks, size=(count, 1, n_tasks))
        return runs, np.broadcast_to(np.arange(n_tasks), (count, 1, n_tasks))

    def blocks(self, shapes: Sequence[tuple[int, ...]]) -> Iterator[list[tuple[Indices, Indices]]]:
        """The places of all resamples, some at a time, in each of some arrays."""
        at_a_time = max(1, _BLOCK // max(math.prod(shape) for shape in shapes))
        for start in range(0, self.n_resamples, at_a_time):
            count = min(at_a_time, self.n_resamples - start)
            yield [self.indices(shape, count) for shape in shapes]


def aggregate(
    scores: Mapping[str, ArrayLike],
    resampling: Resampling,
    statistic: Statistic = interquartile_mean,
) -> dict[str, Estimate]:
    """A statistic of each algorithm with its interval; by default the interquartile mean.

    Args:
        scores: of each algorithm, shape (runs, tasks).
        resampling: how intervals are made.
        statistic: for instance of `lmgym.leaderboards.run_statistics.aggregate_metrics`.

    Example:
        >>> runs = np.random.default_rng(0).normal([0.2, 0.5, 0.6], 0.1, size=(10, 3))
        >>> estimate = aggregate({"ppo": runs}, Resampling(np.random.default_rng(1)))["ppo"]
        >>> f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"
        '0.46 (0.43 to 0.49)'
    """
    checked = {name: checked_scores(name, given) for name, given in scores.items()}
    return {
        name: bootstrap_statistic(statistic, [given], resampling) for name, given in checked.items()
    }


def compare_algorithms(
    scores: Mapping[str, ArrayLike], first: str, second: str, resampling: Resampling
) -> Estimate:
    """The chance that a run of one algorithm beats one of another, with its interval.

    Runs of both are resampled independently. Above 1/2 the first is the better one.
    """
    for name in (first, second):
        if name not in scores:
            raise unknown("algorithm", name, scores)
    both = [checked_scores(name, scores[name]) for name in (first, second)]
    if resampling.resample_tasks:
        raise LmgymError("tasks of two algorithms belong together; leave resample_tasks out")
    return bootstrap_statistic(improvement_probability, both, resampling)


def bootstrap_statistic(
    statistic: Statistic, samples: Sequence[Floats], resampling: Resampling
) -> Estimate:
    """A statistic of scores, with the percentile interval of its resamples.

    One run alone cannot be resampled: then the interval is infinite.

    Args:
        statistic: takes as many arrays as there are samples.
        samples: each of shape (runs, tasks); resampled independently.
        resampling: how.
    """
    if not (0 < resampling.confidence < 1 and resampling.n_resamples >= 1):
        raise LmgymError(
            f"confidence {resampling.confidence}, {resampling.n_resamples} resamples: give one"
            " between 0 and 1, as 0.95, and 1 or more"
        )
    value = statistic(*samples)
    if min(len(sample) for sample in samples) == 1 and not resampling.resample_tasks:
        infinite = np.full(np.shape(value), math.inf)
        return Estimate(*map(_plain, (value, -infinite, infinite)))
    values = np.concatenate(
        [
            statistic(*(sample[place] for sample, place in zip(samples, places, strict=True)))
            for places in resampling.blocks([sample.shape for sample in samples])
        ]
    )
    tail = (1 - resampling.confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail], axis=0)
    return Estimate(*map(_plain, (value, low, high)))


def _plain(values: Floats) -> Any:
    """A float in place of an array of one number without axes."""
    return float(values) if np.ndim(values) == 0 else values
