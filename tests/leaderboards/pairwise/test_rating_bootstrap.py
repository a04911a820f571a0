"""Resampled matches: that they are multinomial, and that each is fitted to its maximum."""

from __future__ import annotations

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.leaderboards.pairwise.bradley_terry import fit_connected
from lmgym.leaderboards.pairwise.match_counts import MatchCounts
from lmgym.leaderboards.pairwise.rating_bootstrap import bootstrap_strengths, resample
from lmgym.leaderboards.pairwise.sandwich import sandwich_covariance
from lmgym.leaderboards.ratings import ELO_PER_NAT, rate

from ..conftest import centred, drawn_matches


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1, 100])  # drawn at once, and filled up
def test_resampled_counts_are_multinomial(scale: int) -> None:
    counts = scale * np.array([[6.0, 0.0, 1.0], [3.0, 7.0, 3.0]])
    rng, total = np.random.default_rng(0), counts.sum()
    draws = np.array([resample(counts, rng).ravel() for _ in range(10_000)])
    shares = counts.ravel() / total
    covariance = total * (np.diag(shares) - np.outer(shares, shares))
    assert (draws.sum(1) == total).all()
    assert (draws[:, 1] == 0).all()
    assert draws.mean(0) == pytest.approx(total * shares, rel=0.01, abs=0.03)
    assert np.cov(draws.T) == pytest.approx(covariance, abs=0.045 * covariance.max())


@pytest.mark.parametrize("has_draw_strength", [False, True])
def test_each_resample_is_fitted_to_its_maximum(has_draw_strength: bool) -> None:
    rng = np.random.default_rng(0)
    pairs = drawn_matches(rng.normal(size=8), 3000, rng, 0.8).pairs()
    fit = fit_connected(8, pairs, has_draw_strength=has_draw_strength)
    samples = bootstrap_strengths(fit, pairs, np.random.default_rng(1), 20)
    again = np.random.default_rng(1)
    for row in samples:
        drawn = pairs._replace(outcomes=resample(pairs.outcomes, again))
        exact = fit_connected(8, drawn, has_draw_strength=has_draw_strength)
        assert ELO_PER_NAT * row == pytest.approx(ELO_PER_NAT * exact.strengths, abs=0.05)


def test_its_spread_is_that_of_the_sandwich() -> None:
    rng = np.random.default_rng(0)
    pairs = drawn_matches(rng.normal(size=8), 20_000, rng, 0.8).pairs()
    fit = fit_connected(8, pairs)
    samples = bootstrap_strengths(fit, pairs, rng, 1000)
    deviations = np.sqrt(np.diag(sandwich_covariance(fit)))
    assert samples.std(0) == pytest.approx(deviations, rel=0.1)


@pytest.mark.parametrize("has_draw_strength", [False, True])
def test_resamples_without_a_maximum_are_given_pseudo_wins(has_draw_strength: bool) -> None:
    wins, draws = [[0, 5, 1], [1, 0, 1], [0, 1, 0]], [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    pairs = MatchCounts.from_wins(wins, draws).pairs()
    fit = fit_connected(3, pairs, has_draw_strength=has_draw_strength)
    samples = bootstrap_strengths(fit, pairs, np.random.default_rng(0), 200)
    assert not fit.is_regularized
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() < 5
    with pytest.raises(LmgymError, match="or of a resample, has no maximum"):
        bootstrap_strengths(fit, pairs, np.random.default_rng(0), 200, pseudo_wins=0)


def test_the_same_generator_gives_the_same_samples() -> None:
    pairs = drawn_matches(np.zeros(4), 300, np.random.default_rng(0)).pairs()
    fit = fit_connected(4, pairs)
    one, two = (bootstrap_strengths(fit, pairs, np.random.default_rng(3), 5) for _ in range(2))
    assert (one == two).all()


def test_no_resamples_are_refused() -> None:
    pairs = MatchCounts.from_wins([[0, 2], [1, 0]]).pairs()
    with pytest.raises(LmgymError, match="0 resamples were asked for"):
        bootstrap_strengths(fit_connected(2, pairs), pairs, np.random.default_rng(0), 0)


@pytest.mark.slow
@pytest.mark.parametrize(("ties", "draw_strength"), [("half", 0.0), ("davidson", 0.9)])
def test_intervals_hold_the_truth_19_times_in_20(ties: str, draw_strength: float) -> None:
    rng, held = np.random.default_rng(0), []
    for _ in range(60):  # `lmgym bench ratings` simulates hundreds
        strengths = centred(rng.normal(0, 0.7, size=10))
        counts = drawn_matches(strengths, 1000, rng, draw_strength)
        ratings = rate(counts, ties=ties, intervals="bootstrap", rng=rng, n_resamples=50)  # type: ignore[arg-type]
        truth = 1500 + ELO_PER_NAT * strengths
        held.append((ratings.low <= truth) & (truth <= ratings.high))
    assert 0.93 <= np.mean(held) <= 0.97
