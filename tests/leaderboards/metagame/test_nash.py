"""Nash averaging: known games, a linear program, a general optimizer of the entropy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog, minimize

from lmgym.errors import LmgymError
from lmgym.leaderboards.metagame.nash import nash_averaging

from ..conftest import Floats

ROCK = np.array([[0.0, 1, -1], [-1, 0, 1], [1, -1, 0]])


def antisymmetric(table: Floats) -> Floats:
    upper: Floats = np.triu(table, 1)
    return upper - upper.T


def whole_game(n: int, seed: int, size: int = 1) -> Floats:
    """Small whole payoffs, so that equilibria are often many."""
    table = np.random.default_rng(seed).integers(-size, size + 1, size=(n, n))
    return antisymmetric(table.astype(float))


def entropy(shares: Floats) -> float:
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum())


def test_rock_paper_scissors_is_played_alike() -> None:
    averaging = nash_averaging(ROCK)
    assert averaging.shares == pytest.approx([1 / 3] * 3)
    assert averaging.ratings == pytest.approx([0, 0, 0])


def test_weights_of_a_weighted_circle_are_the_opposite_payoffs() -> None:
    game = np.array([[0.0, 3, -1], [-3, 0, 2], [1, -2, 0]])
    assert nash_averaging(game).shares == pytest.approx([2 / 6, 1 / 6, 3 / 6])


def test_copies_share_what_one_would_have() -> None:
    copies = [0, 1, 1, 2, 2, 2, 2]
    shares = nash_averaging(ROCK[np.ix_(copies, copies)]).shares
    assert shares == pytest.approx([1 / 3, 1 / 6, 1 / 6, *[1 / 12] * 4])


def test_a_redundant_agent_changes_no_rating() -> None:
    game = whole_game(9, 3, size=5)
    once, twice = nash_averaging(game), nash_averaging(game[np.ix_([*range(9), 4], [*range(9), 4])])
    assert twice.ratings[:9] == pytest.approx(once.ratings, abs=1e-9)


def test_the_best_of_a_ranking_plays_alone() -> None:
    strengths = np.array([0.3, 2.0, -1.0, 1.9])
    rates = 1 / (1 + np.exp(strengths - strengths[:, None]))
    averaging = nash_averaging(rates)
    assert averaging.shares == pytest.approx([0, 1, 0, 0], abs=1e-12)
    assert averaging.ratings == pytest.approx(rates[:, 1])


def test_equals_play_alike() -> None:
    assert nash_averaging(np.full((5, 5), 0.5)).shares == pytest.approx([0.2] * 5)
    assert nash_averaging(np.full((5, 5), 0.5)).ratings == pytest.approx([0.5] * 5)
    assert nash_averaging([[0.0]]).shares.tolist() == [1]


@pytest.mark.parametrize("seed", range(10))
def test_nobody_earns_more_than_the_value_of_the_game(seed: int) -> None:
    game = np.random.default_rng(seed).normal(size=(40, 40))
    rates = 0.5 + antisymmetric(game) / 20
    averaging = nash_averaging(rates)
    n = len(rates)
    program = linprog(
        np.append(np.zeros(n), -1.0),
        A_ub=np.hstack([-rates.T, np.ones((n, 1))]),
        b_ub=np.zeros(n),
        A_eq=[np.append(np.ones(n), 0.0)],
        b_eq=[1.0],
        bounds=[(0, None)] * n + [(None, None)],
    )
    assert averaging.ratings.max() == pytest.approx(-program.fun, abs=1e-9)
    assert averaging.shares.sum() == pytest.approx(1)
    assert (averaging.shares >= 0).all()
    assert averaging.shares == pytest.approx(program.x[:n], abs=1e-6)  # it is unique here


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("n", [4, 6])
def test_no_equilibrium_has_a_greater_entropy(n: int, seed: int) -> None:
    game = whole_game(n, seed)
    shares = nash_averaging(game).shares
    found = minimize(
        lambda p: float((p * np.log(np.maximum(p, 1e-300))).sum()),
        shares * 0.9 + 0.1 / n,
        jac=lambda p: np.log(np.maximum(p, 1e-300)) + 1,
        method="SLSQP",
        bounds=[(0, 1)] * n,
        constraints=[
            {"type": "ineq", "fun": lambda p: -game @ p, "jac": lambda p: -game},
            {"type": "eq", "fun": lambda p: p.sum() - 1, "jac": np.ones_like},
        ],
        options={"maxiter": 500, "ftol": 1e-12},
    )
    assert (game @ shares).max() < 1e-10
    assert (game @ found.x).max() < 1e-6
    assert entropy(shares) >= entropy(found.x) - 1e-5
    assert shares == pytest.approx(found.x, abs=2e-3)


def test_many_equilibria_are_told_to_the_last_digit() -> None:
    plane = np.random.default_rng(0).normal(size=(60, 2))
    game = np.outer(plane[:, 0], plane[:, 1])
    averaging = nash_averaging(game - game.T)  # equilibria are 57-dimensional
    logs = np.log(averaging.shares)
    features = np.column_stack([plane, np.ones(60)])  # at the greatest entropy, logs are of these
    residual = logs - features @ np.linalg.lstsq(features, logs)[0]
    assert np.abs(plane.T @ averaging.shares).max() < 1e-10
    assert np.abs(residual).max() < 1e-8


def test_units_of_payoffs_do_not_matter() -> None:
    game = whole_game(12, 0, size=4)
    one, other = nash_averaging(game), nash_averaging(1e6 * game + 7)
    assert other.shares == pytest.approx(one.shares, abs=1e-9)
    assert other.ratings == pytest.approx(1e6 * one.ratings + 7, abs=1e-3)


@pytest.mark.parametrize(
    ("payoffs", "message"),
    [
        ([[0, 1], [1, 0]], r"payoffs\[0, 1\] \+ payoffs\[1, 0\] is 2 and payoffs\[0, 0\]"),
        ([[0.5, np.nan], [0.5, 0.5]], r"payoffs\[0, 1\] is nan; every agent must have met"),
        ([1.0, 2.0], "must have shape"),
    ],
)
def test_what_is_no_game_of_constant_sum_is_refused(payoffs: Any, message: str) -> None:
    with pytest.raises(LmgymError, match=message):
        nash_averaging(payoffs)
