"""`lmgym tournament show`: the tables of a tournament from its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from lmgym.commands.arguments import parse_options, split_names
from lmgym.commands.files import check_file
from lmgym.commands.worlds import find_world_here
from lmgym.errors import LmgymError
from lmgym.games.records import MatchRecord
from lmgym.games.replay import replay

from ..tournaments.figure import draw_ratings
from ..tournaments.journal import MATCHES_FILE, read_journal
from ..tournaments.standings import standings_of
from ..tournaments.tables import print_standing

__all__ = ["ShowArgs", "show"]

_USAGE = "tournament show DIR [--options]"


@dataclass(frozen=True)
class ShowArgs:
    """What is shown of a tournament."""

    replay: bool = False
    """Play all records again, without players, and check that the games go as they say."""
    env: str | None = None
    """MODULE:ID of the game's world, where it is your own, for --replay."""
    plot: str | None = None
    """A .png file for a figure of the ratings."""


def show(argv: Sequence[str]) -> int:
    """Print what a folder's tournament came to so far."""
    names, options = split_names(argv, 1, _USAGE)
    description = "Print the tables of a tournament: lmgym tournament show DIR."
    (args,) = parse_options({"tournament": ShowArgs}, options, "tournament show", description)
    if not names:
        raise LmgymError(f"name the folder of a tournament; usage: lmgym {_USAGE}")
    if args.plot is not None:
        check_file(args.plot, ".png")
    plan, records = read_journal(names[0])
    console = Console(highlight=False)
    if args.replay:
        if args.env is not None:
            find_world_here(args.env)  # from now on it is registered
        _check(records, Path(names[0]) / MATCHES_FILE)
        console.print(f"{len(records):,} games go as the records say", soft_wrap=True)
    standing = standings_of(records, plan.names)
    n, total = standing.n_matches, plan.n_matches
    played = f"{n:,} games" if n == total else f"{n:,} of {total:,} games"
    title = f"{plan.env.rpartition(':')[2]}, {played}, {plan.schedule}"
    print_standing(standing, title, console)
    if args.plot is not None:
        draw_ratings(standing, Path(args.plot), title=title)
        console.print(Text(f"drawn in {args.plot}"), soft_wrap=True)
    return 0


def _check(records: Sequence[MatchRecord], file: Path) -> None:
    """Raise where a game goes otherwise than its record says."""
    wrong = []
    for number, record in enumerate(records, 1):
        try:
            replay(record)
        except LmgymError as error:
            wrong.append(f"line {number} of {str(file)!r}: {error}")
    if wrong:
        raise LmgymError(f"{len(wrong)} of {len(records)} games go otherwise: {wrong[0]}")
