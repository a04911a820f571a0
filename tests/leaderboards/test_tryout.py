"""Entries are tried out in a process of their own, whatever they do to it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmgym import policies
from lmgym.errors import LmgymError
from lmgym.games.networks import MLPPolicy
from lmgym.leaderboards.season import Season, SingleTrack
from lmgym.leaderboards.submissions.checking import Submission
from lmgym.leaderboards.submissions.packing import pack
from lmgym.leaderboards.tryout import TrialLimits, try_out

from .small_boards import SEASON

EMBEDDED = Path(policies.__file__).parent / "embedded"


@pytest.fixture
def entry(tmp_path: Path) -> Submission:
    """The embedded policy in both tracks."""
    return pack(EMBEDDED, tmp_path / "entries", tracks=("sums", "nim"), name="mine")


def changed(entry: Submission, name: str, **changes: Any) -> Submission:
    """The entry with another file, as if it had passed the check."""
    file = entry.folder / name
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | changes))
    return replace(entry, hashes={**entry.hashes, name: str(changes)})


def refusal(submission: Submission, season: Season = SEASON, **limits: Any) -> str:
    with pytest.raises(LmgymError) as error:
        try_out(submission, season, TrialLimits(**limits))
    return str(error.value)


def test_what_can_play_is_tried_once(entry: Submission, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = []
    run = subprocess.run

    def counted(*words: Any, **more: Any) -> Any:
        starts.append(words)
        return run(*words, **more)

    monkeypatch.setattr(subprocess, "run", counted)
    limits = TrialLimits(seconds=119)
    try_out(entry, SEASON, limits)
    try_out(entry, SEASON, limits)
    assert len(starts) == 1


def test_a_prompt_that_does_not_fit_is_told_with_its_track(entry: Submission) -> None:
    short = changed(entry, "config.json", max_position_embeddings=40)
    assert refusal(short).startswith("mine@1 cannot play track sums: prompt 0 has")


def test_a_library_that_aborts_ends_the_trial_alone(entry: Submission) -> None:
    model = {
        "type": "BPE",
        "vocab": {"a": 0, "é": 1, "aé": 2},
        "merges": [["a", "é"]],
        "continuing_subword_prefix": "#",
    }
    aborting = changed(entry, "tokenizer.json", model=model)
    assert refusal(aborting) == "mine@1 cannot be loaded: its process was killed by signal 6"


def test_a_policy_of_another_game_is_refused(tmp_path: Path) -> None:
    MLPPolicy(n_features=3, n_actions=2, width=4).save(tmp_path / "policy")
    made = pack(tmp_path / "policy", tmp_path / "entries", tracks=("nim",), name="lost")
    assert refusal(made).startswith("lost@1 cannot play track nim: the mlp policy does not fit")


def test_a_model_that_takes_too_long_is_stopped(entry: Submission) -> None:
    assert refusal(entry, seconds=0.01) == (
        "mine@1 cannot be loaded: it takes more than 0.02 seconds"
    )


def test_a_model_that_takes_too_much_memory_is_stopped(entry: Submission) -> None:
    assert refusal(entry, memory_bytes=2**20).startswith("mine@1 cannot be loaded: ")


def test_a_track_that_cannot_be_played_here_is_left_out(entry: Submission) -> None:
    track = SEASON.tracks[0]
    assert isinstance(track, SingleTrack)
    lacking = replace(track, split="nowhere")
    short = changed(entry, "config.json", max_position_embeddings=40)
    try_out(short, replace(SEASON, tracks=(lacking,)))


def test_nothing_is_imported_from_where_the_command_was_given(
    entry: Submission, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text("raise SystemExit('code of a stranger')")
    monkeypatch.chdir(tmp_path)
    try_out(entry, SEASON, TrialLimits(seconds=118))
