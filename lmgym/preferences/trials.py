"""Logged trials: one answer with a label each, from JSON lines or the arrays of Prompt-OIRL."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.preferences.pairs import Trial
from lmgym.preferences.rows import trial_of
from lmgym.preferences.tables import find_files, rows_by_name, rows_of

__all__ = ["read_choices", "read_trials"]


def read_trials(
    source: str | Path, queries: Sequence[str] = (), prompts: Sequence[str] = ()
) -> list[Trial]:
    """Read trials.

    Args:
        source: a .jsonl or .json file, plain or .gz, or a data set by name, with the columns
            `prompt`, `completion` and `label` (a truth value, or a number from 0 to 1); or a .npy
            file that `read_choices` takes.
        queries: texts of the questions that a .npy file counts; by default "query 0" and so on.
        prompts: texts of the prompts that it counts; by default "prompt 0" and so on. A trial's
            transcript asks the query and answers with the prompt that was chosen for it.

    Raises:
        LmgymError: for what cannot be read; it names the file, the row and the column.
    """
    if str(source).endswith(".npy"):
        return _trials_of_choices(source, queries, prompts)
    tables = [(str(file), rows_of(file)) for file in find_files(source)]
    trials = []
    for name, table in tables or [(str(source), rows_by_name(str(source)))]:
        for row, number in table:
            try:
                trials.append(trial_of(row))
            except LmgymError as error:
                raise LmgymError(f"row {number} of {name!r}: {error}") from None
    if not trials:
        raise LmgymError(f"{str(source)!r} holds no trials; it needs one JSON object a line")
    return trials


def read_choices(
    data: str | Path, labels: str | Path | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Logged choices of a prompt for a query (Sun et al. 2023), and how each came out.

    Args:
        data: a .npy file of shape (n, 2): index of the query, index of the prompt.
        labels: a .npy file of shape (n,) with numbers from 0 to 1; by default the file of the same
            name with "labels" for "data".

    Returns:
        Indices of shape (n, 2), labels of shape (n,).

    Raises:
        LmgymError: for arrays of another shape or kind, and values out of range, naming the row,
            counted from 0. Pickled arrays are never loaded.
    """
    data_file = _npy_file(data)
    labels_file = _npy_file(labels or data_file.with_name(_labels_name(data_file)))
    choices, outcomes = _array(data_file), _array(labels_file)
    if choices.ndim != 2 or choices.shape[1] != 2 or choices.dtype.kind not in "iu":
        raise LmgymError(
            f"{str(data_file)!r} is of shape {choices.shape} and type {choices.dtype}; whole"
            " numbers of shape (n, 2) are needed, index of the query and of the prompt"
        )
    if outcomes.shape != choices.shape[:1] or outcomes.dtype.kind not in "iufb":
        raise LmgymError(
            f"{str(labels_file)!r} is of shape {outcomes.shape} and type {outcomes.dtype}; one"
            f" number for each of {len(choices)} rows is needed"
        )
    _check_range(data_file, np.all(choices >= 0, axis=1), choices, "indices from 0 on are allowed")
    outcomes = outcomes.astype(np.float64)
    is_share = (outcomes >= 0) & (outcomes <= 1)
    _check_range(labels_file, is_share, outcomes, "labels from 0 to 1 are allowed")
    return choices.astype(np.int64), outcomes


def _trials_of_choices(
    source: str | Path, queries: Sequence[str], prompts: Sequence[str]
) -> list[Trial]:
    choices, labels = read_choices(source)
    n_queries, n_prompts = choices.max(axis=0, initial=-1) + 1
    asked = _texts(queries, "query", int(n_queries))
    answers = _texts(prompts, "prompt", int(n_prompts))
    rows: list[tuple[int, int]] = choices.tolist()
    return [
        Trial.of(asked[query], answers[prompt], label, columns=_columns(query, prompt))
        for (query, prompt), label in zip(rows, labels.tolist(), strict=True)
    ]


def _columns(query: int, prompt: int) -> dict[str, int]:
    return {"query_index": query, "prompt_index": prompt}


def _texts(names: Sequence[str], kind: str, n: int) -> Sequence[str]:
    if names and len(names) < n:
        raise LmgymError(f"{len(names)} texts are given for {n} {kind} indices; give one for each")
    return names or [f"{kind} {index}" for index in range(n)]


def _npy_file(path: str | Path) -> Path:
    found = find_files(path)
    if len(found) != 1:
        raise LmgymError(f"no file {str(path)!r}; give a .npy file, or one in LMGYM_DATA")
    return found[0]


def _labels_name(data: Path) -> str:
    if "data" not in data.name:
        raise LmgymError(f"{data.name!r} has no 'data' in its name; name the file of its labels")
    return data.name.replace("data", "labels")


def _array(file: Path) -> NDArray[Any]:
    try:
        array = np.load(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise LmgymError(f"{str(file)!r} is no array file: {error}") from None
    if not isinstance(array, np.ndarray):
        raise LmgymError(f"{str(file)!r} is no file of one array")
    return array


def _check_range(
    file: Path, is_allowed: NDArray[np.bool_], values: NDArray[Any], allowed: str
) -> None:
    if not is_allowed.all():
        row = int(np.argmin(is_allowed))
        raise LmgymError(f"row {row} of {str(file)!r} is {values[row]}; {allowed}")
