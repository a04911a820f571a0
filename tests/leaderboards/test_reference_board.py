"""The board of references that comes with the source, as anybody would check it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lmgym.cli import main
from lmgym.leaderboards.board_folder import find_season
from lmgym.leaderboards.results.store import Results
from lmgym.leaderboards.season_files import SHIPPED, read_season

BOARD = Path(__file__).parents[2] / "board"


@pytest.fixture
def board(tmp_path: Path) -> Path:
    return shutil.copytree(BOARD, tmp_path / "board")


def test_everything_that_is_recorded_plays_again(
    board: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["board", "verify", "--board", str(board), "--sample", "0"])
    told = capsys.readouterr().out
    assert code == 0, told
    assert "all is as it should be" in told


def test_its_season_is_the_one_that_comes_with_the_package(board: Path) -> None:
    assert find_season(board) == read_season(SHIPPED / "practice.toml")


def test_learners_play_beside_references(board: Path) -> None:
    with Results(board, "practice", trusts_index=False) as results:
        entries = results.entries()
    sources = {entry.source for entry in entries.values()}
    assert sources == {"weights", "reference"}
    assert {entry.manifest["name"] for entry in entries.values() if entry.source == "weights"} == {
        path.name for path in (board / "submissions").iterdir()
    }
