"""Self-play as a picture: exploitability, win rates and entropy against games."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmgym.errors import LmgymError
from lmgym.training.curves import INK, finish_axes

__all__ = ["draw_self_play", "new_figure", "save_figure"]

Rows = Sequence[Mapping[str, float]]

_LINES = (
    ("exploitability", {"exploitability": "last", "exploitability/average": "average"}),
    ("win rate", {"win/random": "random", "win/first": "first", "win/previous": "previous"}),
    ("entropy (nats a move)", {"entropy": "entropy"}),
)
"""The panels: the label, and the metrics with theirs."""
_COLORS = ("#1f5fa8", "#d9822b", "#3a7d44")


def draw_self_play(metrics: Rows, path: Path, *, title: str = "") -> None:
    """Draw what a run has measured, as a PNG.

    Args:
        metrics: rows of `metrics.jsonl`, each with "games".
        path: the PNG to write.
        title: above the picture.
    """
    figure = new_figure((11, 3.6), title)
    for place, (label, lines) in enumerate(_LINES):
        axes = figure.add_subplot(1, len(_LINES), place + 1)
        finish_axes(axes, "games", label)
        for (name, line), color in zip(lines.items(), _COLORS, strict=False):
            _draw_line(axes, metrics, name, line, color)
        if len(axes.get_legend_handles_labels()[1]) > 1:
            axes.legend(fontsize=9, framealpha=0.9, edgecolor="none")
        if not axes.lines:
            axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center")
        elif label == "exploitability":
            axes.set_ylim(bottom=0)
    save_figure(figure, path)


def new_figure(size: tuple[float, float], title: str) -> Any:
    """A figure that needs no screen."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise LmgymError("the figure needs matplotlib; run: pip install matplotlib") from error
    figure = Figure(figsize=size, dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=13, color=INK)
    return figure


def save_figure(figure: Any, path: Path) -> None:
    """Write a PNG; it is complete or as it was."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        figure.savefig(temporary, format="png", metadata={"Software": "lmgym"})
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _draw_line(axes: Any, metrics: Rows, name: str, label: str, color: str) -> None:
    """A metric, with its interval shaded where there is one."""
    rows = [row for row in metrics if math.isfinite(row.get(name, math.nan))]
    if not rows:
        return
    games = [row["games"] for row in rows]
    axes.plot(games, [row[name] for row in rows], "-o", ms=3, lw=1.6, color=color, label=label)
    if f"{name}/low" in rows[0]:
        ends = ([row[f"{name}/{end}"] for row in rows] for end in ("low", "high"))
        axes.fill_between(games, *ends, color=color, alpha=0.15, lw=0)
