"""Pairs whose results say most about the ratings.

The strengths θ of the Bradley-Terry model have a normal prior; after some matches their
distribution is taken to be normal around its maximum, with the inverse of the information as the
covariance Σ (Laplace). A match of i and j has p = 1 / (1 + exp(θ_j - θ_i)) and the information
p (1 - p) about the difference, whose variance is v = Σ_ii + Σ_jj - 2 Σ_ij. So g games are expected
to tell

    G(i, j) = log(1 + g p (1 - p) v) / 2

nats about all strengths (Lindley 1956; in this form MacKay 1992, "Information-based objective
functions for active data selection"). Of the pairs of a round each is the best one after Σ is
reduced by those chosen before it, without their results (Sherman and Morrison 1950).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import Floats
from ..pairwise.bradley_terry import Likelihood
from ..pairwise.match_counts import PairCounts
from .schedules import Pair, Played

__all__ = ["ActiveSchedule", "information_gain"]

PRIOR_DEVIATION = 400 * math.log(10) / 400
"""Of a strength, in nats: 400 on the Elo scale."""

_MOST_STEPS = 200
_CLOSE = 1e-10
_DIGITS = 9  # gains that differ by less are equal, whatever the machine


@dataclass(frozen=True)
class ActiveSchedule:
    """In each round half as many pairs as there are players, chosen for what they tell.

    Nobody needs to be in a round, and somebody may be in several pairs of it.

    Attributes:
        n_players: at least 2.
        n_rounds: how many rounds.
        n_games: of a pairing.

    Example:
        >>> ActiveSchedule(4, 2, n_games=10).pairs([])
        [(0, 1), (2, 3)]
        >>> even = [Played(0, 1, 5, 0, 5), Played(2, 3, 10, 0, 0)]
        >>> ActiveSchedule(4, 2, n_games=10).pairs([even])  # both parts are joined
        [(0, 2), (1, 3)]
    """

    n_players: int
    n_rounds: int
    n_games: int

    @property
    def n_pairings(self) -> int:
        """Pairings of all rounds."""
        return self.n_rounds * (self.n_players // 2)

    def pairs(self, rounds: Sequence[Sequence[Played]]) -> list[Pair]:
        """The pairs of the round after these."""
        strengths, covariance = posterior(self.n_players, [p for played in rounds for p in played])
        is_open = np.triu(np.ones(covariance.shape, bool), 1)
        chosen: list[Pair] = []
        for _ in range(self.n_players // 2):
            gains = information_gain(strengths, covariance, self.n_games)
            best = np.where(is_open, np.round(gains, _DIGITS), -1).argmax()
            i, j = (int(place) for place in np.unravel_index(best, gains.shape))
            chosen.append((i, j))
            is_open[i, j] = False
            covariance = _reduced(strengths, covariance, i, j, self.n_games)
        return chosen


def information_gain(strengths: Floats, covariance: Floats, n_games: int) -> Floats:
    """The nats that games of each pair are expected to tell, shape (n, n).

    Args:
        strengths: in nats, shape (n,).
        covariance: shape (n, n).
        n_games: of a pair.

    Example:
        >>> information_gain(np.zeros(2), np.eye(2), 2).round(4)  # log(2) / 2
        array([[0.    , 0.3466],
               [0.3466, 0.    ]])
    """
    own = np.diag(covariance)
    variances = np.maximum(own[:, None] + own - 2 * covariance, 0)
    gains: Floats = np.log1p(n_games * _spread(strengths[:, None] - strengths) * variances) / 2
    return gains


def posterior(n_players: int, played: Sequence[Played]) -> tuple[Floats, Floats]:
    """The likeliest strengths, shape (n,), and their covariance, shape (n, n)."""
    likelihood = Likelihood(n_players, _counts(played))
    x = np.zeros(n_players)
    prior = np.eye(n_players) / PRIOR_DEVIATION**2
    for _ in range(_MOST_STEPS):
        chances = likelihood.chances(x)
        slope = likelihood.gradient(chances) - prior @ x
        step = np.linalg.solve(likelihood.information(chances) + prior, slope)
        length = float(np.ptp(step))
        x += step * (math.log1p(length) / length if length > 0 else 1.0)
        if length <= _CLOSE:
            break
    information = likelihood.information(likelihood.chances(x)) + prior
    return x, np.linalg.inv(information).astype(np.float64)


def _counts(played: Sequence[Played]) -> PairCounts:
    """Results by pair."""
    found: dict[Pair, Floats] = defaultdict(lambda: np.zeros(3))
    for pairing in played:
        found[pairing.first, pairing.second] += pairing[2:]
    pairs = np.array(list(found), np.intp).reshape(-1, 2)
    outcomes = np.array(list(found.values())).reshape(-1, 3)
    return PairCounts(pairs[:, 0], pairs[:, 1], outcomes.T)


def _spread(leads: Floats) -> Floats:
    """P (1 - p)."""
    odds = np.exp(-np.abs(leads))
    spread: Floats = odds / (1 + odds) ** 2
    return spread


def _reduced(strengths: Floats, covariance: Floats, i: int, j: int, n_games: int) -> Floats:
    """The covariance after games of a pair."""
    side = covariance[i] - covariance[j]
    weight = n_games * _spread(strengths[i] - strengths[j])
    loss = weight / (1 + weight * (side[i] - side[j]))
    reduced: Floats = covariance - loss * np.outer(side, side)
    return reduced
