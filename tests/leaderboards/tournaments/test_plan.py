"""Plans of tournaments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lmgym.errors import LmgymError
from lmgym.leaderboards.tournaments.agents import digest_of, planned_players, split_label
from lmgym.leaderboards.tournaments.plan import PlannedPlayer, TournamentPlan

from .conftest import plan_of


def test_a_plan_goes_through_json() -> None:
    plan = plan_of(schedule="swiss", rounds=3, args={"heaps": 2}, seed=7)
    again = TournamentPlan.from_dict(json.loads(json.dumps(plan.as_dict())))
    assert again == plan
    assert not list(plan.differences(again))


def test_the_order_of_the_players_does_not_matter() -> None:
    plan = plan_of()
    assert plan_of(players=plan.players[::-1]) == plan


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seed": 1}, ("seed", 0, 1)),
        ({"games": 6}, ("games", 4, 6)),
        ({"args": {"heaps": 2}}, ("args", "", "heaps")),
        ({"schedule": "swiss"}, ("schedule", "round-robin", "swiss")),
        ({"version": "9"}, ("version", plan_of().version, "9")),
    ],
)
def test_what_differs_is_told(changes: dict[str, Any], told: tuple[Any, ...]) -> None:
    assert list(plan_of().differences(plan_of(**changes))) == [told]


def test_a_player_that_is_another_one_now_is_told() -> None:
    first, *rest = plan_of().players
    changed = plan_of(players=[first._replace(digest="00"), *rest])
    ((name, before, now),) = plan_of().differences(changed)
    assert (name, before["digest"], now["digest"]) == ("players.ann", "", "00")
    ((name, before, now),) = plan_of().differences(plan_of(players=rest))
    assert (name, before, now) == ("players", "ann, bob, cy, dee, eve", "bob, cy, dee, eve")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"players": []}, "a tournament needs two players or more; none are given"),
        ({"players": [PlannedPlayer("a", "random")]}, "two players or more; 1 given"),
        ({"players": [PlannedPlayer("a", "random")] * 2}, "two players are called 'a'; give them"),
        (
            {"players": [PlannedPlayer("a" * 201, "random"), PlannedPlayer("b", "random")]},
            "name has 201 characters; 1 to 200",
        ),
        ({"games": 3}, "3 games a pair: the number must be even"),
        ({"games": 0}, "0 games a pair"),
        ({"seed": -1}, "seed=-1 is out of range"),
        ({"split": "tests"}, "unknown split 'tests'; known: test"),
        ({"rounds": 2}, "rounds=2: in a round robin"),
    ],
)
def test_what_is_no_plan_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(LmgymError, match=told):
        plan_of(**changes)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda row: row.pop("seed"), "the plan lacks 'seed'"),
        (lambda row: row.update(extra=1), "the plan has 'extra', which is unknown"),
        (lambda row: row.update(games="4"), "'games': it is '4'; a whole number"),
        (lambda row: row.update(rounds="4"), "rounds='4'"),
        (lambda row: row.update(schema=2), "the plan has schema 2, and this version reads 1"),
        (lambda row: row["players"].update(ann=3), "the player 'ann' is 3; it must be an object"),
    ],
)
def test_files_that_are_no_plan_are_refused(change: Any, told: str) -> None:
    row = plan_of().as_dict()
    change(row)
    with pytest.raises(LmgymError, match=told):
        TournamentPlan.from_dict(row)


# Players on a command line


@pytest.mark.parametrize("word", ["=random", "a="])
def test_half_a_label_is_refused(word: str) -> None:
    with pytest.raises(LmgymError, match="is no player; write NAME=PLAYER"):
        split_label(word)


def test_a_home_folder_is_in_no_plan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    planned, players = planned_players([f"policy:{tmp_path}/run", "random"])
    assert players == {"policy:~/run": f"policy:{tmp_path}/run", "random": "random"}
    assert plan_of(players=planned).names == ("policy:~/run", "random")


def test_the_digest_follows_the_files_that_a_player_is_read_from(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("a")
    (tmp_path / "weights.safetensors").write_text("a")
    before = digest_of(f"policy:{tmp_path}")
    assert len(before) == 64
    (tmp_path / "log.txt").write_text("b")
    assert digest_of(f"policy:{tmp_path}") == before
    (tmp_path / "weights.safetensors").write_text("b")
    changed = digest_of(f"policy:{tmp_path}")
    assert changed != before
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "weights.safetensors").write_text("b")
    (tmp_path / "weights.safetensors").write_text("c")
    assert digest_of(f"policy:{tmp_path}") == changed
    assert digest_of("random") == digest_of("mcts:50") == ""
