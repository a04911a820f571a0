"""Programs as entries, good and bad ones, from the folder to the table."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmgym.leaderboards.board_folder import BoardFolder
from lmgym.leaderboards.processes import process_agent, sandbox
from lmgym.leaderboards.processes.sandbox import Limits, sandbox_problem
from lmgym.leaderboards.season import MatchTrack, SingleTrack
from lmgym.leaderboards.season_files import write_season
from lmgym.leaderboards.single_play import SingleWorld
from lmgym.leaderboards.submissions.packing import pack
from lmgym.leaderboards.verification import verify_season

from .small_boards import SEASON

TRUSTED = bool(sandbox_problem())
AGENT = """
import json, sys

def answer(messages):
    {body}

for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "hello":
        print(json.dumps({{"type": "ready"}}), flush=True)
    if message["type"] == "act":
        print(json.dumps({{"type": "action", "action": answer(message["messages"])}}), flush=True)
"""
MANIFEST = """
schema = 1
name = "{name}"
version = 1
authors = ["{author}"]
license = "MIT"
summary = "{author}"
kind = "process"
tracks = {tracks}

[process]
command = ["python", "agent.py"]
"""
CALCULATOR = 'return str(eval(messages[-1]["content"].rstrip("=")))'


def entered(folder: BoardFolder, source: Path, name: str, body: str, author: str = "Ada") -> None:
    tracks = json.dumps([track.id for track in folder.season.tracks])
    source.mkdir()
    (source / "agent.py").write_text(AGENT.format(body=body))
    (source / "manifest.toml").write_text(MANIFEST.format(name=name, author=author, tracks=tracks))
    folder.enter(pack(source, folder.submissions))


def rows_of(folder: BoardFolder) -> list[dict[str, dict[str, Any]]]:
    """The rows of all tracks by entry, once all that can be played has been."""
    folder.enter_references()
    jobs, lacking = folder.jobs()
    assert lacking == {}
    folder.play(jobs, trusted=TRUSTED)
    return [{row["entry"]: row for row in track["rows"]} for track in folder.write()["tracks"]]


@pytest.fixture
def board(tmp_path: Path) -> Path:
    write_season(tmp_path / "board", SEASON)
    return tmp_path / "board"


def test_a_program_is_rated_in_both_kinds_of_tracks(board: Path, tmp_path: Path) -> None:
    with BoardFolder(board, SEASON) as folder:
        body = f'if "=" in messages[-1]["content"][-2:]:\n        {CALCULATOR}\n    return 0'
        entered(folder, tmp_path / "a", "calculator", body)
        sums, nim = rows_of(folder)
    assert sums["calculator@1"]["score"] == 1.0
    assert sums["calculator@1"]["verifiable"] is False
    assert (nim["calculator@1"]["games"], nim["calculator@1"]["forfeits"]) == (8, 0)
    assert verify_season(board, SEASON, sample=1.0).findings == []


def test_a_program_that_breaks_loses_its_own_games_alone(board: Path, tmp_path: Path) -> None:
    with BoardFolder(board, SEASON) as folder:
        entered(folder, tmp_path / "a", "broken", 'raise RuntimeError("boo")')
        entered(folder, tmp_path / "b", "fine", CALCULATOR)
        sums, nim = rows_of(folder)
    assert (sums["broken@1"]["score"], sums["broken@1"]["forfeits"]) == (0.0, 12)
    assert (sums["fine@1"]["score"], sums["fine@1"]["forfeits"]) == (1.0, 0)
    assert nim["broken@1"]["forfeits"] > 0
    assert verify_season(board, SEASON).findings == []


def test_what_was_learned_by_heart_falls_when_the_seeds_are_new(
    board: Path, tmp_path: Path
) -> None:
    track = SEASON.tracks[0]
    assert isinstance(track, SingleTrack)
    world = SingleWorld(track)
    answers = {
        course.messages[-1].content: course.opening.gold
        for k in range(track.seeds)
        for course in world.starts(SEASON.seed(track.id, k))
    }
    with BoardFolder(board, SEASON) as folder:
        body = f'return {answers!r}.get(messages[-1]["content"], "0")'
        entered(folder, tmp_path / "a", "parrot", body)
        entered(folder, tmp_path / "b", "calculator", CALCULATOR)
        assert rows_of(folder)[0]["parrot@1"]["score"] == 1.0
    final = SEASON.revealed("hush")
    write_season(board, final)
    with BoardFolder(board, final) as folder:
        sums = rows_of(folder)[0]
    assert sums["parrot@1"]["score"] == 0.0
    assert sums["parrot@1"]["flags"] == ["fell by 1.00 when the seeds were new"]
    assert (sums["calculator@1"]["score"], sums["calculator@1"]["flags"]) == (1.0, [])


def test_markup_in_texts_stays_text(board: Path, tmp_path: Path) -> None:
    script = "<script>alert(1)</script>"
    with BoardFolder(board, SEASON) as folder:
        entered(folder, tmp_path / "a", "scripted", f"return {json.dumps(script)}", script)
        sums, nim = rows_of(folder)
        page = folder.page.read_text()
    assert sums["scripted@1"]["authors"] == [script]
    assert nim["scripted@1"]["forfeits"] == 8
    assert script not in page
    assert "\\u003cscript\\u003ealert(1)" in page


def test_a_program_that_answers_as_another_does_is_flagged(tmp_path: Path) -> None:
    track = SEASON.tracks[0]
    assert isinstance(track, SingleTrack)
    season = replace(SEASON, tracks=(replace(track, problems=10),))
    write_season(tmp_path / "board", season)
    with BoardFolder(tmp_path / "board", season) as folder:
        body = 'return str(len(messages[-1]["content"]))'
        entered(folder, tmp_path / "a", "first", body)
        entered(folder, tmp_path / "b", "second", body + "  # mine")
        entered(folder, tmp_path / "c", "other", 'return messages[-1]["content"][:2]')
        (sums,) = rows_of(folder)
    assert sums["second@1"]["flags"] == ["answers as first@1 does"]
    assert sums["first@1"]["flags"] == sums["other@1"]["flags"] == []


def test_a_program_is_started_so_often_and_no_more_in_all_games_of_a_track(
    board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[str] = []
    launch = sandbox.launch

    def counted(command: Any, folder: Path, *words: Any, **more: Any) -> Any:
        starts.append(folder.name)
        return launch(command, folder, *words, **more)

    monkeypatch.setattr(process_agent, "launch", counted)
    track = SEASON.tracks[1]
    assert isinstance(track, MatchTrack)
    references = ("random", "best", *(f"mcts:{n}" for n in range(1, 5)))
    season = replace(SEASON, tracks=(replace(track, references=references),))
    write_season(tmp_path / "many", season)
    with BoardFolder(tmp_path / "many", season) as folder:
        entered(folder, tmp_path / "a", "zz", "sys.exit(1)")
        (games,) = rows_of(folder)
    assert games["zz@1"]["forfeits"] == 24
    assert starts == ["zz"] * (Limits().most_failures + 1)
