"""Question and answer pairs from files: JSONL with the columns `question` and `answer`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from lmgym.addresses import split_of
from lmgym.errors import LmgymError
from lmgym.verification import parse_gold, read_gold

__all__ = ["Row", "load_gsm8k", "load_problems"]


@dataclass(frozen=True, slots=True)
class Row:
    """One problem of a file.

    Attributes:
        address: the file's stem and the row's number, counted from 1, as "test/17".
        gold: the number that the answer is, or its text.
    """

    address: str
    question: str
    answer: str
    gold: Fraction | str

    @property
    def canonical(self) -> str:
        """The question without regard to case and spacing."""
        return " ".join(self.question.casefold().split())


Splits = dict[str, list[Row]]


def load_problems(path: Path) -> Splits:
    """Read one JSONL file, split by its questions, or a folder with one file a split.

    A folder holds `train.jsonl` and `test.jsonl`, and `validation.jsonl` or not: without it a
    tenth of the training problems is set apart. A problem whose question stands in the test
    split, or in the validation split, is left out of the others.

    Raises:
        LmgymError: for a missing file, a row that is no JSON object, a missing column, or a gold
            answer that cannot be read, or a file that is not UTF-8; it names the file and the
            row, counted by lines. Blank lines are skipped, a byte order mark is accepted.
    """
    if path.is_file():
        return _by_question(_read(path))
    files = {name: path / f"{name}.jsonl" for name in ("train", "validation", "test")}
    if not files["train"].is_file() or not files["test"].is_file():
        raise LmgymError(
            f"{str(path)!r} holds no problems; give a .jsonl file with the columns 'question' and"
            " 'answer', or a folder with train.jsonl and test.jsonl"
        )
    splits = {name: _read(file) for name, file in files.items() if file.is_file()}
    return _disjoint(splits)


def load_gsm8k() -> Splits:
    """GSM8K (Cobbe et al., 2021) from the folder LMGYM_DATA names, or through `datasets`."""
    folder = Path(os.environ.get("LMGYM_DATA", "")) / "gsm8k"
    if os.environ.get("LMGYM_DATA") and folder.is_dir():
        return load_problems(folder)
    try:
        from datasets import load_dataset  # pyright: ignore[reportMissingImports] # optional
    except ImportError:
        raise LmgymError(
            "GSM8K is not at hand: set LMGYM_DATA to a folder that holds gsm8k/train.jsonl and"
            " gsm8k/test.jsonl, or install the package 'datasets' to download it"
        ) from None
    tables = load_dataset("openai/gsm8k", "main")
    names = ("train", "test")
    return _disjoint({name: _rows(name, enumerate(tables[name], 1), name) for name in names})


def _read(path: Path) -> list[Row]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise LmgymError(f"{str(path)!r} is not UTF-8: {error}; convert it first") from None
    filled = ((i, line) for i, line in enumerate(lines, 1) if line.strip())
    return _rows(path.stem, ((i, _parsed(line, path, i)) for i, line in filled), path)


def _parsed(line: str, path: Path, number: int) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:  # also integers too long, brackets too deep
        raise LmgymError(f"row {number} of {str(path)!r} is not JSON: {error}") from None


def _rows(stem: str, table: Iterable[tuple[int, Any]], source: object) -> list[Row]:
    rows = [_row(f"{stem}/{i}", raw, f"row {i} of '{source}'") for i, raw in table]
    if not rows:
        raise LmgymError(f"'{source}' holds no problems; it needs one JSON object a line")
    return rows


def _row(address: str, raw: Any, place: str) -> Row:
    if not isinstance(raw, Mapping):
        raise LmgymError(f"{place} is no JSON object; it needs the columns 'question' and 'answer'")
    missing = [name for name in ("question", "answer") if name not in raw]
    if missing:
        raise LmgymError(f"{place} lacks {missing}; it has {sorted(raw)}")
    question, answer = str(raw["question"]), str(raw["answer"])
    try:
        return Row(address, question, answer, _gold_of(answer))
    except LmgymError as error:
        raise LmgymError(f"{place}: {error}") from None


def _gold_of(answer: str) -> Fraction | str:
    """The number that an answer is, or its text, which the verifier has read once."""
    try:
        return parse_gold(answer)
    except LmgymError:
        read_gold(answer)
        return answer


def _by_question(rows: list[Row]) -> Splits:
    splits: Splits = {"train": [], "validation": [], "test": []}
    for row in rows:
        splits[split_of(row.canonical)].append(row)
    return splits


def _disjoint(splits: Splits) -> Splits:
    """Set a validation split apart where there is none; a question stands in one split only."""
    test = splits["test"]
    validation = _without(splits.get("validation", []), test)
    train = _without(splits["train"], test + validation)
    if "validation" not in splits:
        validation = [row for row in train if split_of(row.canonical) == "validation"]
        train = _without(train, validation)
    return {"train": train, "validation": validation, "test": test}


def _without(rows: list[Row], held_out: list[Row]) -> list[Row]:
    questions = {row.canonical for row in held_out}
    return [row for row in rows if row.canonical not in questions]
