"""What a tournament has played, in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lmgym.errors import LmgymError
from lmgym.games.records import read_records
from lmgym.leaderboards.tournaments.journal import (
    MATCHES_FILE,
    PLAN_FILE,
    Journal,
    read_journal,
)
from lmgym.leaderboards.tournaments.tournament import play_tournament

from .conftest import lines_of, plan_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a tournament that is over."""
    with Journal(tmp_path / "t", plan_of()) as journal:
        play_tournament(journal.plan, journal=journal)
    return tmp_path / "t"


def cut(folder: Path, n_bytes: int) -> None:
    """Leave so many bytes of the matches, as a kill in the middle of a write does."""
    file = folder / MATCHES_FILE
    file.write_bytes(file.read_bytes()[:n_bytes])


def test_the_files_are_the_plan_and_records_that_match_can_replay(folder: Path) -> None:
    assert sorted(file.name for file in folder.iterdir()) == [MATCHES_FILE, PLAN_FILE]
    assert json.loads((folder / PLAN_FILE).read_text()) == plan_of().as_dict()
    records = [record for _, record in read_records(folder / MATCHES_FILE)]
    assert lines_of(records) == lines_of(play_tournament(plan_of()))
    assert read_journal(folder) == (plan_of(), records)


@pytest.mark.parametrize("schedule", ["round-robin", "swiss", "active"])
def test_after_a_cut_anywhere_the_file_becomes_what_it_would_have_been(
    tmp_path: Path, schedule: str
) -> None:
    plan = plan_of(schedule=schedule)
    with Journal(tmp_path, plan) as journal:
        play_tournament(plan, journal=journal)
    whole = (tmp_path / MATCHES_FILE).read_bytes()
    for n_bytes in range(0, len(whole) + 1, 611):
        cut(tmp_path, n_bytes)
        with Journal(tmp_path, plan) as journal:
            assert len(journal.records) == whole[:n_bytes].count(b"\n")
            play_tournament(plan, journal=journal)
        assert (tmp_path / MATCHES_FILE).read_bytes() == whole


def test_what_is_whole_is_read_while_a_line_is_being_written(folder: Path) -> None:
    cut(folder, -5)
    plan, records = read_journal(folder)
    assert len(records) == plan.n_matches - 1
    (folder / MATCHES_FILE).unlink()
    assert read_journal(folder).records == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seed": 3}, "whose seed is 0; now it is 3. Give the same"),
        ({"games": 6, "seed": 3}, "whose games is 4; now it is 6, and 1 more"),
        ({"version": "9"}, f"whose version is '{plan_of().version}'; now it is '9'"),
        ({"players": plan_of().players[1:]}, "whose players is 'ann, bob, cy, dee, eve'"),
    ],
)
def test_another_plan_is_refused_by_the_field_that_differs(
    folder: Path, changes: dict[str, Any], told: str
) -> None:
    before = (folder / MATCHES_FILE).read_bytes()
    with pytest.raises(LmgymError, match=told):
        Journal(folder, plan_of(**changes))
    assert (folder / MATCHES_FILE).read_bytes() == before
    assert read_journal(folder).plan == plan_of()


def test_a_plan_without_matches_binds_nobody(folder: Path) -> None:
    cut(folder, 20)
    with Journal(folder, plan_of(seed=5)) as journal:
        play_tournament(journal.plan, journal=journal)
    assert read_journal(folder).plan.seed == 5


def test_one_process_at_a_time_plays(folder: Path) -> None:
    with (
        Journal(folder, plan_of()),
        pytest.raises(LmgymError, match="is being played by another process; see how far it is"),
    ):
        Journal(folder, plan_of())
    Journal(folder, plan_of()).close()


def test_matches_of_something_else_are_noticed(folder: Path) -> None:
    lines = (folder / MATCHES_FILE).read_text().splitlines(keepends=True)
    (folder / MATCHES_FILE).write_text("".join([lines[0], *lines[2:9]]))
    with (
        Journal(folder, plan_of()) as journal,
        pytest.raises(
            LmgymError, match=r"match 2 of the journal is deal .* start again in another"
        ),
    ):
        play_tournament(plan_of(), journal=journal)
    other = play_tournament(plan_of(seed=1))[0].as_line()
    (folder / MATCHES_FILE).write_text("".join([*lines, f"{other}\n"]))
    with (
        Journal(folder, plan_of()) as journal,
        pytest.raises(LmgymError, match="the journal has 41 matches, and the plan 40"),
    ):
        play_tournament(plan_of(), journal=journal)


def test_a_game_that_stands_there_twice_is_refused(folder: Path) -> None:
    lines = (folder / MATCHES_FILE).read_text().splitlines(keepends=True)
    (folder / MATCHES_FILE).write_text("".join([*lines, lines[3]]))
    with pytest.raises(LmgymError, match=r"line 41 of .* is line 4 once more"):
        read_journal(folder)


def test_what_is_no_journal_is_told(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LmgymError, match="file' is a file; a tournament is kept in a folder"):
        Journal(tmp_path / "file", plan_of())
    with pytest.raises(LmgymError, match=f"has no {PLAN_FILE}, so it is not the folder of a"):
        read_journal(tmp_path)
    with (folder / MATCHES_FILE).open("a") as matches:
        matches.write("{}\n")
    for act in (lambda: read_journal(folder), lambda: Journal(folder, plan_of())):
        with pytest.raises(LmgymError, match=r"line 41 of .*matches.jsonl': the record lacks"):
            act()
    (folder / PLAN_FILE).write_text("[")
    with pytest.raises(LmgymError, match=r"plan.json' is no plan of a tournament: it is no JSON"):
        read_journal(folder)
    (folder / PLAN_FILE).unlink()
    with pytest.raises(LmgymError, match=r"has matches, and no plan.json of them"):
        Journal(folder, plan_of())
