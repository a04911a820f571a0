"""Copied weights under a new name are found; what was trained from the same model is no copy."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from lmgym.errors import LmgymError
from lmgym.games.policies import load_game_policy
from lmgym.games.tabular import TabularPolicy
from lmgym.leaderboards.submissions.copies import (
    agreement,
    agreement_of,
    copies_of,
    relative_distance,
)

if TYPE_CHECKING:
    from tests.leaderboards.submissions.conftest import Entry

Tensors = dict[str, NDArray[Any]]


@pytest.fixture
def tensors(entry: Entry) -> Tensors:
    return load_file(entry.folder / "model.safetensors")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    made = tmp_path / "copy"
    made.mkdir()
    return made


def noisy(tensors: Tensors, share: float, seed: int = 0) -> Tensors:
    rng = np.random.default_rng(seed)
    return {
        name: (values * (1 + share * rng.standard_normal(values.shape))).astype(values.dtype)
        for name, values in tensors.items()
    }


def kinds(folder: Path, others: Mapping[str, Path]) -> list[tuple[str, str]]:
    return [(found.name, found.kind) for found in copies_of(folder, others)]


def save(tensors: Tensors, folder: Path, **metadata: str) -> None:
    save_file(tensors, folder / "model.safetensors", metadata or None)


def test_the_same_file_is_found(entry: Entry, copy: Path) -> None:
    shutil.copy(entry.folder / "model.safetensors", copy)
    (finding,) = copies_of(copy, {"theirs": entry.folder})
    assert (finding.name, finding.kind) == ("theirs", "file")
    assert finding.detail == "model.safetensors is the same file as that of theirs"


def test_the_same_numbers_in_another_file_are_found(
    entry: Entry, copy: Path, tensors: Tensors
) -> None:
    save(tensors, copy, author="mine")
    assert kinds(copy, {"theirs": entry.folder}) == [("theirs", "tensors")]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_cast_to_another_type_is_found(
    entry: Entry, copy: Path, tensors: Tensors, dtype: Any
) -> None:
    from safetensors.torch import save_file as save_torch

    cast = {name: torch.from_numpy(values).to(dtype) for name, values in tensors.items()}
    save_torch(cast, copy / "model.safetensors")
    assert kinds(copy, {"theirs": entry.folder}) == [("theirs", "near")]
    save({name: values.float().numpy() for name, values in cast.items()}, entry.folder)
    assert kinds(copy, {"theirs": entry.folder}) == [("theirs", "tensors")]


def test_noise_on_all_weights_is_found(entry: Entry, copy: Path, tensors: Tensors) -> None:
    save(noisy(tensors, 1e-3), copy)
    (finding,) = copies_of(copy, {"theirs": entry.folder})
    assert finding.kind == "near"
    assert finding.detail == (
        "weights differ from those of theirs by 0.10% of their norm, which is less than 0.2%"
    )


def test_a_difference_that_is_small_beside_the_training_is_found(
    entry: Entry, copy: Path, tmp_path: Path, tensors: Tensors
) -> None:
    """More noise than a short training makes, on weights that were trained for long."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    trained = noisy(tensors, 0.06)
    save(trained, theirs)
    save(noisy(trained, 0.004, seed=1), copy)
    (finding,) = copies_of(copy, {"theirs": theirs})
    assert finding.detail.endswith(", which is 7% of the way from embedded")
    assert copies_of(copy, {"theirs": theirs}, bases=()) == []
    assert copies_of(theirs, {"embedded": entry.folder}) == []


def test_units_in_another_order_are_found(entry: Entry, copy: Path, tensors: Tensors) -> None:
    order = np.random.default_rng(0).permutation(160)
    changed = dict(tensors)
    for layer in range(2):
        name = f"model.layers.{layer}.mlp."
        for part in ("gate_proj", "up_proj"):
            changed[f"{name}{part}.weight"] = tensors[f"{name}{part}.weight"][order]
        down = tensors[f"{name}down_proj.weight"]
        changed[f"{name}down_proj.weight"] = np.ascontiguousarray(down[:, order])
    save(changed, copy)
    assert relative_distance(copy / "model.safetensors", entry.folder / "model.safetensors") > 0.5
    assert kinds(copy, {"theirs": entry.folder}) == [("theirs", "order")]


def test_two_trainings_from_one_model_are_no_copies(
    entry: Entry, copy: Path, tmp_path: Path, tensors: Tensors
) -> None:
    """As far apart as 10 updates of supervised learning with two seeds, the closest measured."""
    other = tmp_path / "other"
    other.mkdir()
    rng = np.random.default_rng(0)
    shared = {n: 0.0102 * v * rng.standard_normal(v.shape) for n, v in tensors.items()}
    for folder, seed in ((copy, 1), (other, 2)):
        own = noisy(tensors, 0.0032, seed)
        save({n: (own[n] + shared[n]).astype(np.float32) for n in tensors}, folder)
    distance = relative_distance(copy / "model.safetensors", other / "model.safetensors")
    assert 0.004 < distance < 0.005
    assert copies_of(copy, {"other": other, "embedded": entry.folder}) == []


def test_another_shape_is_another_model(entry: Entry, copy: Path, tensors: Tensors) -> None:
    tensors["model.norm.weight"] = tensors["model.norm.weight"][:32].copy()
    save(tensors, copy)
    assert copies_of(copy, {"theirs": entry.folder}) == []


def test_an_entry_without_weights_is_no_copy(entry: Entry, process_entry: Path) -> None:
    assert copies_of(process_entry, {"theirs": entry.folder}) == []
    assert copies_of(entry.folder, {"talker": process_entry}) == []


def table(folder: Path, logits: NDArray[np.float32], order: Sequence[int] | None = None) -> Path:
    """A policy of 12 rows of 4 moves, saved in some order."""
    policy = TabularPolicy(4, [f"page {row}" for row in (order or range(12))])
    with torch.no_grad():
        policy.blocks[0][:12] = torch.from_numpy(logits[list(order or range(12))])
    policy.save(folder)
    return folder


@pytest.fixture
def logits() -> NDArray[np.float32]:
    """Of a table that prefers moves as clearly as trained ones do."""
    return (10 * np.random.default_rng(0).standard_normal((12, 4))).astype(np.float32)


@pytest.mark.parametrize("share", [0.003, 0.01])
def test_a_table_with_noise_plays_as_before(
    tmp_path: Path, logits: NDArray[np.float32], share: float
) -> None:
    theirs = table(tmp_path / "theirs", logits)
    copied = table(tmp_path / "copy", noisy({"": logits}, share, seed=1)[""])
    (finding,) = copies_of(copied, {"theirs": theirs})
    assert finding.kind == "play"
    assert finding.detail.startswith("moves have the chances of theirs, but for 0.")


def test_a_table_that_is_shifted_and_in_another_order_plays_as_before(
    tmp_path: Path, logits: NDArray[np.float32]
) -> None:
    theirs = table(tmp_path / "theirs", logits)
    copied = table(tmp_path / "copy", logits + np.float32(5), list(range(11, -1, -1)))
    assert kinds(copied, {"theirs": theirs}) == [("theirs", "play")]


def test_rows_that_no_game_reaches_hide_no_copy(
    tmp_path: Path, logits: NDArray[np.float32]
) -> None:
    theirs = table(tmp_path / "theirs", logits)
    policy = load_game_policy(theirs)
    assert isinstance(policy, TabularPolicy)
    policy.extend([*policy.known, *(f"no page {row}" for row in range(50))])
    with torch.no_grad():
        policy.blocks[0][12:62] = 9 * torch.eye(4).repeat(13, 1)[:50]
        policy.blocks[0][:12] += 5
    policy.save(tmp_path / "copy")
    assert kinds(tmp_path / "copy", {"theirs": theirs}) == [("theirs", "play")]


def test_a_table_that_plays_otherwise_is_no_copy(
    tmp_path: Path, logits: NDArray[np.float32]
) -> None:
    theirs = table(tmp_path / "theirs", logits)
    rng = np.random.default_rng(1)
    other = (logits + 0.5 * rng.standard_normal(logits.shape)).astype(np.float32)
    assert copies_of(table(tmp_path / "other", other), {"theirs": theirs}) == []


def test_tables_of_other_games_are_not_compared(
    tmp_path: Path, logits: NDArray[np.float32]
) -> None:
    theirs = table(tmp_path / "theirs", logits)
    TabularPolicy(3, [f"page {row}" for row in range(12)]).save(tmp_path / "three")
    TabularPolicy(4, [f"heap {row}" for row in range(12)]).save(tmp_path / "heaps")
    for name in ("three", "heaps"):
        assert copies_of(tmp_path / name, {"theirs": theirs}) == []


def test_equal_answers_tell_nothing_where_all_are_right() -> None:
    answers = [str(n) for n in range(100)]
    found = agreement_of(answers, answers, scores=[1] * 100, other_scores=[1] * 100)
    assert found.n_telling == 0
    assert not found.is_suspicious


def test_equal_mistakes_are_suspicious() -> None:
    answers = [str(n) for n in range(100)]
    scores = [float(n >= 30) for n in range(100)]
    assert agreement_of(answers, answers, scores=scores, other_scores=scores).is_suspicious
    changed = ["x" if n < 3 else answer for n, answer in enumerate(answers)]
    found = agreement_of(answers, changed, scores=scores, other_scores=scores)
    assert (found.share, found.n_telling) == (27 / 30, 30)
    assert not found.is_suspicious


def test_a_mistake_that_only_one_of_them_makes_counts_against_a_copy() -> None:
    scores = [0.0] * 30
    found = agreement_of(
        ["a"] * 30, ["a"] * 15 + ["b"] * 15, scores=scores, other_scores=[0.0] * 15 + [1.0] * 15
    )
    assert (found.share, found.n_telling) == (0.5, 30)


def test_forced_moves_tell_nothing() -> None:
    moves = [0, 1, 2, 3]
    assert agreement(moves, [0, 1, 9, 3], [False, False, True, True]) == 0.5
    assert np.isnan(agreement(moves, moves, [False] * 4))


def test_few_answers_prove_nothing() -> None:
    assert not agreement_of(["x"] * 19, ["x"] * 19).is_suspicious
    assert agreement_of(["x"] * 20, ["x"] * 20).is_suspicious
    assert not agreement_of(["x"] * 100, ["x"] * 99 + ["y"]).is_suspicious


def test_answers_to_other_questions_are_not_compared() -> None:
    with pytest.raises(LmgymError, match="give lists of one length"):
        agreement(["a"], ["a", "b"])


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1))
def test_agreement_is_symmetric(pairs: list[tuple[int, int]]) -> None:
    a, b = zip(*pairs, strict=True)
    assert agreement(a, b) == agreement(b, a)
