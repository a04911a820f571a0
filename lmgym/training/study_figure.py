"""Proxy, gold and KL of an over-optimisation study as a picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmgym.errors import LmgymError
from lmgym.training.curves import INK, finish_axes

if TYPE_CHECKING:
    from lmgym.overoptimization import Curve

__all__ = ["draw_study"]

_COLORS = ("#1f5fa8", "#d9822b", "#3a7d44", "#7a4fa0", "#b03a48", "#8a6d3b", "#4a9a9a", "#777777")


def draw_study(curves: Sequence[Curve], path: Path, *, title: str = "") -> None:
    """Draw curves into a PNG: rewards against sqrt(KL), and the KL against N and the updates.

    Gold rewards are solid with their intervals shaded, proxies dashed.

    Args:
        curves: of best-of-N, of learners, or both; each has its colour in all panels.
        path: the PNG; it is complete or as it was.
        title: above the picture.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise LmgymError("the figure needs matplotlib; run: pip install matplotlib") from error
    figure = Figure(figsize=(10, 6.5), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=14, color=INK)
    kinds = [kind for kind in ("best_of_n", "rl") if any(c.kind == kind for c in curves)]
    grid = figure.add_gridspec(2, max(1, len(kinds)), height_ratios=(2.1, 1))
    _draw_rewards(figure.add_subplot(grid[0, :]), curves)
    for column, kind in enumerate(kinds):
        _draw_kl(figure.add_subplot(grid[1, column]), curves, kind)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        figure.savefig(temporary, format="png", metadata={"Software": "lmgym"})
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _draw_rewards(axes: Any, curves: Sequence[Curve]) -> None:
    for curve, color in zip(curves, _cycled(len(curves)), strict=True):
        marker = "o" if curve.kind == "best_of_n" else None
        axes.plot(curve.distance, curve.proxy, "--", color=color, lw=1.2, alpha=0.8)
        if curve.gold is None:
            axes.plot([], [], color=color, label=curve.label)
            continue
        axes.plot(
            curve.distance, curve.gold, color=color, lw=2, marker=marker, ms=3.5, label=curve.label
        )
        if curve.gold_interval is not None:
            low, high = curve.gold_interval.T
            axes.fill_between(curve.distance, low, high, color=color, alpha=0.12, lw=0)
    axes.plot([], [], color=INK, lw=2, label="gold reward")
    axes.plot([], [], "--", color=INK, lw=1.2, label="proxy")
    axes.legend(loc="best", fontsize=9, framealpha=0.9, edgecolor="none")
    finish_axes(axes, "sqrt(KL from the start), nats per answer", "reward")


def _draw_kl(axes: Any, curves: Sequence[Curve], kind: str) -> None:
    shown = [
        (c, color) for c, color in zip(curves, _cycled(len(curves)), strict=True) if c.kind == kind
    ]
    for curve, color in shown:
        axes.plot(curve.n, curve.kl, color=color, lw=1.6)
        if curve.kl_estimate is not None:
            axes.plot(curve.n, curve.kl_estimate, "--", color=color, lw=1.2)
    if any(curve.kl_estimate is not None for curve, _ in shown):
        axes.plot([], [], color=INK, lw=1.6, label="bound")
        axes.plot([], [], "--", color=INK, lw=1.2, label="of the samples")
        axes.legend(loc="upper left", fontsize=8, framealpha=0.9, edgecolor="none")
    if kind == "best_of_n":
        axes.set_xscale("log", base=2)
    finish_axes(axes, "N of best-of-N" if kind == "best_of_n" else "update", "KL (nats)")


def _cycled(n: int) -> list[str]:
    return [_COLORS[i % len(_COLORS)] for i in range(n)]
