"""Intervals and tests for results: numpy alone, and no hidden random state.

Functions that resample take a `numpy.random.Generator`, so a result is repeatable.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError, unknown

__all__ = [
    "Alternative",
    "MeanInterval",
    "bootstrap_interval",
    "mean_interval",
    "pass_at_k",
    "permutation_test",
    "rates_interval",
    "t_quantile",
    "wilson_interval",
]

Alternative = Literal["two-sided", "greater", "less"]
"""What is asked of the first sample's mean: different, greater or less."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MeanInterval:
    """A mean and the interval it lies in."""

    mean: float
    low: float
    high: float


def wilson_interval(
    successes: float, trials: float, confidence: float = 0.95
) -> tuple[float, float]:
    """The score interval of a proportion (Wilson 1927): never outside [0, 1], good near 0 and 1.

    Without trials it is (0, 1). Trials may be an effective number, which need not be whole.

    Example:
        >>> low, high = wilson_interval(8, 10)
        >>> round(low, 3), round(high, 3)
        (0.49, 0.943)
    """
    if not 0 <= successes <= trials:
        raise LmgymError(f"{successes} successes of {trials} trials: must be between 0 and trials")
    return _wilson(successes / trials, trials, confidence) if trials else (0.0, 1.0)


def rates_interval(rates: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """The interval of a mean of rates, each in [0, 1], one for each problem: never outside [0, 1].

    Wilson's interval with the effective number of trials, that for which a proportion would have
    the variance that is seen between the problems (Kish 1965). Where all rates are 0 or all are 1
    each problem counts as one trial.

    Example:
        >>> low, high = rates_interval([0.5, 0.0, 1.0, 0.5])
        >>> round(low, 2), round(high, 2)
        (0.19, 0.81)
    """
    sample = _sample(rates)
    if sample.min() < 0 or sample.max() > 1:
        raise LmgymError(f"rates lie between 0 and 1; given {sample.min():g} to {sample.max():g}")
    mean, n = float(sample.mean()), len(sample)
    variance = float(sample.var(ddof=1)) / n if n > 1 else 0.0
    return _wilson(mean, max(float(n), mean * (1 - mean) / variance) if variance else n, confidence)


def _wilson(rate: float, trials: float, confidence: float) -> tuple[float, float]:
    z = NormalDist().inv_cdf((1 + _checked(confidence)) / 2)
    ratio = z * z / trials
    centre = (rate + ratio / 2) / (1 + ratio)
    half = z / (1 + ratio) * math.sqrt(rate * (1 - rate) / trials + ratio / (4 * trials))
    low = 0.0 if rate == 0 else max(0.0, centre - half)
    return low, 1.0 if rate == 1 else min(1.0, centre + half)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> MeanInterval:
    """The mean over seeds with Student's t interval (Gosset 1908).

    One value has no spread to judge by: its interval is infinite.

    Example:
        >>> interval = mean_interval([1.0, 2.0, 3.0])
        >>> round(interval.low, 2), interval.mean, round(interval.high, 2)
        (-0.48, 2.0, 4.48)
    """
    sample = _sample(values)
    mean, n = float(sample.mean()), len(sample)
    if n == 1:
        return MeanInterval(mean, -math.inf, math.inf)
    half = t_quantile(n - 1, _checked(confidence)) * float(sample.std(ddof=1)) / math.sqrt(n)
    return MeanInterval(mean, mean - half, mean + half)


def bootstrap_interval(
    values: Sequence[float],
    rng: np.random.Generator,
    confidence: float = 0.95,
    n_resamples: int = 10_000,
) -> MeanInterval:
    """The mean with the percentile bootstrap interval (Efron 1979); too narrow under ten values."""
    sample = _sample(values)
    tail = (1 - _checked(confidence)) / 2
    means = np.empty(n_resamples)
    for start in range(0, n_resamples, _CHUNK):  # bounded memory for large samples
        count = min(_CHUNK, n_resamples - start)
        means[start : start + count] = rng.choice(sample, (count, len(sample))).mean(1)
    low, high = np.quantile(means, [tail, 1 - tail])
    return MeanInterval(float(sample.mean()), float(low), float(high))


def permutation_test(
    first: Sequence[float],
    second: Sequence[float],
    rng: np.random.Generator,
    *,
    is_paired: bool = False,
    alternative: Alternative = "two-sided",
    n_resamples: int = 10_000,
) -> float:
    """The p-value of the difference of two means under random relabelling (Fisher 1935).

    Unpaired, the labels of all values are shuffled; paired, the sign of each difference. Exact
    where there are at most `n_resamples` relabellings, else (count + 1) / (n_resamples + 1), so
    never 0 (Phipson and Smyth 2010).

    Args:
        first: for instance the rewards after training, one per seed.
        second: for instance those before; of the same length and order where paired.
        rng: draws the relabellings where there are too many to go through.
        is_paired: whether the i-th values belong together.
        alternative: "greater" asks whether the mean of `first` is greater.
        n_resamples: how many relabellings to draw.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> permutation_test([5, 6, 7], [1, 2, 3], rng, alternative="greater")  # 1 of 20
        0.05
    """
    if alternative not in get_args(Alternative):
        raise unknown("alternative", alternative, get_args(Alternative))
    a, b = _sample(first), _sample(second)
    if is_paired and len(a) != len(b):
        raise LmgymError(f"paired samples need one length; given {len(a)} and {len(b)} values")
    differences, is_exact = (
        _paired_differences(a - b, rng, n_resamples)
        if is_paired
        else _unpaired_differences(a, b, rng, n_resamples)
    )
    observed = float(a.mean() - b.mean())
    scale = 1e-12 * max(1.0, float(np.abs(a).max()), float(np.abs(b).max()))  # ties by rounding
    fold = _FOLDS[alternative]
    count = int(np.sum(fold(differences) >= fold(observed) - scale))
    return count / len(differences) if is_exact else (count + 1) / (len(differences) + 1)


def pass_at_k(n: int, successes: int, k: int) -> float:
    """The chance that one of k samples is right, unbiased from n samples (Chen et al. 2021).

    1 - C(n - c, k) / C(n, k).

    Example:
        >>> pass_at_k(4, 1, 2)
        0.5
    """
    if not 0 <= successes <= n or not 1 <= k <= n:
        raise LmgymError(
            f"pass@{k} of {n} samples with {successes} right: needs 1 <= k <= n and 0 <= right <= n"
        )
    return 1 - math.comb(n - successes, k) / math.comb(n, k)


_CHUNK = 1000

_FOLDS: dict[str, Callable[[Any], Any]] = {
    "two-sided": np.abs,
    "greater": np.positive,
    "less": np.negative,
}


def _paired_differences(
    differences: _Floats, rng: np.random.Generator, n_resamples: int
) -> tuple[_Floats, bool]:
    """Mean differences under sign flips, and whether these are all of them."""
    n = len(differences)
    if n < 60 and 2**n <= n_resamples:
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=n)))
        return signs @ differences / n, True
    means = [float((rng.choice((1.0, -1.0), n) * differences).mean()) for _ in range(n_resamples)]
    return np.array(means), False


def _unpaired_differences(
    a: _Floats, b: _Floats, rng: np.random.Generator, n_resamples: int
) -> tuple[_Floats, bool]:
    """Differences of means under relabelling, and whether these are all of them."""
    pooled = np.concatenate([a, b])
    if math.comb(len(pooled), len(a)) <= n_resamples:
        chosen = itertools.combinations(range(len(pooled)), len(a))
        sums = np.array([float(pooled[list(rows)].sum()) for rows in chosen])
        is_exact = True
    else:
        draws = (rng.permutation(pooled)[: len(a)] for _ in range(n_resamples))
        sums = np.array([float(draw.sum()) for draw in draws])
        is_exact = False
    return sums / len(a) - (pooled.sum() - sums) / len(b), is_exact


def t_quantile(freedom: int, confidence: float) -> float:
    """The t for which a Student variable lies within -t and t with probability `confidence`."""
    low, high = 0.0, 1.0
    while _t_within(high, freedom) < confidence:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_within(middle, freedom) < confidence else (low, middle)
    return high


def _t_within(t: float, freedom: int) -> float:
    """P(|T| < t), by the finite series of Abramowitz and Stegun (1964), 26.7.3 and 26.7.4."""
    angle = math.atan2(t, math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    is_odd = freedom % 2 == 1
    term = cosine if is_odd else 1.0
    total = 0.0
    for index in range(freedom // 2):
        total += term
        step = 2 * index + (2 if is_odd else 1)
        term *= cosine * cosine * step / (step + 1)
    return 2 / math.pi * (angle + sine * total) if is_odd else sine * total


def _sample(values: Sequence[float]) -> _Floats:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or len(sample) == 0:
        raise LmgymError(f"needs at least one value in a flat list; given shape {sample.shape}")
    return sample


def _checked(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise LmgymError(f"confidence must lie between 0 and 1, as 0.95; given {confidence}")
    return confidence
