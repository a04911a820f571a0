"""pass@k and maj@k against k as a picture."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from lmgym.errors import LmgymError
from lmgym.metrics import Estimate
from lmgym.training.curves import INK, finish_axes

__all__ = ["draw_metrics", "points_of"]

_COLORS = {"pass@k": "#1f5fa8", "maj@k": "#d9822b"}


def draw_metrics(
    curves: Mapping[str, Mapping[int, Estimate]],
    path: Path,
    *,
    title: str = "",
    lines: Mapping[str, float] | None = None,
) -> None:
    """Draw shares against k into a PNG, with their 95 % intervals shaded.

    Args:
        curves: "pass@k" and "maj@k", each by k.
        path: the PNG; it is complete or as it was.
        title: above the picture.
        lines: shares that do not depend on k, such as the greedy accuracy, by name.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise LmgymError("the figure needs matplotlib; run: pip install matplotlib") from error
    figure = Figure(figsize=(8, 5), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=13, color=INK)
    axes = figure.add_subplot()
    for name, points in curves.items():
        ks, color = list(points), _COLORS.get(name, INK)
        axes.plot(ks, [points[k].mean for k in ks], color=color, lw=2, label=name)
        ends = [points[k].interval or (points[k].mean,) * 2 for k in ks]
        low, high = [end[0] for end in ends], [end[1] for end in ends]
        axes.fill_between(ks, low, high, color=color, alpha=0.15, lw=0)
    for name, value in (lines or {}).items():
        axes.axhline(value, color=INK, lw=1.2, ls="--", label=name)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylim(-0.02, 1.02)
    axes.legend(loc="best", fontsize=9, framealpha=0.9, edgecolor="none")
    finish_axes(axes, "k, samples of a problem", "share of problems solved")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        figure.savefig(temporary, format="png", metadata={"Software": "lmgym"})
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def points_of(n: int, most: int = 40) -> Sequence[int]:
    """Every k from 1 to n, or about `most` of them, denser among the small ones.

    Example:
        >>> points_of(5)
        [1, 2, 3, 4, 5]
    """
    if n <= most:
        return list(range(1, n + 1))
    return sorted({round(n ** (i / (most - 1))) for i in range(most)})
