from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.games.matches import play_match
from lmgym.games.players import BestPlayer, Player, RandomPlayer
from lmgym.games.records import Forfeit, MatchRecord
from lmgym.games.replay import unanswered
from lmgym.games.run import Turn
from lmgym.games.text_players import TextPlayer
from lmgym.games.worlds import GameWorld, find_game
from lmgym.leaderboards.asked_again import plays_so, points_of

NIM = "lmgym/Nim-v0"


class Failing:
    """Moves well, and fails where fewer than so many matches are left."""

    def __init__(self, below: int, fail: Callable[[], object]) -> None:
        self._below, self._fail = below, fail

    def act(self, turn: Turn, rng: np.random.Generator) -> int:
        if sum(turn.state.sizes) < self._below:
            return self._fail()  # type: ignore[return-value]
        return BestPlayer().act(turn, rng)


def raises() -> object:
    raise LmgymError("the page does not fit")


def returns_none() -> object:
    return None


def raises_otherwise() -> object:
    raise ZeroDivisionError


@pytest.fixture
def world() -> GameWorld:
    return find_game(NIM, {})


def played(player: Player) -> MatchRecord:
    return play_match(NIM, [player, "random"], deal=3, seed=0)


@pytest.mark.parametrize(
    ("fail", "cause"), [(raises, "error"), (raises_otherwise, "error"), (returns_none, "no move")]
)
@pytest.mark.parametrize("below", [5, 1000])
def test_who_failed_fails_again(
    world: GameWorld, fail: Callable[[], object], cause: str, below: int
) -> None:
    player = Failing(below, fail)
    record = played(player)
    assert record.forfeit is not None
    assert (record.forfeit.seat, record.forfeit.cause) == (0, cause)
    assert plays_so(record, 0, player, world)
    assert plays_so(record, 1, RandomPlayer(), world)
    assert not plays_so(record, 0, BestPlayer(), world)


def test_who_failed_fails_for_the_same_cause(world: GameWorld) -> None:
    record = played(Failing(5, raises))
    assert not plays_so(record, 0, Failing(5, returns_none), world)


def test_messages_that_are_not_allowed_are_asked_for_again(world: GameWorld) -> None:
    record = played(TextPlayer(lambda _: "I pass."))
    assert record.forfeit is not None
    assert record.forfeit.cause == "illegal"
    assert plays_so(record, 0, TextPlayer(lambda _: "I pass."), world)
    once = iter(["I pass.", "I take 1 from heap 1."])
    assert not plays_so(record, 0, TextPlayer(lambda _: next(once)), world)


def test_of_a_message_that_was_cut_its_length_is_compared(world: GameWorld) -> None:
    record = played(TextPlayer(lambda _: "x" * 5000))
    assert record.moves[0].length == 5000
    assert plays_so(record, 0, TextPlayer(lambda _: "x" * 5000), world)
    assert not plays_so(record, 0, TextPlayer(lambda _: "x" * 5001), world)
    assert not plays_so(record, 0, TextPlayer(lambda _: "y" * 5000), world)


def test_a_record_of_no_game_is_nobodys(world: GameWorld) -> None:
    record = replace(played(BestPlayer()), moves=())
    assert not plays_so(record, 0, BestPlayer(), world)


def test_the_turn_without_an_answer_is_the_one_of_whom_forfeited(world: GameWorld) -> None:
    record = played(Failing(1000, raises))
    turn = unanswered(record, world)
    assert turn is not None
    assert turn.seat == 0
    assert unanswered(played(BestPlayer()), world) is None
    with pytest.raises(LmgymError, match="the seat that forfeits"):
        unanswered(replace(record, forfeit=Forfeit(1, "error", "")), world)


def test_a_draw_is_half_a_point(world: GameWorld) -> None:
    won = played(BestPlayer())
    drawn = replace(won, returns=(0.0, 0.0))
    assert won.returns == (1.0, -1.0)
    assert points_of([won, drawn], 0) == 0.75
    assert points_of([won, drawn], 1) == 0.25
    assert points_of([replace(won, sides=(1, 0))], 0) == 0.0
