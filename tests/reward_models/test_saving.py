"""Reward models on disk: equal to the bit, complete or not there, refused by name."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.factory import make_source
from lmgym.preferences.pairs import PreferenceDataset
from lmgym.reward_models import FitArgs, fit_reward_model, load_reward_model
from lmgym.reward_models.model import DESCRIPTION
from lmgym.transcript import Transcript

from .conftest import polite_pairs_of

ANSWERS = ["thanks", "", "indeed " * 9, "héllo ☃"]
TRANSCRIPTS = [Transcript.from_strings("q", answer) for answer in ANSWERS]
KINDS: dict[str, dict[str, Any]] = {
    "linear": {},
    "members": {"members": 3, "reduce": "wco"},
    "mlp": {"head": "mlp", "hidden": 8, "epochs": 3},
    "classifier": {"objective": "classification"},
    "tfidf": {"encoder": "tfidf", "inputs": "prompt_and_answer"},
    "embedded": {"encoder": "embedded", "components": None, "length": False},
}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a model, to be copied and not to be changed."""
    place = tmp_path_factory.mktemp("fitted") / "rm"
    fit_reward_model(polite_pairs_of()).save(place)
    return place


@pytest.fixture
def saved(fitted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fitted, tmp_path / "rm"))


@pytest.mark.parametrize("kind", KINDS)
def test_rewards_after_loading_are_equal_to_the_bit(
    kind: str, pairs: PreferenceDataset, tmp_path: Path
) -> None:
    model = fit_reward_model(pairs, FitArgs(**KINDS[kind]))
    model.save(tmp_path / "rm")
    loaded = load_reward_model(tmp_path / "rm")
    assert (loaded.member_rewards(TRANSCRIPTS) == model.member_rewards(TRANSCRIPTS)).all()
    assert (loaded.score(TRANSCRIPTS).outcome == model.score(TRANSCRIPTS).outcome).all()
    assert loaded.objective == model.objective
    assert loaded.figures == model.figures
    assert loaded.data_fingerprint == pairs.fingerprint


def test_directory_is_a_reward_by_name(saved: Path) -> None:
    source = make_source(f"rm:{saved}")
    assert source is not None
    expected = load_reward_model(saved).score(TRANSCRIPTS).outcome
    assert (source.score(TRANSCRIPTS).outcome == expected).all()


def test_saving_again_replaces_the_directory(
    saved: Path, polite_pairs: Callable[..., PreferenceDataset]
) -> None:
    (saved / "stale").touch()
    model = fit_reward_model(polite_pairs(30, seed=5), FitArgs(components=4))
    model.save(saved)
    loaded = load_reward_model(saved)
    assert (loaded.score(TRANSCRIPTS).outcome == model.score(TRANSCRIPTS).outcome).all()
    assert [path.name for path in saved.parent.iterdir()] == ["rm"]
    assert sorted(path.name for path in saved.iterdir()) == ["model.safetensors", DESCRIPTION]


def test_failed_save_leaves_the_old_directory(
    saved: Path, pairs: PreferenceDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (saved / DESCRIPTION).read_bytes()
    model = fit_reward_model(pairs, FitArgs(components=4))
    monkeypatch.setattr(model, "figures", {"loss": object()})
    with pytest.raises(TypeError):
        model.save(saved)
    assert (saved / DESCRIPTION).read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["rm"]


def test_file_in_place_of_a_directory_is_refused(pairs: PreferenceDataset, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LmgymError, match="is a file, or lies in one; give a dir"):
        fit_reward_model(pairs, FitArgs(components=4)).save(tmp_path / "file")


def test_moved_encoder_can_be_named(
    pairs: PreferenceDataset, tmp_path: Path, save_llama: Callable[..., Path]
) -> None:
    place = save_llama()
    model = fit_reward_model(pairs, FitArgs(encoder=f"hf:{place}"))
    model.save(tmp_path / "rm")
    moved = place.rename(tmp_path / "elsewhere")
    with pytest.raises(LmgymError, match="is no directory"):
        load_reward_model(tmp_path / "rm")
    loaded = load_reward_model(tmp_path / "rm", encoder=f"hf:{moved}")
    assert (loaded.score(TRANSCRIPTS).outcome == model.score(TRANSCRIPTS).outcome).all()


def test_other_objective_is_refused(saved: Path) -> None:
    with pytest.raises(LmgymError, match="objective bradley_terry, and classification is needed"):
        load_reward_model(saved, objective="classification")
    load_reward_model(saved, objective="bradley_terry")


def test_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LmgymError, match="there is no such directory"):
        load_reward_model(tmp_path / "nowhere")
    with pytest.raises(LmgymError, match=r"has no reward_model\.json and no config\.json"):
        load_reward_model(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 2}, r"reward_model\.json has format version 2; this lmgym reads ver"),
        ({"objective": "hinge"}, r"unknown objective in .*reward_model\.json 'hinge'"),
        ({"head": "tree"}, r"unknown head in .*reward_model\.json 'tree'"),
        ({"encoder": None}, "does not say which encoder it needs"),
        (
            {"encoder": {"name": "hashing", "dtype": "fp32", "fingerprint": "old"}},
            "the encoder 'hashing' is not the one that .* was fitted on",
        ),
        (
            {"encoder": {"name": "gone", "dtype": "fp32", "fingerprint": "old"}},
            "unknown encoder 'gone'",
        ),
        (
            {"inputs": "prompt_and_answer"},
            r"mean has the shape \(1025,\), and \(2049,\) belongs to",
        ),
        ({"head": "mlp"}, r"model\.safetensors lacks an array"),
    ],
)
def test_wrong_descriptions_are_refused(saved: Path, changes: dict[str, Any], message: str) -> None:
    description = json.loads((saved / DESCRIPTION).read_text())
    (saved / DESCRIPTION).write_text(json.dumps({**description, **changes}))
    with pytest.raises(LmgymError, match=message):
        load_reward_model(saved)


@pytest.mark.parametrize("name", [DESCRIPTION, "model.safetensors"])
def test_broken_files_are_named(saved: Path, name: str) -> None:
    (saved / name).write_bytes(b"\xff broken")
    with pytest.raises(LmgymError, match=f"{name} cannot be read"):
        load_reward_model(saved)


def test_missing_weights_are_named(saved: Path) -> None:
    (saved / "model.safetensors").unlink()
    with pytest.raises(LmgymError, match=r"model\.safetensors does not exist"):
        load_reward_model(saved)


def test_missing_words_of_tfidf_are_named(pairs: PreferenceDataset, tmp_path: Path) -> None:
    fit_reward_model(pairs, FitArgs(encoder="tfidf", components=4)).save(tmp_path / "rm")
    (tmp_path / "rm" / "tfidf.json").write_text("{}")
    with pytest.raises(LmgymError, match=r"tfidf\.json holds no words"):
        load_reward_model(tmp_path / "rm")


@pytest.mark.parametrize("encoder", ["hashing", "embedded"])
def test_model_travels_to_another_process(pairs: PreferenceDataset, encoder: str) -> None:
    model = fit_reward_model(pairs, FitArgs(encoder=encoder))
    moved: Any = pickle.loads(pickle.dumps(model))  # noqa: S301 - ours
    assert (moved.score(TRANSCRIPTS).outcome == model.score(TRANSCRIPTS).outcome).all()


def test_importing_loads_nothing_heavy() -> None:
    program = (
        "import sys, lmgym.reward_models;"
        "print([m for m in ('torch', 'sklearn', 'scipy', 'transformers') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "[]\n"


def test_stored_figures_are_plain_numbers(saved: Path) -> None:
    figures = json.loads((saved / DESCRIPTION).read_text())["figures"]
    assert np.isfinite(list(figures.values())).all()
