from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lmgym.errors import LmgymError
from lmgym.leaderboards.results.store import Results

from ..small_boards import SEASON, forge, played


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("board")
    played(root)
    return root


@pytest.fixture
def board(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "board")


def told(board: Path) -> object:
    with Results(board, SEASON.id) as results:
        return (
            results.head,
            list(results.entries()),
            results.cells("sums", "open"),
            results.pairs("nim", "open"),
        )


def test_the_index_is_the_same_when_it_is_made_anew(board: Path) -> None:
    before = told(board)
    (board / "cache.sqlite").unlink()
    assert told(board) == before


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to be one" * 40])
def test_a_broken_index_is_made_anew(board: Path, content: bytes) -> None:
    before = told(board)
    (board / "cache.sqlite").write_bytes(content)
    assert told(board) == before


def test_other_results_in_the_same_place_are_read_anew(board: Path) -> None:
    told(board)

    def change(rows: list[dict[str, object]]) -> None:
        rows.pop()

    forge(board / "results" / "small.jsonl", change)
    with Results(board, SEASON.id) as results:
        assert results.head.n_rows == 10


def test_what_stands_there_twice_is_refused(board: Path) -> None:
    def change(rows: list[dict[str, object]]) -> None:
        rows.append(dict(rows[-1]))

    forge(board / "results" / "small.jsonl", change)
    with pytest.raises(LmgymError, match=r"line 12 of .*small\.jsonl: .*earlier row"):
        Results(board, SEASON.id)


def test_rows_are_found_in_full(board: Path) -> None:
    with Results(board, SEASON.id) as results:
        for cell in results.cells("sums", "open"):
            row = results.row(cell.offset)
            assert row.kind == "episodes"
            assert [e.score for e in row.episodes] == cell.scores  # type: ignore[union-attr]
