"""Pairs of everybody."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmgym.leaderboards.tournaments.matchings import first_perfect_matching

Wishes = list[list[int]]


@st.composite
def graphs(draw: st.DrawFn) -> Wishes:
    """Up to ten who may be paired with some of the others, each in an order of its own."""
    n = 2 * draw(st.integers(1, 5))
    edges = draw(st.sets(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1))))
    others = [
        {b for a, b in edges | {(b, a) for a, b in edges} if a == one != b} for one in range(n)
    ]
    return [draw(st.permutations(sorted(each))) for each in others]


def first_by_search(wishes: Wishes, left: frozenset[int]) -> list[tuple[int, int]] | None:
    """The first matching in the order of the wishes, by trying all."""
    if not left:
        return []
    one = min(left)
    for other in wishes[one]:
        if other in left:
            rest = first_by_search(wishes, left - {one, other})
            if rest is not None:
                return [(one, other), *rest]
    return None


@settings(max_examples=60)
@given(graphs())
def test_everybody_gets_the_first_wish_that_leaves_the_others_pairs(wishes: Wishes) -> None:
    assert first_perfect_matching(wishes) == first_by_search(wishes, frozenset(range(len(wishes))))


@pytest.mark.parametrize("seed", range(20))
def test_pairs_are_found_in_large_sparse_graphs_where_there_are_some(seed: int) -> None:
    n, rng = 60, np.random.default_rng(seed)
    edges = {(int(a), int(b)) for a, b in rng.integers(n, size=(95, 2)) if a != b}
    edges |= {(place, (place + 7) % n) for place in range(n)}
    edges -= set(sorted(edges)[:: 4 + seed % 3])
    tutte = np.zeros((n, n))  # regular for almost all weights where there are pairs (Tutte 1947)
    for (a, b), weight in zip(sorted(edges), rng.uniform(1, 2, len(edges)), strict=True):
        tutte[a, b] += weight
        tutte[b, a] -= weight
    found = first_perfect_matching([np.flatnonzero(row).tolist() for row in tutte])
    assert (found is not None) == (np.linalg.matrix_rank(tutte) == n)
    if found is not None:
        assert sorted(place for pair in found for place in pair) == list(range(n))
        assert all(tutte[pair] for pair in found)
