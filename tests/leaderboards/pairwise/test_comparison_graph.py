"""Who can be compared: parts that matches join, and leads that they do not bound."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from lmgym.leaderboards.pairwise.comparison_graph import components, is_bounded, unbounded_leads
from lmgym.leaderboards.pairwise.match_counts import MatchCounts, PairCounts

from ..conftest import Floats


def pairs_of(*matches: tuple[str, str, int], among: str = "abcd") -> tuple[int, PairCounts]:
    return len(among), MatchCounts.from_matches(matches, list(among)).pairs()


def test_parts_are_numbered_from_the_largest() -> None:
    n, pairs = pairs_of(("e", "b", 1), ("a", "d", 0), ("d", "c", 1), among="abcdef")
    assert components(n, pairs).tolist() == [0, 1, 0, 0, 1, 2]


def test_a_long_chain_is_one_part() -> None:
    places = np.arange(300)
    chain = PairCounts(places[:-1], places[1:], np.ones((3, 299)))
    assert (components(300, chain) == 0).all()


@pytest.mark.parametrize(
    ("matches", "bounded"),
    [
        ([("a", "b", 1), ("b", "a", 1)], True),
        ([("a", "b", 1), ("b", "c", 1), ("c", "a", 1)], True),
        ([("a", "b", 1), ("b", "c", 1)], False),
        ([("a", "b", 1), ("a", "b", 0)], True),
        ([("a", "b", 1), ("a", "b", -1), ("a", "c", 1)], False),
    ],
)
def test_a_maximum_needs_chains_of_wins_both_ways(
    matches: list[tuple[str, str, int]], bounded: bool
) -> None:
    among = "abc" if any("c" in match for match in matches) else "ab"
    assert is_bounded(*pairs_of(*matches, among=among), has_draw_strength=False) is bounded


@pytest.mark.parametrize(
    ("matches", "bounded"),
    [
        ([("a", "b", 1), ("a", "b", 0)], False),  # a's lead and draws grow together
        ([("a", "b", 1), ("a", "b", 0), ("b", "a", 1)], True),
        ([("a", "b", 1), ("b", "c", 1), ("c", "a", 1), ("a", "b", 0)], True),
        ([("a", "b", 1), ("b", "c", 0), ("c", "a", 0)], False),
        ([("a", "b", 1), ("b", "c", 1), ("c", "a", 0)], True),  # two wins against one draw
    ],
)
def test_with_a_strength_of_draws_a_circle_needs_more_wins_than_draws(
    matches: list[tuple[str, str, int]], bounded: bool
) -> None:
    among = "abc" if any("c" in match for match in matches) else "ab"
    assert is_bounded(*pairs_of(*matches, among=among), has_draw_strength=True) is bounded


def test_leads_over_those_one_never_lost_to_are_open() -> None:
    matches = [("a", "b", 1), ("b", "c", 1), ("c", "b", 1), ("c", "d", 1)]
    open_leads = unbounded_leads(*pairs_of(*matches), has_draw_strength=False)
    assert open_leads.astype(int).tolist() == [[0, 1, 1, 1], [0, 0, 0, 1], [0, 0, 0, 1], [0] * 4]


def recession_directions(pairs: PairCounts, n: int) -> list[Floats]:
    """Small whole directions of strengths along which no outcome gets unlikely."""
    found = []
    for direction in product((-2, -1, 0, 1, 2), repeat=n):
        for growth in (-1, 0, 1):
            lead = np.subtract(*(np.array(direction)[list(side)] for side in pairs[:2]))
            utilities = np.stack([lead / 2, np.full(len(lead), growth), -lead / 2])
            best = utilities.max(0)
            if ((utilities == best) | (pairs.outcomes == 0)).all():
                found.append(np.array(direction, float))
    return found


@pytest.mark.parametrize("seed", range(12))
def test_open_leads_are_those_of_directions_along_which_the_likelihood_never_falls(
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    matches = [("a", "b", 0), ("a", "b", 1), ("b", "c", 1)]
    for _ in range(rng.integers(0, 3)):
        first, second = rng.choice(list("abc"), 2, replace=False)
        matches.append((str(first), str(second), int(rng.integers(-1, 2))))
    n, pairs = pairs_of(*matches, among="abc")
    directions = recession_directions(pairs, n)
    expected = [[any(d[i] - d[j] > 0 for d in directions) for j in range(n)] for i in range(n)]
    assert unbounded_leads(n, pairs, has_draw_strength=True).tolist() == expected
