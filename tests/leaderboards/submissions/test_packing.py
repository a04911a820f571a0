"""Entries are copied, checked and put in their place; runs get a manifest."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lmgym.errors import LmgymError
from lmgym.leaderboards.submissions import packing
from lmgym.leaderboards.submissions.checking import check_submission
from lmgym.leaderboards.submissions.drafting import draft_curve, draft_manifest, world_of
from lmgym.leaderboards.submissions.files import hash_files
from lmgym.leaderboards.submissions.manifest import Training, read_manifest
from lmgym.leaderboards.submissions.packing import pack

if TYPE_CHECKING:
    from tests.leaderboards.submissions.conftest import Entry

RECORD = {"agent": "sft", "env": "lmgym/GuessNumber-v0", "seed": 7, "updates": 29, "status": "x"}
METRICS = [
    {"step": 0, "seconds": 0.5, "loss": 1.0, "validation/greedy": 0.25},
    {"step": 1, "seconds": 1.0, "loss": None},
    {"step": 2, "seconds": 2.0, "validation/greedy": None},
    {"step": 3, "seconds": 3.0, "validation/greedy": 0.75},
]


@pytest.fixture
def board(tmp_path: Path) -> Path:
    return tmp_path / "board" / "submissions"


@pytest.fixture
def run(entry: Entry, tmp_path: Path) -> Path:
    """What a run leaves, the embedded policy as its best."""
    folder = tmp_path / "run"
    shutil.copytree(entry.folder, folder / "best")
    (folder / "best" / "manifest.toml").unlink()
    (folder / "lmgym.json").write_text(json.dumps(RECORD))
    (folder / "best" / "lmgym.json").write_text(json.dumps(RECORD))
    (folder / "best" / "sb3.zip").write_bytes(b"PK\x03\x04")
    (folder / "state.safetensors").write_bytes(b"x")
    lines = "".join(json.dumps(row) + "\n" for row in METRICS)
    (folder / "metrics.jsonl").write_text(lines)
    return folder


def test_an_entry_is_put_in_its_place(entry: Entry, board: Path) -> None:
    submission = pack(entry.folder, board)
    assert submission.folder == board / "mine"
    assert hash_files(board / "mine") == submission.hashes == hash_files(entry.folder)
    assert [path.name for path in board.iterdir()] == ["mine"]


def test_a_process_keeps_its_program_runnable(process_entry: Path, board: Path) -> None:
    (process_entry / "agent.py").chmod(0o700)
    submission = pack(process_entry, board)
    assert (submission.folder / "agent.py").stat().st_mode & 0o777 == 0o755


def test_the_same_once_more_changes_nothing(entry: Entry, board: Path) -> None:
    first = pack(entry.folder, board)
    before = (board / "mine" / "config.json").stat()
    assert pack(entry.folder, board).hashes == first.hashes
    assert (board / "mine" / "config.json").stat() == before


def test_other_content_under_the_same_version_is_refused(entry: Entry, board: Path) -> None:
    pack(entry.folder, board)
    entry.sign(summary="new")
    with pytest.raises(LmgymError, match=r"mine@1 is there already.*raise version .* to 2"):
        pack(entry.folder, board)
    assert read_manifest(board / "mine").summary == ""


def test_a_higher_version_replaces_a_lower(entry: Entry, board: Path) -> None:
    pack(entry.folder, board)
    entry.sign(version=3, summary="new")
    (entry.folder / "generation_config.json").unlink()
    assert pack(entry.folder, board).manifest.entry == "mine@3"
    assert read_manifest(board / "mine").summary == "new"
    assert not (board / "mine" / "generation_config.json").exists()
    entry.sign(version=2)
    with pytest.raises(LmgymError, match=r"mine@3 is there already, and mine@2 is older"):
        pack(entry.folder, board)
    assert [path.name for path in board.iterdir()] == ["mine"]


def test_a_failed_move_leaves_the_old_entry(
    entry: Entry, board: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(entry.folder, board)
    entry.sign(version=2)
    rename = os.rename

    def fail(source: Any, target: Any) -> None:
        if Path(source).name == "entry":
            raise OSError("full")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(OSError, match="full"):
        pack(entry.folder, board)
    assert read_manifest(board / "mine").version == 1


def test_what_is_refused_leaves_no_trace(entry: Entry, board: Path) -> None:
    entry.write("evil.py", "")
    with pytest.raises(LmgymError) as error:
        pack(entry.folder, board)
    assert str(error.value).splitlines() == [
        f"{entry.folder} cannot be submitted:",
        '- evil.py: is code, which an entry of kind "weights" must not hold',
    ]
    assert list(board.iterdir()) == []


def test_a_link_is_not_followed(entry: Entry, board: Path) -> None:
    (entry.folder / "README.md").symlink_to("/etc/passwd")
    with pytest.raises(LmgymError, match=r"README.md: is a symbolic link"):
        pack(entry.folder, board)


def test_what_is_checked_is_what_is_packed(
    entry: Entry, board: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that changes after it was copied changes nothing."""

    def swap_and_check(folder: Path, tracks: Any) -> Any:
        found = check_submission(folder, tracks)
        entry.write("config.json", '{"auto_map": {}}')
        return found

    monkeypatch.setattr(packing, "check_submission", swap_and_check)
    submission = pack(entry.folder, board)
    assert b"auto_map" not in (board / "mine" / "config.json").read_bytes()
    assert hash_files(board / "mine") == submission.hashes


def test_tracks_that_the_board_lacks_are_refused(entry: Entry, board: Path) -> None:
    with pytest.raises(
        LmgymError, match="tracks names 'math-addition', which is unknown; known: w"
    ):
        pack(entry.folder, board, known_tracks=("web",))


def test_a_run_becomes_an_entry(run: Path, board: Path) -> None:
    submission = pack(run, board, tracks=("guess",), authors=("Ada",))
    manifest = submission.manifest
    sha256 = submission.hashes["model.safetensors"]
    assert manifest.name == f"sft-guess-number-{sha256[:6]}"
    assert manifest.training == Training("sft", "", "lmgym/GuessNumber-v0", 29, 7)
    assert manifest.weights is not None
    assert (manifest.weights.arch, manifest.weights.sha256) == ("llama", sha256)
    assert (manifest.license, manifest.tracks) == ("unspecified", ("guess",))
    assert submission.curve == {
        "x": "seconds",
        "y": "validation accuracy, greedy",
        "points": [[0.5, 0.25], [3.0, 0.75]],
    }
    assert set(submission.hashes) == {
        "config.json",
        "curve.json",
        "generation_config.json",
        "manifest.toml",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert pack(run, board, tracks=("guess",), authors=("Ada",)).hashes == submission.hashes


def test_a_draft_takes_what_it_is_told(run: Path) -> None:
    manifest = draft_manifest(
        run, ("a", "b"), name="mine", version=4, license_name="MIT", summary="It guesses."
    )
    assert (manifest.entry, manifest.license, manifest.summary) == ("mine@4", "MIT", "It guesses.")
    assert len(manifest.authors) == 1
    assert manifest.authors[0]


def test_a_record_that_says_nonsense_is_left_out(run: Path) -> None:
    nonsense = {"agent": "<script>" * 20, "env": 3, "seed": -1, "updates": 1e99, "commit": "HEAD"}
    (run / "lmgym.json").write_text(json.dumps(nonsense))
    manifest = draft_manifest(run, ("a",))
    assert manifest.training == Training()
    assert manifest.name.startswith("model-")


@pytest.mark.parametrize(
    ("world", "guide"), [({"guide": False}, False), ({"guide": 1}, None), ({}, None), (3, None)]
)
def test_who_was_told_the_rules_in_training_is_told_them_again(
    run: Path, world: object, guide: bool | None
) -> None:
    (run / "lmgym.json").write_text(json.dumps({**RECORD, "world": world}))
    weights = draft_manifest(run, ("a",)).weights
    assert weights is not None
    assert weights.guide is guide


def test_a_long_curve_is_thinned_between_its_ends(run: Path) -> None:
    rows = [{"seconds": i, "validation/reward": i / 999, "win/random": 1} for i in range(1000)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    curve = draft_curve(run)
    assert curve is not None
    assert curve["y"] == "validation reward"
    assert len(curve["points"]) == 200
    assert (curve["points"][0], curve["points"][-1]) == ([0, 0], [999, 1])


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"[1]", "line 2 of metrics.jsonl is [1], which is no object"),
        (b"{", "line 2 of metrics.jsonl is not JSON"),
        (b"\xff", "line 2 of metrics.jsonl is not JSON"),
        (b"[" * 100_000, "line 2 of metrics.jsonl is not JSON"),
        (b'{"seconds": "soon", "validation/greedy": 1}', "metric 'seconds' is 'soon', no number"),
        (b'{"seconds": 1, "validation/greedy": [1]}', "metric 'validation/greedy' is [1], no"),
        (b'{"seconds": 1, "validation/greedy": true}', "metric 'validation/greedy' is True, no"),
    ],
)
def test_metrics_that_are_damaged_are_refused(run: Path, line: bytes, told: str) -> None:
    (run / "metrics.jsonl").write_bytes(b"{}\n" + line + b"\n")
    with pytest.raises(LmgymError) as error:
        draft_curve(run)
    assert told in str(error.value)


def test_metrics_that_are_still_being_written_are_read(run: Path) -> None:
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"seconds": 4.0, "validation/gre')
    curve = draft_curve(run)
    assert curve is not None
    assert curve["points"] == [[0.5, 0.25], [3.0, 0.75]]


@pytest.mark.parametrize(
    ("record", "world"),
    [
        ({"world": {"difficulty": 5}}, {"difficulty": 5}),
        ({"world": None, "game": {"cards": 3}}, {"cards": 3}),
        ({"world": {}}, {}),
    ],
)
def test_the_world_of_a_record_is_found(record: dict[str, Any], world: dict[str, Any]) -> None:
    assert world_of(record) == world


def test_a_network_of_sb3_says_why_it_cannot_be_entered(tmp_path: Path, board: Path) -> None:
    (tmp_path / "run" / "best").mkdir(parents=True)
    (tmp_path / "run" / "lmgym.json").write_text("{}")
    (tmp_path / "run" / "best" / "sb3.zip").touch()
    with pytest.raises(LmgymError, match=r"in sb3.zip, which is pickled and never opened"):
        pack(tmp_path / "run", board, tracks=("a",))


def test_a_folder_of_nothing_says_what_would_do(tmp_path: Path, board: Path) -> None:
    with pytest.raises(LmgymError, match=r"has no manifest.toml, and is no folder of a run"):
        pack(tmp_path, board)
    assert not board.exists()


def test_a_manifest_is_not_overruled(entry: Entry, board: Path) -> None:
    with pytest.raises(LmgymError, match=r"manifest.toml says what is submitted; change it there"):
        pack(entry.folder, board, name="other")


def test_a_run_needs_tracks(run: Path, board: Path) -> None:
    with pytest.raises(LmgymError, match=r"manifest.toml: tracks is a list of 0"):
        pack(run, board)
