"""The spread of fitted strengths by resampling matches (Efron 1979), exactly and from counts.

A resample draws as many matches as there were, with replacement, so its counts are multinomial.
They are drawn as Poisson counts of slightly fewer matches, filled up with single matches to the
exact number: that has the same distribution and is faster. Each resample is fitted from the
strengths of all matches with their information, as in Newton's method with a fixed matrix.
"""

from __future__ import annotations

import math

import numpy as np

from lmgym.errors import LmgymError

from ..arrays import Floats
from .bradley_terry import BradleyTerryFit, Likelihood, maximize, with_pseudo_wins
from .comparison_graph import is_bounded
from .match_counts import PairCounts

__all__ = ["bootstrap_strengths", "resample"]

_CLOSE = 5e-5  # nats, 0.01 Elo: about the error that is left
_MOST_STEPS = 20
_DEVIATIONS = 2.5  # that the Poisson counts stay below the number of matches by


def bootstrap_strengths(
    fit: BradleyTerryFit,
    pairs: PairCounts,
    rng: np.random.Generator,
    n_resamples: int = 100,
    pseudo_wins: float = 0.5,
) -> Floats:
    """Log strengths of resampled matches, shape (n_resamples, n), of mean 0 each.

    A resample whose likelihood has no maximum, and each where that of all matches has none, is
    given the pseudo-wins of `fit_connected` against everyone met in the matches.

    Args:
        fit: of all matches.
        pairs: the matches, without pseudo-wins.
        rng: draws the resamples.
        n_resamples: how many.
        pseudo_wins: to each of a pair.
    """
    if n_resamples < 1:
        raise LmgymError(f"{n_resamples} resamples were asked for; give 1 or more")
    samples = np.empty((n_resamples, fit.likelihood.n_players))
    for row in samples:
        drawn = pairs._replace(outcomes=resample(pairs.outcomes, rng))
        row[:] = _refit(fit, drawn, pseudo_wins)[: len(row)]
    return samples


def resample(counts: Floats, rng: np.random.Generator) -> Floats:
    """Multinomial counts of as many draws as there are, each as likely as it is frequent.

    Example:
        >>> counts = np.array([[5.0, 0.0], [3.0, 2.0]])
        >>> float(resample(counts, np.random.default_rng(0)).sum())
        10.0
    """
    total = counts.sum()
    fewer = total - _DEVIATIONS * math.sqrt(total)
    if fewer < total / 2:  # few matches
        drawn = rng.multinomial(int(total), counts.ravel() / total)
        return drawn.reshape(counts.shape).astype(np.float64)
    rates = counts * (fewer / total)
    while True:  # the sum says nothing of the shares, so drawing again is no selection of those
        drawn = rng.poisson(rates)
        missing = int(total) - int(drawn.sum())
        if missing >= 0:
            break
    single = np.sort(rng.integers(int(total), size=missing))  # in order they are found faster
    places = np.searchsorted(np.cumsum(counts), single, side="right")
    drawn += np.bincount(places, minlength=counts.size).reshape(counts.shape)
    exact: Floats = drawn.astype(np.float64)
    return exact


def _refit(fit: BradleyTerryFit, drawn: PairCounts, pseudo_wins: float) -> Floats:
    """The parameters of a resample."""
    n = fit.likelihood.n_players
    has_draw_strength = fit.likelihood.has_draw_strength and bool(drawn.outcomes[1].any())
    if fit.is_regularized or not is_bounded(n, drawn, has_draw_strength=has_draw_strength):
        drawn = with_pseudo_wins(drawn, pseudo_wins)
    likelihood = Likelihood(n, drawn, has_draw_strength)
    if has_draw_strength != fit.likelihood.has_draw_strength:  # nothing was drawn: nu is 0
        return maximize(likelihood, fit.strengths)[0]
    x, before = fit.x, 0.0
    for _ in range(_MOST_STEPS):
        step = fit.covariance @ likelihood.gradient(likelihood.chances(x))
        x, length = x + step, float(np.abs(step).max())
        if length * length <= _CLOSE * before:  # steps shrink by the same factor each time
            return x
        before = length
    return maximize(likelihood, fit.x)[0]
