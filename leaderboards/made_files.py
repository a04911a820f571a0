"""The tables and the page of a season compared with what its results give."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lmgym import __version__

from .board import make_board
from .board_folder import page_path, ratings_path, ratings_text
from .page.page import render_page
from .results.chain import read_chain
from .results.store import Results
from .season import Season

__all__ = ["MadeFiles", "compare_made", "is_alike"]

_PAGE_DATA = re.compile(r'<script type="application/json" id="data-board">(.*?)</script>', re.S)
_VERSION = re.compile(r"[0-9A-Za-z.+-]{1,40}")
_NUMBER = re.compile(r"(?<=[:,\[\s])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?=[,\]}\s])")
_CLOSE = 1.1e-5  # a page shows six digits
_ANEW = "lmgym board build makes it anew"


class MadeFiles(NamedTuple):
    """What is wrong with the tables and the page, and what else is to be told of them."""

    findings: list[str]
    notices: list[str]


def compare_made(root: Path, season: Season) -> MadeFiles:
    """Compare the tables and the page of a season, where they are there, with its results.

    What another version of this package has made may look otherwise: of its tables the columns are
    compared that both versions have, and of its page nothing.
    """
    with Results(root, season.id, trusts_index=False) as results:
        board, path = make_board(season, results), results.path
    found = MadeFiles([], [])
    tables, page = ratings_path(root, season), page_path(root, season)
    made = ratings_text(board)
    if tables.exists() and not is_alike(given := _text(tables), made):
        told = _parsed(given)
        _tell(found, tables, told, board, path, is_right=_agrees(told, json.loads(made)))
    if page.exists() and not is_alike(given := _text(page), render_page(board)):
        data = _PAGE_DATA.search(given)
        _tell(found, page, _parsed(data[1]) if data else {}, board, path, is_right=True)
    return found


def is_alike(given: str, made: str) -> bool:
    """Whether texts are the same, but for the last digits of fractions in their JSON.

    Processors differ in these, as they add in other orders.

    Example:
        >>> is_alike('{"rating": 1500.0000001}', '{"rating": 1500.0}')
        True
        >>> is_alike('{"rating": 1501.0}', '{"rating": 1500.0}'), is_alike("[12]", "[13]")
        (False, False)
    """
    if given == made:
        return True
    if _NUMBER.split(given) != _NUMBER.split(made):
        return False
    pairs = zip(_NUMBER.findall(given), _NUMBER.findall(made), strict=True)
    return all(a == b or _is_close(a, b) for a, b in pairs)


def _is_close(a: str, b: str) -> bool:
    if a.isdigit() and b.isdigit():
        return False  # counts
    return math.isclose(float(a), float(b), rel_tol=_CLOSE, abs_tol=_CLOSE)


def _text(file: Path) -> str:
    return file.read_bytes().decode(errors="replace")


def _tell(
    found: MadeFiles,
    file: Path,
    told: Mapping[str, Any],
    board: Mapping[str, Any],
    results: Path,
    *,
    is_right: bool,
) -> None:
    """Note why a file is another one.

    Args:
        found: is added to.
        file: that was compared.
        told: what it says of itself.
        board: that it should be of.
        results: the file of the rows.
        is_right: whether it could be right if another version made it.
    """
    version, head = told.get("version"), told.get("head")
    if head != board["head"] and (n := _row_of(results, head)):
        found.findings.append(f"{file} was made after row {n:,}; {_ANEW}")
    elif is_right and head == board["head"] and _is_other(version):
        found.notices.append(f"{file} was made by lmgym {version}; {_ANEW}")
    else:
        found.findings.append(f"{file} is not what the results give; {_ANEW}")


def _parsed(text: str) -> dict[str, Any]:
    """An object of JSON; empty where it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _row_of(results: Path, head: Any) -> int:
    """The row that was the last of the results, from 1 on; 0 where none is."""
    if isinstance(head, dict):
        for row in read_chain(results):
            if {"rows": row.number + 1, "hash": row.hash} == head:
                return row.number + 1
    return 0


def _is_other(version: Any) -> bool:
    """Whether it is the name of another version of this package."""
    return isinstance(version, str) and version != __version__ and bool(_VERSION.fullmatch(version))


def _agrees(told: Any, ours: Any) -> bool:
    """Whether tables say the same where both say something, whatever made them."""
    if isinstance(told, dict) and isinstance(ours, dict):
        both = told.keys() & ours.keys() - {"version"}
        return all(_agrees(told[name], ours[name]) for name in both)
    if isinstance(told, list) and isinstance(ours, list):
        return len(told) == len(ours) and all(map(_agrees, told, ours))
    return bool(told == ours)
