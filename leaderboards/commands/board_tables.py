"""What commands about boards show: progress, and a table of each track."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from lmgym.training.progress import visible

from ..board_folder import BoardFolder
from ..evaluation import Job
from ..tournaments.tables import return_text

__all__ = ["play_jobs", "print_tracks"]

_MOST_ROWS = 25
_VALUES = {"success": "success", "gold_reward": "gold reward"}


def play_jobs(
    folder: BoardFolder,
    tracks: Collection[str] | None,
    *,
    trusted: bool = False,
    has_endpoints: bool = True,
) -> bool:
    """Play what is missing, while the standard error shows how far it is.

    Returns:
        Whether all entries could play; what kept some from it is printed.
    """
    jobs, lacking = folder.jobs(tracks, has_endpoints=has_endpoints)
    console = Console(stderr=True, highlight=False)
    for track, reason in lacking.items():
        console.print(Text(f"track {track} is left out: {reason}"), soft_wrap=True)
    if not jobs:
        return True
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=len(jobs))
        done = 0

        def tell(job: Job) -> None:
            nonlocal done
            progress.update(bar, description=visible(job.told, 60), completed=done)
            done += 1

        failed = folder.play(jobs, trusted=trusted, on_progress=tell)
        progress.update(bar, description="played", completed=len(jobs))
    for what, reason in failed.items():
        console.print(Text(f"{what} could not be played: {reason}", style="red"), soft_wrap=True)
    return not failed


def print_tracks(
    board: Mapping[str, Any],
    console: Console,
    tracks: Collection[str] | None = None,
    mark: str | None = None,
) -> None:
    """A table of each track that has entries.

    Args:
        board: all tables.
        console: where to print.
        tracks: which; by default all.
        mark: the entry to point out.
    """
    for track in board["tracks"]:
        if track["rows"] and (tracks is None or track["id"] in tracks):
            console.print(_table(track, mark))


def _table(track: Mapping[str, Any], mark: str | None) -> Table:
    is_single = track["kind"] == "single"
    title = f"{track['title']} ({track['id']}), {track['env']}"
    table = Table(title=Text(visible(title)), title_justify="left", box=SIMPLE_HEAD)
    table.add_column("rank", justify="right")
    table.add_column("entry", overflow="fold")
    value = _VALUES[track["metric"]] if is_single else "rating"
    stakes = ["return"] if track.get("has_stakes") else []
    for heading in (value, "95 %", *stakes, "episodes" if is_single else "games", "forfeits"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in track["rows"][:_MOST_ROWS]:
        cells = _single_cells(row) if is_single else _match_cells(row, bool(stakes))
        is_marked = row["entry"] == mark
        name = Text(visible(row["entry"]), style="bold" if is_marked else "")
        for flag in row["flags"]:
            name.append(f" [{visible(flag)}]", style="yellow")
        table.add_row(
            _rank(row), name, *cells, str(row["forfeits"]), style="green" if is_marked else ""
        )
    if len(track["rows"]) > _MOST_ROWS:
        table.caption = f"{len(track['rows']) - _MOST_ROWS} more on the page"
    return table


def _rank(row: Mapping[str, Any]) -> str:
    low, high = row["rank_low"], row["rank_high"]
    return "" if low is None else str(low) if low == high else f"{low}-{high}"


def _single_cells(row: Mapping[str, Any]) -> Sequence[str]:
    return f"{row['score']:.3f}", _interval(row, ".3f"), f"{row['n']:,}"


def _match_cells(row: Mapping[str, Any], has_stakes: bool) -> Sequence[str]:
    rating = "" if row["rating"] is None else f"{row['rating']:.0f}"
    won = [return_text(row["mean_return"], row["return_high"])] if has_stakes else []
    return rating, _interval(row, ".0f"), *won, f"{row['games']:,}"


def _interval(row: Mapping[str, Any], form: str) -> str:
    if row["low"] is None and row["high"] is None:
        return ""
    ends = ["…" if row[end] is None else f"{row[end]:{form}}" for end in ("low", "high")]
    return f"[{', '.join(ends)}]"
