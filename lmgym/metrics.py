"""What n sampled answers to each problem say: pass@k, maj@k and best@k, each without bias.

With n samples of a problem a metric of k <= n samples is its mean over all C(n, k) subsets, which
is found exactly and not by drawing some of them. That is the uniformly best unbiased estimate
(Hoeffding 1948); the larger n is, the less it scatters.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError, unknown
from lmgym.overoptimization import best_of_n_weights
from lmgym.training.uncertainty import mean_interval, pass_at_k, rates_interval

__all__ = [
    "MOST_SAMPLES",
    "Estimate",
    "Kind",
    "Metric",
    "best_at_k",
    "majority_at_k",
    "parse_metrics",
    "pass_at_k",
    "spread",
]

Kind = Literal["greedy", "pass", "maj", "best"]
"""Kinds of metrics."""
Floats = NDArray[np.float64]
"""An array of floats."""

MOST_SAMPLES = 1000
"""Of a problem: above, the number of subsets is no longer a float."""

_FORMS = ("greedy", "pass@K", "maj@K", "best@K")
_METRIC = re.compile(r"(pass|maj|best)@(k|[1-9][0-9]{0,5})")


class Metric(NamedTuple):
    """What is measured: the greedy answer, or k samples.

    Example:
        >>> Metric("pass", 8).name
        'pass@8'
    """

    kind: Kind
    k: int = 0

    @property
    def name(self) -> str:
        """As it is written on the command line."""
        return f"{self.kind}@{self.k}" if self.k else self.kind


def parse_metrics(text: str, samples: int | None) -> tuple[list[Metric], int]:
    """The metrics that a text names, and how many samples of a problem they take.

    Args:
        text: names, comma between them, as "greedy,pass@1,8,maj@8". A number by itself is one more
            k of the metric before it; a literal `pass@k` stands for 1, 2, 4, ... and `samples`.
        samples: how many there will be; None for as many as the largest k.

    Raises:
        LmgymError: for an unknown name, for none, and where there are fewer samples than a metric
            needs.

    Example:
        >>> metrics, samples = parse_metrics("greedy,pass@1,8,maj@8", None)
        >>> [metric.name for metric in metrics], samples
        (['greedy', 'pass@1', 'pass@8', 'maj@8'], 8)
    """
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise LmgymError(
            f"metrics {text!r} leave a name empty; write {', '.join(_FORMS)} with commas between,"
            " as greedy,pass@1,8"
        )
    found: dict[Metric, None] = {}
    for word in _spelled(words):
        for metric in _named(word, samples):
            found[metric] = None
    needed = max((metric.k for metric in found), default=0)
    n = needed if samples is None else samples
    if needed > n:
        worst = max(found, key=lambda metric: metric.k)
        raise LmgymError(
            f"{worst.name} needs {needed} samples of each problem and --samples is {n}; give"
            f" --samples {needed} or more"
        )
    return list(found), n


def _spelled(words: Sequence[str]) -> list[str]:
    """Each number by itself with the metric that it belongs to."""
    spelled: list[str] = []
    kind = ""
    for word in words:
        kind = word.partition("@")[0] if "@" in word else kind if word.isdecimal() else ""
        spelled.append(f"{kind}@{word}" if word.isdecimal() and kind else word)
    return spelled


def _named(word: str, samples: int | None) -> list[Metric]:
    if word == "greedy":
        return [Metric("greedy")]
    match = _METRIC.fullmatch(word)
    if match is None:
        raise unknown("metric", word, _FORMS, "K is a whole number from 1, or the letter k")
    kind: Any = match[1]
    if match[2] != "k":
        return [Metric(kind, int(match[2]))]
    if not samples:
        raise LmgymError(f"{word} measures every k up to --samples; give --samples, as 16")
    return [Metric(kind, k) for k in spread(samples)]


def spread(n: int) -> list[int]:
    """1, 2, 4, ... and n.

    Example:
        >>> spread(12)
        [1, 2, 4, 8, 12]
    """
    return sorted({2**i for i in range(n.bit_length())} | {n})


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over problems, its standard error and its 95 % interval.

    The problems are a sample of all that there might be, so the spread between them holds the luck
    of the draw of the answers too (Miller 2024). Nothing is known of it from one problem.

    Attributes:
        is_share: whether it is a share, from 0 to 1.

    Example:
        >>> Estimate.of_shares([1.0, 0.0, 0.5, 0.5]).standard_error.__round__(3)
        0.204
    """

    mean: float
    standard_error: float | None
    interval: tuple[float, float] | None
    is_share: bool

    @classmethod
    def of_shares(cls, rates: Sequence[float] | Floats) -> Estimate:
        """Of a share for each problem; the interval is Wilson's, see `rates_interval`."""
        values = np.clip(np.asarray(rates, np.float64), 0, 1)  # of rounding
        interval = rates_interval(values.tolist())
        return cls(float(values.mean()), _standard_error(values), interval, True)

    @classmethod
    def of_numbers(cls, numbers: Sequence[float] | Floats) -> Estimate:
        """Of a number for each problem; the interval is Student's."""
        values = np.asarray(numbers, np.float64)
        found = mean_interval(values.tolist())
        interval = (found.low, found.high) if math.isfinite(found.low) else None
        return cls(found.mean, _standard_error(values), interval, False)

    def as_dict(self, name: str) -> dict[str, Any]:
        """The mean under `name`; what is not known is left out."""
        found: dict[str, Any] = {name: self.mean}
        if self.standard_error is not None:
            found[f"{name}_standard_error"] = self.standard_error
        if self.interval is not None:
            found[f"{name}_interval"] = list(self.interval)
        return found


def _standard_error(values: Floats) -> float | None:
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else None


def best_at_k(rewards: Sequence[float | None], values: Sequence[float], k: int) -> float:
    """The expected value of the one of k samples that is paid best (Gao et al. 2022).

    Of samples of equal reward each is as likely to be taken; one without a reward is taken only
    where none of the k has one.

    Args:
        rewards: of the n samples; None where one could not be scored.
        values: what each of them is worth, such as 1 where it is right.
        k: how many are compared.

    Example:
        >>> round(best_at_k([0.1, 0.9, 0.5], [0, 1, 0], 2), 3)
        0.667
    """
    proxy = np.array([-np.inf if reward is None else reward for reward in rewards], np.float64)
    return float(best_of_n_weights(proxy, k) @ np.asarray(values, np.float64))


def majority_at_k(answers: Sequence[Hashable | None], is_correct: Sequence[bool]) -> Floats:
    """The chance that the majority of k samples is right, for k = 1 to n, shape (n,).

    Self-consistency (Wang et al. 2022): the samples vote with their answers, and one sample that
    gave the most frequent answer is handed in; of several most frequent ones each is as likely. A
    sample without an answer has no vote, and where none of the k has one nothing is right. The
    mean over all C(n, k) subsets is computed from a generating function, so it is exact.

    Args:
        answers: of the n samples, equal where they count as the same; None for no answer.
        is_correct: whether each was right.

    Example:
        >>> majority_at_k(["5", "5", "7"], [True, True, False]).round(3).tolist()
        [0.667, 0.667, 1.0]
    """
    n = len(answers)
    if not 1 <= n == len(is_correct) <= MOST_SAMPLES:
        raise LmgymError(
            f"{n} answers and {len(is_correct)} verdicts; give as many, from 1 to {MOST_SAMPLES}"
        )
    counts = Counter(answer for answer in answers if answer is not None)
    right = Counter(a for a, is_right in zip(answers, is_correct, strict=True) if is_right)
    found = np.zeros(n)
    for answer, n_right in right.items():
        if answer is not None:
            others = sorted(count for other, count in counts.items() if other != answer)
            won = _chance_to_win(counts[answer], tuple(others), n - counts.total())
            found += n_right / counts[answer] * np.array(won)
    return np.minimum(found, 1.0)


@lru_cache(maxsize=4096)
def _chance_to_win(own: int, others: tuple[int, ...], n_silent: int) -> tuple[float, ...]:
    """The chance of an answer that `own` samples gave to be handed in, for k = 1 to n.

    The coefficient of x^s y^t counts the ways to have s other samples in the subset, of which none
    gave an answer more than `votes` times and t answers as often as that.
    """
    n = own + sum(others) + n_silent
    ways = np.zeros(n + 1)  # of k samples, with a share of each tie
    for votes in range(1, own + 1):
        free = n_silent + sum(count for count in others if count < votes)
        ties = [_binomials(free)]
        for count in others:
            if count >= votes:
                ties = _with_rival(ties, count, votes)
        for t, row in enumerate(ties):
            ways[votes:] += _binomials(own)[votes] / (t + 1) * _padded(row, n + 1 - votes)
    return tuple(float(ways[k]) / math.comb(n, k) for k in range(1, n + 1))


def _with_rival(ties: Sequence[Floats], count: int, votes: int) -> list[Floats]:
    """Polynomials in x, one for each power of y, times those of one more answer."""
    fewer, equal = _binomials(count)[:votes], _binomials(count)[votes]
    apart = [np.convolve(row, fewer) for row in ties]
    level = [np.concatenate([np.zeros(votes), equal * row]) for row in ties]
    return [_sum(a, b) for a, b in zip([*apart, np.zeros(1)], [np.zeros(1), *level], strict=True)]


@lru_cache(maxsize=2 * MOST_SAMPLES)
def _binomials(n: int) -> Floats:
    """C(n, s) for s = 0 to n; not to be written to."""
    return np.array([math.comb(n, s) for s in range(n + 1)], np.float64)


def _sum(a: Floats, b: Floats) -> Floats:
    size = max(len(a), len(b))
    return _padded(a, size) + _padded(b, size)


def _padded(row: Floats, size: int) -> Floats:
    return np.concatenate([row[:size], np.zeros(max(0, size - len(row)))])
