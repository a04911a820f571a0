"""Tournaments from a plan to their records."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.games.replay import replay
from lmgym.games.run import Turn
from lmgym.leaderboards.tournaments.journal import PLAN_FILE, Journal
from lmgym.leaderboards.tournaments.plan import PlannedPlayer
from lmgym.leaderboards.tournaments.tournament import Progress, play_tournament

from .conftest import lines_of, plan_of


class Breaks:
    """Raises, whatever it is asked."""

    def act(self, turn: Turn, rng: np.random.Generator) -> int:
        raise RuntimeError("broken")


class Babbles:
    """Says what no game knows."""

    def act(self, turn: Turn, rng: np.random.Generator) -> str:
        return "good day"


def test_all_pairs_play_all_their_games_in_both_seats() -> None:
    records = play_tournament(plan_of())
    assert len(records) == plan_of().n_matches == 40
    assert set(Counter(record.players for record in records).values()) == {2}
    assert len({record.players for record in records}) == 20
    for record in records:
        replay(record)


def test_a_pair_plays_the_same_games_whoever_else_is_there() -> None:
    few = plan_of(players=plan_of().players[:2])
    everybody = play_tournament(plan_of())
    pair = [record for record in everybody if set(record.players) == set(few.names)]
    assert lines_of(play_tournament(few)) == lines_of(pair)


def test_pairs_that_meet_again_play_other_games() -> None:
    plan = plan_of(players=plan_of().players[:2], schedule="swiss", rounds=3)
    records = play_tournament(plan)
    assert len(records) == 12
    assert len({(r.deal, r.seed) for r in records}) == 12


def test_another_seed_gives_other_games() -> None:
    deals = [{record.deal for record in play_tournament(plan_of(seed=seed))} for seed in (0, 1)]
    assert not deals[0] & deals[1]


def test_broken_players_lose_their_games_and_the_others_play_on() -> None:
    players: dict[str, Any] = dict.fromkeys(plan_of().names, "random")
    players |= {"bob": Breaks(), "cy": Babbles()}
    records = play_tournament(plan_of(), players)
    assert len(records) == 40
    causes = Counter((r.players[r.forfeit.seat], r.forfeit.cause) for r in records if r.forfeit)
    assert {name for name, _ in causes} == {"bob", "cy"}
    assert {cause for _, cause in causes} == {"error", "illegal"}


def test_who_cannot_play_is_refused_before_the_first_match(tmp_path: Path) -> None:
    players = [PlannedPlayer("ann", "random"), PlannedPlayer("bob", "bset")]
    plan = plan_of(players=players)
    with (
        Journal(tmp_path, plan) as journal,
        pytest.raises(LmgymError, match="player 'bob' cannot play: unknown player 'bset'"),
    ):
        play_tournament(plan, journal=journal)
    assert not (tmp_path / PLAN_FILE).exists()


def test_players_have_to_be_those_of_the_plan() -> None:
    with pytest.raises(LmgymError, match="players 'ann' were given, and the plan's are 'ann, bob"):
        play_tournament(plan_of(), {"ann": "random"})


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[Progress] = []
    plan = plan_of()
    with Journal(tmp_path, plan) as journal:
        records = play_tournament(plan, journal=journal, on_progress=told.append)
    assert [progress[:2] for progress in told] == [(done, 40) for done in range(1, 41)]
    assert [progress.record for progress in told] == records
    told.clear()
    with Journal(tmp_path, plan) as journal:
        play_tournament(plan, dict.fromkeys(plan.names, "gone"), journal, None, told.append)
    assert told == [(40, 40, records[-1])]  # nothing is left that players would be needed for
