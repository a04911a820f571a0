"""Logs of trials: what each prompt came to on each question, in splits by question."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lmgym.addresses import split_of
from lmgym.errors import LmgymError
from lmgym.preferences.tables import rows_of
from lmgym.preferences.trials import read_choices

__all__ = ["LoggedQuestion", "TrialLog", "load_log", "load_prompt_oirl"]

_OIRL = {
    "train": "gsm8k_training_data_0_1_2_3_4_5.npy",
    "test": "gsm8k_test_query_data.npy",
}


@dataclass(frozen=True, slots=True)
class LoggedQuestion:
    """A question, and for each prompt whether its answer was right.

    Attributes:
        address: the log's name, its file and the row, counted from 0, as "prompt_oirl/test/17".
        text: the question.
        outcomes: 1 for right and 0 for wrong, one for each prompt.
    """

    address: str
    text: str
    outcomes: tuple[int, ...]

    @property
    def canonical(self) -> str:
        """The question without regard to case and spacing."""
        return " ".join(self.text.casefold().split())

    @property
    def right(self) -> tuple[int, ...]:
        """The prompts that were answered right."""
        return tuple(place for place, outcome in enumerate(self.outcomes) if outcome)


@dataclass(frozen=True)
class TrialLog:
    """Every outcome of some prompts on some questions.

    Attributes:
        prompts: their texts.
        splits: the questions of train, validation and test; no question is in two of them.
    """

    prompts: tuple[str, ...]
    splits: Mapping[str, tuple[LoggedQuestion, ...]]

    @classmethod
    def of_one(cls, prompts: Sequence[str], questions: Sequence[LoggedQuestion]) -> TrialLog:
        """A log that is split by its questions."""
        splits: dict[str, list[LoggedQuestion]] = {"train": [], "validation": [], "test": []}
        for question in questions:
            splits[split_of(question.canonical)].append(question)
        return cls(tuple(prompts), {name: tuple(part) for name, part in splits.items()})

    @classmethod
    def of_two(
        cls,
        prompts: Sequence[str],
        train: Sequence[LoggedQuestion],
        test: Sequence[LoggedQuestion],
    ) -> TrialLog:
        """A log with a test split; a tenth of the other questions becomes validation."""
        held_out = {question.canonical for question in test}
        splits: dict[str, list[LoggedQuestion]] = {"train": [], "validation": [], "test": [*test]}
        for question in train:
            if question.canonical not in held_out:
                is_held = split_of(question.canonical) == "validation"
                splits["validation" if is_held else "train"].append(question)
        return cls(tuple(prompts), {name: tuple(part) for name, part in splits.items()})


def load_log(folder: Path) -> TrialLog:
    """Read a folder with `train.jsonl`, `test.jsonl` and, for the prompts' texts, `prompts.json`.

    Each line has a `question` and its `outcomes`, a list with 0 or 1 for each prompt. Without
    `prompts.json`, a list of texts, the prompts are called "prompt 0" and so on.

    Raises:
        LmgymError: for what is missing or cannot be read; it names the file and the row.
    """
    files = {name: folder / f"{name}.jsonl" for name in ("train", "test")}
    missing = [file.name for file in files.values() if not file.is_file()]
    if missing:
        raise LmgymError(
            f"{str(folder)!r} lacks {', '.join(missing)}; give a folder with train.jsonl and"
            " test.jsonl, whose lines have a question and its outcomes, or 'prompt_oirl'"
        )
    questions = {name: _questions(file, folder.name) for name, file in files.items()}
    return TrialLog.of_two(_prompts(folder, _n_prompts(folder, questions)), **questions)


def load_prompt_oirl() -> TrialLog:
    """The released log of Prompt-OIRL (Sun et al., 2023) from the folder LMGYM_DATA names.

    Six prompts on GSM8K, 7,473 questions to learn from and the first 1,000 of the test set. The
    log has no texts of the prompts, so they are called "prompt 0" to "prompt 5".

    Raises:
        LmgymError: where the folder lacks `prompt_oirl` or `gsm8k`, or both do not fit.
    """
    data = Path(os.environ.get("LMGYM_DATA", ""))
    if not os.environ.get("LMGYM_DATA") or not (data / "prompt_oirl").is_dir():
        raise LmgymError(
            "the log of Prompt-OIRL is not at hand: set LMGYM_DATA to a folder that holds"
            " prompt_oirl/*.npy and gsm8k/*.jsonl, or leave trials out for the generated log"
        )
    questions = {name: _joined(data, name) for name in _OIRL}
    return TrialLog.of_two(_named(_n_prompts(data / "prompt_oirl", questions)), **questions)


def _joined(data: Path, name: str) -> list[LoggedQuestion]:
    """The questions of a file of GSM8K with the outcomes that were logged under their index."""
    file = data / "gsm8k" / f"{name}.jsonl"
    if not file.is_file():
        raise LmgymError(f"no file {str(file)!r}; the log of Prompt-OIRL counts its questions")
    texts = [str(row["question"]) for row, _ in rows_of(file)]
    choices, labels = read_choices(data / "prompt_oirl" / _OIRL[name])
    n_questions, n_prompts = (choices.max(axis=0, initial=-1) + 1).tolist()
    outcomes = np.full((n_questions, n_prompts), -1.0)
    outcomes[choices[:, 0], choices[:, 1]] = labels
    are_right = len(labels) == outcomes.size and _are_binary(outcomes.ravel().tolist())
    if n_questions > len(texts) or not are_right:
        raise LmgymError(
            f"{_OIRL[name]!r} does not fit {str(file)!r}: it needs 0 or 1 once for each of its"
            f" {n_questions} questions and {n_prompts} prompts, and the file has {len(texts)}"
        )
    return [
        LoggedQuestion(f"prompt_oirl/{name}/{index}", texts[index], tuple(map(int, row)))
        for index, row in enumerate(outcomes.tolist())
    ]


def _are_binary(outcomes: Sequence[Any]) -> bool:
    return all(outcome in (0, 1) for outcome in outcomes)


def _questions(file: Path, name: str) -> list[LoggedQuestion]:
    questions: list[LoggedQuestion] = []
    for row, number in rows_of(file):
        text, outcomes = row.get("question"), row.get("outcomes")
        if not isinstance(text, str) or not isinstance(outcomes, list):
            raise LmgymError(
                f"row {number} of {str(file)!r} needs a question and a list of outcomes; it has"
                f" {sorted(row)}"
            )
        if not text.strip():
            raise LmgymError(f"row {number} of {str(file)!r} has a blank question; leave it out")
        if not _are_binary(outcomes):
            raise LmgymError(
                f"row {number} of {str(file)!r} has the outcomes {outcomes!r:.60}; 0 and 1 are"
                " allowed"
            )
        address = f"{name}/{file.stem}/{len(questions)}"
        questions.append(LoggedQuestion(address, text, tuple(map(int, outcomes))))
    return questions


def _n_prompts(folder: Path, questions: Mapping[str, list[LoggedQuestion]]) -> int:
    """How many outcomes every question has."""
    counts = {len(question.outcomes) for part in questions.values() for question in part}
    if len(counts) != 1 or min(counts) < 2:
        raise LmgymError(
            f"{str(folder)!r} has questions with {sorted(counts)} outcomes; each needs one for"
            " every prompt, two or more"
        )
    return counts.pop()


def _prompts(folder: Path, n_prompts: int) -> tuple[str, ...]:
    file = folder / "prompts.json"
    if not file.is_file():
        return _named(n_prompts)
    try:
        texts = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise LmgymError(f"{str(file)!r} is not JSON: {error}") from None
    is_listed = isinstance(texts, list) and all(isinstance(text, str) for text in texts)
    if not is_listed or len(texts) != n_prompts:
        raise LmgymError(
            f"{str(file)!r} must hold a list of {n_prompts} texts, one for each prompt"
        )
    return tuple(texts)


def _named(n_prompts: int) -> tuple[str, ...]:
    return tuple(f"prompt {place}" for place in range(n_prompts))
