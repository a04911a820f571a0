"""Matches: seats, seeds, and what players do wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.games.deals import start_of
from lmgym.games.matches import Fixture, fixtures, play_match, play_matches
from lmgym.games.players import PlayerFailure
from lmgym.games.records import MatchRecord
from lmgym.games.replay import replay
from lmgym.games.run import Turn
from lmgym.games.standings import pairings, stand
from lmgym.games.worlds import find_game, game_ids

NIM, KUHN, BOARD, DEBATE = (
    f"lmgym/{name}-v0" for name in ("Nim", "KuhnPoker", "TicTacToe", "Debate")
)


class Does:
    """A player that does what a function returns, or raises."""

    def __init__(self, act: Callable[[Turn], Any]) -> None:
        self._act = act

    def act(self, turn: Turn, rng: np.random.Generator) -> Any:
        return self._act(turn)


def raises(error: BaseException) -> Does:
    def act(turn: Turn) -> Any:
        raise error

    return Does(act)


def first_legal(turn: Turn) -> int:
    return turn.game.legal(turn.state)[0]


# Seats


def test_every_deal_is_played_in_either_seating() -> None:
    records = play_matches(NIM, "best", "random", 6, seed=1)
    assert [r.sides for r in records] == [(0, 1), (1, 0)] * 3
    assert [r.players for r in records] == [("best", "random"), ("random", "best")] * 3
    deals = [r.deal for r in records]
    assert deals[::2] == deals[1::2]
    assert len(set(deals)) == 3
    assert len({r.seed for r in records}) == 6


def test_the_first_player_keeps_its_seat_where_seats_are_not_swapped() -> None:
    records = play_matches(NIM, "best", "random", 3, seed=1, swap_seats=False)
    assert {r.players for r in records} == {("best", "random")}
    assert len({r.deal for r in records}) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"n_games": 3}, "3 games: the number must be even"),
        ({"n_games": 0}, "0 games"),
        ({"seed": -1}, "seed=-1 is out of range"),
        ({"split": "all"}, "unknown split 'all'"),
    ],
)
def test_fixtures_that_do_not_exist_are_refused(words: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"n_games": 2, "seed": 0} | words
    with pytest.raises(LmgymError, match=said):
        play_matches(NIM, "random", "random", **given)


def test_deals_are_of_the_split() -> None:
    drawn = {split: {f.deal for f in fixtures(40, 0, split=split)} for split in ("test", "train")}
    assert not drawn["test"] & drawn["train"]


def test_equal_players_win_equally_often() -> None:
    total = stand(play_matches(NIM, "random", "random", 400, 0), np.random.default_rng(0)).total
    assert total.returns is not None
    assert total.returns.low < 0 < total.returns.high
    assert total.wins + total.losses == 400


def test_best_nim_beats_random_nim_in_either_seat() -> None:
    standing = stand(play_matches(NIM, "best", "random", 100, 0), np.random.default_rng(0))
    assert min(tally.wins for tally in standing.seats) >= 45
    assert standing.total.own_forfeits == standing.total.other_forfeits == 0


# Seeds


@pytest.mark.parametrize("env", game_ids())
def test_the_same_seed_gives_the_same_records(env: str) -> None:
    first, second = (
        [r.as_line() for r in play_matches(env, "random", "random", 4, 7)] for _ in "ab"
    )
    assert first == second
    assert first != [r.as_line() for r in play_matches(env, "random", "random", 4, 8)]


def test_records_do_not_depend_on_the_order_of_matches() -> None:
    planned = fixtures(12, 3)

    def played(order: list[Fixture]) -> dict[Fixture, MatchRecord]:
        return {f: play_match(KUHN, ["random"] * 2, f.deal, f.seed, sides=f.sides) for f in order}

    shuffled = planned.copy()
    random.Random(0).shuffle(shuffled)
    assert played(shuffled) == played(planned)
    assert list(played(planned).values()) == play_matches(KUHN, "random", "random", 12, 3)


def test_fewer_games_are_the_first_of_more() -> None:
    assert fixtures(10, 5)[:4] == fixtures(4, 5)


def test_a_players_draws_do_not_depend_on_how_often_the_other_draws() -> None:
    def greedy_drawer(n: int) -> Any:
        class Draws:
            def act(self, turn: Turn, rng: np.random.Generator) -> int:
                rng.random(n)
                return first_legal(turn)

        return Draws()

    few, many = (
        [m.said for m in play_match(BOARD, [greedy_drawer(n), "random"], 1, 1).moves]
        for n in (0, 9)
    )
    assert few == many


# What players do wrong


def test_a_player_that_raises_forfeits_and_the_record_says_why() -> None:
    record = play_match(KUHN, ["random", raises(KeyError("two\nlines"))], 1, 0)
    assert record.forfeit == (1, "error", "KeyError: 'two\\nlines'")
    assert record.returns == (2.0, -2.0)
    assert record.facts == {}
    assert replay(record).returns == (2.0, -2.0)


def test_of_an_error_the_first_line_is_kept() -> None:
    record = play_match(NIM, [raises(RuntimeError("first\nsecond" + "x" * 10**6)), "random"], 1, 0)
    assert record.forfeit is not None
    assert record.forfeit.reason == "RuntimeError: first"
    long = play_match(NIM, [raises(RuntimeError("x" * 10**6)), "random"], 1, 0)
    assert long.forfeit is not None
    assert len(long.forfeit.reason) == 300


def test_an_error_that_cannot_be_shown_is_told_all_the_same() -> None:
    class SpeechlessError(Exception):
        def __str__(self) -> str:
            raise ValueError

    record = play_match(NIM, [raises(SpeechlessError()), "random"], 1, 0)
    assert record.forfeit is not None
    assert record.forfeit.reason == "SpeechlessError: (it cannot be shown)"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_ends_it(error: type[BaseException]) -> None:
    with pytest.raises(error):
        play_match(NIM, [raises(error()), "random"], 1, 0)


def test_ones_own_agents_errors_can_be_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        play_match(NIM, [Does(lambda _: 1 // 0), "random"], 1, 0, raise_errors=True)
    with pytest.raises(LmgymError, match="returned None, which is no move"):
        play_match(NIM, [Does(lambda _: None), "random"], 1, 0, raise_errors=True)


@pytest.mark.parametrize("cause", ["time", "protocol", "crash"])
@pytest.mark.parametrize("raise_errors", [False, True])
def test_a_program_that_fails_forfeits_and_is_no_error_of_ours(
    cause: Any, raise_errors: bool
) -> None:
    player = raises(PlayerFailure(cause, "it did not answer in time"))
    record = play_match(NIM, ["random", player], 1, 0, raise_errors=raise_errors)
    assert record.forfeit == (1, cause, "it did not answer in time")
    assert record.returns == (1.0, -1.0)
    assert MatchRecord.from_line(record.as_line()) == record
    assert replay(record).returns == (1.0, -1.0)


def test_of_a_failure_the_last_words_are_kept() -> None:
    record = play_match(NIM, [raises(PlayerFailure("crash", "x" * 10**6)), "random"], 1, 0)
    assert record.forfeit is not None
    assert len(record.forfeit.reason) == 5000


def test_a_failure_has_a_known_cause() -> None:
    cause: Any = "boredom"
    with pytest.raises(LmgymError, match="unknown cause 'boredom'; known: "):
        PlayerFailure(cause, "")


NO_MOVES: dict[str, Any] = {
    "None": None,
    "float": 1.0,
    "nan": float("nan"),
    "bool": True,
    "list": [0],
    "bytes": b"take 1 from heap 1",
    "object": object(),
    "array": np.array([0]),
    "2_to_the_20000": 2**20000,
    "megabytes": "x" * (2**20 + 1),
}


@pytest.mark.parametrize("name", NO_MOVES)
def test_what_is_no_move_forfeits_at_once(name: str) -> None:
    record = play_match(NIM, ["random", Does(lambda _: NO_MOVES[name])], 1, 0)
    assert record.forfeit is not None
    assert record.forfeit[:2] == (1, "no move")
    assert "which is no move" in record.forfeit.reason
    assert len(record.as_line()) < 1000
    assert MatchRecord.from_line(record.as_line()) == record
    assert replay(record).returns == (1.0, -1.0)


@pytest.mark.parametrize(
    "said", [-1, 10**9, np.int64(77), "pass", "", "y" * 5000, "\ud800", "\x00"]
)
def test_what_is_not_allowed_may_be_tried_once_more(said: Any) -> None:
    record = play_match(NIM, [Does(lambda _: said), "random"], 1, 0)
    assert record.forfeit is not None
    assert record.forfeit[:2] == (0, "illegal")
    assert [move.player for move in record.moves] == [0, 0]
    assert record.forfeit.reason == record.moves[1].complaint
    read = MatchRecord.from_line(record.as_line())
    assert read == record
    replay(read)

    other = play_match(
        NIM, [Does(lambda t: first_legal(t) if t.complaint else said), "random"], 1, 0
    )
    assert other.forfeit is None


def test_a_long_message_is_cut_in_the_record_and_its_length_kept() -> None:
    record = play_match(NIM, [Does(lambda _: "take 1 from heap 1" + " " * 5000), "random"], 1, 0)
    assert [len(str(move.said)) for move in record.moves] == [1024, 1024]
    assert [move.length for move in record.moves] == [5018, 5018]


def test_numbers_of_numpy_are_moves() -> None:
    record = play_match(NIM, [Does(lambda t: np.int64(first_legal(t))), "random"], 1, 0)
    assert record.forfeit is None
    assert type(record.moves[0].said) is int


def test_what_the_game_or_its_judge_raises_is_no_forfeit() -> None:
    class Broken:
        def accepts(self, hearing: Any) -> bool:
            raise ArithmeticError("the judge is broken")

    world = find_game(DEBATE, {"judge": Broken()})
    with pytest.raises(ArithmeticError, match="the judge is broken"):
        play_match(world, ["random", "random"], 1, 0)


@pytest.mark.parametrize(
    ("env", "players", "said"),
    [
        (KUHN, ["best", "random"], "kuhn_poker knows no best moves"),
        (NIM, ["rando", "random"], "unknown player 'rando'"),
        (NIM, ["random"], "nim has 2 players; 1 were given"),
        ("lmgym/Math-v0", ["random", "random"], "no game for several players; games are lmgym/De"),
        (NIM, [object(), "random"], "has no act"),
    ],
)
def test_mistakes_are_told_before_the_game(env: str, players: list[Any], said: str) -> None:
    with pytest.raises(LmgymError, match=said):
        play_match(env, players, 1, 0)


# Standings


def test_forfeits_are_counted_apart() -> None:
    class Fails:
        """Forfeits every second deal."""

        name = "fails"

        def act(self, turn: Turn, rng: np.random.Generator) -> int:
            return -1 if sum(turn.state.sizes) % 2 else first_legal(turn)

    records = play_matches(NIM, Fails(), "random", 60, seed=0)
    standing = stand(records, np.random.default_rng(0))
    n_forfeits = sum(r.forfeit is not None for r in records)
    assert 0 < n_forfeits < 60
    assert standing.names == ("fails", "random")
    assert standing.total.own_forfeits == n_forfeits
    assert standing.total.other_forfeits == standing.finished.own_forfeits == 0
    assert standing.finished.n_games == 60 - n_forfeits
    assert standing.finished.wins == standing.total.wins
    assert standing.finished.losses == standing.total.losses - n_forfeits


def test_intervals_are_over_deals() -> None:
    """Two games of a deal that always cancel out leave no doubt about the mean."""

    class First:
        def act(self, turn: Turn, rng: np.random.Generator) -> int:
            return first_legal(turn)

    records = play_matches(NIM, First(), First(), 40, seed=0)
    returns = stand(records, np.random.default_rng(0)).total.returns
    assert returns is not None
    assert (returns.mean, returns.low, returns.high) == (0, 0, 0)


def test_the_judge_is_right_as_often_as_the_records_say() -> None:
    records = play_matches(DEBATE, "random", "random", 60, seed=0)
    accuracy = stand(records, np.random.default_rng(0)).judge_accuracy
    assert accuracy is not None
    assert accuracy.mean == pytest.approx(np.mean([r.facts["judge_correct"] for r in records]))
    assert 0 <= accuracy.low < accuracy.mean < accuracy.high <= 1
    assert (
        stand(play_matches(NIM, "random", "random", 4, 0), np.random.default_rng(0)).judge_accuracy
        is None
    )


def test_pairs_of_players_and_games_are_told_apart() -> None:
    one = play_matches(NIM, "best", "random", 4, 0)
    other = play_matches(find_game(NIM, {"heaps": 2}), "best", "random", 2, 0)
    assert [len(group) for group in pairings([*one, *other])] == [4, 2]
    with pytest.raises(LmgymError, match="6 records of 2 pairs"):
        stand([*one, *other], np.random.default_rng(0))


def test_deals_start_where_their_numbers_say() -> None:
    record = play_matches(NIM, "random", "random", 2, 0)[0]
    game = find_game(NIM).game
    states: list[Any] = []

    def remember(turn: Turn) -> int:
        states.append(turn.state)
        return first_legal(turn)

    play_match(NIM, [Does(remember), "random"], record.deal, 0)
    assert states[0] == start_of(game, record.deal)
