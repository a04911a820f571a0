"""Counts of matches: what is counted, from every form they come in, and what is refused."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.games.matches import play_matches
from lmgym.leaderboards.pairwise.match_counts import MatchCounts

from ..conftest import names


def columns(n: int = 7, n_matches: int = 500, seed: int = 0) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    first = rng.integers(n, size=n_matches)
    second = (first + rng.integers(1, n, size=n_matches)) % n
    return first, second, rng.integers(-1, 2, size=n_matches)


def test_counts_are_those_of_a_loop() -> None:
    rows = columns()
    expected = Counter(zip(*(column.tolist() for column in rows), strict=True))
    counts = MatchCounts.from_codes(*rows, names(7))
    for a, b, result in np.ndindex(7, 7, 3):
        assert counts.outcomes[a, b, result] == expected[a, b, result - 1]
    assert counts.n_matches == 500


@pytest.mark.parametrize("kinds", [("i2", "i2", "i1"), ("u1", "u2", "f4"), ("i8", "f8", "i8")])
def test_every_type_of_whole_numbers_counts_alike(kinds: tuple[str, str, str]) -> None:
    rows = columns()
    first, second, outcome = (x.astype(kind) for x, kind in zip(rows, kinds, strict=True))
    counts = MatchCounts.from_codes(first, second, outcome, names(7))
    assert (counts.outcomes == MatchCounts.from_codes(*rows, names(7)).outcomes).all()


def test_more_matches_than_a_block_are_all_counted() -> None:
    first, second, outcome = columns(3, 300_000)
    assert MatchCounts.from_codes(first, second, outcome, names(3)).n_matches == 300_000


def test_wins_and_draws_are_of_both_seats() -> None:
    counts = MatchCounts.from_codes([0, 1, 0, 1], [1, 0, 1, 0], [1, -1, 0, 0], ["a", "b"])
    assert counts.wins.tolist() == [[0, 2], [0, 0]]
    assert counts.draws.tolist() == [[0, 2], [2, 0]]


def test_pairs_hold_each_meeting_once() -> None:
    counts = MatchCounts.from_codes(*columns(), names(7))
    pairs = counts.pairs()
    assert (pairs.first < pairs.second).all()
    for i, j, won, drawn, lost in zip(pairs.first, pairs.second, *pairs.outcomes, strict=True):
        assert (won, drawn, lost) == (counts.wins[i, j], counts.draws[i, j], counts.wins[j, i])
    assert pairs.outcomes.sum() == 500


def test_tallies_add_up() -> None:
    tallies = MatchCounts.from_codes(*columns(), names(7)).tallies()
    assert sum(tally.matches for tally in tallies) == 2 * 500
    assert sum(tally.wins for tally in tallies) == sum(tally.losses for tally in tallies)
    assert all(t.score == (t.wins + t.draws / 2) / t.matches for t in tallies)


def test_a_player_without_a_match_has_no_score() -> None:
    counts = MatchCounts.from_matches([("a", "b", 1)], ["a", "b", "c"])
    assert counts.tallies()[2] == ("c", 0, 0, 0, 0, None)


def test_win_rates_of_a_pair_sum_to_one_and_are_unknown_without_a_match() -> None:
    rates = MatchCounts.from_matches([("a", "b", 1), ("a", "b", 0)], ["a", "b", "c"]).win_rates()
    assert rates[0].tolist()[:2] == [0.5, 0.75]
    assert rates[1, 0] == 0.25
    assert np.isnan([rates[0, 2], rates[2, 1]]).all()


def test_tables_and_matches_give_the_same_counts() -> None:
    counts = MatchCounts.from_codes(*columns(), names(7))
    again = MatchCounts.from_wins(counts.wins, counts.draws, names(7))
    assert (again.wins == counts.wins).all()
    assert (again.draws == counts.draws).all()


def test_records_count_as_their_returns_say() -> None:
    records = play_matches("lmgym/TicTacToe-v0", "best", "random", 20, seed=0)
    counts = MatchCounts.from_records(records)
    assert counts.names == ("best", "random")
    best = [record.returns[record.players.index("best")] for record in records]
    assert counts.tallies()[0][1:5] == (20, best.count(1), best.count(0), best.count(-1))


def test_no_matches_are_no_error() -> None:
    assert MatchCounts.from_codes([], [], [], ["a"]).n_matches == 0
    assert MatchCounts.from_matches([], ["a", "b"]).pairs().outcomes.shape == (3, 0)


@pytest.mark.parametrize(
    ("matches", "message"),
    [
        (([0, 2], [1, 2], [1, 1]), r"match 1: player 2 \('p2'\) meets itself"),
        (([0, 1], [1, 0], [1.0, np.nan]), "match 1: outcome nan; allowed are whole numbers from"),
        (([0, 1], [1, 0], [1, 2]), "match 1: outcome 2; allowed"),
        (([0, 1], [1, 0], [0.5, 0]), "match 0: outcome 0.5; allowed"),
        (
            ([0, 3], [1, 0], [1, 0]),
            "match 1: first player 3; allowed are whole numbers from 0 to 2",
        ),
        (([0, 1], [-1, 0], [1, 0]), "match 0: second player -1; allowed"),
        (([0, 1], [1], [1, 0]), "one entry a match; given shapes"),
        (([[0]], [[1]], [[1]]), "one entry a match; given shapes"),
        ((["a"], [1], [1]), "first player: must be whole numbers; given <U1"),
    ],
)
def test_what_is_no_match_is_refused_with_its_place(matches: Any, message: str) -> None:
    first, second, outcome = matches
    with pytest.raises(LmgymError, match=message):
        MatchCounts.from_codes(first, second, outcome, names(3))


def test_players_are_named_and_named_once() -> None:
    with pytest.raises(LmgymError, match="there are no players"):
        MatchCounts.from_codes([], [], [], [])
    with pytest.raises(LmgymError, match="'a' is named 2 times"):
        MatchCounts.from_matches([("a", "b", 1)], ["a", "b", "a"])
    with pytest.raises(LmgymError, match="unknown player 'c'; known: a, b"):
        MatchCounts.from_matches([("a", "c", 1)], ["a", "b"])


@pytest.mark.parametrize(
    ("wins", "draws", "message"),
    [
        ([[1, 0], [0, 0]], None, "player '0' meets itself"),
        ([[0, 0], [0, 0]], [[0, 0], [0, 1]], "player '1' meets itself"),
        ([[0, 1], [0, 0]], [[0, 2], [1, 0]], r"draws must be symmetric; \[0, 1\] and"),
        ([[0, -1], [0, 0]], None, r"wins\[0, 1\] is -1; counts are 0 or more"),
        ([[0, 0.5], [0, 0]], None, "wins must be whole numbers; given float64"),
        ([[0, 1]], None, r"wins must have shape \(1, 1\); given \(1, 2\)"),
    ],
)
def test_what_is_no_table_is_refused(wins: Any, draws: Any, message: str) -> None:
    with pytest.raises(LmgymError, match=message):
        MatchCounts.from_wins(wins, draws)
