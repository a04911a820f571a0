from __future__ import annotations

import io
import os
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmgym.cli import main
from lmgym.games.networks import MLPPolicy
from lmgym.leaderboards.board import make_board
from lmgym.leaderboards.board_folder import BoardFolder, find_season
from lmgym.leaderboards.commands.board_page import _OnePage
from lmgym.leaderboards.evaluation import current_entries
from lmgym.leaderboards.results.store import Results
from lmgym.leaderboards.season_files import write_season
from lmgym.leaderboards.submissions.packing import pack
from lmgym.policies.loading import load_policy

from ..small_boards import SEASON, forge, played


class _Request:
    """A connection that has asked for something."""

    def __init__(self, asked: bytes, answer: io.BytesIO) -> None:
        self._asked, self._answer = asked, answer

    def makefile(self, *args: object) -> io.BytesIO:
        return io.BytesIO(self._asked)

    def sendall(self, data: bytes) -> None:
        self._answer.write(data)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("board")
    played(root)
    return root


@pytest.fixture
def board(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "board")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    load_policy("embedded").save(tmp_path / "model")
    return tmp_path / "model"


def run(*words: object) -> int:
    return main(["board", *map(str, words)])


def test_a_model_becomes_an_entry_on_the_page(
    board: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--board", board, "--name", "mine", "--tracks", "sums", "--authors", "Ada")
    assert run("submit", model, *words) == 0
    told = capsys.readouterr().out
    assert "mine@1 is entered" in told
    assert "mine@1" in (board / "index.html").read_text()
    assert (board / "submissions" / "mine" / "manifest.toml").is_file()
    assert run("verify", "--board", board, "--sample", 1) == 0
    assert "all is as it should be" in capsys.readouterr().out


def test_the_same_submission_once_more_changes_nothing(board: Path, model: Path) -> None:
    words = ("--board", board, "--name", "mine", "--tracks", "sums", "--authors", "Ada")
    results = board / "results" / "small.jsonl"
    assert run("submit", model, *words) == 0
    before = results.read_bytes()
    assert run("submit", model, *words) == 0
    assert results.read_bytes() == before


def test_a_copy_under_a_new_name_is_flagged(
    board: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--board", board, "--tracks", "sums", "--authors", "Ada")
    assert run("submit", model, "--name", "mine", *words) == 0
    assert run("submit", model, "--name", "yours", *words) == 0
    assert "flag: copy of mine@1" in capsys.readouterr().out
    assert "copy of mine@1" in (board / "index.html").read_text()


def test_a_check_enters_nothing(
    board: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--board", board, "--name", "mine", "--tracks", "sums")
    for lacking in ("index.html", ".lock", "cache.sqlite", "results"):
        path = board / lacking
        (shutil.rmtree if path.is_dir() else os.remove)(path)
        before = {path: path.read_bytes() for path in board.rglob("*") if path.is_file()}
        assert run("check", model, *words) == 0
        assert "it can be submitted" in capsys.readouterr().out
        assert {path: path.read_bytes() for path in board.rglob("*") if path.is_file()} == before


def test_a_reference_keeps_its_name_and_its_tracks(
    board: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--board", board, "--tracks", "sums", "--authors", "Ada")
    for name in ("oracle", "best"):
        assert run("submit", model, "--name", name, *words) == 2
        assert f"{name!r} is the name of a reference" in capsys.readouterr().err
    with Results(board, "small") as results:
        rows = results.entries()
    (oracle,) = [row for row in rows.values() if row.manifest["name"] == "oracle"]
    other = replace(oracle, entry="oracle@2", source="weights")
    assert oracle in current_entries({**rows, other.entry: other}, "sums")


def test_what_git_leaves_out_is_added_to_a_repository(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("secrets.env\n.lock")
    assert run("open", "spring", "--board", tmp_path) == 0
    lines = (tmp_path / ".gitignore").read_text().splitlines()
    assert lines[:2] == ["secrets.env", ".lock"]
    assert sorted(lines[2:]) == ["cache.sqlite", "seasons/*.secret", "submissions/.new-*"]
    assert run("open", "summer", "--board", tmp_path) == 0
    assert (tmp_path / ".gitignore").read_text().splitlines() == lines


def test_a_title_that_toml_would_not_take_is_written_so_that_it_does(tmp_path: Path) -> None:
    assert run("open", "spring", "--board", tmp_path, "--title", 'a\x7f"b\\') == 0
    assert find_season(tmp_path, "spring").title == 'a\x7f"b\\'


def test_the_server_tells_of_nothing_but_the_page(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("here")
    answer = io.BytesIO()
    for method in (b"GET", b"HEAD"):
        request = _Request(method + b" /pyproject.toml HTTP/1.0\r\n\r\n", answer)
        _OnePage(tmp_path / "page.html", request, ("127.0.0.1", 1), None)
    told = answer.getvalue().decode()
    assert told.count("Content-Length: 4\r\n") == 2
    assert told.count("here") == 1


def test_help_is_no_workflow(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("workflow", "--help") == 0
    assert "usage: lmgym board workflow" in capsys.readouterr().out
    assert run("workflow") == 0
    assert "pull_request" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"[]", "lmgym.json: holds no object"),
        (b"{", "lmgym.json: is no JSON"),
        (b"\xff", "lmgym.json: is no UTF-8"),
        (b'{"env": "lmgym/Math-v0", "world": [1]}', "lmgym.json: world is a list of 1"),
        (b'{"env": "lmgym/Math-v0", "game": "x"}', "lmgym.json: game is 'x'"),
        (b'{"env": ["lmgym/Math-v0"]}', "choose some of sums, nim, as --tracks"),
    ],
)
def test_a_damaged_record_of_a_run_is_refused(
    board: Path, model: Path, content: bytes, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (model / "lmgym.json").write_bytes(content)
    assert run("check", model, "--board", board) == 2
    assert told in capsys.readouterr().err


def test_a_check_makes_no_board(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("check", model, "--name", "mine", "--tracks", "math-addition") == 0
    assert not (tmp_path / "board").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("submit",), "name a folder"),
        (("submit", "nowhere"), "nowhere"),
        (("submit", "MODEL", "--tracks", "sumz"), "sumz"),
        (("submit", "MODEL", "--name", "../up", "--tracks", "sums"), "name"),
        (("submit", "MODEL"), "choose some of sums, nim, as --tracks"),
        (("rate", "--season", "smal"), "unknown season 'smal'; known: small"),
        (("rate", "--tracks", "sumz"), "unknown track of season small 'sumz'"),
        (("verify", "--sample", "2"), "--sample 2.0 is no share"),
        (("build", "--board", "elsewhere"), "elsewhere is not there"),
        (("enter",), "unknown board command 'enter'"),
        (("open", "Spring 27"), "'Spring 27' is no name"),
        (("reveal", "small"), "small.secret is not there"),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    board: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [str(model) if word == "MODEL" else word for word in words]
    results = board / "results" / "small.jsonl"
    before = results.read_bytes()
    assert run(*given) == 2
    assert told in capsys.readouterr().err
    assert results.read_bytes() == before


@pytest.mark.parametrize("name", ["index.html", "ratings/small.json"])
def test_changed_tables_and_pages_are_found(
    board: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = board / name
    file.write_text(file.read_text().replace("oracle", "orakel", 1))
    assert run("verify", "--board", board, "--sample", 0) == 1
    assert f"{file} is not what the results give" in capsys.readouterr().out
    assert run("build", "--board", board) == 0
    assert run("verify", "--board", board, "--sample", 0) == 0


def test_a_poisoned_index_does_not_deceive_the_check(
    board: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = sqlite3.connect(board / "cache.sqlite")
    with index:
        index.execute("UPDATE cell SET scores = replace(scores, '0.0', '1.0')")
    index.close()
    assert run("build", "--board", board) == 0
    assert run("verify", "--board", board, "--sample", 0) == 1
    assert "is not what the results give" in capsys.readouterr().out


def test_a_board_that_is_not_there_is_not_right(tmp_path: Path) -> None:
    assert run("verify", "--board", tmp_path / "typo") == 2
    assert not (tmp_path / "typo").exists()


def test_two_commands_do_not_work_on_a_board_at_once(
    board: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with BoardFolder(board, SEASON):
        assert run("rate", "--board", board) == 2
    assert "another command is at work" in capsys.readouterr().err
    assert run("rate", "--board", board) == 0


def test_a_season_whose_seeds_are_known_takes_no_new_entries(
    board: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_season(board, SEASON.revealed("hush"))
    words = ("--board", board, "--name", "late", "--tracks", "sums", "--authors", "Ada")
    assert run("submit", model, *words) == 2
    assert "takes no new entries" in capsys.readouterr().err
    assert not (board / "submissions" / "late").exists()


def test_a_second_version_takes_the_place_of_the_first(board: Path, model: Path) -> None:
    words = ("--board", board, "--name", "mine", "--tracks", "sums", "--authors", "Ada")
    assert run("submit", model, *words) == 0
    folder = board.parent / "second"
    shutil.copytree(board / "submissions" / "mine", folder)
    manifest = folder / "manifest.toml"
    manifest.write_text(manifest.read_text().replace("version = 1", "version = 2"))
    assert run("submit", folder, "--board", board) == 0
    assert "mine@2" in (board / "ratings" / "small.json").read_text()
    assert run("verify", "--board", board, "--sample", 1) == 0


def test_a_changed_season_is_refused_at_once(
    board: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = board / "seasons" / "small.toml"
    path.write_text(path.read_text().replace("problems = 4", "problems = 5"))
    assert run("rate", "--board", board) == 2
    assert "must not be changed" in capsys.readouterr().err


def test_rows_cut_off_at_the_end_are_found(board: Path) -> None:
    def cut(rows: list[dict[str, object]]) -> None:
        rows.pop()

    forge(board / "results" / "small.jsonl", cut)
    assert run("verify", "--board", board, "--sample", 0) == 1


def test_a_changed_submission_is_found(
    board: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--board", board, "--name", "mine", "--tracks", "sums", "--authors", "Ada")
    assert run("submit", model, *words) == 0
    weights = board / "submissions" / "mine" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert run("verify", "--board", board, "--sample", 0) == 1
    told = capsys.readouterr().out
    assert f"{weights} is not the file that mine@1 was entered with" in told


@pytest.mark.parametrize("field", ["authors", "license", "summary"])
def test_what_a_row_says_of_an_entry_is_compared_with_its_folder(
    board: Path, model: Path, field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--board", board, "--name", "mine", "--tracks", "sums", "--authors", "Ada")
    assert run("submit", model, *words) == 0

    def change(rows: list[dict[str, Any]]) -> None:
        row = next(row for row in rows if row.get("entry") == "mine@1")
        row["manifest"][field] = ["Mallory"] if field == "authors" else "Mallory"
        row["flags"] = ["copy of oracle@1"]

    forge(board / "results" / "small.jsonl", change)
    assert run("verify", "--board", board, "--sample", 0) == 1
    told = capsys.readouterr().out
    assert "'manifest' of mine@1 is not what" in told
    assert "'flags' of mine@1 say 'copy of oracle@1'" in told


def test_a_season_is_opened_and_revealed(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("open", "spring", "--board", board, "--closes", "2030-01-01") == 0
    assert (board / "seasons" / "spring.secret").stat().st_mode & 0o077 == 0
    assert run("rate", "--board", board, "--season", "spring") == 0
    assert run("reveal", "spring", "--board", board) == 0
    assert run("rate", "--board", board, "--season", "spring") == 0
    assert run("verify", "--board", board, "--season", "spring", "--sample", 1) == 0
    assert "48 episodes and 8 games played again" in capsys.readouterr().out


def test_a_board_tells_seeds_that_were_always_known_from_revealed_ones(tmp_path: Path) -> None:
    public = SEASON.revealed("hush")
    for season, shown, phase in (
        (SEASON, SEASON, "open"),
        (SEASON, public, "final"),
        (public, public, "public"),
    ):
        root = tmp_path / phase
        played(root, season)
        with Results(root, "small") as results:
            assert make_board(shown, results)["season"]["phase"] == phase


def test_submissions_that_lie_there_are_entered_by_rate(board: Path, model: Path) -> None:
    words = ("--name", "mine", "--tracks", "sums", "--authors", "Ada")
    other = board.parent / "other"
    write_season(other, SEASON)
    assert run("submit", model, "--board", other, *words) == 0
    shutil.copytree(other / "submissions", board / "submissions")
    assert run("rate", "--board", board) == 0
    assert "mine@1" in (board / "ratings" / "small.json").read_text()


def test_one_broken_folder_keeps_no_other_from_being_rated(
    board: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--board", board, "--tracks", "sums", "--authors", "Ada")
    assert run("submit", model, "--name", "mine", *words) == 0
    broken = board / "submissions" / "broken"
    shutil.copytree(board / "submissions" / "mine", broken)
    (broken / "manifest.toml").write_text("schema = ")
    (board / "results" / "small.jsonl").unlink()
    assert run("rate", "--board", board) == 1
    assert "broken is refused" in capsys.readouterr().out
    assert "mine@1" in (board / "ratings" / "small.json").read_text()


def test_an_entry_that_cannot_play_is_refused_and_keeps_no_other_from_it(
    board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    MLPPolicy(n_features=3, n_actions=2, width=4).save(tmp_path / "policy")
    words = ("--board", board, "--tracks", "nim", "--authors", "Ada", "--name", "lost")
    results = board / "results" / "small.jsonl"
    before = results.read_bytes()
    for command in ("check", "submit"):
        assert run(command, tmp_path / "policy", *words) == 2
        assert "lost@1 cannot play track nim: the mlp policy does" in capsys.readouterr().err
    assert results.read_bytes() == before
    assert not (board / "submissions" / "lost").exists()

    pack(tmp_path / "policy", board / "submissions", tracks=("nim",), name="lost")
    results.unlink()
    assert run("rate", "--board", board) == 1
    assert "lost is refused: lost@1 cannot play track nim" in capsys.readouterr().out
    assert "best@1" in (board / "ratings" / "small.json").read_text()
    assert "lost@1" not in results.read_text()


def test_a_season_without_results_is_not_right(
    board: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_season(board, replace(SEASON, id="later"))
    assert run("verify", "--board", board, "--season", "later") == 2
    assert "season later" in capsys.readouterr().err
