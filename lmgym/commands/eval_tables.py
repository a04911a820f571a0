"""What `lmgym eval` prints: figures with their errors, families, and some answers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from lmgym.commands.summary import Family, Summary
from lmgym.metrics import Estimate
from lmgym.training.progress import visible

if TYPE_CHECKING:
    from lmgym.commands.measuring import Measured
    from lmgym.commands.worth import BestOf, Worth

__all__ = [
    "Shown",
    "answers_table",
    "best_table",
    "evenly",
    "facts_table",
    "families_table",
    "metrics_table",
]

_MARKS = {True: ("right", "green"), False: ("wrong", "red")}

Shown = tuple[bool, str, str, str]
"""An answer to show: whether it is right, the question, the answer, and the gold answer."""


def metrics_table(found: Summary, title: str) -> Table:
    """A row for each metric: the estimate, its standard error and its 95 % interval."""
    table = Table(title=Text(title), box=SIMPLE_HEAD)
    table.add_column("")
    for heading in ("estimate", "standard error", "95 % interval"):
        table.add_column(heading, justify="right")
    for name, estimate in (*found.metrics.items(), *found.worth.items()):
        label = _label(name)
        if name == "reward" and found.n_unscored:
            label += f" ({found.n_unscored:,} without a score)"
        table.add_row(label, *_cells(estimate))
    if found.n_unscored and "reward" not in found.worth:
        table.add_row("reward", "none", "", f"{found.n_unscored:,} without a score")
    for name, value in found.figures.items():
        table.add_row(name, f"{value:.1%}")
    return table


def families_table(families: Mapping[str, Family]) -> Table:
    """The metrics by kind of problem, each with its standard error; shares in percent."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1))
    table.add_column("family", no_wrap=True)
    table.add_column("n", justify="right")
    names = dict.fromkeys(name for family in families.values() for name in family.metrics)
    for name in names:
        table.add_column(name.replace("_", " "), justify="right", no_wrap=True)
    for kind, family in families.items():
        cells = (_with_error(family.metrics[n]) if n in family.metrics else "" for n in names)
        table.add_row(Text(visible(kind, 40)), f"{family.n:,}", *cells)
    return table


def facts_table(measured: Measured, reward: str | None) -> Table:
    """What was measured, and what it took."""
    found = measured.evaluation
    table = Table(box=None, show_header=False, padding=(0, 2))
    if isinstance(found, Summary) and found.samples:
        samples = f"{found.samples:,} a problem, temperature {found.temperature:g}"
        table.add_row("samples", samples)
    _add_facts(table, measured, reward)
    return table


def best_table(measured: Measured, found: BestOf, title: str, reward: str | None) -> Table:
    """Three figures of the best answers, each beside that of a single one."""
    table = Table(title=Text(title), box=SIMPLE_HEAD, show_header=False)
    kinds = ((f"best of {found.answers}", found.best), ("one sample", found.sample))
    for kind, worth in kinds:
        success = worth.success
        table.add_row(f"accuracy, {kind}", _share(success.mean, (success.low, success.high)))
    for kind, worth in kinds:
        _add_reward(table, f"reward, {kind}", worth)
    for kind, worth in kinds:
        if worth.gold is not None:
            gold = worth.gold
            table.add_row(f"gold reward, {kind}", _number(gold.mean, (gold.low, gold.high)))
    _add_facts(table, measured, reward)
    return table


def answers_table(shown: Iterable[Shown]) -> Table:
    """Some answers, marked by the world's verdict."""
    table = Table("", "question", "answer", "gold", box=SIMPLE_HEAD)
    for is_correct, *texts in shown:
        mark, style = _MARKS[is_correct]
        table.add_row(Text(mark, style), *(Text(visible(text), overflow="fold") for text in texts))
    return table


def _add_facts(table: Table, measured: Measured, reward: str | None) -> None:
    found = measured.evaluation
    if reward is not None:
        table.add_row("rewarded by", Text(visible(reward), overflow="fold"))
    table.add_row("problems", f"{found.n:,}")
    table.add_row("mean length", f"{found.mean_length:.1f} tokens")
    table.add_row("speed", f"{measured.tokens_per_second:,.0f} tokens/s")
    table.add_row("time", f"{measured.seconds:.1f} s")
    table.add_row("policy", f"{measured.n_parameters:,} parameters")


def _add_reward(table: Table, label: str, worth: Worth) -> None:
    mean = worth.reward
    shown = Text("none") if mean is None else _number(mean.mean, (mean.low, mean.high))
    if worth.n_unscored:
        shown.append(f" ({worth.n_unscored:,} without a score)")
    table.add_row(label, shown)


def _label(name: str) -> str:
    """The name of a figure in words."""
    return "greedy accuracy" if name == "greedy" else name.replace("_", " ")


def _cells(estimate: Estimate) -> list[str]:
    """Shares in percent, and other numbers as they are."""
    error, interval = estimate.standard_error, estimate.interval
    factor, form, unit = (100, ".1f", "%") if estimate.is_share else (1, ".3f", "")
    ends = "" if interval is None else ", ".join(f"{factor * end:{form}}" for end in interval)
    return [
        f"{factor * estimate.mean:{form}}{unit}",
        "" if error is None else f"{factor * error:{form}}",
        f"[{ends}]" if ends else "",
    ]


def _with_error(estimate: Estimate) -> str:
    mean, error, _ = _cells(estimate)
    return f"{mean.rstrip('%')} ± {error}" if error else mean.rstrip("%")


def _share(value: float, interval: tuple[float, float]) -> Text:
    if not all(map(math.isfinite, interval)):
        return Text(f"{value:.1%}")
    low, high = (100 * min(1.0, max(0.0, end)) for end in interval)
    return Text(f"{value:.1%} [{low:.1f}, {high:.1f}]")


def _number(value: float, interval: tuple[float, float]) -> Text:
    if not all(map(math.isfinite, interval)):
        return Text(f"{value:.3f}")
    return Text(f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]")


def evenly(items: Sequence[Shown], n: int) -> Sequence[Shown]:
    """Up to `n` of the items, evenly spaced."""
    return items[:: max(1, len(items) // n)][:n]
