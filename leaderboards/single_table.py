"""Tables of single-player tracks: scores over seeds, with intervals and ranges of ranks."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lmgym.training.uncertainty import mean_interval, t_quantile

from .arrays import Floats, Integers
from .results.store import Cell
from .run_statistics.aggregate_metrics import improvement_probability, interquartile_mean
from .run_statistics.performance_profiles import score_distribution
from .run_statistics.stratified_bootstrap import Resampling, bootstrap_statistic

__all__ = ["SeedScores", "improvement_table", "rank_ranges", "score_columns", "seed_scores"]

_THRESHOLDS = 41


class SeedScores(NamedTuple):
    """What an entry scored in all seeds of a track.

    Attributes:
        means: of each seed, shape (seeds,).
        finished: the mean over all episodes in which the agent did not fail; None without any.
        n: episodes.
        failed: those in which it failed.
    """

    means: Floats
    finished: float | None
    n: int
    failed: int


def seed_scores(cells: Sequence[Cell], n_seeds: int) -> dict[str, SeedScores]:
    """The scores of the entries that have played all seeds."""
    played: dict[str, dict[int, Cell]] = defaultdict(dict)
    for cell in cells:
        played[cell.entry][cell.k] = cell
    return {
        entry: _scores([by_seed[k] for k in range(n_seeds)])
        for entry, by_seed in played.items()
        if len(by_seed) == n_seeds
    }


def _scores(cells: Sequence[Cell]) -> SeedScores:
    means = np.array([math.fsum(cell.scores) / len(cell.scores) for cell in cells])
    finished = [
        score
        for cell in cells
        for place, score in enumerate(cell.scores)
        if place not in set(cell.failed)
    ]
    failed = sum(len(cell.failed) for cell in cells)
    mean = math.fsum(finished) / len(finished) if finished else None
    return SeedScores(means, mean, len(finished) + failed, failed)


def score_columns(scores: SeedScores, thresholds: Floats, *, is_share: bool) -> dict[str, Any]:
    """An entry's columns: its mean with Student's interval over seeds, and the rest.

    Args:
        scores: of the entry.
        thresholds: of its profile.
        is_share: whether scores are shares, whose intervals end at 0 and 1.
    """
    mean = mean_interval(scores.means.tolist())
    least, most = (0.0, 1.0) if is_share else (-math.inf, math.inf)
    runs = scores.means[:, None]  # (seeds, 1): a track is one task
    iqm = bootstrap_statistic(interquartile_mean, [runs], Resampling(np.random.default_rng(0)))
    profile = score_distribution(runs, thresholds)
    return {
        "score": mean.mean,
        "low": _finite(max(mean.low, least)),
        "high": _finite(min(mean.high, most)),
        "iqm": iqm.value,
        "iqm_low": _finite(iqm.low),
        "iqm_high": _finite(iqm.high),
        "n": scores.n,
        "forfeits": scores.failed,
        "score_without_forfeits": scores.finished,
        "seeds": scores.means.tolist(),
        "profile": np.stack([thresholds, profile], 1).tolist(),
    }


def thresholds_of(scores: Mapping[str, SeedScores], *, is_share: bool) -> Floats:
    """Where profiles are taken: from 0 to 1, or from the least score to the greatest."""
    low, high = 0.0, 1.0
    if not is_share and scores:
        every = np.concatenate([each.means for each in scores.values()])
        low, high = float(every.min()), float(every.max())
    found: Floats = np.linspace(low, high, _THRESHOLDS)
    return found


def rank_ranges(means: Floats, confidence: float = 0.95) -> tuple[Integers, Integers]:
    """The best and the worst rank that each entry may have, shapes (n,).

    An entry is ahead of another where Student's interval of the differences in each seed, which
    draws the same problems for all, lies above 0.

    Args:
        means: scores of each entry in each seed, shape (n, seeds).
        confidence: of each comparison by itself.

    Example:
        >>> best, worst = rank_ranges(np.array([[0.9, 0.8, 0.9], [0.2, 0.1, 0.3], [0.2, 0.2, 0.2]]))
        >>> best.tolist(), worst.tolist()
        ([1, 2, 2], [1, 3, 3])
    """
    n, n_seeds = means.shape
    is_ahead = np.zeros((n, n), bool)
    if n_seeds > 1:
        factor = t_quantile(n_seeds - 1, confidence) / math.sqrt(n_seeds)
        for place, own in enumerate(means):
            leads = own - means
            is_ahead[place] = leads.mean(1) > factor * leads.std(1, ddof=1) + 1e-12
    best: Integers = (1 + is_ahead.sum(0)).astype(np.int64)
    worst: Integers = (n - is_ahead.sum(1)).astype(np.int64)
    return best, worst


def improvement_table(scores: Mapping[str, SeedScores]) -> dict[str, Any]:
    """The chance that a seed of the row's entry beats one of the column's."""
    runs = [each.means[:, None] for each in scores.values()]
    table = [[None if a is b else float(improvement_probability(a, b)) for b in runs] for a in runs]
    return {"entries": list(scores), "p": table}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
