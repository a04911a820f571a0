"""Folders of each kind: what is in order and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lmgym.errors import LmgymError
from lmgym.leaderboards.submissions.checking import check_submission, problems, read_curve
from lmgym.leaderboards.submissions.manifest import Endpoint, Manifest, Process
from lmgym.leaderboards.submissions.manifest_text import write_manifest

if TYPE_CHECKING:
    from tests.leaderboards.submissions.conftest import Entry

CURVE = {"x": "seconds", "y": "validation reward", "points": [[0, 0.5], [1.5, 1]]}


def test_a_process_may_hold_code(process_entry: Path) -> None:
    (process_entry / "lib").mkdir()
    (process_entry / "lib" / "weights.pt").write_bytes(b"\x80\x02")
    submission = check_submission(process_entry)
    assert set(submission.hashes) == {"agent.py", "lib/weights.pt", "manifest.toml"}
    assert submission.curve is None


@pytest.mark.parametrize(
    "command", [("python", "missing.py"), ("./missing",), ("lib/missing", "agent.py")]
)
def test_a_command_names_files_of_the_folder(process_entry: Path, command: tuple[str, ...]) -> None:
    made = Manifest("talker", 1, ("Ada",), "MIT", "process", ("nim",), process=Process(command))
    write_manifest(made, process_entry)
    (problem,) = problems(process_entry)
    assert problem.startswith("manifest.toml: process.command names ")
    assert problem.endswith("which is not in the folder")


def test_an_endpoint_is_a_manifest_and_little_else(tmp_path: Path) -> None:
    endpoint = Endpoint("http://localhost:8000/v1", "m")
    made = Manifest("far", 1, ("Ada",), "MIT", "endpoint", ("nim",), endpoint=endpoint)
    write_manifest(made, tmp_path)
    assert check_submission(tmp_path).manifest == made
    (tmp_path / "agent.py").touch()
    (problem,) = problems(tmp_path)
    assert problem == 'agent.py: is code, which an entry of kind "endpoint" must not hold'


def test_the_board_may_ask_for_a_name_and_for_tracks(entry: Entry) -> None:
    assert problems(entry.folder, ("math-addition",), "mine") == []
    assert problems(entry.folder, ("web",), "yours") == [
        "manifest.toml: name is 'mine'; the folder's is yours",
        "manifest.toml: tracks names 'math-addition', which is unknown; known: web",
    ]


def test_markup_in_each_text_is_kept_as_text(entry: Entry) -> None:
    script = "<script>alert(1)</script>"
    entry.sign(authors=(script,), license=script, contact=script, summary=script)
    entry.write("README.md", script)
    manifest = check_submission(entry.folder).manifest
    assert [*manifest.authors, manifest.license, manifest.contact, manifest.summary] == [script] * 4


def test_a_broken_manifest_hides_no_other_problem(entry: Entry) -> None:
    entry.write("evil.py", "")
    text = (entry.folder / "manifest.toml").read_text()
    entry.write("manifest.toml", text.replace('name = "mine"', 'name = "../mine"'))
    assert [line.partition(":")[0] for line in problems(entry.folder)] == [
        "manifest.toml",
        "evil.py",
    ]


def test_a_link_is_told_before_anything_is_read_by_name(entry: Entry) -> None:
    (entry.folder / "config.json").unlink()
    (entry.folder / "config.json").symlink_to("/etc/passwd")
    assert problems(entry.folder) == [
        "config.json: is a symbolic link; put what it points to in its place"
    ]


def test_a_folder_without_a_manifest_says_so(tmp_path: Path) -> None:
    assert problems(tmp_path) == ["manifest.toml: is missing"]


def test_a_curve_belongs_to_an_entry(entry: Entry) -> None:
    entry.write("curve.json", json.dumps(CURVE))
    assert check_submission(entry.folder).curve == CURVE


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"points": [[0, 1]] * 201}, "points is a list of 201; 1 to 200 are allowed"),
        ({"points": []}, "points is a list of 0"),
        ({"points": [[0, "1"]]}, "points are pairs of numbers"),
        ({"points": [[0, True]]}, "points are pairs of numbers"),
        ({"points": [[0, 1, 2]]}, "points are pairs of numbers"),
        ({"points": [[1, 1], [0, 1]]}, "points go back in 'seconds'"),
        ({"y": 3}, "y is 3; a short text"),
        ({"y": "x" * 61}, "y is a text of 61 characters; 60 at most"),
        ({"y": "a\u202eb"}, "U+202E is an invisible"),
        ({"evil": 1}, "is no object of x, y and points"),
    ],
)
def test_a_curve_that_is_none_is_refused(entry: Entry, change: dict[str, Any], told: str) -> None:
    entry.write("curve.json", json.dumps(CURVE | change))
    (problem,) = problems(entry.folder)
    assert problem.startswith("curve.json: ")
    assert told in problem
    with pytest.raises(LmgymError):
        read_curve(entry.folder)
