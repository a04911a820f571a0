"""`lmgym board rate`: play what is missing of a season, and rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from lmgym.commands.arguments import parse_options, split_names

from ..board_folder import BoardFolder, find_season
from .board_tables import play_jobs, print_tracks

__all__ = ["RateArgs", "rate"]


@dataclass(frozen=True)
class RateArgs:
    """Arguments of ratings."""

    board: str = "board"
    """The board's folder."""
    season: str | None = None
    """Which season; by default the last one."""
    tracks: tuple[str, ...] = ()
    """Only these; by default all."""
    play: bool = True
    """Whether what is missing is played; else only what has been played is rated."""
    endpoints: bool = False
    """Ask the servers that entries name, too."""
    trusted: bool = False
    """Run processes also where no sandbox can be had."""


def rate(argv: Sequence[str]) -> int:
    """Play what is missing, and rate; exit code 1 where an entry is refused or cannot play."""
    _, options = split_names(argv, 0, "board rate [--options]")
    (args,) = parse_options(
        {"board": RateArgs}, options, "board rate", "Play what is missing of a season, and rate."
    )
    root = Path(args.board)
    season = find_season(root, args.season)
    tracks = [season.track(name).id for name in args.tracks] or None
    with BoardFolder(root, season) as folder:
        refused = folder.enter_submissions()
        folder.enter_references()
        is_played = not args.play or play_jobs(
            folder, tracks, trusted=args.trusted, has_endpoints=args.endpoints
        )
        board, page = folder.write(), folder.page
    console = Console(highlight=False)
    print_tracks(board, console, tracks)
    console.print(f"the page is {page}", soft_wrap=True)
    for name, reason in refused.items():
        console.print(Text(f"{name} is refused: {reason}", style="red"), soft_wrap=True)
    return 1 if refused or not is_played else 0
