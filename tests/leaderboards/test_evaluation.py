"""Jobs are played one by one; what one entry does wrong is told, and costs no other its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from lmgym import policies
from lmgym.errors import LmgymError
from lmgym.leaderboards import evaluation
from lmgym.leaderboards.board_folder import BoardFolder
from lmgym.leaderboards.evaluation import Worker
from lmgym.leaderboards.participants import contestant
from lmgym.leaderboards.references import reference_rows
from lmgym.leaderboards.results.rows import EntryRow
from lmgym.leaderboards.season import MatchTrack, SingleTrack
from lmgym.leaderboards.season_files import write_season
from lmgym.leaderboards.submissions.packing import pack

from .small_boards import SEASON

EMBEDDED = Path(policies.__file__).parent / "embedded"


class PanicException(BaseException):
    """As a library in Rust raises it."""


@pytest.fixture
def board(tmp_path: Path) -> Path:
    write_season(tmp_path / "board", SEASON)
    return tmp_path / "board"


@contextmanager
def broken_oracle(error: BaseException, *words: Any, **more: Any) -> Iterator[Any]:
    """A contestant, or an error in place of the oracle."""
    if words[1].entry == "oracle@1":
        raise error
    with contestant(*words, **more) as found:
        yield found


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("shapes\x1b differ"), r"RuntimeError: 'shapes\x1b differ'"),
        (TypeError("no text"), "TypeError: 'no text'"),
        (MemoryError(), "MemoryError: ''"),
        (LmgymError("the page does not fit"), "the page does not fit"),
        (PanicException("index"), "PanicException: 'index'"),
    ],
)
def test_an_error_of_one_entry_is_told_and_the_others_play(
    board: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, told: str
) -> None:
    monkeypatch.setattr(evaluation, "contestant", lambda *w, **m: broken_oracle(error, *w, **m))
    with BoardFolder(board, SEASON) as folder:
        folder.enter_references()
        failed = folder.play(folder.jobs(["sums"])[0])
        cells = folder.results.cells("sums", SEASON.phase)
    assert failed == {f"oracle@1 in sums, seed {k} of 3": told for k in (1, 2, 3)}
    assert {cell.entry for cell in cells} == {"random@1"}


def test_who_stops_a_command_stops_it(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = KeyboardInterrupt()
    monkeypatch.setattr(evaluation, "contestant", lambda *w, **m: broken_oracle(stop, *w, **m))
    with BoardFolder(board, SEASON) as folder:
        folder.enter_references()
        jobs, _ = folder.jobs(["sums"])
        with pytest.raises(KeyboardInterrupt):
            folder.play(jobs)


def test_who_played_last_is_closed_last(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []

    @contextmanager
    def opened(_: Path, entry: EntryRow, *words: Any, **more: Any) -> Iterator[str]:
        yield entry.entry
        closed.append(entry.entry)

    monkeypatch.setattr(evaluation, "player", opened)
    track = SEASON.tracks[1]
    assert isinstance(track, MatchTrack)
    row = reference_rows(SEASON)[0]
    with Worker(board, SEASON) as worker:
        for name in "abcdaea":
            worker.player(replace(row, entry=f"{name}@1"), track)
        assert closed == ["b@1"]
    assert closed == ["b@1", "c@1", "d@1", "e@1", "a@1"]


@pytest.mark.parametrize("change", ["edit", "remove", "add"])
def test_files_are_those_that_were_entered(board: Path, change: str) -> None:
    track = SEASON.tracks[0]
    assert isinstance(track, SingleTrack)
    with BoardFolder(board, SEASON) as folder:
        row = folder.enter(pack(EMBEDDED, folder.submissions, tracks=("sums",), name="mine"))
    with contestant(board, row, track):
        pass
    name = "README.md" if change == "add" else "generation_config.json"
    file = board / "submissions" / "mine" / name
    if change == "remove":
        file.unlink()
    else:
        file.write_text("{}")
    told = f"{name} is not the file that mine@1 was entered with"
    with pytest.raises(LmgymError, match=told), contestant(board, row, track):
        pass


def test_what_was_entered_before_a_rule_was_made_is_checked_again(board: Path) -> None:
    """As one that would end the process when it is loaded."""
    track = SEASON.tracks[0]
    assert isinstance(track, SingleTrack)
    with BoardFolder(board, SEASON) as folder:
        row = folder.enter(pack(EMBEDDED, folder.submissions, tracks=("sums",), name="mine"))
    config = board / "submissions" / "mine" / "config.json"
    config.write_text(config.read_text().replace('"head_dim": 16', '"head_dim": 1'))
    known = replace(
        row, files=dict(row.files) | {"config.json": sha256(config.read_bytes()).hexdigest()}
    )
    told = "a head has 1 numbers"
    with pytest.raises(LmgymError, match=told), contestant(board, known, track):
        pass
