"""What others rate with: evalica, arena-rank, OpenSpiel and rliable, where they are installed."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lmgym.leaderboards.pairwise.match_counts import PairCounts
from lmgym.leaderboards.run_statistics.stratified_bootstrap import Resampling
from measuring import cpu_seconds
from rating_simulations import Codes

__all__ = [
    "arena_rank_measure",
    "evalica_fits",
    "openspiel_alpha_rank",
    "peer_versions",
    "rliable_figures",
]

Floats: TypeAlias = NDArray[np.float64]

_PEERS = {
    "evalica": "evalica",
    "arena-rank": "arena_rank",
    "open-spiel": "pyspiel",
    "rliable": "rliable",
}


def peer_versions() -> dict[str, str]:
    """The version of each peer, or that it is not installed."""
    return {
        name: importlib.metadata.version(name)
        if importlib.util.find_spec(module) is not None
        else "not installed"
        for name, module in _PEERS.items()
    }


def evalica_fits(codes: Codes, names: Sequence[str]) -> dict[str, Callable[[], Floats]]:
    """Elo ratings of mean 0 by evalica: from names, from codes, and by its solver alone."""
    evalica: Any = importlib.import_module("evalica")
    kinds = {1: evalica.Winner.X, 0: evalica.Winner.Draw, -1: evalica.Winner.Y}
    winners = [kinds[result] for result in codes.outcome.tolist()]
    first, second = codes.first.tolist(), codes.second.tolist()
    weights = [1.0] * len(winners)

    def solver_alone() -> Floats:
        scores, _ = evalica._brzo.bradley_terry(
            xs=first, ys=second, winners=winners, weights=weights, total=len(names),
            win_weight=1.0, tie_weight=0.5, tolerance=1e-6, limit=100,
        )  # fmt: skip
        return _elo(scores)

    xs, ys = [names[a] for a in first], [names[b] for b in second]

    def from_names() -> Floats:
        return _elo(evalica.bradley_terry(xs, ys, winners).scores[list(names)])

    def from_codes() -> Floats:
        return _elo(evalica.bradley_terry(first, second, winners).scores[list(range(len(names)))])

    return {"from names": from_names, "from codes": from_codes, "solver alone": solver_alone}


def _arena_rank_fit(n_players: int, pairs: PairCounts) -> Callable[[], Floats]:
    """Log strengths of mean 0 by arena-rank, from the counts that it would make itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        models: Any = importlib.import_module("arena_rank.models.bradley_terry")
        data: Any = importlib.import_module("arena_rank.utils.data_utils")
    rows = [
        (i, j, score, count)
        for i, j, *counts in zip(pairs.first, pairs.second, *pairs.outcomes, strict=True)
        for score, count in zip((1.0, 0.5, 0.0), counts, strict=True)
        if count
    ]
    first, second, outcomes, counts = (np.array(column) for column in zip(*rows, strict=True))
    dataset = data.PairDataset(
        competitors=[str(index) for index in range(n_players)],
        pairs=_on_device(np.stack([first, second], 1).astype(np.int32)),
        outcomes=_on_device(outcomes),
        counts=_on_device(counts),
        weights=_on_device(np.ones(len(counts))),
        opt_weights=_on_device(counts),
    )

    def fit() -> Floats:
        fitted = models.BradleyTerry(n_players).fit(dataset)
        return _centred(np.asarray(fitted.params["ratings"], np.float64))

    return fit


@contextmanager
def arena_rank_measure(
    n_players: int, pairs: PairCounts
) -> Iterator[Callable[[], tuple[float, Floats]]]:
    """Measures arena-rank's fit: CPU seconds, and log strengths.

    It runs in a process of its own, since JAX's threads go on for a while after it has returned,
    and would be counted with what is measured next.
    """
    with ProcessPoolExecutor(
        1, get_context("spawn"), initializer=_hold_fit, initargs=(n_players, pairs)
    ) as pool:
        yield lambda: pool.submit(_timed_fit).result()


_HELD: list[Callable[[], Floats]] = []


def _hold_fit(n_players: int, pairs: PairCounts) -> None:
    _HELD.append(_arena_rank_fit(n_players, pairs))


def _timed_fit() -> tuple[float, Floats]:
    found: list[Floats] = []
    seconds = cpu_seconds(lambda: found.append(_HELD[0]()))
    return seconds, found[0]


def openspiel_alpha_rank(payoffs: Floats, alpha: float, population: int) -> Floats:
    """The stationary distribution of OpenSpiel's alpha-rank."""
    module: Any = importlib.import_module("open_spiel.python.egt.alpharank")
    with np.errstate(over="ignore"):
        shares: Floats = module.compute([payoffs], m=population, alpha=alpha)[2]
    return shares


def rliable_figures(
    scores: Mapping[str, Floats], thresholds: Floats, resampling: Callable[[], Resampling]
) -> dict[str, Floats]:
    """Points and interval ends by rliable, with the resamples that ours draws.

    Args:
        scores: of each algorithm; the first two are compared, too.
        thresholds: of the performance profiles.
        resampling: as it was at the start, each time anew.

    Returns:
        By name, an array of the point, the low and the high end.
    """
    library: Any = importlib.import_module("rliable.library")
    _mend_seeds(library.arch_bs)
    metrics: Any = importlib.import_module("rliable.metrics")
    statistics = {
        "mean": metrics.aggregate_mean,
        "median": metrics.aggregate_median,
        "interquartile mean": metrics.aggregate_iqm,
        "optimality gap": metrics.aggregate_optimality_gap,
        "profile": lambda given: library.score_distributions(given, thresholds),
    }
    found = {}
    for name, given in scores.items():
        for what, statistic in statistics.items():
            places = resampling()
            runs, tasks = places.indices(given.shape, places.n_resamples)
            bootstrap = library.StratifiedBootstrap(given)
            _follow(bootstrap, [(run, task) for run, task in zip(runs, tasks, strict=True)])
            ends = _interval(bootstrap, statistic, places)
            found[f"{what} of {name}"] = np.stack([statistic(given), *ends])
    first, second, *_ = scores.values()
    places = resampling()
    drawn = [places.indices(given.shape, places.n_resamples) for given in (first, second)]
    bootstrap = library.StratifiedIndependentBootstrap(first, second)
    both = zip(*(zip(*place, strict=True) for place in drawn), strict=True)
    _follow(bootstrap, [([one, other], {}) for one, other in both])
    ends = _interval(bootstrap, metrics.probability_of_improvement, places)
    found["improvement"] = np.stack([metrics.probability_of_improvement(first, second), *ends])
    return found


def _mend_seeds(bootstraps: Any) -> None:
    """Let newer versions of arch take the argument that rliable 1.2.0 still calls random_state."""
    for kind in (bootstraps.IIDBootstrap, bootstraps.IndependentSamplesBootstrap):
        if not hasattr(kind, "is_mended"):
            kind.__init__ = _without_random_state(kind.__init__)
            kind.is_mended = True


def _without_random_state(init: Callable[..., None]) -> Callable[..., None]:
    def made(self: Any, *args: Any, random_state: None = None, **kwargs: Any) -> None:
        init(self, *args, **kwargs)

    return made


def _follow(bootstrap: Any, places: Sequence[Any]) -> None:
    """Let a bootstrap of rliable draw these places, one after the other."""
    bootstrap.update_indices = iter(places).__next__


def _interval(
    bootstrap: Any, statistic: Callable[..., Any], resampling: Resampling
) -> list[Floats]:
    low, high = bootstrap.conf_int(
        lambda *given: np.atleast_1d(statistic(*given)),
        reps=resampling.n_resamples,
        size=resampling.confidence,
        method="percentile",
    )
    return [np.squeeze(low), np.squeeze(high)]


def _elo(scores: Any) -> Floats:
    return _centred(400 * np.log10(np.asarray(scores, np.float64)))


def _centred(values: Floats) -> Floats:
    centred: Floats = values - values.mean()
    return centred


def _on_device(values: NDArray[Any]) -> Any:
    return importlib.import_module("jax.numpy").asarray(values)
