from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lmgym import __version__
from lmgym.cli import main
from lmgym.leaderboards.board_folder import BoardFolder
from lmgym.leaderboards.season_files import write_season
from lmgym.policies.loading import load_policy

from ..small_boards import SEASON, forge, played

LATER = replace(SEASON, id="later", opens=date(2027, 6, 1), tracks=(SEASON.track("sums"),))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("board")
    played(root)
    return root


@pytest.fixture
def board(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "board")


def verify(board: Path, *words: object, sample: float = 0.0) -> int:
    return main(["board", "verify", *map(str, ("--board", board, "--sample", sample, *words))])


def first_score(rows: list[dict[str, Any]]) -> None:
    next(row for row in rows if row["kind"] == "episodes")["episodes"][0]["score"] = 0.5


def test_all_seasons_are_checked_unless_one_is_named(
    board: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    played(board, LATER)
    with BoardFolder(board, SEASON) as folder:
        folder.write()
    assert verify(board) == 0
    told = capsys.readouterr().out
    assert told.count("all is as it should be") == 2
    assert told.index("season small\n") < told.index("season later\n")
    forge(board / "results" / "small.jsonl", first_score)
    assert verify(board) == 1
    told = capsys.readouterr().out
    assert "'episodes[0].score'" in told.partition("season later\n")[0]
    assert "all is as it should be" in told.partition("season later\n")[2]
    assert verify(board, "--season", "later") == 0
    assert verify(board, "--season", "small") == 1


def test_results_of_no_season_are_found(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = board / "results" / "small.jsonl"
    shutil.copy(results, board / "results" / "other.jsonl")
    assert verify(board) == 1
    assert "other.jsonl is of no season" in capsys.readouterr().out


def test_a_page_without_results_is_found(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_season(board, LATER)
    assert verify(board) == 1
    told = capsys.readouterr().out
    assert f"{board / 'index.html'} is there, and season later has no results" in told


def test_tables_and_pages_from_before_the_last_rows_are_told_as_such(
    board: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = board / "results" / "small.jsonl"
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    assert main(["board", "build", "--board", str(board)]) == 0
    path.write_bytes(whole)
    assert verify(board) == 1
    told = capsys.readouterr().out
    for file in (board / "index.html", board / "ratings" / "small.json"):
        assert f"{file} was made after row 10; lmgym board build makes it anew" in told
    assert "not what the results give" not in told


def of_another_version(board: Path) -> None:
    tables, page = board / "ratings" / "small.json", board / "index.html"
    told = json.loads(tables.read_text())
    assert told["version"] == __version__
    told["version"] = "0.0.9"
    for rows in told["tracks"].values():
        for row in rows:
            row["karma"] = row.pop("summary")
    tables.write_text(json.dumps(told))
    page.write_text(page.read_text().replace(f'"version":"{__version__}"', '"version":"0.0.9"'))


def test_tables_and_pages_of_another_version_are_told_as_such(
    board: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_another_version(board)
    assert verify(board) == 0
    told = capsys.readouterr().out
    for file in (board / "index.html", board / "ratings" / "small.json"):
        assert f"{file} was made by lmgym 0.0.9; lmgym board build makes it anew" in told


def another_score(told: dict[str, Any]) -> None:
    told["tracks"]["sums"][0]["score"] = 0.5


def another_head(told: dict[str, Any]) -> None:
    told["head"]["hash"] = "f" * 64


def a_row_less(told: dict[str, Any]) -> None:
    told["tracks"]["sums"].pop()


def a_strange_version(told: dict[str, Any]) -> None:
    told["version"] = "0.0.9\n"


@pytest.mark.parametrize("change", [another_score, another_head, a_row_less, a_strange_version])
def test_another_version_is_no_excuse_for_other_tables(
    board: Path, change: Callable[[dict[str, Any]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    of_another_version(board)
    tables = board / "ratings" / "small.json"
    told = json.loads(tables.read_text())
    change(told)
    tables.write_text(json.dumps(told))
    assert verify(board) == 1
    assert f"{tables} is not what the results give" in capsys.readouterr().out


def test_another_version_is_no_excuse_for_a_page_of_other_results(
    board: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_another_version(board)
    page = board / "index.html"
    head = json.loads((board / "ratings" / "small.json").read_text())["head"]["hash"]
    page.write_text(page.read_text().replace(head, "f" * 64))
    assert verify(board) == 1
    assert f"{page} is not what the results give" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "[", "[]", "[" * 100_000, "null"])
def test_tables_that_are_none_are_found(
    board: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in (board / "ratings" / "small.json", board / "index.html"):
        file.write_text(text)
    assert verify(board) == 1
    assert capsys.readouterr().out.count("is not what the results give") == 2


def test_rows_of_a_replaced_version_are_told(
    board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load_policy("embedded").save(tmp_path / "model")
    words = ("--board", board, "--name", "mine", "--tracks", "sums", "--authors", "Ada")
    assert main(["board", "submit", *map(str, (tmp_path / "model", *words))]) == 0
    second = shutil.copytree(board / "submissions" / "mine", tmp_path / "second")
    manifest = second / "manifest.toml"
    manifest.write_text(manifest.read_text().replace("version = 1", "version = 2"))
    assert main(["board", "submit", *map(str, (second, "--board", board))]) == 0
    assert verify(board, sample=1.0) == 0
    told = capsys.readouterr().out
    assert "3 rows of mine@1 cannot be evaluated anew, since mine@2 has taken its place" in told


def test_a_version_that_was_only_raised_frees_no_rows(
    board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load_policy("embedded").save(tmp_path / "model")
    words = ("--board", board, "--name", "mine", "--tracks", "sums", "--authors", "Ada")
    assert main(["board", "submit", *map(str, (tmp_path / "model", *words))]) == 0
    manifest = board / "submissions" / "mine" / "manifest.toml"
    manifest.write_text(manifest.read_text().replace("version = 1", "version = 2"))
    assert verify(board) == 1
    assert f"{manifest} is of mine@2, and mine@1 is still on show" in capsys.readouterr().out
