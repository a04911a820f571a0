"""`write_page`: a board as one HTML file that needs nothing else and asks nobody for anything.

What a board says comes from strangers. It is data to the page, never markup: JSON in which no `<`
is left, which the page's own script shows as text. The page's policy (Content-Security-Policy) runs
that script and no other, by its hash, lets nothing be fetched, and turns off all ways of making
markup of a text.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from lmgym.errors import LmgymError

from .packing import as_json, parts

__all__ = ["render_page", "write_page"]

SCRIPTS = (
    "text",
    "store",
    "entries",
    "table",
    "bars",
    "ranking",
    "charts",
    "matrix",
    "comparisons",
    "observations",
    "replays",
    "panel",
    "views",
    "main",
)
"""The parts of the page's script, in their order."""

_FIRST = ("board", "rows-")
"""Parts that the script needs when it starts; the others are read behind it."""

_PACKAGE = "lmgym.leaderboards.page"

_PLACE = re.compile(r"\{\{(\w+)\}\}")


def write_page(board: Mapping[str, Any], path: str | Path) -> Path:
    """Write the page of a board; returns its path.

    Args:
        board: what `lmgym.leaderboards.board` makes.
        path: of the file; it is replaced as a whole or not at all.

    Raises:
        LmgymError: where the board is not of the form that the page shows, or the file cannot be
            written.

    Example:
        >>> import tempfile
        >>> season = {"id": "s1", "title": "Season 1", "phase": "open"}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     board = {"schema": 1, "season": season, "tracks": []}
        ...     write_page(board, Path(folder, "index.html")).name
        'index.html'
    """
    page, path = render_page(board), Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, page)
    except OSError as error:
        raise LmgymError(f"the page cannot be written to {path}: {error.strerror}") from None
    return path


def render_page(board: Mapping[str, Any]) -> str:
    """The page of a board, as HTML.

    Raises:
        LmgymError: where the board is not of the form that the page shows; it names the place.
    """
    style, script = _asset("page.css"), _script()
    first: list[str] = []
    later: list[str] = []
    for name, part in parts(board):
        block = f'<script type="application/json" id="data-{name}">{as_json(part)}</script>'
        (first if name.startswith(_FIRST) else later).append(block)
    pieces = {
        "policy": _policy(style, script),
        "style": style,
        "script": script,
        "first": "\n".join(first),
        "later": "\n".join(later),
    }
    return _PLACE.sub(lambda match: pieces[match[1]], _asset("page.html"))


def _policy(style: str, script: str) -> str:
    rules = (
        "default-src 'none'",
        f"script-src '{_digest(script)}'",
        f"style-src '{_digest(style)}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
    return "; ".join(rules)


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


@cache
def _script() -> str:
    body = "\n".join(_asset(f"scripts/{name}.js") for name in SCRIPTS)
    return f'(() => {{\n"use strict";\n{body}}})();'


@cache
def _asset(name: str) -> str:
    return files(_PACKAGE).joinpath(name).read_text(encoding="utf-8")


def _replace(path: Path, page: str) -> None:
    """Write beside the file first, so that nobody reads half a page."""
    number, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(number, "w", encoding="utf-8", newline="\n") as file:
            file.write(page)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
