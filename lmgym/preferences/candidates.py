"""Pairs of answers that nobody has compared yet."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lmgym.errors import LmgymError
from lmgym.preferences.pairs import PreferenceDataset, PreferencePair, as_messages
from lmgym.preferences.readers import read_preferences
from lmgym.preferences.rows import column
from lmgym.preferences.tables import find_files, rows_of

__all__ = ["read_candidates"]


def read_candidates(source: str | Path, rng: np.random.Generator) -> PreferenceDataset:
    """Pairs to be labelled, each with the probability 0.5.

    Args:
        source: preference pairs in any format, whose labels are taken away; or rows with the
            columns `prompt` and `answers`, a list of two or more texts, of which every two
            different ones make a pair.
        rng: draws which answer is called the chosen one.

    Raises:
        LmgymError: for what cannot be read; it names the file, the row and the column.
    """
    tables = [(file, list(rows_of(file))) for file in find_files(source)]
    if not any("answers" in row for _, rows in tables for row, _ in rows[:1]):
        return _unlabelled(read_preferences(source), rng)
    found: list[PreferencePair] = []
    for file, rows in tables:
        for row, number in rows:
            try:
                found += _pairs(row)
            except LmgymError as error:
                raise LmgymError(f"row {number} of {str(file)!r}: {error}") from None
    return _unlabelled(found, rng)


def _unlabelled(pairs: Iterable[PreferencePair], rng: np.random.Generator) -> PreferenceDataset:
    unlabelled = (replace(pair, probability=0.5, margin=None) for pair in pairs)
    return PreferenceDataset.of(
        pair.swapped() if rng.random() < 0.5 else pair for pair in unlabelled
    )


def _pairs(row: Mapping[str, Any]) -> list[PreferencePair]:
    prompt, answers = as_messages(column(row, "prompt")), column(row, "answers")
    if not isinstance(answers, list) or not all(isinstance(each, str) for each in answers):
        raise LmgymError("'answers' must be a list of two or more texts")
    different = list(dict.fromkeys(answers))
    if len(different) < 2:
        raise LmgymError(f"'answers' has {len(different)} different texts; two or more are needed")
    return [PreferencePair(prompt, *two) for two in itertools.combinations(different, 2)]
