"""Running ratings: the equation, its order, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.leaderboards.pairwise.elo import elo_ratings, expected_score


def test_each_match_moves_both_by_k_times_the_surprise() -> None:
    first = elo_ratings([0], [1], [1], ["a", "b", "c"], k=20)
    assert first.tolist() == [1510, 1490, 1500]
    second = elo_ratings([0, 1], [1, 0], [1, 0], ["a", "b"], k=20)
    surprise = 0.5 - 1 / (1 + 10 ** (20 / 400))  # a draw of the weaker one
    assert second == pytest.approx([1510 - 20 * surprise, 1490 + 20 * surprise])


def test_their_mean_stays() -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(5, size=500)
    second = (first + rng.integers(1, 5, size=500)) % 5
    ratings = elo_ratings(first, second, rng.integers(-1, 2, size=500), list("abcde"))
    assert ratings.mean() == pytest.approx(1500)


def test_they_depend_on_the_order() -> None:
    there = elo_ratings([0, 0], [1, 1], [1, -1], ["a", "b"])
    back = elo_ratings([0, 0], [1, 1], [-1, 1], ["a", "b"])
    assert there[0] < 1500 < back[0]


def test_without_matches_all_have_the_first_rating() -> None:
    assert elo_ratings([], [], [], ["a", "b"], initial_rating=1000).tolist() == [1000, 1000]


def test_scores_that_are_expected_of_both_sum_to_one() -> None:
    for lead in (0.0, 1.0, 400.0, 5e3, 1e6):
        assert expected_score(lead) + expected_score(-lead) == pytest.approx(1)


def test_what_is_no_match_or_no_k_is_refused() -> None:
    with pytest.raises(LmgymError, match=r"match 0: player 1 \('b'\) meets itself"):
        elo_ratings([1], [1], [1], ["a", "b"])
    with pytest.raises(LmgymError, match="k is nan"):
        elo_ratings([0], [1], [1], ["a", "b"], k=float("nan"))
    with pytest.raises(LmgymError, match="initial_rating is inf"):
        elo_ratings([0], [1], [1], ["a", "b"], initial_rating=float("inf"))
