"""Files of rows that are only ever appended, each holding the hash of the one before.

A row is canonical JSON on one line: keys in order, no blanks, ASCII. Its hash is the SHA-256 of
the row without it, so a byte that is changed anywhere shows, and so do rows that are taken out,
exchanged or put in. That the file has not been cut short, or written anew from the start, is told
by its head, the last hash, which has to be kept elsewhere.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from lmgym.errors import LmgymError
from lmgym.games.strict_json import parse

__all__ = ["START", "ChainRow", "Head", "append", "has_head", "read_chain"]

START = "0" * 64
"""Stands for the hash of the row before the first."""

_MOST_LINE = 2**26  # bytes


@dataclass(frozen=True, slots=True)
class ChainRow:
    """A row whose place and hash have been checked.

    Attributes:
        number: of the row, from 0 on.
        fields: without the number and the hashes.
        hash: of the row.
        offset: of the line's first byte in the file.
        size: of the line in bytes, its end included.
    """

    number: int
    fields: Mapping[str, Any]
    hash: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ends.

    Attributes:
        n_rows: how many rows there are.
        hash: of the last one.
        size: of the file in bytes.
    """

    n_rows: int = 0
    hash: str = START
    size: int = 0


def append(path: Path, rows: Sequence[Mapping[str, Any]]) -> Head:
    """Append rows, all or none of them; returns the new head.

    A line that a crash has cut off is taken away first: whatever made it does its work again.

    Raises:
        LmgymError: where what is there is no chain.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "results.jsonl"
        ...     append(path, [{"kind": "entry"}]).n_rows, append(path, [{"kind": "x"}]).n_rows
        (1, 2)
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        head = _whole_head(file, path)
        file.truncate(head.size)
        lines = []
        for row in rows:
            line, digest = _line(row, head)
            head = Head(head.n_rows + 1, digest, head.size + len(line))
            lines.append(line)
        file.write(b"".join(lines))
        file.flush()
        os.fsync(file.fileno())
    return head


def read_chain(path: Path, after: Head | None = None) -> Iterator[ChainRow]:
    """The rows of a file, each checked as it is read.

    Args:
        path: of the file.
        after: a head that was read before; rows before it are passed over.

    Raises:
        LmgymError: at the first row that is not as it was written; it names the line and what is
            wrong with it.
    """
    head = after or Head()
    with path.open("rb") as file:
        file.seek(head.size)
        for line in iter(lambda: file.readline(_MOST_LINE + 1), b""):
            try:
                row = _row(line, head)
            except LmgymError as error:
                raise LmgymError(f"line {head.n_rows + 1} of {path}: {error}") from None
            yield row
            head = Head(row.number + 1, row.hash, row.offset + row.size)


def has_head(path: Path, head: Head) -> bool:
    """Whether a file still has the row that was its last."""
    if head.n_rows == 0:
        return True
    if not path.exists() or path.stat().st_size < head.size:
        return False
    with path.open("rb") as file:
        start = _line_start(file, head.size - 1)
        file.seek(start)
        return f'"hash":"{head.hash}"'.encode() in file.read(head.size - start)


def _whole_head(file: BinaryIO, path: Path) -> Head:
    """The head before a line without an end, should there be one."""
    size = file.seek(0, os.SEEK_END)
    start = _line_start(file, size)
    if start == 0:
        return Head()
    before = _line_start(file, start - 1)
    file.seek(before)
    line = file.read(start - before)
    try:
        row = parse(line.decode())
        return Head(row["n"] + 1, row["hash"], start)
    except (LmgymError, LookupError, TypeError, UnicodeDecodeError):
        raise LmgymError(
            f"the last line of {path} is no row of results; run lmgym board verify"
        ) from None


def _line_start(file: BinaryIO, end: int) -> int:
    """Behind the last line break before `end`."""
    block = 2**16
    while end > 0:
        begin = max(0, end - block)
        file.seek(begin)
        place = file.read(end - begin).rfind(b"\n")
        if place >= 0:
            return begin + place + 1
        end = begin
    return 0


def _line(row: Mapping[str, Any], head: Head) -> tuple[bytes, str]:
    """The row as a line, and its hash."""
    full = {**row, "n": head.n_rows, "prev": head.hash}
    digest = hashlib.sha256(_canonical(full)).hexdigest()
    line = _canonical({**full, "hash": digest}) + b"\n"
    if len(line) > _MOST_LINE:
        raise LmgymError(f"a row of {len(line)} bytes is too long; {_MOST_LINE} are allowed")
    return line, digest


def _canonical(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _row(line: bytes, head: Head) -> ChainRow:
    if len(line) > _MOST_LINE:
        raise LmgymError(f"it is longer than {_MOST_LINE} bytes, as no row is")
    if not line.endswith(b"\n"):
        raise LmgymError("it has no end; a crash may have cut it off, and what wrote it mends it")
    try:
        row = parse(line.decode())
    except UnicodeDecodeError:
        raise LmgymError("it is no UTF-8") from None
    if not isinstance(row, dict) or _canonical(row) + b"\n" != line:
        raise LmgymError("it is not written as rows are: keys in order, no blanks, ASCII")
    digest = row.pop("hash", None)
    found = hashlib.sha256(_canonical(row)).hexdigest()
    if digest != found:
        raise LmgymError(f"its hash is {found}, and it says {digest!r:.80}: it was changed")
    if row.pop("prev", None) != head.hash or row.pop("n", None) != head.n_rows:
        raise LmgymError("it does not follow the row before: rows were taken out, put in or moved")
    return ChainRow(head.n_rows, row, found, head.size, len(line))
