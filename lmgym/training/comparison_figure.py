"""Curves of groups of runs as a picture: means over seeds with their 95 % intervals."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lmgym.errors import LmgymError
from lmgym.training.comparison import Comparison, Group
from lmgym.training.curves import COLORS, INK, finish_axes

__all__ = ["draw_comparison"]

_X_LABELS = {"seconds": "seconds of training", "step": "updates"}


def draw_comparison(comparison: Comparison, metric: str, x: str, path: Path) -> None:
    """Draw a metric against "seconds" or "step" into a PNG, which is complete or as it was.

    Each group has its colour: the mean thick, its interval shaded, each seed thin.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise LmgymError("the figure needs matplotlib; run: pip install matplotlib") from error
    figure = Figure(figsize=(9, 5), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for place, group in enumerate(comparison.groups):
        _draw_group(axes, group, metric, x, COLORS[place % len(COLORS)])
    finish_axes(axes, _X_LABELS[x], metric)
    axes.set_title(", ".join(comparison.by) or "one group", fontsize=12, color=INK)
    axes.legend(loc="best", fontsize=9, framealpha=0.9, edgecolor="none")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        figure.savefig(temporary, format="png", metadata={"Software": "lmgym"})
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _draw_group(axes: Any, group: Group, metric: str, x: str, color: str) -> None:
    band = group.curve(metric, x)
    n = len(group.runs)
    label = f"{group.label} ({n} seed{'s' if n > 1 else ''})"
    if band is None:
        axes.plot([], [], color=color, label=f"{label}: not logged")
        return
    for run in group.runs:
        axes.plot(*run.series(metric, x), lw=0.7, alpha=0.35, color=color)
    axes.plot(band.x, band.mean, lw=2.2, color=color, label=label)
    axes.fill_between(band.x, band.low, band.high, color=color, alpha=0.15, lw=0)
