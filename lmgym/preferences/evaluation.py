"""How often a reward puts the better answer first, and how often a rule of length does."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lmgym.errors import LmgymError
from lmgym.preferences.pairs import PreferenceDataset
from lmgym.rewards.source import RewardSource
from lmgym.training.uncertainty import wilson_interval

__all__ = [
    "Accuracy",
    "PairEvaluation",
    "auc",
    "evaluate_pairs",
    "kendall",
    "length_rule",
    "pair_rates",
    "spearman",
]

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A share of pairs that were ordered rightly.

    Attributes:
        value: the share; a tie counts one half.
        low: where its 95 % interval begins: Wilson's (1927) with the effective number of pairs
            (Kish 1965), since pairs of one prompt are right or wrong together.
        high: where it ends.
        n: how many pairs.
    """

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, rates: _Floats, prompts: Sequence[Hashable] | None = None) -> Accuracy:
        """Of 1 for right, 0 for wrong and 0.5 for a tie, at least one of them.

        Args:
            rates: shape (n,).
            prompts: what each pair answers; by default all are different.
        """
        mean, trials = float(rates.mean()), _effective_number(rates, prompts)
        return cls(mean, *wilson_interval(mean * trials, trials), len(rates))

    def __str__(self) -> str:
        """The share and its interval in per cent.

        Example:
            >>> print(Accuracy.of(np.array([1.0, 0.0, 1.0, 1.0])))
            75.0% [30.1, 95.4]
        """
        return f"{self.value:.1%} [{100 * self.low:.1f}, {100 * self.high:.1f}]"


@dataclass(frozen=True, slots=True)
class PairEvaluation:
    """What a reward made of preference pairs.

    Attributes:
        chosen: rewards of the chosen answers, shape (n,).
        rejected: of the rejected ones, shape (n,).
        accuracy: over all pairs that are no tie.
        subsets: the same for each subset that has such pairs.
        length: what `length_rule` gets right, over all pairs and for each subset.
        rule: which rule that is, "longer" or "shorter".
        n_ties: pairs whose label is a tie, which no reward can get right or wrong.
    """

    chosen: _Floats
    rejected: _Floats
    accuracy: Accuracy
    subsets: Mapping[str, Accuracy]
    length: Accuracy
    length_subsets: Mapping[str, Accuracy]
    rule: str
    n_ties: int


def evaluate_pairs(
    source: RewardSource,
    data: PreferenceDataset,
    *,
    rule: str | None = None,
    batch_size: int = 128,
    on_progress: Callable[[int, int], None] | None = None,
) -> PairEvaluation:
    """Score both answers of every pair.

    Args:
        source: gives rewards of outcomes.
        data: the pairs.
        rule: the rule of length to compare with; by default the one that is right more often on
            these very pairs, which favours it.
        batch_size: pairs that are scored at once.
        on_progress: is told how many pairs are done, of how many.

    Raises:
        LmgymError: where all labels are ties, and where the source leaves an answer unscored or
            pays no finite number; it names the pair.
    """
    chosen, rejected = np.empty(len(data)), np.empty(len(data))
    for start in range(0, len(data), batch_size):
        rows = slice(start, start + batch_size)
        sides = zip(*(pair.transcripts() for pair in data[rows]), strict=True)
        for target, transcripts in zip((chosen, rejected), sides, strict=True):
            batch = source.score(list(transcripts))
            if batch.unscored is not None:
                _check(~batch.unscored, start, data, "an answer left unscored")
            _check(np.isfinite(batch.outcome), start, data, "a reward that is no finite number")
            target[rows] = batch.outcome
        if on_progress is not None:
            on_progress(min(start + batch_size, len(data)), len(data))
    rule = rule or length_rule(data)
    rates = pair_rates(chosen, rejected, data)
    by_length = pair_rates(*_lengths(data, rule), data)
    return PairEvaluation(
        chosen,
        rejected,
        *_by_subset(rates, data),
        *_by_subset(by_length, data),
        rule=rule,
        n_ties=sum(pair.probability == 0.5 for pair in data),
    )


def _check(is_good: NDArray[np.bool_], start: int, data: PreferenceDataset, found: str) -> None:
    """Raise for the first pair, from `start` on, that is not good."""
    if not is_good.all():
        row = start + int(np.argmin(is_good))
        raise LmgymError(f"pair {row + 1} ({data[row].id!r}) has {found}")


def pair_rates(chosen: ArrayLike, rejected: ArrayLike, data: PreferenceDataset) -> _Floats:
    """1 where the likelier answer has the higher reward, 0 where the lower, 0.5 for equal ones.

    NaN where the label is a tie. Shape (n,).
    """
    lean = np.sign([2 * pair.probability - 1 for pair in data])
    gaps = np.sign(np.asarray(chosen, np.float64) - np.asarray(rejected, np.float64))
    return np.where(lean == 0, np.nan, (1 + gaps * lean) / 2)


def length_rule(data: PreferenceDataset) -> str:
    """Whether "longer" or "shorter" answers are better more often, counted in characters."""
    excess = np.nansum(pair_rates(*_lengths(data, "longer"), data) - 0.5)
    return "longer" if excess >= 0 else "shorter"


def spearman(rewards: ArrayLike, gold: ArrayLike) -> float:
    """Correlation of the ranks of a prompt's answers (Spearman 1904), equal values sharing ranks.

    NaN where all rewards or all gold scores are equal.

    Example:
        >>> spearman([1.0, 2.0, 3.0], [10.0, 30.0, 20.0])
        0.5
    """
    a, b = (_ranks(np.asarray(values, np.float64)) for values in (rewards, gold))
    return _correlation(a - a.mean(), b - b.mean())


def kendall(rewards: ArrayLike, gold: ArrayLike) -> float:
    """Pairs in the same order less pairs in the opposite one, tau-b (Kendall 1945).

    NaN where all rewards or all gold scores are equal.

    Example:
        >>> round(kendall([1.0, 2.0, 3.0], [10.0, 30.0, 20.0]), 3)
        0.333
    """
    return _correlation(*(_orders(np.asarray(values, np.float64)) for values in (rewards, gold)))


def auc(rewards: ArrayLike, labels: ArrayLike) -> float:
    """How often a right answer gets a higher reward than a wrong one, ties counting one half.

    The area under the receiver operating characteristic (Mann and Whitney 1947). Labels above 0.5
    are right. NaN where all are, or none is.

    Example:
        >>> auc([0.1, 0.5, 0.9], [0, 1, 1])
        1.0
    """
    is_right = np.asarray(labels, np.float64) > 0.5
    ranks = _ranks(np.asarray(rewards, np.float64))[is_right]
    n_right, n_wrong = len(ranks), len(is_right) - len(ranks)
    if not n_right or not n_wrong:
        return float("nan")
    return float(ranks.sum() - n_right * (n_right - 1) / 2) / (n_right * n_wrong)


def _by_subset(rates: _Floats, data: PreferenceDataset) -> tuple[Accuracy, dict[str, Accuracy]]:
    """Over everything, and over each subset that has pairs that are no tie."""
    is_decided = ~np.isnan(rates)
    if not is_decided.any():
        raise LmgymError(f"all labels of the {len(data)} pairs are ties; accuracy needs others")

    prompts = [pair.prompts for pair in data]

    def accuracy(rows: NDArray[np.bool_]) -> Accuracy:
        return Accuracy.of(rates[rows], list(compress(prompts, rows)))

    names = np.array([pair.subset for pair in data])
    parts = {name: is_decided & (names == name) for name in data.subsets}
    subsets = {name: accuracy(rows) for name, rows in parts.items() if rows.any()}
    return accuracy(is_decided), subsets


def _effective_number(rates: _Floats, prompts: Sequence[Hashable] | None) -> float:
    """How many independent trials would have a mean of the variance that is seen.

    Pairs of one prompt are taken together where that makes the variance larger.
    """
    n = len(rates)
    apart = _trials(rates, np.arange(n))
    if prompts is None:
        return apart
    places = {prompt: place for place, prompt in enumerate(dict.fromkeys(prompts))}
    return min(apart, _trials(rates, np.array([places[prompt] for prompt in prompts])))


def _trials(rates: _Floats, group_of: NDArray[np.int64]) -> float:
    """The same where groups are independent; never below the number of groups that are equal."""
    n, mean = len(rates), float(rates.mean())
    sizes = np.bincount(group_of)
    sums = np.bincount(group_of, weights=rates - mean).astype(np.float64)
    k, least = len(sizes), n * n / float(sizes @ sizes)
    variance = float(sums @ sums) / n**2 * k / (k - 1) if k > 1 else 0.0
    return max(least, mean * (1 - mean) / variance) if variance > 0 else least


def _lengths(data: PreferenceDataset, rule: str) -> tuple[_Floats, _Floats]:
    """Rewards of the chosen and the rejected answers by a rule of length."""
    sign = {"longer": 1.0, "shorter": -1.0}[rule]
    chosen = np.array([len(pair.chosen) for pair in data])
    return sign * chosen, sign * np.array([len(pair.rejected) for pair in data])


def _ranks(values: _Floats) -> _Floats:
    """Ranks from 0, equal values sharing their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: _Floats = (ends - (counts + 1) / 2)[place]
    return ranks


def _orders(values: _Floats) -> _Floats:
    """The sign of the difference of every two values, flat."""
    return np.sign(values[:, None] - values).ravel()


def _correlation(a: _Floats, b: _Floats) -> float:
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else float("nan")
