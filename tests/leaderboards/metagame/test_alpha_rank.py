"""Alpha-Rank: its definition by sums and powers, exact digits where chances vanish, and limits."""

from __future__ import annotations

import math
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.leaderboards.metagame.alpha_rank import alpha_rank, stationary_distribution

from ..conftest import Floats


def win_rates(n: int, seed: int = 0) -> Floats:
    """Rates with a ranking and with circles."""
    rng = np.random.default_rng(seed)
    strengths, noise = rng.normal(size=n), rng.normal(size=(n, n))
    leads = strengths[:, None] - strengths + noise - noise.T
    rates: Floats = 1 / (1 + np.exp(-leads))
    return rates


def by_definition(payoffs: Floats, alpha: float, m: int) -> Floats:
    """The fixation chance as a sum over sizes, and shares by stepping for a long time."""
    n = len(payoffs)
    chain = np.zeros((n, n))
    for s in range(n):
        for r in range(n):
            if r != s:
                falls = math.exp(-alpha * (payoffs[r, s] - payoffs[s, r]))
                chain[s, r] = 1 / (n - 1) / sum(falls**size for size in range(m))
        chain[s, s] = 1 - chain[s].sum()
    shares: Floats = np.linalg.matrix_power(chain, 2**30)[0]
    total: Floats = shares / shares.sum()
    return total


@pytest.mark.parametrize(("alpha", "population"), [(0.1, 10), (1.0, 50), (3.0, 5), (30.0, 2)])
@pytest.mark.parametrize("n", [2, 3, 9])
def test_shares_are_those_of_the_definition(n: int, alpha: float, population: int) -> None:
    payoffs = win_rates(n)
    shares = alpha_rank(payoffs, alpha=alpha, population=population)
    assert shares == pytest.approx(by_definition(payoffs, alpha, population), abs=1e-8)
    assert shares.sum() == pytest.approx(1)


def exact_shares(log_rates: Floats) -> list[float]:
    """The balance equations in many digits."""
    n = len(log_rates)
    with mpmath.workdps(50 + int(-2 * log_rates.min())):
        balance = mpmath.matrix(n, n)
        for i in range(n):
            for j in range(n):
                if i != j:
                    rate = mpmath.e ** mpmath.mpf(float(log_rates[i, j]))
                    balance[j, i] += rate
                    balance[i, i] -= rate
        for j in range(n):
            balance[n - 1, j] = 1
        right = mpmath.matrix(n, 1)
        right[n - 1] = 1
        return [float(x) for x in mpmath.lu_solve(balance, right)]


@pytest.mark.parametrize("scale", [1, 40, 650, 800, 2000])  # from 658 on in scaled numbers
def test_small_shares_are_exact_however_small_the_rates(scale: float) -> None:
    logs = -scale * np.random.default_rng(1).random((5, 5))
    shares = stationary_distribution(logs)
    expected = exact_shares(logs)
    assert shares == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_large_alpha_stays_with_those_that_nobody_beats() -> None:
    payoffs = np.array([[0.5, 0.6, 0.7], [0.4, 0.5, 0.6], [0.3, 0.4, 0.5]])
    assert alpha_rank(payoffs, alpha=1e6).tolist() == [1, 0, 0]


def test_circles_and_equals_share_alike() -> None:
    circle = np.array([[0.5, 0.9, 0.1], [0.1, 0.5, 0.9], [0.9, 0.1, 0.5]])
    assert alpha_rank(circle, alpha=1e4) == pytest.approx([1 / 3] * 3)
    assert alpha_rank(np.full((4, 4), 0.5)) == pytest.approx([1 / 4] * 4)
    assert alpha_rank([[0.3]]).tolist() == [1]


def test_who_is_named_first_does_not_matter() -> None:
    payoffs, order = win_rates(8), np.random.default_rng(0).permutation(8)
    shares = alpha_rank(payoffs, alpha=2)
    assert alpha_rank(payoffs[np.ix_(order, order)], alpha=2) == pytest.approx(shares[order])


def test_nearly_equal_payoffs_are_continuous() -> None:
    games = [np.array([[0, gap], [0, 0]]) for gap in (0, 1e-12, 1e-9)]
    shares = [alpha_rank(game, alpha=1, population=100)[0] for game in games]
    assert shares == pytest.approx([0.5, 0.5, 0.5 + 99 / 4 * 1e-9], abs=1e-10)


@pytest.mark.parametrize(
    ("payoffs", "options", "message"),
    [
        ([[0.5, math.nan], [0.5, 0.5]], {}, r"payoffs\[0, 1\] is nan; every agent must have met"),
        ([[0.5, 0.5]], {}, r"must have shape \(n, n\), n at least 1; given \(1, 2\)"),
        (np.zeros((0, 0)), {}, "n at least 1"),
        ([[0.5]], {"alpha": -1}, "alpha is -1; give a number above 0"),
        ([[0.5]], {"alpha": math.inf}, "alpha is inf; give a number above 0"),
        ([[0.5]], {"population": 1}, "population is 1; give 2 agents or more"),
    ],
)
def test_what_is_no_game_is_refused(payoffs: Any, options: Any, message: str) -> None:
    with pytest.raises(LmgymError, match=message):
        alpha_rank(payoffs, **options)
