"""The spread of fitted strengths without trust in the model: White's (1982) sandwich.

Where the model is right, the inverse information is the covariance of its maximum. The sandwich
A⁻¹ B A⁻¹ takes B from how the matches in fact differ from what was expected, so it also holds where
chances of outcomes are others than the model's, as with draws that count as half wins.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Bools, Floats
from .bradley_terry import BradleyTerryFit
from .match_counts import PairCounts

__all__ = ["only_drew", "sandwich_covariance"]


def sandwich_covariance(fit: BradleyTerryFit) -> Floats:
    """The covariance of the strengths, around their mean, shape (n, n).

    Matches are taken to be independent. Those of players who only drew never differ from what was
    expected, which says nothing of how much they might; they enter with the variance of the model.
    """
    likelihood = fit.likelihood
    moments, (first, second, outcomes) = (
        likelihood.moments(likelihood.chances(fit.x)),
        likelihood.pairs,
    )
    scores = np.array([[1.0], [0.5], [0.0]]) - moments.score  # (3, P)
    draws = np.array([[0.0], [1.0], [0.0]]) - moments.draw
    silent = only_drew(likelihood.n_players, likelihood.pairs)
    is_silent = silent[first] | silent[second]
    observed = (outcomes * scores**2).sum(0)
    spread = np.where(is_silent, likelihood.n_matches * moments.variance, observed)
    mixed, drawn = (outcomes * scores * draws).sum(0), (outcomes * draws**2).sum(0)
    filling = likelihood.assemble(spread, mixed, drawn)
    n = likelihood.n_players
    covariance: Floats = (fit.covariance @ filling @ fit.covariance)[:n, :n]
    return covariance


def only_drew(n_players: int, pairs: PairCounts) -> Bools:
    """Who has won and lost nothing, shape (n,)."""
    decided = pairs.outcomes[0] + pairs.outcomes[2]
    has_decided = np.zeros(n_players, bool)
    for side in (pairs.first, pairs.second):
        has_decided[side[decided > 0]] = True
    return ~has_decided
