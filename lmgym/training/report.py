"""What training changed: the table of results before and after, on the test split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["compare_evaluations", "comparison_table", "print_comparison"]

_ROWS = (("greedy", "greedy"), ("pass@1", "sampled (pass@1)"))


def compare_evaluations(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Two evaluations side by side, as plain values.

    Args:
        before: "greedy" and "pass@1" (shares of right answers, either may be missing), each with
            "greedy_interval" and "pass@1_interval" (a low and a high end), and "n", the problems.
        after: the same, later.

    Returns:
        For each measure that both have: before, after, their intervals and the change; and
        "n_before" and "n_after".

    Example:
        >>> compared = compare_evaluations({"greedy": 0.25, "n": 8}, {"greedy": 0.75, "n": 8})
        >>> compared["greedy"]["change"], compared["n_after"]
        (0.5, 8)
    """
    compared: dict[str, Any] = {
        key: _compare(key, before, after)
        for key, _ in _ROWS
        if before.get(key) is not None and after.get(key) is not None
    }
    return compared | {"n_before": before.get("n"), "n_after": after.get("n")}


def comparison_table(
    before: Mapping[str, Any], after: Mapping[str, Any], title: str = "Test split"
) -> Table:
    """The same as a table, with 95 % intervals and the number of problems."""
    compared = compare_evaluations(before, after)
    table = Table(title=Text(title), caption=_caption(compared))
    table.add_column("accuracy")
    for heading in ("before", "after", "change"):
        table.add_column(heading, justify="right")
    for key, label in _ROWS:
        if key in compared:
            row = compared[key]
            style = "green" if row["change"] > 0 else "red" if row["change"] < 0 else ""
            table.add_row(
                label,
                _cell(row["before"], row["before_interval"]),
                _cell(row["after"], row["after_interval"]),
                Text(f"{100 * row['change']:+.1f} points", style),
            )
    return table


def print_comparison(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    title: str = "Test split",
    console: Console | None = None,
) -> dict[str, Any]:
    """Print the table and return its numbers."""
    (console or Console()).print(comparison_table(before, after, title))
    return compare_evaluations(before, after)


def _compare(key: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    first, last = float(before[key]), float(after[key])
    return {
        "before": first,
        "before_interval": _interval(before, key),
        "after": last,
        "after_interval": _interval(after, key),
        "change": last - first,
    }


def _interval(evaluation: Mapping[str, Any], key: str) -> list[float] | None:
    ends = evaluation.get(f"{key}_interval")
    return None if ends is None else [float(end) for end in ends]


def _cell(value: float, interval: list[float] | None) -> Text:
    ends = "" if interval is None else f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"
    return Text(f"{value:.1%}{ends}")


def _caption(compared: Mapping[str, Any]) -> Text:
    before, after = compared["n_before"], compared["n_after"]
    problems = f"{after}" if before == after else f"{before} before, {after} after"
    return Text(f"{problems} problems; brackets: 95 % interval")
