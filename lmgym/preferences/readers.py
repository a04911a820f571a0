"""Preference pairs from files, folders and names, whatever the format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lmgym.errors import LmgymError, unknown
from lmgym.preferences.formats import FORMATS, format_of
from lmgym.preferences.pairs import EqualAnswersError, PreferenceDataset, PreferencePair
from lmgym.preferences.tables import Row, find_files, rows_by_name, rows_of

__all__ = ["read_preferences"]


def read_preferences(source: str | Path, format: str = "auto") -> PreferenceDataset:  # noqa: A002
    """Read preference pairs.

    Rows whose two answers are the same text say nothing about a reward, whatever their label; they
    are left out, and counted in `n_equal` of the data set.

    Args:
        source: a file (.jsonl or .json, plain or .gz), a folder of them, the name of one in
            $LMGYM_DATA, as "llmbar", or "USER/NAME[:SPLIT]" for the package `datasets`.
        format: "jsonl" (the columns of TRL: explicit and implicit prompts, texts and messages),
            "rewardbench", "hh", "llmbar", "pandalm"; "auto" tells them by the first row.

    Raises:
        LmgymError: for a source or format that does not exist, and for a row that is no pair; it
            names the file, the row, the column and what is allowed.
    """
    if format not in ("auto", *FORMATS):
        raise unknown("format", format, ("auto", *FORMATS))
    files = find_files(source)
    tables = [(file, rows_of(file)) for file in files] or [
        (Path(source), rows_by_name(str(source)))
    ]
    rows = [pair for file, table in tables for pair in _pairs(table, file, format)]
    pairs = tuple(pair for pair in rows if pair is not None)
    if not pairs:
        raise LmgymError(f"{str(source)!r} holds no pairs; it needs one JSON object a line")
    return PreferenceDataset(pairs, n_equal=len(rows) - len(pairs))


def _pairs(table: Iterator[Row], file: Path, name: str) -> Iterator[PreferencePair | None]:
    """The pairs of a table; None for equal answers."""
    for row, number in table:
        try:
            name = format_of(row) if name == "auto" else name
            yield FORMATS[name](row, file, number)
        except EqualAnswersError:
            yield None
        except LmgymError as error:
            raise LmgymError(f"row {number} of {str(file)!r}: {error}") from None
