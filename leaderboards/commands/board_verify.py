"""`lmgym board verify`: play all results of a board again, and check them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from lmgym.commands.arguments import parse_options, split_names
from lmgym.errors import LmgymError

from ..board_folder import find_season, page_path, ratings_path
from ..made_files import compare_made
from ..season import Season
from ..season_files import seasons_of
from ..verification import Verification, verify_season

__all__ = ["VerifyArgs", "verify"]

_MOST_SHOWN = 20


@dataclass(frozen=True)
class VerifyArgs:
    """Arguments of checks."""

    board: str = "board"
    """The board's folder."""
    season: str | None = None
    """Which season; by default all that have results."""
    sample: float = 0.1
    """The share of rows of weights and references that are evaluated anew; 0 for none."""


def verify(argv: Sequence[str]) -> int:
    """Check the results of seasons; the exit code is 1 where something is wrong."""
    _, options = split_names(argv, 0, "board verify [--options]")
    (args,) = parse_options(
        {"board": VerifyArgs}, options, "board verify", "Play all results again, and check them."
    )
    if not 0 <= args.sample <= 1:
        raise LmgymError(f"--sample {args.sample} is no share; give a number from 0 to 1")
    root, console = Path(args.board), Console(highlight=False)
    played = {path.stem for path in (root / "results").glob("*.jsonl")}
    if not played:
        raise LmgymError(f"{root} is no board with results; name one, as --board DIR")
    if args.season is not None:
        season = find_season(root, args.season)
        if season.id not in played:
            raise LmgymError(
                f"season {season.id} of {root} has no results; lmgym board rate plays it"
            )
        return _verify(root, season, args.sample, console)
    code = _tell_strays(root, played, console)
    for season in _in_order(root, played):
        code |= _verify(root, season, args.sample, console)
    return code


def _in_order(root: Path, played: set[str]) -> list[Season]:
    """The seasons that have results, as they opened."""
    seasons = [find_season(root, each) for each in seasons_of(root) if each in played]
    return sorted(seasons, key=lambda season: (season.opens, season.id))


def _verify(root: Path, season: Season, sample: float, console: Console) -> int:
    """Check a season, and print what is found."""
    with Console(stderr=True).status("playing results again") as status:
        found = verify_season(
            root,
            season,
            sample=sample,
            on_progress=lambda n: status.update(f"playing results again: row {n:,}"),
        )
    if not found.findings:
        made = compare_made(root, season)
        found.findings += made.findings
        found.notices += made.notices
    console.print(Text(f"season {season.id}", style="bold"))
    _print(found, console)
    return 1 if found.findings else 0


def _tell_strays(root: Path, played: set[str], console: Console) -> int:
    """Name results without a season, and tables and pages without results."""
    known = seasons_of(root)
    findings = [
        f"{root / 'results' / name}.jsonl is of no season; seasons lie in {root / 'seasons'}"
        for name in sorted(played.difference(known))
    ]
    for name in sorted(set(known).difference(played)):
        season = find_season(root, name)
        findings += [
            f"{file} is there, and season {name} has no results; lmgym board rate --season {name}"
            " plays it"
            for file in (ratings_path(root, season), page_path(root, season))
            if file.exists()
        ]
    for finding in findings:
        console.print(Text(finding, style="red"), soft_wrap=True)
    return 1 if findings else 0


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
