"""The maximum of the likelihood: closed forms, a general optimizer, derivatives, what has none."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import minimize

from lmgym.errors import LmgymError
from lmgym.leaderboards.pairwise.bradley_terry import Likelihood, fit_connected, maximize
from lmgym.leaderboards.pairwise.match_counts import MatchCounts, PairCounts

from ..conftest import Floats, centred, drawn_matches


def pairs_of(wins: object, draws: object = None) -> PairCounts:
    return MatchCounts.from_wins(np.array(wins), None if draws is None else np.array(draws)).pairs()


def some_pairs(n: int = 6, n_matches: int = 300, draw_strength: float = 0.8) -> PairCounts:
    rng = np.random.default_rng(n)
    return drawn_matches(rng.normal(size=n), n_matches, rng, draw_strength).pairs()


def minus_log_likelihood(pairs: PairCounts, x: Floats, has_draw_strength: bool) -> float:
    """Match by match, as the model is written in the papers."""
    total = 0.0
    for i, j, won, drawn, lost in zip(pairs.first, pairs.second, *pairs.outcomes, strict=True):
        s, t = math.exp(x[i]), math.exp(x[j])
        tie = math.exp(x[-1]) * math.sqrt(s * t) if has_draw_strength else 0.0
        logs = [math.log(s / (s + t + tie)), 0.0, math.log(t / (s + t + tie))]
        logs[1] = math.log(tie / (s + t + tie)) if tie else (logs[0] + logs[2]) / 2
        total -= won * logs[0] + drawn * logs[1] + lost * logs[2]
    return total


def test_two_players_differ_by_the_log_of_their_odds() -> None:
    fit = fit_connected(2, pairs_of([[0, 8], [3, 0]]))
    assert fit.strengths[0] - fit.strengths[1] == pytest.approx(math.log(8 / 3), abs=1e-12)


def test_draws_as_half_wins_add_to_both() -> None:
    fit = fit_connected(2, pairs_of([[0, 8], [3, 0]], [[0, 4], [4, 0]]))
    assert np.ptp(fit.strengths) == pytest.approx(math.log(10 / 5), abs=1e-12)
    assert fit.draw_strength is None


def test_davidson_of_two_players_has_a_closed_form() -> None:
    fit = fit_connected(2, pairs_of([[0, 8], [2, 0]], [[0, 6], [6, 0]]), has_draw_strength=True)
    assert np.ptp(fit.strengths) == pytest.approx(math.log(8 / 2), abs=1e-12)
    assert fit.draw_strength == pytest.approx(6 / math.sqrt(8 * 2), abs=1e-12)


@pytest.mark.parametrize("has_draw_strength", [False, True])
def test_the_maximum_is_that_of_a_general_optimizer(has_draw_strength: bool) -> None:
    pairs = some_pairs()
    fit = fit_connected(6, pairs, has_draw_strength=has_draw_strength)
    found = minimize(
        lambda x: minus_log_likelihood(pairs, x, has_draw_strength),
        np.zeros(6 + has_draw_strength),
        tol=1e-10,
    )
    assert fit.strengths == pytest.approx(centred(found.x[:6]), abs=1e-5)
    assert fit.likelihood.value(fit.x) == pytest.approx(-found.fun, rel=1e-10)
    if has_draw_strength:
        assert fit.draw_strength == pytest.approx(math.exp(found.x[-1]), abs=1e-5)


@pytest.mark.parametrize("has_draw_strength", [False, True])
def test_the_slope_at_the_maximum_is_nothing(has_draw_strength: bool) -> None:
    fit = fit_connected(20, some_pairs(20, 5000), has_draw_strength=has_draw_strength)
    assert np.abs(fit.likelihood.gradient(fit.likelihood.chances(fit.x))).max() < 1e-8
    assert fit.strengths.mean() == pytest.approx(0, abs=1e-12)


def slopes(function: Callable[[Floats], Floats | float], x: Floats) -> Floats:
    """Central differences."""
    steps = 1e-5 * np.eye(len(x))
    return np.array([np.subtract(function(x + h), function(x - h)) / 2e-5 for h in steps])


@pytest.mark.parametrize("has_draw_strength", [False, True])
def test_derivatives_are_those_of_the_value(has_draw_strength: bool) -> None:
    likelihood = Likelihood(6, some_pairs(), has_draw_strength)
    x = np.random.default_rng(1).normal(size=6 + has_draw_strength)

    def gradient(x: Floats) -> Floats:
        return likelihood.gradient(likelihood.chances(x))

    information = likelihood.information(likelihood.chances(x))
    assert gradient(x) == pytest.approx(slopes(likelihood.value, x), abs=1e-5)
    assert information == pytest.approx(-slopes(gradient, x), abs=1e-5)


@pytest.mark.parametrize("has_draw_strength", [False, True])
def test_value_is_the_log_likelihood(has_draw_strength: bool) -> None:
    pairs = some_pairs()
    x = np.random.default_rng(2).normal(size=6 + has_draw_strength)
    expected = -minus_log_likelihood(pairs, x, has_draw_strength)
    assert Likelihood(6, pairs, has_draw_strength).value(x) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("has_draw_strength", [False, True])
def test_far_leads_do_not_overflow(has_draw_strength: bool) -> None:
    likelihood = Likelihood(3, pairs_of([[0, 1, 1], [1, 0, 1], [1, 1, 0]]), has_draw_strength)
    x = np.array([900.0, 0.0, -900.0, 0.0][: 3 + has_draw_strength])
    moments = likelihood.moments(likelihood.chances(x))
    assert np.isfinite([moments.score, moments.variance]).all()
    assert np.isfinite(likelihood.value(x))


def test_it_converges_where_fields_are_nearly_separated() -> None:
    wins = np.zeros((12, 12), int)
    for place in range(11):  # each beats the next 10,000 times and loses once
        wins[place, place + 1], wins[place + 1, place] = 10_000, 1
    fit = fit_connected(12, pairs_of(wins))
    assert -np.diff(fit.strengths) == pytest.approx(np.full(11, math.log(10_000)), abs=1e-9)


def test_it_converges_from_far_away() -> None:
    likelihood = Likelihood(6, some_pairs(), has_draw_strength=True)
    start = np.array([40.0, -40.0, 10.0, 0.0, 0.0, -10.0, 20.0])
    assert maximize(likelihood, start)[0] == pytest.approx(maximize(likelihood)[0], abs=1e-9)


def test_it_converges_where_scores_say_little_of_strengths() -> None:
    wins, draws = np.zeros((6, 6), int), np.zeros((6, 6), int)
    wins[0, 1], wins[1, 4], wins[2, 0] = 2000, 1000, 1000
    for i, j in [(0, 2), (0, 5), (1, 2), (3, 4), (4, 5)]:
        draws[i, j] = draws[j, i] = 1
    fit = fit_connected(6, pairs_of(wins, draws))
    assert not fit.is_regularized
    assert np.abs(fit.likelihood.gradient(fit.likelihood.chances(fit.x))).max() < 1e-8


def test_an_unbeaten_player_is_given_pseudo_wins() -> None:
    fit = fit_connected(2, pairs_of([[0, 4], [0, 0]]))
    assert fit.is_regularized
    assert np.ptp(fit.strengths) == pytest.approx(math.log(4.5 / 0.5), abs=1e-12)
    assert not fit_connected(2, pairs_of([[0, 4], [1, 0]])).is_regularized


def test_pseudo_wins_go_to_all_who_met_and_nobody_else() -> None:
    wins = np.array([[0, 4, 0], [0, 0, 1], [0, 1, 0]])
    fit = fit_connected(3, pairs_of(wins))
    again = fit_connected(
        3, PairCounts(*pairs_of(wins)[:2], np.array([[4.5, 1.5], [0, 0], [0.5, 1.5]]))
    )
    assert fit.strengths == pytest.approx(again.strengths, abs=1e-12)


def test_without_pseudo_wins_an_unbeaten_player_is_refused() -> None:
    with pytest.raises(LmgymError, match=r"no maximum.*give pseudo_wins, as 0\.5"):
        fit_connected(2, pairs_of([[0, 4], [0, 0]]), pseudo_wins=0)


def test_a_likelihood_without_a_maximum_is_an_error_and_not_a_number() -> None:
    with pytest.raises(LmgymError, match="were not found"):
        maximize(Likelihood(2, pairs_of([[0, 4], [0, 0]])))


def test_players_who_never_met_are_no_likelihood_to_maximize() -> None:
    with pytest.raises(LmgymError, match="were not found"):
        maximize(Likelihood(3, pairs_of([[0, 4, 0], [1, 0, 0], [0, 0, 0]])))
