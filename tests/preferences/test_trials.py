"""Logged trials from rows and from arrays."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.preferences.trials import read_choices, read_trials

GOOD = {"prompt": "1+1=", "completion": "2", "label": True}


def arrays(folder: Path, data: Any, labels: Any) -> Path:
    np.save(folder / "my_data.npy", np.asarray(data), allow_pickle=True)
    np.save(folder / "my_labels.npy", np.asarray(labels), allow_pickle=True)
    return folder / "my_data.npy"


def test_rows_become_trials(tmp_path: Path) -> None:
    answer = [{"role": "assistant", "content": "3"}]
    rows = [GOOD, {**GOOD, "completion": answer, "label": 0.25, "weight": 2, "id": 5, "mine": 1}]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    first, second = read_trials(tmp_path / "x.jsonl")
    assert (first.transcript.prompt_text, first.transcript.completion_text) == ("1+1=", "2")
    assert (first.label, first.weight) == (1.0, 1.0)
    assert (second.transcript.completion_text, second.label, second.weight) == ("3", 0.25, 2.0)
    assert (second.transcript.task_id, second.transcript.columns) == ("5", {"mine": 1})


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": "a", "completion": "b"}, "the column 'label' is missing"),
        ({**GOOD, "label": "yes"}, "'label' is 'yes'; a number is allowed"),
        ({**GOOD, "label": 2}, "'label' is 2.0; a number from 0 to 1"),
        ({**GOOD, "weight": 0}, "'weight' is 0.0"),
        ({**GOOD, "prompt": ""}, "'prompt' is empty"),
        ({**GOOD, "prompt": None}, "the column 'prompt' is missing"),
        ({**GOOD, "completion": 3}, "'completion' is 3"),
    ],
)
def test_a_malformed_row_is_named(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text(f"{json.dumps(GOOD)}\n{json.dumps(row)}")
    with pytest.raises(LmgymError, match=f"row 2 of '{file}': {said}"):
        read_trials(file)


def test_no_rows_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("")
    with pytest.raises(LmgymError, match="holds no trials"):
        read_trials(tmp_path / "x.jsonl")


def test_choices_become_trials_with_or_without_texts(tmp_path: Path) -> None:
    file = arrays(tmp_path, [[0, 1], [1, 0]], [1, 0])
    first, second = read_trials(file)
    assert first.transcript.prompt_text == "query 0"
    assert second.transcript.completion_text == "prompt 0"
    assert (first.label, second.label) == (1.0, 0.0)
    assert second.transcript.columns == {"query_index": 1, "prompt_index": 0}
    (named, _) = read_trials(file, queries=["1+1=", "1+2="], prompts=["Add.", "Think."])
    assert named.transcript.prompt_text == "1+1="
    assert named.transcript.completion_text == "Think."
    with pytest.raises(LmgymError, match="1 texts are given for 2 query indices"):
        read_trials(file, queries=["1+1="])


@pytest.mark.parametrize(
    ("data", "labels", "said"),
    [
        ([[0, 1, 2]], [1], r"shape \(1, 3\) and type int64; whole numbers of shape \(n, 2\)"),
        ([[0.0, 1.0]], [1], "type float64; whole numbers"),
        ([[0, 1]], [1, 0], r"my_labels.npy' is of shape \(2,\)"),
        ([[0, 1], [0, -1]], [1, 0], r"row 1 of .*my_data.npy' is \[ 0 -1\]; indices from 0"),
        ([[0, 1], [0, 1]], [1, 2], r"row 1 of .*my_labels.npy' is 2.0; labels from 0 to 1"),
        ([[0, 1]], [np.nan], "row 0 of .* is nan"),
        ([[0, 1]], ["yes"], "one number for each of 1 rows"),
        ([[0, 1]], [{}], "is no array file"),
    ],
)
def test_arrays_of_another_kind_are_an_error(
    tmp_path: Path, data: Any, labels: Any, said: str
) -> None:
    with pytest.raises(LmgymError, match=said):
        read_choices(arrays(tmp_path, data, labels))


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    file = arrays(tmp_path, np.array([[{}, 1]], dtype=object), [1])
    with pytest.raises(LmgymError, match="is no array file"):
        read_choices(file)


def test_a_missing_file_of_labels_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "my_data.npy", np.zeros((1, 2), np.int64))
    with pytest.raises(LmgymError, match=r"no file '.*my_labels.npy'"):
        read_choices(tmp_path / "my_data.npy")
    np.save(tmp_path / "mine.npy", np.zeros((1, 2), np.int64))
    with pytest.raises(LmgymError, match="has no 'data' in its name"):
        read_choices(tmp_path / "mine.npy")


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "n"),
    [("gsm8k_training_data_0_1_2_3_4_5.npy", 44_838), ("gsm8k_test_query_data.npy", 6_000)],
)
def test_the_logs_of_prompt_oirl_are_read_whole(name: str, n: int) -> None:
    file = Path(os.environ.get("LMGYM_DATA", "")) / "prompt_oirl" / name
    if not file.is_file():
        pytest.skip("LMGYM_DATA names no folder that holds prompt_oirl")
    choices, labels = read_choices(f"prompt_oirl/{name}")
    assert choices.shape == (n, 2)
    assert labels.shape == (n,)
    assert set(np.unique(choices[:, 1])) == set(range(6))
    assert set(np.unique(labels)) == {0.0, 1.0}
