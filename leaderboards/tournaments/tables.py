"""Standings of tournaments as tables for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from lmgym.training.progress import visible

from .standings import StandingRow, TournamentStanding

__all__ = ["print_standing", "return_text"]

_NOTHING = "-"
_NAME = 24  # characters at most


def print_standing(standing: TournamentStanding, title: str, console: Console) -> None:
    """Print what came of a tournament."""
    for part in _parts(standing, title):
        console.print(part, soft_wrap=isinstance(part, Text))


def _parts(standing: TournamentStanding, title: str) -> Iterator[RenderableType]:
    yield from _rating_tables(standing.rows, title)
    yield _more_table(standing)
    if standing.without_forfeits:
        yield Text("forfeited games by cause")
        yield _forfeit_table(standing)
        yield from _rating_tables(standing.without_forfeits, "without forfeited games")


def _rating_tables(rows: Sequence[StandingRow], title: str) -> Iterator[RenderableType]:
    """Ratings of those who can be compared; others apart."""
    played = [row for row in rows if row.games]
    for component in sorted({row.component for row in played}):
        members = [row for row in played if row.component == component]
        told = "apart from those above: no chain of games joins them"
        yield Text(told if component else title)
        yield _rating_table(members)
    rest = [row.name for row in rows if not row.games]
    if rest:
        names = ", ".join(visible(name, _NAME) for name in rest)
        yield Text(f"no games: {names}\n" if played else f"{title}\n\nno games: {names}\n")


def _rating_table(rows: Sequence[StandingRow]) -> Table:
    table = _table("rank", "player", "rating", "95 %", "games", "won", "drawn", "lost")
    for row in rows:
        table.add_row(
            _ranks(row),
            Text(visible(row.name, _NAME)),
            _number(row.rating),
            _interval(row),
            *(f"{count:,}" for count in (row.games, row.wins, row.draws, row.losses)),
        )
    return table


def _more_table(standing: TournamentStanding) -> Table:
    stakes = ["return"] if standing.has_stakes else []
    headings = ("1st seat", "2nd seat", "Elo", "alpha-rank", "Nash", "forfeits")
    table = _table("player", *stakes, *headings)
    for row in standing.rows:
        rates = (row.first_seat_rate, row.second_seat_rate, row.alpha_rank, row.nash)
        first, second, alpha, nash = (_NOTHING if x is None else f"{x:.1%}" for x in rates)
        elo = _number(row.elo if row.games else None)
        won = [return_text(row.mean_return, row.return_high)] if stakes else []
        cells = (*won, first, second, elo, alpha, nash, f"{row.forfeits:,}")
        table.add_row(Text(visible(row.name, _NAME)), *cells)
    return table


def _forfeit_table(standing: TournamentStanding) -> Table:
    causes = sorted(standing.causes)
    table = _table("player", *causes)
    for row in standing.rows:
        if row.forfeits:
            counts = (f"{row.causes.get(cause, 0):,}" for cause in causes)
            table.add_row(Text(visible(row.name, _NAME)), *counts)
    return table


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for column in columns:
        is_name = column == "player"
        table.add_column(
            column,
            justify="left" if is_name else "right",
            no_wrap=not is_name,
            overflow="fold",
        )
    return table


def _ranks(row: StandingRow) -> str:
    """Both ends of the range."""
    if row.rank_low is None:
        return _NOTHING
    return f"{row.rank_low}" if row.rank_low == row.rank_high else f"{row.rank_low}-{row.rank_high}"


def _interval(row: StandingRow) -> str:
    """Open where there is no bound."""
    if row.rating is None:
        return _NOTHING
    low, high = ("" if end is None else f"{end:.0f}" for end in (row.low, row.high))
    return f"[{low}, {high}]" if low and high else f"[{low or '..'}, {high or '..'}]"


def return_text(mean: float | None, high: float | None) -> str:
    """A mean return with half of its interval."""
    if mean is None:
        return _NOTHING
    return f"{mean:+.2f}" if high is None else f"{mean:+.2f} ± {high - mean:.2f}"


def _number(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.0f}"
