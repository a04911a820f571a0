"""`lmgym verify`: whether an answer is worth its gold, for one pair or for a file of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.text import Text

from lmgym.commands import verify_tables as tables
from lmgym.commands.arguments import parse_options
from lmgym.commands.files import check_file, write_text
from lmgym.commands.reward_data import Told, progress
from lmgym.commands.verify_rows import Columns, Judged, Row, as_lines, read_rows
from lmgym.errors import LmgymError
from lmgym.verification.pool import VerifierPool
from lmgym.verification.verifier import Policy, verify

__all__ = ["PolicyArgs", "RowsArgs", "verify_answers"]


@dataclass(frozen=True)
class PolicyArgs:
    """What is let pass."""

    tolerance: float = 0.0
    """Relative difference of two numbers that is overlooked, as 0.01."""
    units: Literal["checked", "ignored"] = "checked"
    """Whether another unit than the gold's is wrong."""
    percent: Literal["hundredths", "ignored"] = "hundredths"
    """Whether 50 % is 1/2, or 50 as well."""
    ordered: bool = False
    """Whether solutions in a list have to come in the gold's order."""


@dataclass(frozen=True)
class RowsArgs:
    """Options for a file of rows."""

    response: str = "response"
    """Column of the responses."""
    gold: str = "gold"
    """Column of the gold answers."""
    label: str | None = None
    """Column that says whether each response is right, to compare with: true and false, 1 and 0,
    right and wrong, correct and incorrect. By default label, where the first row has it; none
    leaves it out."""
    limit: int | None = None
    """Rows to judge, from the first on; by default all."""
    time_limit: float = 10.0
    """Seconds that a row may take; one that needs more is wrong, with the reason timeout."""
    workers: int = 1
    """Processes that judge at once."""
    out: str | None = None
    """A .jsonl file for every row with its verdict, under "lmgym"."""


def verify_answers(argv: Sequence[str]) -> int:
    """Judge a pair (0 where it is right, 1 where it is wrong), or the rows of a file (0)."""
    names, options = _split(argv)
    groups = {"policy": PolicyArgs, "file": RowsArgs}
    command = f"verify {_SHOWN[len(names)]}"
    policy_args, args = parse_options(groups, options, command, _DESCRIPTION)
    policy = Policy(**vars(policy_args))
    if len(names) == 2:
        if args != RowsArgs():
            raise LmgymError(
                "--response, --gold, --label, --limit, --time-limit, --workers and --out are for a"
                " file of rows; given a response and its gold"
            )
        return _judge_pair(names[0], names[1], policy)
    if not names:
        raise LmgymError(f"nothing to judge; usage: {_USAGE}")
    return _judge_file(names[0], args, policy)


_SHOWN = ("(RESPONSE GOLD | FILE.jsonl)", "FILE.jsonl", "RESPONSE GOLD")
"""Names in the help text, by how many are given."""
_USAGE = "lmgym verify RESPONSE GOLD, or lmgym verify FILE.jsonl [--options]"
_DESCRIPTION = (
    "Judge whether answers are worth their golds.\n\nlmgym verify RESPONSE GOLD tells what is read"
    " in one response, and why it is right (exit code 0) or wrong (1). lmgym verify FILE.jsonl"
    " judges the rows of a file, each an object with the columns response and gold."
)
_OPTION = re.compile(r"-h|--[A-Za-z].*", re.DOTALL)


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names and options; an answer may begin with a minus."""
    n_names = next((i for i, word in enumerate(argv) if _OPTION.fullmatch(word)), len(argv))
    if n_names > 2:
        raise LmgymError(
            f"unexpected {argv[2]!r}; usage: {_USAGE}. Put quotes around answers with spaces"
        )
    return list(argv[:n_names]), list(argv[n_names:])


def _judge_pair(response: str, gold: str, policy: Policy) -> int:
    verdict = verify(response, gold, policy)
    Console().print(tables.pair_table(verdict, gold), soft_wrap=True)
    return 0 if verdict.correct else 1


def _judge_file(source: str, args: RowsArgs, policy: Policy) -> int:
    _check(source, args)
    with progress() as tell:
        rows = read_rows(source, Columns(args.response, args.gold, args.label), args.limit, tell)
        judged = _judged(rows, args, policy, tell)
    if args.out is not None:
        write_text(args.out, as_lines(judged))
    _print(judged, source, args)
    return 0


_BATCH = 256
"""Rows that a worker gets at once, and so between two strokes of the bar."""
_MOST_SECONDS = 86_400
"""What a row may be given: a day."""


def _check(source: str, args: RowsArgs) -> None:
    for name, number in (("--limit", args.limit), ("--workers", args.workers)):
        if number is not None and number < 1:
            raise LmgymError(f"{name} {number} is out of range; at least 1 is needed")
    if not 0 < args.time_limit <= _MOST_SECONDS:
        raise LmgymError(
            f"--time-limit {args.time_limit} is out of range; give seconds, more than 0 and at most"
            f" {_MOST_SECONDS:,}"
        )
    if not Path(source).is_file():
        raise LmgymError(f"no file {source!r}; usage: {_USAGE}")
    if args.out is not None and check_file(args.out, ".jsonl").resolve() == Path(source).resolve():
        raise LmgymError(f"--out {args.out!r} is the file that is read; name another")


def _judged(rows: Sequence[Row], args: RowsArgs, policy: Policy, tell: Told) -> list[Judged]:
    """The rows with their verdicts, by processes of their own, so that no row can hang the rest."""
    judged: list[Judged] = []
    with VerifierPool(args.workers, args.time_limit, policy=policy) as pool:
        while len(judged) < len(rows):
            batch = rows[len(judged) : len(judged) + _BATCH * args.workers]
            verdicts = pool.verify_batch([r.response for r in batch], [r.gold for r in batch])
            judged += map(Judged, batch, verdicts)
            tell("judging", len(judged), len(rows))
    return judged


def _print(judged: Sequence[Judged], source: str, args: RowsArgs) -> None:
    console = Console()
    console.print(tables.reasons_table(judged, source))
    console.print(Text(tables.accuracy_line(judged)))
    if judged[0].row.label is not None:
        console.print(tables.confusion_table(judged))
        console.print(Text(tables.agreement_line(judged)))
        if any(not each.agrees for each in judged):
            console.print(tables.disagreements_table(judged))
    if args.out is not None:
        console.print(Text(f"written to {args.out}"), soft_wrap=True)
