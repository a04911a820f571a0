"""White's covariance: match by match, under the model and beside it."""

from __future__ import annotations

import numpy as np
import pytest

from lmgym.leaderboards.pairwise.bradley_terry import BradleyTerryFit, fit_connected
from lmgym.leaderboards.pairwise.match_counts import MatchCounts, PairCounts
from lmgym.leaderboards.pairwise.sandwich import only_drew, sandwich_covariance
from lmgym.leaderboards.ratings import ELO_PER_NAT, rate

from ..conftest import Floats, centred, drawn_matches


def sandwich_by_match(fit: BradleyTerryFit) -> Floats:
    """The same, from the slope of each match's log-likelihood."""
    likelihood, filling = fit.likelihood, np.zeros((len(fit.x), len(fit.x)))
    for place, (i, j) in enumerate(zip(*likelihood.pairs[:2], strict=True)):
        for kind, count in enumerate(likelihood.pairs.outcomes[:, place]):
            win, draw, _ = (
                float(chance[place]) for chance in np.broadcast_arrays(*likelihood.chances(fit.x))
            )
            slope = np.zeros(len(fit.x))
            slope[i] = (1, 0.5, 0)[kind] - win - draw / 2
            slope[j] = -slope[i]
            if likelihood.has_draw_strength:
                slope[-1] = (kind == 1) - draw
            filling += count * np.outer(slope, slope)
    n = likelihood.n_players
    bread = np.linalg.pinv(likelihood.information(likelihood.chances(fit.x)))
    return (bread @ filling @ bread)[:n, :n]


@pytest.mark.parametrize("has_draw_strength", [False, True])
def test_it_is_the_sum_over_matches(has_draw_strength: bool) -> None:
    pairs = drawn_matches(np.linspace(-1, 1, 5), 200, np.random.default_rng(0), 0.9).pairs()
    fit = fit_connected(5, pairs, has_draw_strength=has_draw_strength)
    centre = np.eye(5) - 1 / 5
    expected = centre @ sandwich_by_match(fit) @ centre
    assert centre @ sandwich_covariance(fit) @ centre == pytest.approx(expected, abs=1e-9)


def test_without_draws_two_players_have_the_variance_of_a_log_odds() -> None:
    fit = fit_connected(2, MatchCounts.from_wins([[0, 30], [10, 0]]).pairs())
    covariance = sandwich_covariance(fit)
    lead = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert lead == pytest.approx(1 / 30 + 1 / 10, abs=1e-12)
    assert fit.covariance @ np.ones(2) == pytest.approx(np.zeros(2), abs=1e-12)


def test_who_only_drew_has_the_spread_of_the_model() -> None:
    wins = [[0, 10, 0], [10, 0, 0], [0, 0, 0]]
    draws = [[0, 0, 4], [0, 0, 0], [4, 0, 0]]
    pairs = MatchCounts.from_wins(wins, draws).pairs()
    covariance = sandwich_covariance(fit_connected(3, pairs))
    lead = covariance[0, 0] + covariance[2, 2] - 2 * covariance[0, 2]
    assert only_drew(3, pairs).tolist() == [False, False, True]
    assert lead == pytest.approx(1 / (4 / 4), abs=1e-12)  # 1 / (N p (1 - p))


@pytest.mark.parametrize(("ties", "draw_strength"), [("half", 0.0), ("davidson", 0.9)])
def test_intervals_hold_the_truth_19_times_in_20(ties: str, draw_strength: float) -> None:
    rng, held = np.random.default_rng(0), []
    for _ in range(150):
        strengths = centred(rng.normal(0, 0.7, size=10))
        ratings = rate(drawn_matches(strengths, 1000, rng, draw_strength), ties=ties)  # type: ignore[arg-type]
        truth = 1500 + ELO_PER_NAT * strengths
        held.append((ratings.low <= truth) & (truth <= ratings.high))
    assert 0.93 <= np.mean(held) <= 0.97


def test_they_hold_where_draws_are_rarer_than_half_wins_would_vary() -> None:
    rng, held, width = np.random.default_rng(1), [], []
    truth = np.array([0.4, 0.0, -0.4])
    first, second = np.array([0, 0, 1]), np.array([1, 2, 2])
    for _ in range(400):
        outcomes = []
        for i, j in zip(first, second, strict=True):
            chance = 1 / (1 + np.exp(truth[j] - truth[i]))
            draw = 1.2 * min(chance, 1 - chance)  # the mean score stays as it is
            outcomes.append(rng.multinomial(300, [chance - draw / 2, draw, 1 - chance - draw / 2]))
        counts = PairCounts(first, second, np.array(outcomes, float).T)
        fit = fit_connected(3, counts)
        half = 1.96 * np.sqrt(np.diag(sandwich_covariance(fit)))
        held.append(np.abs(fit.strengths - truth) <= half)
        width.append(half / (1.96 * np.sqrt(np.diag(fit.covariance))))
    assert 0.93 <= np.mean(held) <= 0.97
    assert np.mean(width) < 0.8  # the model's own intervals are much too wide
