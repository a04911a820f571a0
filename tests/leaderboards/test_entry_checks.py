"""Rows of entries, forged and honest. The entries are endpoints, which nobody needs to ask."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lmgym.cli import main
from lmgym.leaderboards.board_folder import BoardFolder
from lmgym.leaderboards.season import Season
from lmgym.leaderboards.season_files import write_season
from lmgym.leaderboards.submissions.checking import check_submission
from lmgym.leaderboards.verification import Verification, verify_season
from lmgym.policies.loading import load_policy

from .small_boards import SEASON, forge, played

Rows = list[dict[str, Any]]
MANIFEST = """
schema = 1
name = "{name}"
version = {version}
authors = ["{author}"]
license = "MIT"
kind = "endpoint"
tracks = ["sums"]

[endpoint]
url = "https://example.org/v1"
model = "m"

[training]
agent = "grpo"
"""
CURVE = {"x": "steps", "y": "reward", "points": [[0, 0.5], [1, 0.75]]}


def put(board: Path, name: str, version: int = 1, author: str = "Ada") -> Path:
    folder = board / "submissions" / name
    folder.mkdir(parents=True, exist_ok=True)
    text = MANIFEST.format(name=name, version=version, author=author)
    (folder / "manifest.toml").write_text(text)
    (folder / "curve.json").write_text(json.dumps(CURVE))
    return folder


def enter(board: Path, name: str, version: int = 1, author: str = "Ada") -> None:
    with BoardFolder(board, SEASON) as folder:
        folder.enter(check_submission(put(board, name, version, author)))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("board")
    played(root)
    enter(root, "mine")
    enter(root, "yours", author="Bob")
    enter(root, "yours", 2, author="Eve")
    return root


@pytest.fixture
def board(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "board")


def results(board: Path) -> Path:
    return board / "results" / "small.jsonl"


def row_of(rows: Rows, entry: str) -> dict[str, Any]:
    return next(row for row in rows if row["kind"] == "entry" and row["entry"] == entry)


def checked(board: Path, season: Season = SEASON) -> Verification:
    return verify_season(board, season, sample=0.0, rng=random.Random(0))


def test_honest_rows_pass(board: Path) -> None:
    assert checked(board).findings == []


def test_a_name_is_compared_with_its_last_authors(board: Path) -> None:
    enter(board, "yours", 3, author="Eve")
    assert checked(board).findings == []


def entered_twice(rows: Rows) -> None:
    rows.append(row_of(rows, "mine@1"))


def another_spelling(rows: Rows) -> None:
    row_of(rows, "mine@1")["entry"] = "mine@01"


def another_source(rows: Rows) -> None:
    row_of(rows, "mine@1")["source"] = "process"


def another_curve(rows: Rows) -> None:
    row_of(rows, "mine@1")["curve"]["points"][1][1] = 1.0


def no_curve(rows: Rows) -> None:
    row_of(rows, "mine@1")["curve"] = None


def another_author(rows: Rows) -> None:
    row_of(rows, "mine@1")["manifest"]["authors"] = ["Mallory"]


def an_unknown_field(rows: Rows) -> None:
    row_of(rows, "mine@1")["manifest"]["reference"] = True


def an_unknown_field_of_a_part(rows: Rows) -> None:
    row_of(rows, "mine@1")["manifest"]["training"]["prize"] = 1


def a_part_left_out(rows: Rows) -> None:
    del row_of(rows, "mine@1")["manifest"]["training"]


def a_former_author_forgotten(rows: Rows) -> None:
    row_of(rows, "yours@2")["flags"] = []


def a_former_author_invented(rows: Rows) -> None:
    row_of(rows, "mine@1")["flags"] = ["stolen; mine@0 was by others"]


def an_earlier_day(rows: Rows) -> None:
    row_of(rows, "yours@1")["at"] = "2020-01-01"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (entered_twice, "'entry': mine@1 was entered before"),
        (another_spelling, "'entry' of mine@01 is not what"),
        (another_source, "'source' of mine@1 is not what"),
        (another_curve, "'curve' of mine@1 is not what"),
        (no_curve, "'curve' of mine@1 is not what"),
        (another_author, "'manifest' of mine@1 is not what"),
        (an_unknown_field, "'manifest' of mine@1 is not what"),
        (an_unknown_field_of_a_part, "'manifest' of mine@1 is not what"),
        (a_part_left_out, "'manifest' of mine@1 is not what"),
        (a_former_author_forgotten, "'flags' of yours@2 lack 'yours@1 was by others'"),
        (a_former_author_invented, "'flags' of mine@1 say 'stolen; mine@0 was by others'"),
        (an_earlier_day, "'at': yours@1 was entered on 2020-01-01, before the entry above it"),
    ],
)
def test_forged_rows_are_named(board: Path, change: Callable[[Rows], None], told: str) -> None:
    forge(results(board), change)
    (finding,) = checked(board).findings
    assert told in finding


def test_the_name_of_a_reference_is_taken(board: Path) -> None:
    shutil.move(board / "submissions" / "mine", board / "submissions" / "oracle")

    def rename(rows: Rows) -> None:
        row = row_of(rows, "mine@1")
        row["entry"], row["manifest"]["name"] = "oracle@2", "oracle"

    forge(results(board), rename)
    assert any("oracle@2 has the name of a reference" in each for each in checked(board).findings)


@pytest.mark.parametrize(
    ("field", "value", "passes"), [("summary", "In other words.", True), ("tracks", ["nim"], False)]
)
def test_a_reference_is_what_it_plays(board: Path, field: str, value: Any, passes: bool) -> None:
    def change(rows: Rows) -> None:
        row_of(rows, "oracle@1")["manifest"][field] = value

    forge(results(board), change)
    told = "oracle@1 is no reference of season small"
    assert any(told in each for each in checked(board).findings) is not passes


def test_fields_that_an_earlier_version_did_not_know_are_no_difference(board: Path) -> None:
    def change(rows: Rows) -> None:
        manifest = row_of(rows, "mine@1")["manifest"]
        del manifest["contact"], manifest["weights"], manifest["training"]["steps"]

    forge(results(board), change)
    assert checked(board).findings == []


def test_entries_after_the_last_day_are_found(board: Path) -> None:
    found = checked(board, replace(SEASON, closes=date(2026, 1, 1)))
    assert len(found.findings) == 3
    assert "season small has closed on 2026-01-01" in found.findings[0]
    assert checked(board, replace(SEASON, closes=date(9999, 1, 1))).findings == []


def test_entries_after_the_seeds_were_revealed_are_found(board: Path) -> None:
    final = SEASON.revealed("hush")
    write_season(board, final)
    with BoardFolder(board, final) as folder:
        folder.play([job for job in folder.jobs()[0] if job.members[0].source == "reference"])
    assert checked(board, final).findings == []
    forge(results(board), lambda rows: rows.append(rows.pop(rows.index(row_of(rows, "yours@2")))))
    (finding,) = checked(board, final).findings
    assert "yours@2 was entered after the seeds were revealed" in finding


def test_a_season_whose_seeds_were_always_known_takes_entries_later(tmp_path: Path) -> None:
    public = SEASON.revealed("hush")
    played(tmp_path, public)
    with BoardFolder(tmp_path, public) as folder:
        folder.enter(check_submission(put(tmp_path, "mine")))
    assert checked(tmp_path, public).findings == []


def test_a_manifest_that_was_changed_is_found_whatever_its_version(board: Path) -> None:
    for version in (1, 2):
        manifest = put(board, "yours", version, author="Bob") / "manifest.toml"
        told = "\n".join(checked(board).findings)
        assert f"{manifest} is not the file that yours@2 was entered with" in told


def test_a_version_that_was_not_entered_replaces_none(board: Path) -> None:
    manifest = put(board, "mine", version=2) / "manifest.toml"
    (finding,) = checked(board).findings
    assert f"{manifest} is of mine@2, and mine@1 is still on show in sums" in finding
    assert "submit mine@2 to season small, or put back the files" in finding
    enter(board, "mine", 2)
    assert checked(board).findings == []


def test_a_version_that_was_entered_in_another_season_may_take_the_folder(board: Path) -> None:
    later = replace(SEASON, id="later")
    write_season(board, later)
    submission = check_submission(put(board, "mine", 2))
    assert checked(board).findings
    with BoardFolder(board, later) as folder:
        folder.enter(submission)
    assert checked(board).findings == []


def test_of_what_nobody_could_evaluate_anew_no_rows_are_told(board: Path) -> None:
    def change(rows: Rows) -> None:
        (first, *_) = (r for r in rows if r["kind"] == "episodes" and r["entry"] == "oracle@1")
        rows.append({**first, "entry": "mine@1"})

    enter(board, "mine", 2)
    forge(results(board), change)
    found = checked(board)
    assert found.findings == []
    assert not any("mine@1" in told for told in found.notices)


def test_references_that_were_not_entered_are_told(board: Path) -> None:
    def change(rows: Rows) -> None:
        rows[:] = [row for row in rows if row.get("entry") != "oracle@1"]

    forge(results(board), change)
    found = checked(board)
    assert found.findings == []
    assert any("were not entered: oracle@1; lmgym board rate" in told for told in found.notices)


def submit(board: Path, folder: Path, *words: str) -> None:
    assert main(["board", "submit", str(folder), "--board", str(board), *words]) == 0


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A board with the same weights under two names."""
    write_season(tmp_path / "copied", SEASON)
    load_policy("embedded").save(tmp_path / "model")
    for name in ("mine", "yours"):
        words = ("--name", name, "--tracks", "sums", "--authors", "Ada")
        submit(tmp_path / "copied", tmp_path / "model", *words)
    return tmp_path / "copied"


def test_flags_of_copies_must_not_lack(copied: Path) -> None:
    assert checked(copied).findings == []
    forge(results(copied), lambda rows: row_of(rows, "yours@1").update(flags=[]))
    (finding,) = checked(copied).findings
    assert "'flags' of yours@1 lack 'copy of mine@1'" in finding


def test_flags_of_copies_stay_when_the_other_has_a_new_version(
    copied: Path, tmp_path: Path
) -> None:
    second = shutil.copytree(copied / "submissions" / "mine", tmp_path / "second")
    manifest, weights = second / "manifest.toml", second / "model.safetensors"
    text, data = manifest.read_text(), bytearray(weights.read_bytes())
    before = hashlib.sha256(data).hexdigest()
    data[-100_000:] = bytes(100_000)
    weights.write_bytes(data)
    text = text.replace(before, hashlib.sha256(data).hexdigest())
    manifest.write_text(text.replace("version = 1", "version = 2"))
    submit(copied, second)
    assert checked(copied).findings == []
