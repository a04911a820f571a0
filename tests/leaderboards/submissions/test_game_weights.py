"""Policies of games as entries: saved by self-play, checked before anything is made of them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from lmgym.errors import LmgymError
from lmgym.games.policies import GamePolicy, make_game_policy
from lmgym.games.run import Turn
from lmgym.games.worlds import find_game
from lmgym.leaderboards.submissions.checking import check_submission, problems
from lmgym.leaderboards.submissions.game_weights import load_game_policy_of
from lmgym.leaderboards.submissions.manifest import Manifest, Weights
from lmgym.leaderboards.submissions.manifest_text import write_manifest
from lmgym.leaderboards.submissions.packing import pack

GAMES = {"tabular": "KuhnPoker", "linear": "Debate", "mlp": "Nim", "reader": "Debate"}


def saved(kind: str, folder: Path) -> GamePolicy:
    game = find_game(f"lmgym/{GAMES[kind]}-v0").game
    policy = make_game_policy(kind, game, torch.Generator().manual_seed(0))
    if kind == "tabular":
        state = game.start(np.random.default_rng(0))
        policy.probabilities([Turn(game, state, 0)])
    policy.save(folder)
    return policy


def sign(folder: Path) -> None:
    sha256 = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    weights = Weights("game-policy", sha256)
    made = Manifest("player", 1, ("Ada",), "MIT", "weights", ("nim",), weights=weights)
    write_manifest(made, folder)


@pytest.mark.parametrize("kind", sorted(GAMES))
def test_a_policy_of_each_kind_is_packed_and_loaded(tmp_path: Path, kind: str) -> None:
    policy = saved(kind, tmp_path / "policy")
    submission = pack(tmp_path / "policy", tmp_path / "board", tracks=("nim",), name="player")
    assert set(submission.hashes) == {"manifest.toml", "model.safetensors", "policy.json"}
    loaded = load_game_policy_of(submission.folder, submission.manifest)
    assert loaded.kind == kind
    wanted = policy.state_dict()
    assert all(torch.equal(values, wanted[name]) for name, values in loaded.state_dict().items())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"kind": "evil"}, "kind is 'evil'; known: tabular, linear, mlp, reader"),
        ({"kind": ["mlp"]}, "kind is a list of 1"),
        ({"evil": 1}, "is no object of kind and arguments"),
        ({"arguments": []}, "is no object of kind and arguments"),
        ({"arguments": {"width": 10**9}}, "arguments.width is 1000000000"),
        ({"arguments": {"width": 2.5}}, "arguments.width is 2.5"),
        ({"arguments": {"evil": 1}}, "'evil' is not allowed"),
        ({"arguments": {"width": 128, "n_actions": 21}}, "arguments.n_features is missing"),
        (
            {"arguments": {"width": 4096, "n_actions": 21, "n_features": 100_000}},
            "numbers; 33554432 are allowed",
        ),
    ],
)
def test_a_description_that_might_do_harm_is_refused(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    saved("mlp", tmp_path)
    described = json.loads((tmp_path / "policy.json").read_text())
    (tmp_path / "policy.json").write_text(json.dumps(described | change))
    sign(tmp_path)
    found = problems(tmp_path)
    assert any(line.startswith("policy.json: ") and told in line for line in found), found


def test_tensors_of_other_sizes_are_refused(tmp_path: Path) -> None:
    saved("mlp", tmp_path)
    described = json.loads((tmp_path / "policy.json").read_text())
    described["arguments"]["width"] = 64
    (tmp_path / "policy.json").write_text(json.dumps(described))
    sign(tmp_path)
    assert "model.safetensors: tensor first.bias has shape [128]; [64] is implied" in problems(
        tmp_path
    )


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    policy = saved("linear", tmp_path)
    weights = {name: values.numpy() for name, values in policy.state_dict().items()}
    weights["weights"][0, 0] = np.nan
    save_file(weights, tmp_path / "model.safetensors")
    sign(tmp_path)
    assert problems(tmp_path) == [
        "model.safetensors: tensor weights holds a number that is not finite"
    ]


def test_a_policy_of_games_holds_no_files_of_a_language_model(tmp_path: Path) -> None:
    saved("mlp", tmp_path)
    (tmp_path / "config.json").write_text("{}")
    sign(tmp_path)
    (problem,) = problems(tmp_path)
    assert problem.startswith("config.json: has no place")


def test_a_language_model_is_no_policy_of_games(tmp_path: Path) -> None:
    saved("mlp", tmp_path)
    sign(tmp_path)
    manifest = check_submission(tmp_path).manifest
    other = Manifest("a", 1, ("b",), "c", "weights", ("d",), weights=Weights("llama", "0" * 64))
    assert load_game_policy_of(tmp_path, manifest).kind == "mlp"
    with pytest.raises(LmgymError, match="a@1 holds no policy of a game"):
        load_game_policy_of(tmp_path, other)
