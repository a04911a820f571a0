"""Rows of files: JSON lines or one JSON list, plain or compressed with gzip."""

from __future__ import annotations

import gzip
import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lmgym.errors import LmgymError

__all__ = ["Row", "find_files", "rows_by_name", "rows_of"]

Row = tuple[Mapping[str, Any], int]
"""The columns of a row and its number in the file, from 1: of its line, in JSON lines."""

_SUFFIXES = (".jsonl", ".json", ".jsonl.gz", ".json.gz")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")


def find_files(source: str | Path) -> list[Path]:
    """The files that a path names, or a folder or file in $LMGYM_DATA; none where nothing does."""
    for path in (Path(source), Path(os.environ.get("LMGYM_DATA", "")) / source):
        if path.is_file():
            return [path]
        if path.is_dir():
            files = [file for file in sorted(path.rglob("*")) if file.name.endswith(_SUFFIXES)]
            if not files:
                raise LmgymError(f"{str(path)!r} holds no file that ends in {_listed()}")
            return files
    return []


def rows_of(file: Path) -> Iterator[Row]:
    """The rows of a file, each an object; empty lines are skipped.

    Raises:
        LmgymError: for what cannot be read; it names the file and the row.
    """
    if not file.name.endswith(_SUFFIXES):
        raise LmgymError(f"{str(file)!r} does not end in {_listed()}")
    text = _text(file)
    if ".jsonl" in file.name:
        lines = ((line, n) for n, line in enumerate(text.split("\n"), 1) if line.strip())
        values: Iterable[tuple[Any, int]] = ((_parsed(line, file, n), n) for line, n in lines)
    else:
        whole = _parsed(text, file, None)
        if not isinstance(whole, list):
            raise LmgymError(f"{str(file)!r} must hold a list of objects")
        values = ((value, n) for n, value in enumerate(whole, 1))
    for value, number in values:
        if not isinstance(value, Mapping):
            raise LmgymError(f"row {number} of {str(file)!r} is no JSON object")
        yield value, number


def rows_by_name(name: str) -> Iterator[Row]:
    """The rows of a data set that the package `datasets` loads, "USER/NAME" or "USER/NAME:SPLIT".

    Raises:
        LmgymError: where the name has another form or the package is not installed.
    """
    if not _HUB_NAME.fullmatch(name):
        raise LmgymError(_NOT_FOUND.format(name))
    try:
        from datasets import load_dataset  # pyright: ignore[reportMissingImports] # optional
    except ImportError:
        hint = "; to load data sets by name install the package 'datasets'"
        raise LmgymError(_NOT_FOUND.format(name) + hint) from None
    repository, _, split = name.partition(":")
    return ((row, n) for n, row in enumerate(load_dataset(repository, split=split or "train"), 1))


_NOT_FOUND = (
    "no file {!r}; give a file or folder of preference data, the name of one in the folder that"
    " LMGYM_DATA names, as llmbar, or a data set USER/NAME[:SPLIT]"
)


def _text(file: Path) -> str:
    try:
        data = file.read_bytes()
        if file.suffix == ".gz":
            data = gzip.decompress(data)
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LmgymError(f"{str(file)!r} is not UTF-8: {error}; convert it first") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise LmgymError(f"{str(file)!r} is no whole gzip file: {error}") from None


def _parsed(text: str, file: Path, number: int | None) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # also integers too long, brackets too deep
        place = str(file) if number is None else f"row {number} of {str(file)!r}"
        raise LmgymError(f"{place} is not JSON: {error}") from None


def _listed() -> str:
    return ", ".join(_SUFFIXES)
