"""The file itself: what is in it, in which form, and how it is written."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from lmgym.errors import LmgymError
from lmgym.leaderboards.page import render_page, write_page
from lmgym.leaderboards.page.packing import MOST_IMPROVED, MOST_POINTS, MOST_TEXT, parts

HOSTILE = "</script><script>alert(1)</script><!--<script>\u2028\u2029&{{style}}\ud800\u202e\x00"
BLOCK = re.compile(r'<script type="application/json" id="data-([\w-]+)">(.*?)</script>', re.DOTALL)


def board_of(rows: list[dict[str, Any]], **track: Any) -> dict[str, Any]:
    whole = {"id": "t", "title": "T", "kind": "single", "rows": rows, **track}
    return {"schema": 1, "season": {"id": "s", "title": "S"}, "tracks": [whole]}


def row(**fields: Any) -> dict[str, Any]:
    return {"entry": "a@1", "name": "a", "version": 1, "score": 0.5, **fields}


def data_of(page: str) -> dict[str, Any]:
    return {name: json.loads(text) for name, text in BLOCK.findall(page)}


def test_what_the_board_says_comes_back_from_the_file(boards: Any) -> None:
    board = boards.synthetic_board()
    data = data_of(render_page(board))
    names = [track["title"] for track in board["tracks"]]
    assert [track["title"] for track in data["board"]["tracks"]] == names
    assert [r["entry"] for r in data["rows-0"]] == [r["entry"] for r in board["tracks"][0]["rows"]]
    assert data["replays-2"] == board["tracks"][2]["replays"]


def test_hostile_text_stays_inside_of_its_block() -> None:
    page = render_page(board_of([row(summary=HOSTILE, authors=[HOSTILE])]))
    assert len(re.findall("<script", page)) == len(BLOCK.findall(page)) + 1
    assert data_of(page)["rows-0"][0]["summary"] == HOSTILE
    assert all(text.isascii() and not set("<>&") & set(text) for _, text in BLOCK.findall(page))


def test_the_policy_names_the_style_and_the_script_by_their_hashes(boards: Any) -> None:
    page = render_page(boards.empty_board())
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    for tag in ("style", "script"):
        inside = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert inside is not None
        digest = base64.b64encode(hashlib.sha256(inside[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy[1]
    assert "default-src 'none'" in policy[1]
    assert "unsafe" not in policy[1]


def test_nothing_is_fetched_from_anywhere(boards: Any) -> None:
    page = render_page(boards.empty_board())
    assert not re.findall(r"\b(?:src|action)=", page)
    assert re.findall(r'href="(?!#)([^":]*:)', page) == ["data:"]
    assert set(re.findall(r"https?://[\w./]+", page)) == {"http://www.w3.org/2000/svg"}


def test_a_matrix_is_told_by_the_cells_that_hold_something() -> None:
    points, games = [[None, 0.75], [0.25, None]], [[0, 4], [4, 0]]
    matrix = {"entries": ["a", "b"], "points": points, "games": games}
    packed = dict(parts(board_of([], kind="match", matrix=matrix)))["matrix-0"]
    held = {"columns": [[1], [0]], "points": [[0.75], [0.25]], "games": [[4], [4]]}
    assert packed == {"entries": ["a", "b"], **held}


def test_only_the_first_entries_are_compared_for_improvement() -> None:
    n = MOST_IMPROVED + 1
    improvement = {"entries": [str(k) for k in range(n)], "p": [[0.5] * n] * n}
    packed = dict(parts(board_of([], improvement=improvement)))["improvement-0"]
    assert len(packed["entries"]) == len(packed["p"]) == len(packed["p"][0]) == MOST_IMPROVED


def test_a_long_curve_keeps_its_ends() -> None:
    points = [[x, x / 10_000] for x in range(10_000)]
    curve = {"x": "steps", "y": "reward", "points": points}
    [[_, kept]] = dict(parts(board_of([row(curve=curve)])))["curves-0"]
    assert len(kept["points"]) == MOST_POINTS
    assert [kept["points"][0], kept["points"][-1]] == [[0, 0], [9_999, 0.9999]]


def test_a_long_text_is_cut_and_says_by_how_much() -> None:
    [cut] = dict(parts(board_of([row(summary="x" * (MOST_TEXT + 7))])))["rows-0"]
    assert cut["summary"].endswith("\n[7 more characters]")


def test_the_board_is_left_as_it_was(boards: Any) -> None:
    board = boards.synthetic_board(4)
    before = copy.deepcopy(board)
    render_page(board)
    assert board == before


SOLO = {"id": "t", "title": "T", "kind": "solo", "rows": []}
LOPSIDED = {"entries": ["a"], "points": [[None, 1]], "games": [[0]]}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"schema": 2}, "schema 2"),
        ({"season": None}, "no season"),
        ({"tracks": None}, "no tracks"),
        ({"tracks": [SOLO]}, "'solo'; known: single, match"),
        ({"tracks": [{"id": "t", "kind": "match"}]}, r"tracks\[0\] of the board has no 'title'"),
        (board_of([row(score=float("nan"))]), r"tracks\[0\].rows.score holds nan"),
        (board_of([], matrix=LOPSIDED), "matrix.points is not a square"),
    ],
)
def test_a_board_of_another_form_is_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(LmgymError, match=complaint):
        render_page({**board_of([]), **change})


def test_a_page_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "board" / "index.html"
    write_page(board_of([row()]), path)
    before = path.read_text()
    with pytest.raises(LmgymError, match="nan"):
        write_page(board_of([row(score=float("nan"))]), path)
    assert path.read_text() == before
    assert [file.name for file in path.parent.iterdir()] == ["index.html"]


def test_a_page_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(LmgymError, match="taken"):
        write_page(board_of([]), tmp_path / "taken" / "index.html")
