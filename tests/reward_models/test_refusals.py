"""What saving and loading reward models refuses, and what loading is told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.factory import make_source
from lmgym.preferences.pairs import PreferenceDataset
from lmgym.reward_models import EmbeddingCache, FitArgs, fit_reward_model, load_reward_model
from lmgym.reward_models.head_model import HeadRewardModel
from lmgym.reward_models.model import DESCRIPTION
from lmgym.reward_models.storage import read_tensors, write_tensors
from lmgym.transcript import Transcript

from .conftest import polite_pairs_of

Array = NDArray[np.float64]
Change = Callable[[Array], Array]

TRANSCRIPTS = [Transcript.from_strings("q", answer) for answer in ("thanks", "indeed indeed")]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Directories with models, to be copied and not to be changed."""
    folder = tmp_path_factory.mktemp("fitted")
    for encoder in ("hashing", "tfidf"):
        args = FitArgs(encoder=encoder, components=4)
        fit_reward_model(polite_pairs_of(), args).save(folder / encoder)
    return {name: folder / name for name in ("hashing", "tfidf")}


@pytest.fixture
def saved(fitted: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(fitted["hashing"], tmp_path / "rm"))


def _with_nan(array: Array) -> Array:
    return np.where(np.arange(array.size).reshape(array.shape) == 0, np.nan, array)


def test_directory_with_other_files_is_refused_and_untouched(
    pairs: PreferenceDataset, tmp_path: Path
) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(LmgymError, match="holds other files; give a new directory, an empty one"):
        fit_reward_model(pairs, FitArgs(components=4)).save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_empty_directory_is_filled(pairs: PreferenceDataset, tmp_path: Path) -> None:
    (tmp_path / "rm").mkdir()
    fit_reward_model(pairs, FitArgs(components=4)).save(tmp_path / "rm")
    load_reward_model(tmp_path / "rm")


def test_tilde_is_the_home_directory(
    pairs: PreferenceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    model = fit_reward_model(pairs, FitArgs(components=4))
    model.save("~/rm")
    assert (tmp_path / "rm" / DESCRIPTION).is_file()
    loaded = load_reward_model("~/rm")
    assert (loaded.score(TRANSCRIPTS).outcome == model.score(TRANSCRIPTS).outcome).all()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("head.weights", _with_nan, r"head\.weights holds what are no finite float64 numbers"),
        ("mean", _with_nan, "mean holds what are no finite"),
        ("head.bias", lambda a: a.astype(np.float32), r"head\.bias holds what are no finite float"),
        ("scale", np.zeros_like, "scale holds a number that is not above 0"),
        ("feature_scale", np.negative, "feature_scale holds a number that is not above 0"),
        ("head.weights", lambda a: a[0], r"head\.weights has the shape \(5,\)"),
        ("head.bias", lambda a: a[None], r"head\.bias has the shape \(1, 1\)"),
        ("shift", lambda a: np.repeat(a, 3), r"the shape \(1,\), and \(3,\) belongs"),
        ("directions", lambda a: a[1:], r"directions has the shape \(1023, 4\), and \(1024, 4\)"),
        ("directions", lambda a: a[:, 2:], "feature_scale is of other features than directions"),
        ("mean", lambda a: a[:-1], r"mean has the shape \(1024,\), and \(1025,\) belongs"),
    ],
)
def test_broken_arrays_are_refused_by_name(
    saved: Path, name: str, change: Change, message: str
) -> None:
    file = saved / "model.safetensors"
    tensors = read_tensors(file)
    write_tensors(file, {**tensors, name: change(tensors[name])})
    with pytest.raises(LmgymError, match=message):
        load_reward_model(saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coefficient": "x"}, r"coefficient in .*reward_model\.json is 'x'; it is broken"),
        ({"coefficient": None}, "coefficient in .* is None"),
        ({"figures": []}, "has figures that are no object"),
        ({"encoder": {"name": 3, "dtype": "fp32", "fingerprint": ""}}, "which encoder it needs"),
        ({"head": "transformer", "shift": "a", "scale": 1.0}, "shift in .* is 'a'"),
        ({"head": "transformer", "shift": 0.0, "scale": 0}, "scale in .* is 0"),
    ],
)
def test_broken_descriptions_are_refused(
    saved: Path, changes: dict[str, object], message: str
) -> None:
    description = json.loads((saved / DESCRIPTION).read_text())
    (saved / DESCRIPTION).write_text(json.dumps({**description, **changes}))
    with pytest.raises(LmgymError, match=message):
        load_reward_model(saved)


@pytest.mark.parametrize(
    "kept",
    [
        {"words": ["a", "a"], "weights": [1.0, 2.0]},
        {"words": ["a"], "weights": ["1"]},
        {"words": ["a"], "weights": [float("nan")]},
        {"words": ["a"], "weights": [1.0, 2.0]},
        {"words": [1], "weights": [1.0]},
        {"words": [], "weights": []},
        {"words": {"a": 0}, "weights": [1.0]},
    ],
)
def test_broken_words_are_refused(
    fitted: dict[str, Path], tmp_path: Path, kept: dict[str, object]
) -> None:
    shutil.copytree(fitted["tfidf"], tmp_path / "rm")
    (tmp_path / "rm" / "tfidf.json").write_text(json.dumps(kept))
    with pytest.raises(LmgymError, match=r"tfidf\.json holds no words with their weights"):
        load_reward_model(tmp_path / "rm")


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_reward_that_is_not_finite_is_an_error(pairs: PreferenceDataset, wrong: float) -> None:
    model = fit_reward_model(pairs, FitArgs(members=2, components=4))
    assert isinstance(model, HeadRewardModel)
    model.head.bias[1] = wrong
    with pytest.raises(LmgymError, match="2 of 2 rewards are not finite, the first that of trans"):
        model.score(TRANSCRIPTS)


def test_options_follow_the_directory_in_a_reward_string(saved: Path) -> None:
    expected = load_reward_model(saved).score(TRANSCRIPTS).outcome
    for options in ("device=cpu,dtype=fp32", "dtype=fp32", "encoder=hashing,device=cpu"):
        source = make_source(f"rm:{saved},{options}")
        assert source is not None
        assert (source.score(TRANSCRIPTS).outcome == expected).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (",colour=red", "is no reward model: there is no such directory"),
        (",colour=red,device=cpu", "is no reward model: there is no such directory"),
        (",dtype=fp9", "unknown dtype 'fp9'"),
        (",dtype=bf16", "was fitted to encodings in fp32, and dtype='bf16' would change them"),
        (",encoder=braille", "unknown encoder 'braille'"),
        (",encoder=embedded", "the encoder 'embedded' is not the one that"),
    ],
)
def test_options_that_cannot_be_are_refused(saved: Path, options: str, message: str) -> None:
    with pytest.raises(LmgymError, match=message):
        make_source(f"rm:{saved}{options}")


def test_device_that_is_not_there_is_refused(save_llama: Callable[..., Path]) -> None:
    place = save_llama()
    with pytest.raises(LmgymError, match="device 'banana' cannot be used here"):
        load_reward_model(f"{place},device=banana")


def test_models_of_others_compute_in_what_is_asked_for(save_llama: Callable[..., Path]) -> None:
    place = save_llama()
    full, half = (load_reward_model(f"{place},dtype={dtype}") for dtype in ("fp32", "bf16"))
    first, second = (model.score_texts(["w1"], ["w2 w3"]) for model in (full, half))
    assert first == load_reward_model(place).score_texts(["w1"], ["w2 w3"])
    assert 0 < abs(first - second) < 0.05 * abs(first)


def test_directory_with_a_comma_is_a_directory(saved: Path) -> None:
    place = saved.rename(saved.parent / "a,device=cpu")
    load_reward_model(str(place))


def test_encoder_of_a_relative_directory_is_found_from_anywhere(
    pairs: PreferenceDataset,
    tmp_path: Path,
    save_llama: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = save_llama()
    monkeypatch.chdir(place.parent)
    fit_reward_model(pairs, FitArgs(encoder=f"hf:{place.name}")).save(tmp_path / "rm")
    kept = json.loads((tmp_path / "rm" / DESCRIPTION).read_text())["encoder"]["name"]
    assert kept == f"hf:{place}"
    monkeypatch.chdir("/")
    load_reward_model(tmp_path / "rm")


def test_cache_of_the_fit_stays_with_the_model(pairs: PreferenceDataset, tmp_path: Path) -> None:
    told: list[str] = []
    model = fit_reward_model(
        pairs,
        FitArgs(components=4),
        cache=tmp_path,
        on_progress=lambda what, *_: told.append(what),
    )
    assert isinstance(model, HeadRewardModel)
    n_files = len(list(tmp_path.rglob("*.safetensors")))
    first = model.score_texts(["q"], ["an answer of another file"])
    assert len(list(tmp_path.rglob("*.safetensors"))) == n_files + 1
    assert told == ["encode", "encode"]
    assert model.cache is not None
    again = EmbeddingCache(tmp_path)
    again.encode_texts(model.encoder, ["an answer of another file"], lambda *_: told.clear())
    assert told, "the folder holds the text"
    assert (model.score_texts(["q"], ["an answer of another file"]) == first).all()


def test_encodings_that_are_not_finite_are_not_kept(
    tmp_path: Path, save_llama: Callable[..., Path]
) -> None:
    from safetensors.numpy import load_file, save_file

    from lmgym.reward_models import make_encoder

    place = save_llama()
    weights = load_file(place / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"] * np.nan
    save_file(weights, place / "model.safetensors", {"format": "pt"})
    cache = EmbeddingCache(tmp_path / "cache")
    with pytest.raises(LmgymError, match="gives vectors that are not finite"):
        cache.encode_texts(make_encoder(f"hf:{place}"), ["w1"])
    assert not (tmp_path / "cache").exists()
