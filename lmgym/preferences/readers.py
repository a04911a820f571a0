"""Preference pairs from files, folders and names, whatever the format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lmgym.errors import LmgymError, unknown
from lmgym.preferences.formats import FORMATS, format_of
from lmgym.preferences.pairs import EqualAnswersError, PreferenceDataset, PreferencePair
from lmgym.preferences.tables import Row, find_files, rows_by_name, rows_of

__all__ = ["read_preferences"]


def read_preferences(
    source: str | Path,
    format: str = "auto",  # noqa: A002
    *,
    skip_malformed: bool = False,
) -> PreferenceDataset:
    """Read preference pairs.

    Rows whose two answers are the same text say nothing about a reward, whatever their label; they
    are left out, and counted in `n_equal` of the data set.

    Args:
        source: a file (.jsonl or .json, plain or .gz), a folder of them, the name of one in
            $LMGYM_DATA, as "llmbar", or "USER/NAME[:SPLIT]" for the package `datasets`.
        format: "jsonl" (the columns of TRL: explicit and implicit prompts, texts and messages),
            "rewardbench", "hh", "llmbar", "pandalm"; "auto" tells them by the first row.
        skip_malformed: leave out rows that are no pairs, and count them in `n_malformed`, instead
            of raising for the first. What is no JSON object is an error all the same.

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
    rows = [row for file, table in tables for row in _pairs(table, file, format, skip_malformed)]
    pairs = tuple(row for row in rows if isinstance(row, PreferencePair))
    n_equal = rows.count(None)
    errors = [row for row in rows if isinstance(row, LmgymError)]
    if errors and not pairs:
        raise errors[0]
    if not pairs and n_equal:
        raise LmgymError(
            f"in all {n_equal} rows of {str(source)!r} both answers are the same text, which says"
            " nothing about a reward"
        )
    if not pairs:
        raise LmgymError(f"{str(source)!r} holds no pairs; it needs one JSON object a line")
    return PreferenceDataset(pairs, n_equal, len(errors))


def _pairs(
    table: Iterator[Row], file: Path, name: str, skip_malformed: bool
) -> Iterator[PreferencePair | LmgymError | None]:
    """The pairs of a table, None for equal answers, and an error for what is no pair."""
    for row, number in table:
        try:
            name = format_of(row) if name == "auto" else name
            yield FORMATS[name](row, file, number)
        except EqualAnswersError:
            yield None
        except LmgymError as error:
            named = LmgymError(f"row {number} of {str(file)!r}: {error}")
            if not skip_malformed:
                raise named from None
            yield named
