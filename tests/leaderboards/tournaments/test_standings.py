"""What came of matches."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from rich.console import Console

from lmgym.errors import LmgymError
from lmgym.games.records import Forfeit, MatchRecord
from lmgym.leaderboards.metagame.alpha_rank import alpha_rank
from lmgym.leaderboards.metagame.nash import nash_averaging
from lmgym.leaderboards.pairwise.elo import elo_ratings
from lmgym.leaderboards.pairwise.match_counts import MatchCounts
from lmgym.leaderboards.ratings import rate
from lmgym.leaderboards.tournaments.standings import standings_of
from lmgym.leaderboards.tournaments.tables import print_standing
from lmgym.leaderboards.tournaments.tournament import play_tournament
from lmgym.training.uncertainty import mean_interval

from .conftest import KUHN, NIM, plan_of


def game(first: str, second: str, won: float, forfeit: Forfeit | None = None) -> MatchRecord:
    """A game in which the first seat wins so much."""
    return MatchRecord(NIM, {}, 0, 0, (first, second), (0, 1), (), (won, -won), {}, forfeit)


def games(*results: tuple[str, str, float]) -> list[MatchRecord]:
    return [game(*result) for result in results]


CYCLE = games(
    *[("ann", "bob", 1)] * 3, ("bob", "ann", 1), *[("bob", "cy", 1)] * 3, ("cy", "bob", 1),
    *[("cy", "ann", 1)] * 3, ("ann", "cy", 1), ("cy", "ann", 0),
)  # fmt: skip


def test_who_wins_most_games_need_not_win_most() -> None:
    standing = standings_of(games(*[("ann", "bob", 1.0)] * 3, ("bob", "ann", 6.0)))
    ann, bob = standing.rows
    assert (ann.name, ann.wins, ann.mean_return, bob.mean_return) == ("ann", 3, -0.75, 0.75)
    told = mean_interval([1.0, 1.0, 1.0, -6.0])
    assert (ann.return_low, ann.return_high) == (told.low, told.high)
    assert standing.has_stakes


def test_returns_are_told_where_they_are_more_than_points(
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = games(("ann", "bob", 1), ("ann", "bob", 0), ("bob", "ann", 1))
    console = Console(width=100)
    for more, told in (([], False), (games(("cy", "ann", 2.0)), True)):
        standing = standings_of([*results, *more])
        assert standing.has_stakes is told
        print_standing(standing, "", console)
        assert (" return " in capsys.readouterr().out) is told
    (cy,) = [row for row in standing.rows if row.name == "cy"]
    assert (cy.mean_return, cy.return_low, cy.return_high) == (2.0, None, None)


def test_columns_are_what_ratings_and_the_meta_game_say() -> None:
    records = play_tournament(
        plan_of(
            env=KUHN, players=[p._replace(player="random") for p in plan_of().players], games=20
        )
    )
    standing = standings_of(records)
    counts = MatchCounts.from_records(records)
    ratings = {row.name: row for row in rate(counts).rows()}
    outcomes = [(r.returns[0] > r.returns[1]) - (r.returns[0] < r.returns[1]) for r in records]
    seats = [[counts.names.index(r.players[seat]) for r in records] for seat in (0, 1)]
    elo = elo_ratings(seats[0], seats[1], outcomes, counts.names)
    shares = alpha_rank(counts.win_rates()), nash_averaging(counts.win_rates()).shares
    assert standing.n_matches == len(records)
    assert [row.rating for row in standing.rows] == sorted(
        (r.rating for r in ratings.values()), key=lambda x: -(x or 0)
    )
    for row in standing.rows:
        rated, place = ratings[row.name], counts.names.index(row.name)
        assert (row.rating, row.low, row.high, row.rank_low, row.rank_high, row.component) == (
            rated.rating, rated.low, rated.high, rated.best_rank, rated.worst_rank, 0,
        )  # fmt: skip
        assert (row.elo, row.alpha_rank, row.nash) == (
            elo[place],
            shares[0][place],
            shares[1][place],
        )
        assert row.games == row.wins + row.draws + row.losses == 80
        assert row.rating_without_forfeits == row.rating
        points = (row.wins + row.draws / 2) / 80
        assert row.first_seat_rate is not None
        assert row.second_seat_rate is not None
        assert (row.first_seat_rate + row.second_seat_rate) / 2 == pytest.approx(points)
    assert standing.without_forfeits == ()
    assert not standing.causes


def test_seats_and_points_are_counted_from_the_right_side() -> None:
    standing = standings_of(
        [game("a", "b", 1), game("a", "b", 0), game("b", "a", 1), game("a", "b", 2)]
    )
    a, b = standing.rows
    assert (a.name, a.wins, a.draws, a.losses) == ("a", 2, 1, 1)
    assert [a.first_seat_rate, a.second_seat_rate] == pytest.approx([5 / 6, 0])
    assert [b.first_seat_rate, b.second_seat_rate] == pytest.approx([1, 1 / 6])
    assert standing.points == ((None, 0.625), (0.375, None))
    assert standing.games == ((0, 4), (4, 0))


def test_forfeits_are_counted_by_cause_and_left_out_apart() -> None:
    lost = [
        game("ann", "bob", -1, Forfeit(0, cause, "")) for cause in ("illegal", "error", "error")
    ]
    standing = standings_of([*CYCLE, *lost])
    row = {row.name: row for row in standing.rows}["ann"]
    assert (row.forfeits, row.causes) == (3, {"error": 2, "illegal": 1})
    assert standing.causes == {"error": 2, "illegal": 1}
    assert [row.forfeits for row in standing.rows if row.name != "ann"] == [0, 0]
    alone = {row.name: row for row in standings_of(CYCLE).rows}
    assert row.rating_without_forfeits == alone["ann"].rating
    assert {row.name: row for row in standing.without_forfeits} == alone


def test_who_only_forfeited_has_no_rating_without_forfeits() -> None:
    standing = standings_of([*CYCLE, game("dee", "ann", -1, Forfeit(0, "no move", ""))])
    row = standing.rows[-1]
    assert (row.name, row.rating_without_forfeits) == ("dee", None)
    assert row.rating is not None
    assert standing.without_forfeits[-1].games == 0


def test_only_forfeits_are_a_standing_too() -> None:
    standing = standings_of([game("a", "b", -1, Forfeit(0, "error", ""))])
    assert [row.rating_without_forfeits for row in standing.rows] == [None, None]
    assert [row.games for row in standing.without_forfeits] == [0, 0]


def test_the_meta_game_needs_everybody_to_have_met_everybody() -> None:
    standing = standings_of(CYCLE)
    assert [row.nash for row in standing.rows] == pytest.approx([1 / 3] * 3, abs=0.2)
    assert sum(row.alpha_rank or 0 for row in standing.rows) == pytest.approx(1)
    standing = standings_of([*CYCLE, game("ann", "dee", 1)])
    assert {(row.nash, row.alpha_rank) for row in standing.rows} == {(None, None)}


def test_those_whom_no_matches_join_are_components() -> None:
    standing = standings_of(
        [*CYCLE, *games(("x", "y", 1), ("y", "x", 1))], [*"xy", "ann", "bob", "cy", "zoe"]
    )
    assert [row.component for row in standing.rows] == [0, 0, 0, 1, 1, 2]
    zoe = standing.rows[-1]
    assert (zoe.name, zoe.rating, zoe.rank_low, zoe.games, zoe.first_seat_rate) == (
        "zoe",
        None,
        None,
        0,
        None,
    )


def test_before_the_first_match_there_are_names() -> None:
    standing = standings_of([], ["ann", "bob"])
    assert [(row.name, row.rating, row.games) for row in standing.rows] == [
        ("ann", None, 0),
        ("bob", None, 0),
    ]


def test_a_standing_is_json() -> None:
    standing = standings_of(iter([*CYCLE, game("dee", "ann", -1, Forfeit(0, "no move", ""))]))
    told = json.loads(json.dumps(standing.as_dict(), allow_nan=False))
    assert (
        [row["name"] for row in told["rows"]] == told["matrix"]["entries"] == list(standing.names)
    )
    assert told["n_matches"] == 14


@pytest.mark.parametrize(
    ("records", "names", "told"),
    [
        ([], None, "there are no matches and no players"),
        (CYCLE, ["ann", "bob"], "unknown player 'cy'; known: "),
        (games(("a", "a", 1)), None, "meets itself"),
        (
            [MatchRecord(NIM, {}, 0, 0, ("a",), (0,), (), (1.0,))],
            None,
            "a match of 1 players is not",
        ),
    ],
)
def test_what_has_no_standing_is_told(
    records: list[MatchRecord], names: Sequence[str] | None, told: str
) -> None:
    with pytest.raises(LmgymError, match=told):
        standings_of(records, names)
