"""Ratings: scale, anchors, ranks, and what is said where matches say nothing."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.leaderboards.pairwise.elo import expected_score
from lmgym.leaderboards.pairwise.match_counts import MatchCounts
from lmgym.leaderboards.ratings import Ratings, rate

from .conftest import drawn_matches, names

EVEN = [("a", "b", 1), ("b", "a", 1)]


def rated(*matches: tuple[str, str, int], among: str | None = None, **options: Any) -> Ratings:
    return rate(MatchCounts.from_matches(matches, list(among) if among else None), **options)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_odds_of_ten_to_one_are_400_points() -> None:
    ratings = rate(MatchCounts.from_wins([[0, 100], [10, 0]]))
    assert ratings.ratings == pytest.approx([1700, 1300])
    assert expected_score(400) == pytest.approx(100 / 110)


def test_the_anchor_has_its_rating_for_certain() -> None:
    counts = drawn_matches(np.array([0.5, 0, -0.5]), 300, rng())
    free, tied = rate(counts), rate(counts, anchor="p1", anchor_rating=1000)
    assert tied.ratings[1] == tied.low[1] == tied.high[1] == 1000
    assert np.diff(tied.ratings) == pytest.approx(np.diff(free.ratings))
    assert tied.lead("p0", "p2") == pytest.approx(free.lead("p0", "p2"))


@pytest.mark.parametrize("intervals", ["sandwich", "bootstrap"])
def test_a_rating_from_an_anchor_has_the_interval_of_the_lead_over_it(intervals: Any) -> None:
    counts = drawn_matches(np.array([0.5, 0, -0.5]), 300, rng())
    draws = rng() if intervals == "bootstrap" else None
    ratings = rate(counts, anchor="p1", anchor_rating=0, intervals=intervals, rng=draws)
    lead = ratings.lead("p0", "p1")
    assert [ratings.low[0], ratings.ratings[0], ratings.high[0]] == pytest.approx(
        [lead.low, lead.mean, lead.high]
    )


def test_a_lead_is_the_other_ones_negative() -> None:
    ratings = rate(drawn_matches(np.array([0.5, 0, -0.5]), 300, rng()))
    there, back = ratings.lead("p0", "p2"), ratings.lead("p2", "p0")
    assert [there.low, there.mean, there.high] == pytest.approx([-back.high, -back.mean, -back.low])


def test_ranks_are_ranges_over_leads_that_are_sure() -> None:
    counts = drawn_matches(np.array([2.0, 0.02, 0, -2.0]), 4000, rng())
    ratings = rate(counts)
    assert ratings.best_ranks.tolist() == [1, 2, 2, 4]
    assert ratings.worst_ranks.tolist() == [1, 3, 3, 4]


@pytest.mark.parametrize("intervals", ["sandwich", "bootstrap"])
def test_a_player_is_ahead_where_the_interval_of_the_lead_is_above_nothing(intervals: Any) -> None:
    counts = drawn_matches(np.linspace(0.6, -0.6, 8), 1500, rng())
    draws = rng() if intervals == "bootstrap" else None
    ratings = rate(counts, intervals=intervals, rng=draws, n_resamples=400)
    for place, name in enumerate(names(8)):
        leads = [ratings.lead(other, name) for other in names(8)]
        ahead = 1 + sum(lead.low > 0 for lead in leads)
        behind = 8 - sum(lead.high < 0 for lead in leads)
        assert abs(ratings.best_ranks[place] - ahead) <= (intervals == "bootstrap")
        assert abs(ratings.worst_ranks[place] - behind) <= (intervals == "bootstrap")


def test_more_confidence_is_a_wider_interval() -> None:
    counts = drawn_matches(np.array([0.5, 0, -0.5]), 300, rng())
    narrow, wide = (rate(counts, confidence=level) for level in (0.8, 0.99))
    assert (wide.high - wide.low > narrow.high - narrow.low).all()


def test_an_unbeaten_player_has_a_rating_without_an_upper_end() -> None:
    matches = [*EVEN * 10, *[("u", "a", 1), ("u", "b", 1)] * 4]
    ratings = rated(*matches)
    assert ratings.high.tolist()[2] == math.inf
    assert np.isfinite(ratings.low).all()
    assert np.isfinite(ratings.high[:2]).all()
    assert ratings.ratings[2] == max(ratings.ratings)
    assert ratings.is_regularized.all()


def test_a_winless_player_has_a_rating_without_a_lower_end() -> None:
    ratings = rated(*EVEN * 10, *[("a", "w", 1), ("w", "b", -1)] * 4)
    assert ratings.low.tolist()[2] == -math.inf
    assert np.isfinite([*ratings.high, *ratings.low[:2]]).all()
    assert ratings.rows()[-1].low is None
    assert ratings.rows()[-1].high is not None


@pytest.mark.parametrize("intervals", ["sandwich", "bootstrap"])
def test_open_ends_are_the_same_for_every_kind_of_interval(intervals: Any) -> None:
    draws = rng() if intervals == "bootstrap" else None
    ratings = rated(*EVEN * 10, ("u", "a", 1), intervals=intervals, rng=draws)
    assert ratings.high.tolist()[2] == math.inf
    assert ratings.lead("u", "a").high == math.inf
    assert ratings.lead("a", "u").low == -math.inf
    assert math.isfinite(ratings.lead("a", "b").high)


def test_between_two_who_met_once_each_has_one_end() -> None:
    ratings = rated(("a", "b", 1))
    assert (ratings.high[0], ratings.low[1]) == (math.inf, -math.inf)
    assert ratings.low[0] < 1500 < ratings.high[1]
    assert ratings.best_ranks.tolist() == [1, 1]
    assert ratings.worst_ranks.tolist() == [2, 2]


def test_in_a_chain_of_single_wins_the_middle_has_no_end() -> None:
    ratings = rated(("a", "b", 1), ("b", "c", 1))
    middle = ratings.rows()[1]
    assert (middle.best_rank, middle.worst_rank, middle.low, middle.high) == (1, 3, None, None)
    assert middle.rating == pytest.approx(1500)


def test_nobody_is_ahead_by_a_lead_without_a_lower_end() -> None:
    ratings = rated(*[("u", "a", 1)] * 1000, ("u", "b", 1))
    assert ratings.ratings[1] - ratings.ratings[0] > 1000
    lead = ratings.lead("b", "a")
    assert (lead.low, lead.high) == (-math.inf, math.inf)
    assert (ratings.worst_ranks[0], ratings.best_ranks[1]) == (3, 1)


def test_leads_over_an_anchor_are_open_as_the_matches_say() -> None:
    ratings = rated(*EVEN * 10, ("u", "a", 1), anchor="u")
    assert ratings.low.tolist() == [-math.inf, -math.inf, 1500]
    assert np.isfinite(ratings.high).all()


def test_the_bound_of_an_unbeaten_player_holds() -> None:
    draws, held = rng(), []
    for _ in range(400):
        truth = 1.5
        a, b = draws.binomial(6, 1 / (1 + math.exp(-truth)), size=2)
        counts = MatchCounts.from_wins([[0, a, b], [6 - a, 0, 50], [6 - b, 50, 0]])
        ratings = rate(counts, anchor="1", anchor_rating=0)
        if ratings.is_regularized.any():
            held.append(ratings.low[0] <= truth * 400 / math.log(10))
    assert len(held) > 20
    assert np.mean(held) >= 0.95


def test_parts_that_never_met_are_rated_apart() -> None:
    ratings = rated(
        *EVEN, ("c", "d", 1), ("c", "d", 1), ("d", "c", 1), ("d", "e", 0), among="abcde"
    )
    assert ratings.components.tolist() == [1, 1, 0, 0, 0]
    assert ratings.ratings[:2] == pytest.approx([1500, 1500])
    assert ratings.ratings[2:].mean() == pytest.approx(1500)
    assert ratings.worst_ranks.tolist() == [2, 2, 3, 3, 3]


def test_players_of_two_parts_are_not_compared() -> None:
    ratings = rated(*EVEN, ("c", "d", 1), ("d", "c", 1))
    with pytest.raises(LmgymError, match="'a' and 'd' cannot be compared: no chain of matches"):
        ratings.lead("a", "d")


def test_an_anchor_fixes_its_part_alone() -> None:
    ratings = rated(*EVEN, ("c", "d", 1), ("d", "c", 1), anchor="c", anchor_rating=1000)
    assert ratings.ratings == pytest.approx([1000, 1000, 1000, 1000])
    assert (ratings.low[2], ratings.high[2]) == (1000, 1000)
    assert ratings.low[0] < 1000 < ratings.high[0]


def test_an_unbeaten_player_elsewhere_changes_nothing_here() -> None:
    alone, beside = rated(*EVEN), rated(*EVEN, ("c", "d", 1))
    assert (beside.low[0], beside.high[0]) == (alone.low[0], alone.high[0])
    assert beside.is_regularized.tolist() == [False, False, True, True]


def test_a_player_without_a_match_has_no_rating() -> None:
    ratings = rated(*EVEN, among="abz")
    assert math.isnan(ratings.ratings[2])
    assert ratings.rows()[2] == ("z", 1, None, None, None, None, None)
    with pytest.raises(LmgymError, match="the anchor 'z' has no match"):
        rated(*EVEN, among="abz", anchor="z")


@pytest.mark.parametrize("among", ["a", "abc"])
@pytest.mark.parametrize("ties", ["half", "davidson"])
def test_without_matches_nobody_has_a_rating(among: str, ties: Any) -> None:
    ratings = rated(among=among, ties=ties)
    assert np.isnan(ratings.ratings).all()
    assert ratings.parts == ()
    assert [row.rating for row in ratings.rows()] == [None] * len(among)


def test_only_draws_make_all_equal_within_what_draws_can_tell() -> None:
    ratings = rated(*[("a", "b", 0)] * 8, ("b", "c", 0))
    assert ratings.ratings == pytest.approx([1500] * 3)
    assert np.isfinite([ratings.low, ratings.high]).all()
    assert (ratings.high - ratings.low)[2] > (ratings.high - ratings.low)[1] > 100
    assert ratings.worst_ranks.tolist() == [3, 3, 3]


@pytest.mark.parametrize(
    "options",
    [{"ties": "davidson"}, {"intervals": "bootstrap", "rng": np.random.default_rng(0)}],
)
def test_only_draws_have_no_interval_where_none_can_be_told(options: Any) -> None:
    ratings = rated(*[("a", "b", 0)] * 8, ("b", "c", 0), **options)
    assert ratings.ratings == pytest.approx([1500] * 3)
    assert [(row.worst_rank, row.low, row.high) for row in ratings.rows()] == [(3, None, None)] * 3


def test_davidson_tells_how_strong_draws_are() -> None:
    counts = drawn_matches(np.array([0.5, 0, -0.5]), 20_000, rng(), draw_strength=0.7)
    (part,) = rate(counts, ties="davidson").parts
    assert part.draw_strength == pytest.approx(0.7, abs=0.05)
    assert rated(*EVEN, ties="davidson").parts[0].draw_strength == 0
    assert rated(("a", "b", 0), ties="davidson").parts[0].draw_strength == math.inf
    assert rated(*EVEN).parts[0].draw_strength is None


def test_davidson_without_draws_is_bradley_terry() -> None:
    counts = drawn_matches(np.array([0.5, 0, -0.5]), 300, rng())
    half, own = rate(counts), rate(counts, ties="davidson")
    assert own.ratings.tolist() == half.ratings.tolist()
    assert own.low.tolist() == half.low.tolist()


def test_davidson_is_open_where_a_lead_may_grow_with_draws() -> None:
    ratings = rated(*[("a", "b", 1), ("a", "b", 0)] * 3, ties="davidson")
    assert (ratings.high[0], ratings.low[1]) == (math.inf, -math.inf)
    assert np.isfinite(rated(*[("a", "b", 1), ("a", "b", 0)] * 3).high).all()


def test_the_order_of_matches_and_seats_does_not_matter() -> None:
    matches = [("a", "b", 1), ("b", "c", 0), ("c", "a", 1), ("a", "b", -1), ("a", "c", 1)]
    turned = [(b, a, -result) for a, b, result in matches]
    expected = rated(*matches).ratings
    assert rated(*reversed(matches)).ratings == pytest.approx(expected, abs=1e-9)
    assert rated(*turned).ratings == pytest.approx(expected, abs=1e-9)


def test_rows_are_the_table_from_the_best_on_as_json() -> None:
    rows = rated(*EVEN, ("a", "b", 1), ("u", "a", 1), among="abuz").rows()
    assert [row.name for row in rows] == ["u", "a", "b", "z"]
    json.dumps([row._asdict() for row in rows], allow_nan=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ties": "thirds"}, "unknown ties 'thirds'; known: davidson, half"),
        ({"intervals": "sandwhich"}, "unknown intervals 'sandwhich'; known: sandwich"),
        ({"confidence": 95}, r"between 0 and 1, as 0\.95; given 95"),
        ({"intervals": "bootstrap"}, "needs rng"),
        ({"rng": np.random.default_rng(0)}, "needs rng"),
        ({"anchor": "z"}, "unknown player 'z'; known: a, b"),
        ({"anchor_rating": math.nan}, "anchor_rating is nan; give a finite number"),
        ({"pseudo_wins": -1}, "pseudo_wins is -1; give 0 or more"),
    ],
)
def test_options_that_are_none_are_refused(options: Any, message: str) -> None:
    with pytest.raises(LmgymError, match=message):
        rated(*EVEN, **options)
