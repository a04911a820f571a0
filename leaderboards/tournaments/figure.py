"""Ratings with their intervals as a picture."""

from __future__ import annotations

import os
from pathlib import Path

from lmgym.errors import LmgymError
from lmgym.training.curves import INK, finish_axes
from lmgym.training.progress import visible

from .standings import StandingRow, TournamentStanding

__all__ = ["draw_ratings"]

_COLORS = ("#1f5fa8", "#d9822b", "#3a8f5c", "#8a4fa3", "#8c6d46")
_NAME = 40


def draw_ratings(standing: TournamentStanding, path: Path, *, title: str = "") -> None:
    """Draw ratings and 95 % intervals into a PNG; each part of the players has its own colour.

    Where an interval has no bound, an arrow leaves the picture.

    Args:
        standing: of at least one match.
        path: the PNG; it is complete or as it was.
        title: above the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [row for row in standing.rows if row.rating is not None]
    if not rows:
        raise LmgymError("there is no match yet, so there are no ratings to draw")
    figure = Figure(figsize=(8, 1.6 + 0.32 * len(rows)), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(visible(title), fontsize=13, color=INK, parse_math=False)
    axes = figure.add_subplot()
    least, most = _range(rows)
    for place, row in enumerate(rows):
        assert row.rating is not None
        color = _COLORS[row.component % len(_COLORS)]
        low = least if row.low is None else row.low
        high = most if row.high is None else row.high
        axes.plot([low, high], [place, place], color=color, lw=3, alpha=0.45)
        for end, edge, mark in ((row.low, least, "<"), (row.high, most, ">")):
            if end is None:
                axes.plot(edge, place, mark, color=color, ms=7, clip_on=False)
        axes.plot(row.rating, place, "o", color=color, ms=6)
    axes.set_yticks(range(len(rows)), [_label(row) for row in rows], parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(least, most)
    finish_axes(axes, "rating, with 95 % intervals", "")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        figure.savefig(temporary, format="png", metadata={"Software": "lmgym"})
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _range(rows: list[StandingRow]) -> tuple[float, float]:
    """Of all ratings and bounds, with a margin."""
    ends = [end for row in rows for end in (row.rating, row.low, row.high) if end is not None]
    margin = 0.06 * (max(ends) - min(ends)) or 50
    return min(ends) - margin, max(ends) + margin


def _label(row: StandingRow) -> str:
    ranks = "" if row.rank_low is None else f"{row.rank_low}"
    if row.rank_high != row.rank_low:
        ranks += f"-{row.rank_high}"
    return f"{visible(row.name, _NAME)}   {ranks}"
