"""The rows that `lmgym verify` judges: read from JSON lines, and written with their verdicts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmgym.commands.reward_data import Told
from lmgym.errors import LmgymError
from lmgym.training.progress import visible
from lmgym.verification.verifier import Verdict, read_gold

__all__ = ["Columns", "Judged", "Row", "as_lines", "read_rows"]


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns.

    Attributes:
        response: of what models wrote.
        gold: of the gold answers.
        label: of whether they are right; None for "label" where the first row has it, "none" for
            no labels.
    """

    response: str
    gold: str
    label: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """A response and its gold.

    Attributes:
        line: in the file, from 1.
        label: whether the file calls the response right; None where it doesn't say.
        values: all columns.
    """

    line: int
    response: str
    gold: str
    label: bool | None
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Judged:
    """A row and what the verifier makes of it."""

    row: Row
    verdict: Verdict

    @property
    def agrees(self) -> bool:
        """Whether verdict and label say the same; True where there is no label."""
        return self.row.label in (None, self.verdict.correct)


def read_rows(source: str, columns: Columns, limit: int | None, tell: Told) -> list[Row]:
    """The rows of a file, each checked.

    Args:
        source: path of a file of JSON lines.
        columns: where responses, golds and labels are.
        limit: how many rows at most.
        tell: is told how much of the file is read.

    Raises:
        LmgymError: names the line that isn't JSON or lacks a column, or whose gold or label
            cannot be read.
    """
    rows: list[Row] = []
    label: str | None = None
    for number, values in _objects(Path(source), tell):
        where = f"line {number} of {source!r}"
        if not rows:
            label = _label_column(columns, values)
        rows.append(_row(number, values, columns, label, where))
        if len(rows) == limit:
            break
    if not rows:
        raise LmgymError(f"{source!r} has no rows; {_EXAMPLE}")
    return rows


def as_lines(judged: Sequence[Judged]) -> str:
    """A line of JSON for each row: its columns, and the verdict under "lmgym"."""
    text = "".join(json.dumps(_record(each), ensure_ascii=False) + "\n" for each in judged)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")  # half a pair: as JSON escapes


_EXAMPLE = 'each line holds an object, as {"response": "It is 5.", "gold": "5"}'
_TOLD_EVERY = 256
_SHOWN_COLUMNS = 12
_LABELS = {
    **dict.fromkeys(("true", "right", "correct", "yes", "1", "1.0"), True),
    **dict.fromkeys(("false", "wrong", "incorrect", "no", "0", "0.0"), False),
}


def _objects(path: Path, tell: Told) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects in a file and their lines, blank ones left out."""
    size, done = path.stat().st_size, 0
    with path.open("rb") as file:  # bytes: a line ends at \n alone
        for number, line in enumerate(file, 1):
            done += len(line)
            if number % _TOLD_EVERY == 0:
                tell("reading", done, size)
            if line.strip():
                yield number, _object(line, f"line {number} of {str(path)!r}")


def _object(line: bytes, where: str) -> dict[str, Any]:
    try:
        values = json.loads(line.decode("utf-8-sig"))
    except RecursionError:
        raise LmgymError(f"{where} is nested too deeply; {_EXAMPLE}") from None
    except ValueError as error:  # also for what is not UTF-8
        raise LmgymError(f"{where} is not JSON: {visible(str(error))}; {_EXAMPLE}") from None
    if not isinstance(values, dict):
        raise LmgymError(f"{where} is a {type(values).__name__}, not an object; {_EXAMPLE}")
    return values


def _label_column(columns: Columns, first: Mapping[str, Any]) -> str | None:
    if columns.label is None:
        return "label" if "label" in first else None
    return None if columns.label == "none" else columns.label


def _row(
    number: int, values: Mapping[str, Any], columns: Columns, label: str | None, where: str
) -> Row:
    response = _text(values, "response", columns.response, where)
    gold = _text(values, "gold", columns.gold, where)
    try:
        read_gold(gold)
    except LmgymError as error:
        raise LmgymError(
            f"{where}: {visible(str(error), 400)}; mend it, or take the line out"
        ) from None
    is_right = None if label is None else _label(values, label, where)
    return Row(number, response, gold, is_right, values)


def _text(values: Mapping[str, Any], option: str, column: str, where: str) -> str:
    value = _value(values, option, column, where)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if is_number and math.isfinite(value):
        return str(value)
    if not isinstance(value, str):
        raise LmgymError(
            f"{where} has {visible(repr(value), 60)} in the column {column!r}; it must be a text or"
            " a number"
        )
    return value


def _label(values: Mapping[str, Any], column: str, where: str) -> bool:
    value = _value(values, "label", column, where)
    found = _LABELS.get(str(value).strip().lower())
    if found is None:
        raise LmgymError(
            f"{where} has {visible(repr(value), 60)} in the column {column!r}; a label is one of"
            f" {', '.join(_LABELS)}. Name another column with --label, or give --label none"
        )
    return found


def _value(values: Mapping[str, Any], option: str, column: str, where: str) -> Any:
    if column in values:
        return values[column]
    names = [visible(name, 40) for name in list(values)[:_SHOWN_COLUMNS]]
    rest = ", ..." if len(values) > _SHOWN_COLUMNS else ""
    raise LmgymError(
        f"{where} has no column {column!r}; it has {', '.join(names) or 'none'}{rest}. Name the"
        f" right one with --{option} COLUMN"
    )


def _record(judged: Judged) -> dict[str, Any]:
    verdict = judged.verdict
    told: dict[str, Any] = {
        "line": judged.row.line,
        "correct": verdict.correct,
        "reason": str(verdict.reason),
        "extracted": verdict.extracted,
        "method": verdict.method,
    }
    if judged.row.label is not None:
        told["agrees"] = judged.agrees
    return {**judged.row.values, "lmgym": told}
