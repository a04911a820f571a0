"""`lmgym compare`: runs beside each other, as means over their seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lmgym.commands.arguments import parse_options, split_names
from lmgym.commands.files import check_file, write_json
from lmgym.errors import LmgymError
from lmgym.training.comparison import Comparison, Group, find_runs, grouped
from lmgym.training.comparison_figure import draw_comparison
from lmgym.training.uncertainty import MeanInterval

__all__ = ["CompareArgs", "compare"]

_USAGE = "compare RUN [RUN ...] [--options]"
_MOST_RUNS = 100_000
_NARROWEST = 16
"""Columns for what a group is called; more of it goes into further lines."""
_LABELS = {"greedy": "greedy", "pass@1": "pass@1", "reward": "reward", "gold_reward": "gold reward"}
_SHARES = ("greedy", "pass@1")
_DESCRIPTION = (
    "Compare runs: give run folders, folders of them, or patterns. They are put into groups by the"
    " arguments in which they differ, the seed left out, and each group is shown by its mean over"
    " seeds with the 95 % interval."
)


@dataclass(frozen=True)
class CompareArgs:
    """Arguments of the comparison."""

    by: str | None = None
    """Group by this argument of learner or world alone; by default by all that differ."""
    metric: str | None = None
    """What the curves show, by its name in metrics.jsonl; by default greedy success on validation,
    or the reward there."""
    x: Literal["seconds", "step"] = "seconds"
    """What the curves are drawn against."""
    out: str = "comparison.png"
    """The picture to write."""
    json: str | None = None
    """Write groups, figures, tests and curves to this .json file as well."""
    force: bool = False
    """Compare runs that are not finished, were tested on different problems, or are there twice."""


def compare(argv: Sequence[str]) -> int:
    """Draw curves with intervals over seeds, and print a table of the test figures."""
    words, options = split_names(argv, _MOST_RUNS, _USAGE)
    (args,) = parse_options({"compare": CompareArgs}, options, "compare RUN ...", _DESCRIPTION)
    if not words:
        raise LmgymError(f"name the runs to compare; usage: lmgym {_USAGE}")
    check_file(args.out, ".png")
    if args.json is not None:
        check_file(args.json)
    comparison = grouped(find_runs(words), args.by, is_forced=args.force)
    metric = comparison.metric(args.metric)
    tests = comparison.tests(np.random.default_rng(0))
    draw_comparison(comparison, metric, args.x, Path(args.out))
    _print(comparison, tests)
    if args.json is not None:
        write_json(args.json, _told(comparison, tests, metric, args.x))
    print(f"{metric} by {args.x}: {args.out}")
    return 0


def _print(comparison: Comparison, tests: dict[str, float]) -> None:
    groups = [(group, group.figures()) for group in comparison.groups]
    figures = [name for name in _LABELS if any(name in found for _, found in groups)]
    sections = {_LABELS[name]: [_moments(found, name) for _, found in groups] for name in figures}
    means = [group.means() for group, _ in groups]
    sections |= {name: [_mean(found, name) for found in means] for name in ("updates", "seconds")}
    console = Console()
    console.print(_table(comparison.groups, sections))
    console.print("test split; ± is half of the 95 % interval over seeds (Student's t)")
    if tests:
        told = ", ".join(f"{_LABELS[name]} p = {p:.4f}" for name, p in tests.items())
        console.print(f"permutation test of the difference afterwards, two-sided: {told}")


def _table(groups: Sequence[Group], sections: dict[str, list[tuple[str, str]]]) -> Table:
    """Each figure before and after, of one group below the other: that fits 80 columns."""
    table = Table(box=SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    table.add_column("runs", overflow="fold", min_width=_NARROWEST)
    for heading in ("n", "before", "after"):
        table.add_column(heading, justify="right", no_wrap=True)
    for figure, cells in sections.items():
        for place, (group, pair) in enumerate(zip(groups, cells, strict=True)):
            told = ("" if place else figure, group.label, str(len(group.runs)), *pair)
            table.add_row(*map(Text, told))
        table.add_section()
    return table


def _moments(found: dict[str, dict[str, MeanInterval]], name: str) -> tuple[str, str]:
    """A figure of the test split, before and after."""
    if name not in found:
        return "-", "-"
    before, after = (_cell(found[name][moment], name in _SHARES) for moment in ("before", "after"))
    return before, after


def _mean(found: dict[str, MeanInterval], name: str) -> tuple[str, str]:
    """What is known at the end only."""
    return "", f"{found[name].mean:,.0f}" if name in found else "-"


def _cell(mean: MeanInterval, is_share: bool) -> str:
    factor, digits, unit = (100, 1, "%") if is_share else (1, 3, "")
    half = factor * (mean.high - mean.mean)
    value = f"{factor * mean.mean:.{digits}f}{unit}"
    return f"{value} ± {half:.{digits}f}" if math.isfinite(half) else value


def _told(comparison: Comparison, tests: dict[str, float], metric: str, x: str) -> dict[str, Any]:
    """The comparison as plain values."""
    groups = [_group(group, metric, x) for group in comparison.groups]
    return {"by": comparison.by, "metric": metric, "x": x, "groups": groups, "p_values": tests}


def _group(group: Group, metric: str, x: str) -> dict[str, Any]:
    curve = group.curve(metric, x)
    figures = group.figures().items()
    return {
        "label": group.label,
        "runs": [run.path for run in group.runs],
        "seeds": group.seeds,
        "figures": {name: {k: asdict(v) for k, v in found.items()} for name, found in figures},
        "values": {name: group.values("after", name) for name, _ in figures},
        "means": {name: asdict(mean) for name, mean in group.means().items()},
        "curve": None if curve is None else curve.as_dict(),
    }
