"""Matches of a tournament by their specs, and the players that play them."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.games.matches import Fixture
from lmgym.games.players import BestPlayer, Player
from lmgym.games.run import Turn
from lmgym.leaderboards.tournaments import lineup as lineup_module
from lmgym.leaderboards.tournaments.lineup import Lineup, MatchSpec, PlayerFactory, pair_fixtures

from .conftest import NIM

CALLS: Counter[str] = Counter()


class Counted(BestPlayer):
    """Tells when it is closed."""

    def close(self) -> None:
        CALLS["close"] += 1


@dataclass(frozen=True)
class Factory:
    """Makes counted players, so many times."""

    most: int = 1_000

    def make(self) -> Player:
        CALLS["make"] += 1
        if CALLS["make"] > self.most:
            raise OSError("no more players")
        return Counted()


@pytest.fixture(autouse=True)
def _forget() -> None:
    CALLS.clear()


def spec_of(*players: str, deal: int = 3) -> MatchSpec:
    return MatchSpec((players[0], players[1]), Fixture(deal, 0, (0, 1)))


def test_a_match_does_not_depend_on_what_else_is_played() -> None:
    found = pair_fixtures(1, ("a", "b"), 0, 20, "test")
    assert pair_fixtures(1, ("a", "b"), 10, 10, "test") == found[10:]
    for other in ((2, ("a", "b")), (1, ("a", "c"))):
        assert not {f.seed for f in pair_fixtures(*other, 0, 20, "test")} & {f.seed for f in found}


def test_each_deal_is_played_in_either_seating() -> None:
    found = pair_fixtures(1, ("a", "b"), 0, 20, "test")
    assert [fixture.sides for fixture in found] == [(0, 1), (1, 0)] * 10
    assert [fixture.deal for fixture in found[::2]] == [fixture.deal for fixture in found[1::2]]
    assert len({fixture.deal for fixture in found}) == 10
    assert len({fixture.seed for fixture in found}) == 20


def test_players_are_made_once_and_closed() -> None:
    assert isinstance(Factory(), PlayerFactory)
    lineup = Lineup(NIM, {}, {"a": Factory(), "b": "random"})
    for deal in range(5):
        lineup(spec_of("a", "b", deal=deal))
    assert CALLS == {"make": 1}
    lineup.close()
    lineup.close()
    assert CALLS == {"make": 1, "close": 1}


def test_players_given_as_objects_are_left_open() -> None:
    lineup = Lineup(NIM, {}, {"a": Counted(), "b": "random"})
    lineup.check()
    lineup(spec_of("a", "b"))
    lineup.close()
    assert not CALLS


def test_torch_computes_in_one_thread_while_it_plays() -> None:
    import torch

    threads = []

    class Watching(BestPlayer):
        def act(self, turn: Turn, rng: np.random.Generator) -> int:
            threads.append(torch.get_num_threads())
            return super().act(turn, rng)

    torch.set_num_threads(2)
    lineup = Lineup(NIM, {}, {"a": Watching(), "b": "random"})
    lineup(spec_of("a", "b"))
    lineup.close()
    assert set(threads) == {1}
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


def test_a_copy_that_was_sent_finds_the_players_that_are_there() -> None:
    lineup = Lineup(NIM, {}, {"a": "best", "b": "random"})
    sent = pickle.dumps(lineup)
    record = lineup(spec_of("a", "b"))
    casts = dict(lineup_module._CASTS)
    again = pickle.loads(sent)  # noqa: S301 - it was made here
    assert again(spec_of("a", "b")) == record
    assert casts == lineup_module._CASTS
    lineup.close()


def test_another_lineup_closes_the_players_of_the_one_before() -> None:
    first, second = (Lineup(NIM, {}, {"a": Factory(), "b": "random"}) for _ in range(2))
    first(spec_of("a", "b"))
    second(spec_of("a", "b"))
    assert CALLS == {"make": 2, "close": 1}
    second.close()


def test_of_many_players_those_used_least_lately_make_room() -> None:
    names = [f"p{number}" for number in range(20)]
    lineup = Lineup(NIM, {}, dict.fromkeys(names, Factory()))
    for name in names[1:]:
        lineup(spec_of(names[0], name))
    assert CALLS == {"make": 20, "close": 4}
    lineup(spec_of(names[0], names[-1]))
    assert CALLS["make"] == 20
    lineup.close()
    assert CALLS["close"] == 20


def test_a_player_that_cannot_be_made_any_more_forfeits() -> None:
    lineup = Lineup(NIM, {}, {"a": Factory(most=1), "b": "random"})
    lineup.check()
    record = lineup(spec_of("a", "b"))
    assert record.forfeit == (0, "error", "OSError: no more players")
    lineup.close()


@pytest.mark.parametrize(
    ("env", "player", "told"),
    [
        (NIM, "bset", "player 'x' cannot play: unknown player 'bset'; known: best"),
        ("lmgym/Debate-v0", "policy:nowhere", "player 'x' cannot play: "),
        (NIM, Factory(most=0), "player 'x' cannot play: OSError: no more players"),
        (NIM, 3, "player 'x' cannot play: 3 has no act"),
        ("lmgym/KuhnPoker-v0", "mcts:10", "player 'x' cannot play: .* hide"),
    ],
)
def test_who_cannot_play_is_refused_by_name(env: str, player: Any, told: str) -> None:
    with pytest.raises(LmgymError, match=told):
        Lineup(env, {}, {"a": "random", "x": player}).check()


def test_objects_are_checked_too() -> None:
    class Picky:
        def check(self, game: Any) -> None:
            raise LmgymError(f"not {game.name}")

        def act(self, turn: Turn, rng: np.random.Generator) -> int:
            raise NotImplementedError

    with pytest.raises(LmgymError, match="player 'x' cannot play: not nim"):
        Lineup(NIM, {}, {"a": "random", "x": Picky()}).check()
