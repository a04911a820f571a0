"""`lmgym board verify`: play all results of a season again, and check them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from lmgym.commands.arguments import parse_options, split_names
from lmgym.errors import LmgymError

from ..board import make_board
from ..board_folder import find_season, page_path, ratings_path, ratings_text
from ..page.page import render_page
from ..results.store import Results
from ..season import Season
from ..verification import Verification, verify_season

__all__ = ["VerifyArgs", "verify"]

_MOST_SHOWN = 20


@dataclass(frozen=True)
class VerifyArgs:
    """Arguments of checks."""

    board: str = "board"
    """The board's folder."""
    season: str | None = None
    """Which season; by default the last one."""
    sample: float = 0.1
    """The share of rows of weights and references that are evaluated anew; 0 for none."""


def verify(argv: Sequence[str]) -> int:
    """Check a season's results; the exit code is 1 where something is wrong."""
    _, options = split_names(argv, 0, "board verify [--options]")
    (args,) = parse_options(
        {"board": VerifyArgs}, options, "board verify", "Play all results again, and check them."
    )
    if not 0 <= args.sample <= 1:
        raise LmgymError(f"--sample {args.sample} is no share; give a number from 0 to 1")
    root = Path(args.board)
    if not any((root / "results").glob("*.jsonl")):
        raise LmgymError(f"{root} is no board with results; name one, as --board DIR")
    season = find_season(root, args.season)
    if not (root / "results" / f"{season.id}.jsonl").exists():
        raise LmgymError(f"season {season.id} of {root} has no results; lmgym board rate plays it")
    console = Console(highlight=False)
    with Console(stderr=True).status("playing results again") as status:
        found = verify_season(
            root,
            season,
            sample=args.sample,
            on_progress=lambda n: status.update(f"playing results again: row {n:,}"),
        )
    if not found.findings:
        found.findings += _made_problems(root, season)
    _print(found, console)
    return 1 if found.findings else 0


def _made_problems(root: Path, season: Season) -> list[str]:
    """Whether the tables and the page are those of the results."""
    with Results(root, season.id, trusts_index=False) as results:
        board = make_board(season, results)
    made = ((ratings_path(root, season), ratings_text), (page_path(root, season), render_page))
    return [
        f"{file} is not what the results give; lmgym board build makes it anew"
        for file, make in made
        if file.exists() and file.read_bytes() != make(board).encode()
    ]


def _print(found: Verification, console: Console) -> None:
    for finding in found.findings[:_MOST_SHOWN]:
        console.print(Text(finding, style="red"), soft_wrap=True)
    if len(found.findings) > _MOST_SHOWN:
        console.print(f"and {len(found.findings) - _MOST_SHOWN} more")
    console.print(
        f"{found.n_rows:,} rows, {found.n_episodes:,} episodes and {found.n_matches:,} games played"
        " again",
        soft_wrap=True,
    )
    if found.n_repeated:
        console.print(
            f"{found.n_repeated:,} rows evaluated anew: {found.n_same:,} of {found.n_again:,}"
            " episodes and games went to the letter as recorded",
            soft_wrap=True,
        )
    console.print(f"head {found.head.hash[:16]} after {found.head.n_rows:,} rows")
    for notice in found.notices:
        console.print(Text(notice, style="yellow"), soft_wrap=True)
    n = len(found.findings)
    verdict = f"{n} finding{'s' * (n > 1)}" if n else "all is as it should be"
    console.print(Text(verdict, style="red" if found.findings else "green"))
