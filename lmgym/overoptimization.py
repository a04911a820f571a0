"""Over-optimisation: what a proxy pays, what it is worth, and how far the policy has moved.

Optimising a learned reward, the proxy, first raises the true one, the gold reward, and then lowers
it. Gao et al. (2022) plot both against the distance d = sqrt(KL(policy || start)) and find
R(d) = d (alpha - beta d) for best-of-N and R(d) = d (alpha - beta log d) for reinforcement
learning.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.training.uncertainty import mean_interval

if TYPE_CHECKING:
    import torch

    from lmgym.rollouts import RolloutCollector

__all__ = [
    "Curve",
    "Fit",
    "best_of_n_curve",
    "best_of_n_kl",
    "best_of_n_weights",
    "collect_best_of_n",
    "fit_curve",
    "kl_bound",
    "mean_curve",
    "run_curve",
    "write_study",
]

Kind = Literal["best_of_n", "rl"]
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fit:
    """R(d) - R(0) = d (alpha - beta d) for best-of-N, d (alpha - beta log d) for rl.

    Attributes:
        start: R(0), the reward of the starting policy; not fitted.
        r_squared: share of the variance that the curve explains.

    Example:
        >>> Fit("best_of_n", 2.0, 0.5).peak
        2.0
    """

    kind: Kind
    alpha: float
    beta: float
    start: float = 0.0
    r_squared: float = 1.0

    def __call__(self, distance: Array) -> Array:
        """The fitted reward at some distances."""
        linear, bend = _terms(np.asarray(distance, np.float64), self.kind)
        return self.start + self.alpha * linear - self.beta * bend

    @property
    def peak(self) -> float:
        """The distance of the greatest reward; infinite where the curve never falls."""
        if self.beta <= 0:
            return math.inf
        if self.kind == "best_of_n":
            return max(0.0, self.alpha / (2 * self.beta))
        return math.exp(min(self.alpha / self.beta - 1, 700.0))


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A policy that is optimised further and further, P points of it.

    Attributes:
        label: in the figure.
        kind: "best_of_n", or "rl" for the updates of a learner.
        n: N of best-of-N, or the number of the update, shape (P,), rising.
        kl: KL(policy || start) in nats a sequence, shape (P,); for best-of-N the bound.
        proxy: the reward that is optimised, shape (P,).
        gold: the reward that is meant, shape (P,), where it is known.
        proxy_interval: 95 % intervals, shape (P, 2).
        gold_interval: 95 % intervals, shape (P, 2).
        kl_estimate: for best-of-N, what the samples say of the KL, shape (P,).
    """

    label: str
    kind: Kind
    n: NDArray[np.int64]
    kl: Array
    proxy: Array
    gold: Array | None = None
    proxy_interval: Array | None = None
    gold_interval: Array | None = None
    kl_estimate: Array | None = None

    @property
    def distance(self) -> Array:
        """sqrt(KL), shape (P,)."""
        return np.sqrt(np.maximum(self.kl, 0.0))

    def fit(self, which: Literal["proxy", "gold"] = "gold") -> Fit | None:
        """The curve of Gao et al. through the proxy or the gold reward; None without points."""
        values = self.proxy if which == "proxy" else self.gold
        return None if values is None else fit_curve(self.distance, values, self.kind)

    def as_dict(self) -> dict[str, Any]:
        """The points and the fits as plain values."""
        arrays = {name: getattr(self, name) for name in _COLUMNS}
        facts: dict[str, Any] = {"label": self.label, "kind": self.kind}
        facts |= {name: values.tolist() for name, values in arrays.items() if values is not None}
        for which in ("proxy", "gold"):
            if (fit := self.fit(which)) is not None:
                facts[f"{which}_fit"] = asdict(fit)
        return facts


_COLUMNS = ("n", "kl", "kl_estimate", "proxy", "proxy_interval", "gold", "gold_interval")


def best_of_n_weights(proxy: Array, n: int) -> Array:
    """The chance of each of M samples to be the best of n drawn without replacement, shape (M,).

    `weights @ values` is the unbiased estimate of what best-of-n gets from M >= n samples (Nakano
    et al., 2021; Gao et al., 2022). Samples of equal proxy share their chance, so the order of the
    samples plays no part.

    Raises:
        LmgymError: for an n outside 1 to M.

    Example:
        >>> best_of_n_weights(np.array([0.0, 2.0, 1.0]), 2).round(3).tolist()
        [0.0, 0.667, 0.333]
    """
    if not 1 <= n <= len(proxy):
        raise LmgymError(f"best of {n} out of {len(proxy)} samples; give an N from 1 to as many")
    _, where, counts = np.unique(proxy, return_inverse=True, return_counts=True)
    reached = _chance_below(np.cumsum(counts), n)  # that all n lie at this level or below
    of_level = np.diff(reached, prepend=0.0)
    return np.asarray(of_level / counts, np.float64)[where]


def _chance_below(counts: NDArray[np.int64], n: int) -> Array:
    """C(count, n) / C(M, n), where M is the last count."""
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, counts[-1] + 1)))])
    enough = np.maximum(counts, n)
    log_choose = log_factorial[enough] - log_factorial[enough - n]
    chance = np.exp(log_choose - log_choose[-1])
    return np.where(counts >= n, chance, 0.0)


def kl_bound(n: NDArray[np.int64] | int) -> Any:
    """The KL of best-of-n, log n - (n - 1) / n: exact where all rewards differ.

    An upper bound in general (Beirami et al., 2024).

    Example:
        >>> float(kl_bound(1)), round(float(kl_bound(16)), 3)
        (0.0, 1.835)
    """
    return np.log(n) - (np.asarray(n) - 1) / n


def best_of_n_kl(proxy: Array, n: int) -> float:
    """The KL of best-of-n as the samples have it, in nats.

    The best of n of the empirical distribution of M samples: an answer of reward r comes up
    F(r)^n - F(r-)^n times instead of F(r) - F(r-) times. It counts equal rewards, which the bound
    does not; above n = M / 10 or so it saturates at log M.

    Args:
        proxy: of samples of one prompt, shape (M,); samples of one reward should be equally likely
            to be taken.
        n: how many are compared.
    """
    _, counts = np.unique(proxy, return_counts=True)
    below = np.cumsum(counts) / counts.sum()
    taken = np.diff(below**n, prepend=0.0)
    had = counts / counts.sum()
    kept = taken > 0
    return float((taken[kept] * np.log(taken[kept] / had[kept])).sum())


def best_of_n_curve(
    proxy: Array,
    gold: Array | None = None,
    ns: Sequence[int] | None = None,
    *,
    label: str = "best of N",
) -> Curve:
    """Proxy, gold and KL against N, as means over prompts with 95 % intervals.

    Args:
        proxy: of M samples for each prompt, shape (prompts, M).
        gold: of the same, where it is known.
        ns: which N, by default 1, 2, 4, ... up to M.
        label: in the figure.

    Raises:
        LmgymError: for arrays that do not fit together or hold no finite numbers, and for an N
            that is no whole number or more than M.
    """
    proxy, gold = _checked(proxy, gold)
    n = _numbers([2**k for k in range(proxy.shape[1].bit_length())] if ns is None else ns)
    weights = np.array([[best_of_n_weights(row, each) for each in n] for row in proxy])  # (Q, P, M)
    means, intervals = _over_rows(np.einsum("qpm,qm->qp", weights, proxy))
    golds, gold_intervals = None, None
    if gold is not None:
        golds, gold_intervals = _over_rows(np.einsum("qpm,qm->qp", weights, gold))
    estimates = np.array([[best_of_n_kl(row, each) for each in n] for row in proxy]).mean(0)
    kl = kl_bound(n)
    return Curve(label, "best_of_n", n, kl, means, golds, intervals, gold_intervals, estimates)


def _numbers(ns: Sequence[int]) -> NDArray[np.int64]:
    if not len(ns) or not all(isinstance(n, (int, np.integer)) for n in ns):
        raise LmgymError(f"ns is {ns!r:.60}; give whole numbers, one or more")
    return np.unique(np.array(ns, np.int64))


def _checked(proxy: Array, gold: Array | None) -> tuple[Array, Array | None]:
    proxy = np.asarray(proxy, np.float64)
    gold = None if gold is None else np.asarray(gold, np.float64)
    if proxy.ndim != 2 or not proxy.size:
        raise LmgymError(f"proxy has shape {proxy.shape}; allowed is (prompts, samples)")
    if gold is not None and gold.shape != proxy.shape:
        raise LmgymError(f"gold has shape {gold.shape} and proxy {proxy.shape}; give the same")
    for name, values in (("proxy", proxy), ("gold", gold)):
        if values is not None and not np.isfinite(values).all():
            raise LmgymError(f"{name} holds numbers that are not finite; leave such samples out")
    return proxy, gold


def _over_rows(values: Array) -> tuple[Array, Array | None]:
    """Means over the rows, (P,), and their intervals, (P, 2), where there are two or more."""
    if len(values) < 2:
        return values.mean(0), None
    found = [mean_interval(column.tolist()) for column in values.T]
    return values.mean(0), np.array([(interval.low, interval.high) for interval in found])


def fit_curve(distance: Array, values: Array, kind: Kind) -> Fit | None:
    """The least squares fit of alpha and beta; None with fewer than three points.

    Args:
        distance: sqrt(KL), shape (P,).
        values: the reward there; the one at the least distance is taken for the start's.
        kind: which curve.
    """
    kept = np.isfinite(distance) & np.isfinite(values)
    distance, values = distance[kept], values[kept]
    if len(values) < 3:
        return None
    start = float(values[distance.argmin()])
    linear, bend = _terms(distance, kind)
    (alpha, beta), *_ = np.linalg.lstsq(np.stack([linear, -bend], 1), values - start, rcond=None)
    fit = Fit(kind, float(alpha), float(beta), start)
    left, total = ((values - fit(distance)) ** 2).sum(), ((values - values.mean()) ** 2).sum()
    return replace(fit, r_squared=float(1 - left / total)) if total > 0 else fit


def _terms(distance: Array, kind: Kind) -> tuple[Array, Array]:
    """What alpha and beta weigh."""
    if kind == "best_of_n":
        return distance, distance**2
    return distance, distance * np.log(np.where(distance > 0, distance, 1.0))


def collect_best_of_n(
    collector: RolloutCollector,
    generator: torch.Generator | None,
    *,
    n_prompts: int = 32,
    samples: int = 256,
    split: str = "test",
    temperature: float = 1.0,
    label: str = "best of N",
    on_progress: Any = None,
) -> Curve:
    """The curve of a policy: many samples for some prompts, paid by the collector's reward.

    Args:
        collector: joins the policy, the world and the proxy; the world says the gold reward.
        generator: draws the ids.
        n_prompts: the first problems of the split.
        samples: of each, so the largest N.
        split: which problems.
        temperature: of the samples.
        label: in the figure.
        on_progress: called with the number of finished prompts and of all.

    Raises:
        LmgymError: where the proxy cannot score some samples.
    """
    rng = np.random.default_rng(0)  # of the world's replies
    task_ids = collector.task.task_ids(split, n_prompts)
    proxies, golds = [], []
    for done, task_id in enumerate(task_ids, 1):
        batch = collector.collect(
            rng, generator, task_ids=[task_id], group_size=samples, temperature=temperature
        )
        if missing := int((~batch.scored).sum()):
            raise LmgymError(f"the reward could not score {missing} of {samples} answers")
        proxies.append(batch.rewards)
        golds.append(batch.gold_rewards)
        if on_progress is not None:
            on_progress(done, len(task_ids))
    gold = np.array(golds) if collector.task.has_gold_reward else None
    return best_of_n_curve(np.array(proxies), gold, label=label)


def run_curve(run: str | Path, label: str | None = None) -> Curve:
    """The curve of a learner, from the metrics of its run folder.

    Needed are `reward` and `reference_kl`; `gold_reward` is taken where the world has one.

    Raises:
        LmgymError: where the run logged no KL to its start.
    """
    from lmgym.training.runs import read_metrics

    rows = [row for row in read_metrics(Path(run)) if {"reward", "reference_kl"} <= row.keys()]
    if not rows:
        raise LmgymError(
            f"{str(run)!r} logged no reward and reference_kl; train with GRPO and --log-kl"
        )
    kl, proxy, gold = (
        np.array([row.get(name, np.nan) for row in rows], np.float64)
        for name in ("reference_kl", "reward", "gold_reward")
    )
    known = None if np.isnan(gold).any() else gold
    steps = np.array([row["step"] for row in rows], np.int64)
    return Curve(label or Path(run).name, "rl", steps, kl, proxy, known)


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """The mean of curves with the same numbers, such as of several seeds, with 95 % intervals.

    Raises:
        LmgymError: where there is none, their numbers differ, or only some know the gold reward.
    """
    if not curves:
        raise LmgymError("no curves have no mean; give one or more")
    first = curves[0]
    if any(not np.array_equal(curve.n, first.n) for curve in curves):
        raise LmgymError("only curves with the same numbers, of N or of updates, have a mean")
    proxy, interval = _over_rows(np.array([curve.proxy for curve in curves]))
    golds = [curve.gold for curve in curves if curve.gold is not None]
    if len(golds) not in (0, len(curves)):
        raise LmgymError(
            f"{len(golds)} of {len(curves)} curves know the gold reward; give alike ones"
        )
    gold, gold_interval = _over_rows(np.array(golds)) if golds else (None, None)
    estimates = [curve.kl_estimate for curve in curves if curve.kl_estimate is not None]
    return replace(
        first,
        kl=np.mean([curve.kl for curve in curves], axis=0),
        proxy=proxy,
        gold=gold,
        proxy_interval=interval,
        gold_interval=gold_interval,
        kl_estimate=np.mean(estimates, axis=0) if estimates else None,
    )


def write_study(
    curves: Sequence[Curve],
    out: str | Path,
    *,
    plot: str | Path | None = None,
    title: str = "",
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write curves as JSON, and draw them into a PNG; either file is complete or as it was.

    Args:
        curves: of best-of-N, of learners, or both.
        out: the .json file.
        plot: the .png file.
        title: above the figure.
        facts: what else stands in the file.
    """
    from lmgym.commands.files import check_file, write_json
    from lmgym.training.study_figure import draw_study

    file = check_file(out)
    picture = None if plot is None else check_file(plot, ".png")
    write_json(file, {**(facts or {}), "curves": [curve.as_dict() for curve in curves]})
    if picture is not None:
        draw_study(curves, picture, title=title)
