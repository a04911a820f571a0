"""What `lmgym verify` prints: one verdict, or reasons, accuracy and disagreements of many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from lmgym.commands.verify_rows import Judged
from lmgym.training.progress import visible
from lmgym.training.uncertainty import wilson_interval
from lmgym.verification.reasons import Reason
from lmgym.verification.verifier import Verdict

__all__ = [
    "MEANINGS",
    "MOST_SHOWN",
    "accuracy_line",
    "agreement_line",
    "confusion_table",
    "disagreements_table",
    "pair_table",
    "reasons_table",
]

MOST_SHOWN = 20
"""Disagreements that are listed."""

MEANINGS = {
    Reason.EQUAL: "the same answer",
    Reason.EQUAL_EXACT: "the same value, computed exactly",
    Reason.EQUAL_DIGITS: "the same value to many digits, or within the tolerance",
    Reason.EQUAL_SET: "the same set of numbers or solutions",
    Reason.NOT_EQUAL: "read, and worth something else",
    Reason.HEDGED: "several answers where the gold is one",
    Reason.UNSOLVED: "a relation that has still to be solved",
    Reason.WRONG_UNIT: "another unit than the gold's",
    Reason.UNPARSABLE: "cannot be read as an answer",
    Reason.TOO_BIG: "beyond the limits of length or size",
    Reason.EMPTY: "no answer",
    Reason.TIMEOUT: "took too long",
}
"""Reasons in words."""

_MARKS = {True: ("right", "green"), False: ("wrong", "red")}
_METHODS = {
    "box": "in a box",
    "tag": "in answer tags",
    "marker": "behind words that announce it",
    "end": "at the end; nothing announces it",
    "nothing": "nowhere",
}


def pair_table(verdict: Verdict, gold: str) -> Table:
    """One verdict: what was extracted, how, and why it is right or wrong."""
    table = Table.grid(padding=(0, 2))
    extracted = "nothing" if verdict.extracted is None else visible(verdict.extracted)
    table.add_row("verdict", Text(*_MARKS[verdict.correct]))
    table.add_row("reason", Text(f"{verdict.reason}: {MEANINGS[verdict.reason]}"))
    table.add_row("extracted", Text(extracted))
    table.add_row("found", Text(_METHODS.get(verdict.method, verdict.method)))
    table.add_row("gold", Text(visible(gold)))
    return table


def reasons_table(judged: Sequence[Judged], source: str) -> Table:
    """A row for each reason: how often, its share, and where those answers were found."""
    pairs = Counter((each.verdict.reason, each.verdict.method) for each in judged)
    methods = [name for name in _METHODS if any(method == name for _, method in pairs)]
    table = Table(title=Text(f"{visible(source)}, {len(judged):,} rows"), box=SIMPLE_HEAD)
    table.add_column("reason", no_wrap=True)
    for heading in ("rows", "share", *methods):
        table.add_column(heading, justify="right")
    counts = Counter(each.verdict.reason for each in judged)
    for reason, n in sorted(counts.items(), key=lambda item: (not item[0].is_correct, -item[1])):
        places = (pairs[reason, method] for method in methods)
        cells = (f"{n:,}", f"{n / len(judged):.1%}", *(f"{m:,}" if m else "" for m in places))
        table.add_row(Text(str(reason), "green" if reason.is_correct else "red"), *cells)
    return table


def accuracy_line(judged: Sequence[Judged]) -> str:
    """The share of right answers, with its interval."""
    return f"accuracy   {_rate(sum(each.verdict.correct for each in judged), len(judged))}"


def agreement_line(judged: Sequence[Judged]) -> str:
    """The share of rows where verdict and label agree, with its interval."""
    return f"agreement  {_rate(sum(each.agrees for each in judged), len(judged))}"


def confusion_table(judged: Sequence[Judged]) -> Table:
    """Labels against verdicts."""
    counts = Counter((each.row.label, each.verdict.correct) for each in judged)
    table = Table(box=SIMPLE_HEAD)
    table.add_column("")
    table.add_column("judged right", justify="right")
    table.add_column("judged wrong", justify="right")
    for label in (True, False):
        cells = (f"{counts[label, correct]:,}" for correct in (True, False))
        table.add_row(f"labelled {_MARKS[label][0]}", *cells)
    return table


def disagreements_table(judged: Sequence[Judged]) -> Table:
    """The first rows where verdict and label differ."""
    found = [each for each in judged if not each.agrees]
    title = f"{len(found):,} disagreements"
    if len(found) > MOST_SHOWN:
        title += f", the first {MOST_SHOWN} of them; --out keeps all"
    table = Table(title=Text(title), box=SIMPLE_HEAD)
    table.add_column("line", justify="right")
    for heading in ("label", "reason"):
        table.add_column(heading, no_wrap=True)
    for heading in ("extracted", "gold"):
        table.add_column(heading, overflow="fold")
    for each in found[:MOST_SHOWN]:
        extracted = "" if each.verdict.extracted is None else visible(each.verdict.extracted, 60)
        texts = (str(each.verdict.reason), extracted, visible(each.row.gold, 60))
        table.add_row(f"{each.row.line:,}", _MARKS[bool(each.row.label)][0], *map(Text, texts))
    return table


def _rate(n: int, total: int) -> str:
    low, high = wilson_interval(n, total)
    return f"{n / total:.1%}, 95 % interval {low:.1%} to {high:.1%} ({n:,} of {total:,})"
