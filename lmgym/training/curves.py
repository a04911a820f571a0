"""The learning curve of a run as a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmgym.errors import LmgymError

__all__ = ["COLORS", "INK", "draw_curve", "finish_axes"]

_SHARES = (
    ("validation/greedy", "greedy", "#1f5fa8"),
    ("validation/pass@1", "sampled", "#d9822b"),
)
_REWARDS = (
    ("validation/reward", "reward", "#3a7d44"),
    ("validation/gold_reward", "gold reward", "#d9822b"),
)
_PANELS = (
    ("reward", "reward", "#3a7d44"),
    ("entropy", "entropy (nats)", "#7a4fa0"),
    ("completion_length", "tokens per answer", "#8a6d3b"),
)
_SMOOTHING = 0.9
INK = "#333333"
"""The colour of texts and frames."""
COLORS = ("#1f5fa8", "#d9822b", "#3a7d44", "#7a4fa0", "#b03a48", "#8a6d3b", "#4a9a9a", "#777777")
"""The colours of curves, one after the other."""
_FAINT = "#bbbbbb"


def draw_curve(
    metrics: Sequence[Mapping[str, float]],
    path: Path,
    *,
    title: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Draw accuracy against seconds, and small panels of reward, entropy and length, as a PNG.

    Rows without a metric are left out of its line. Known metrics are `validation/greedy` and
    `validation/pass@1` (main panel), in whose place `validation/reward` and
    `validation/gold_reward` are drawn where they are logged, and `reward`, `entropy` and
    `completion_length`; the panels show each update faintly and an exponential mean of them.

    Args:
        metrics: rows of `metrics.jsonl`, each with "seconds".
        path: the PNG to write; its folder is made.
        title: above the picture.
        before: evaluation on the test split before training, marked at the left edge: "greedy"
            and "pass@1", or "reward" and "gold_reward", each with "..._interval", a low and a high
            end.
        after: the same after training, marked at the right edge.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise LmgymError(
            "the learning curve needs matplotlib; run: pip install matplotlib"
        ) from error
    figure = Figure(figsize=(9, 6.5), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, len(_PANELS), height_ratios=(2.1, 1))
    figure.suptitle(title, fontsize=14, color=INK)
    main = figure.add_subplot(grid[0, :])
    _draw_main(main, metrics, before, after)
    for column, (name, label, color) in enumerate(_PANELS):
        _draw_panel(figure.add_subplot(grid[1, column]), metrics, name, label, color)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", metadata={"Software": "lmgym"})


def _draw_main(
    axes: Any,
    metrics: Sequence[Mapping[str, float]],
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
) -> None:
    end = max((row["seconds"] for row in metrics), default=1.0) or 1.0
    is_paid = any("validation/reward" in row for row in metrics)
    for name, label, color in _REWARDS if is_paid else _SHARES:
        seconds, values = _series(metrics, name)
        if values:
            axes.plot(seconds, values, "-o", ms=3.5, lw=1.8, color=color, label=label)
        key = name.removeprefix("validation/")
        for evaluation, x, when in ((before, 0.0, "before"), (after, end, "after")):
            _mark(axes, evaluation, key, x, color, f"{label}, test {when}")
    finish_axes(axes, "seconds of training", f"{'reward' if is_paid else 'accuracy'} (validation)")
    if not is_paid:
        axes.set_ylim(-0.02, 1.02)
    axes.set_xlim(-0.03 * end, 1.03 * end)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="best", fontsize=9, frameon=True, framealpha=0.9, edgecolor="none")
    else:
        _say_nothing_yet(axes)


def _mark(
    axes: Any, evaluation: Mapping[str, Any] | None, key: str, x: float, color: str, label: str
) -> None:
    """A diamond with its interval for a result on the test split."""
    value = None if evaluation is None else evaluation.get(key)
    if evaluation is None or value is None:
        return
    low, high = evaluation.get(f"{key}_interval") or (value, value)
    errors = [[max(0.0, value - low)], [max(0.0, high - value)]]
    face = "white" if x == 0.0 else color
    axes.errorbar(
        [x], [value], yerr=errors, fmt="D", ms=7, mfc=face, mec=color, ecolor=color, capsize=4,
        lw=1.4, zorder=5, clip_on=False, label=f"{label} {value:.3f}",
    )  # fmt: skip


def _draw_panel(
    axes: Any, metrics: Sequence[Mapping[str, float]], name: str, label: str, color: str
) -> None:
    seconds, values = _series(metrics, name)
    finish_axes(axes, "seconds", label)
    if not values:
        _say_nothing_yet(axes)
        return
    axes.plot(seconds, values, lw=0.8, color=color, alpha=0.3)
    axes.plot(seconds, _smoothed(values), lw=1.6, color=color)


def _series(metrics: Sequence[Mapping[str, float]], name: str) -> tuple[list[float], list[float]]:
    """Seconds and finite values of the rows that have the metric."""
    rows = [row for row in metrics if math.isfinite(row.get(name, math.nan))]
    return [row["seconds"] for row in rows], [row[name] for row in rows]


def _smoothed(values: Sequence[float]) -> list[float]:
    """Exponential means, corrected for their start."""
    means, total, weight = [], 0.0, 0.0
    for value in values:
        total = _SMOOTHING * total + (1 - _SMOOTHING) * value
        weight = _SMOOTHING * weight + (1 - _SMOOTHING)
        means.append(total / weight)
    return means


def finish_axes(axes: Any, x_label: str, y_label: str) -> None:
    """Label a panel and draw its grid, as in all figures."""
    axes.set_xlabel(x_label, fontsize=10, color=INK)
    axes.set_ylabel(y_label, fontsize=10, color=INK)
    axes.grid(True, color=_FAINT, lw=0.5, alpha=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _say_nothing_yet(axes: Any) -> None:
    axes.text(0.5, 0.5, "not logged", transform=axes.transAxes, ha="center", color=_FAINT)
