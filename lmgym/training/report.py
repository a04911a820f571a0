"""What training changed: the table of results before and after, on the test split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["compare_evaluations", "comparison_table", "print_comparison"]

_SHARES = (("greedy", "greedy"), ("pass@1", "sampled (pass@1)"))
_NUMBERS = (("reward", "reward, greedy"), ("gold_reward", "gold reward, greedy"))
_ROWS = (*_SHARES, *_NUMBERS)


def compare_evaluations(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Two evaluations side by side, as plain values.

    Args:
        before: "greedy" and "pass@1" (shares of right answers), "reward" and "gold_reward" (means
            of greedy answers), any of which may be missing, each with its interval, as
            "greedy_interval" (a low and a high end); and "n", the problems.
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
    table.add_column("" if any(key in compared for key, _ in _NUMBERS) else "accuracy")
    for heading in ("before", "after", "change"):
        table.add_column(heading, justify="right")
    for rows, is_share in ((_SHARES, True), (_NUMBERS, False)):
        for key, label in rows:
            if key in compared:
                table.add_row(label, *_cells(compared[key], is_share=is_share))
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


def _cells(row: Mapping[str, Any], *, is_share: bool) -> list[Text]:
    """Before, after and the change: shares in percent, and numbers as they are."""
    change = row["change"]
    style = "green" if change > 0 else "red" if change < 0 else ""
    told = f"{100 * change:+.1f} points" if is_share else f"{change:+.3f}"
    return [
        *(_cell(row[when], row[f"{when}_interval"], is_share) for when in ("before", "after")),
        Text(told, style),
    ]


def _cell(value: float, interval: list[float] | None, is_share: bool) -> Text:
    factor, form = (100, ".1f") if is_share else (1, ".3f")
    low, high = (None, None) if interval is None else (factor * end for end in interval)
    ends = "" if interval is None else f" [{low:{form}}, {high:{form}}]"
    return Text(f"{factor * value:{form}}{'%' if is_share else ''}{ends}")


def _caption(compared: Mapping[str, Any]) -> Text:
    before, after = compared["n_before"], compared["n_after"]
    problems = f"{after}" if before == after else f"{before} before, {after} after"
    return Text(f"{problems} problems; brackets: 95 % interval")
