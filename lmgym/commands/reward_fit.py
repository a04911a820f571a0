"""`lmgym reward fit`: a reward model from preferences or logged trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lmgym.commands.arguments import parse_options, split_names
from lmgym.commands.reward_data import Data, counted, progress, read_rows
from lmgym.errors import LmgymError
from lmgym.preferences.evaluation import auc, evaluate_pairs, length_rule
from lmgym.preferences.pairs import PreferenceDataset, PreferencePair, Trial
from lmgym.preferences.splitting import split_by_prompt
from lmgym.reward_models.arguments import FitArgs

if TYPE_CHECKING:
    from lmgym.reward_models.model import RewardModel

__all__ = ["FitCommandArgs", "fit"]


@dataclass(frozen=True)
class FitCommandArgs:
    """Data and directory of the fit."""

    out: str | None = None
    """Directory for the reward model; what is there is replaced."""
    format: str = "auto"
    """Of the data: auto, jsonl, rewardbench, hh, llmbar, pandalm, or trials."""
    skip_malformed: bool = False
    """Leave rows out that are no pairs, and count them, instead of refusing the file."""
    held_out: float = 0.2
    """Share of the data, whole prompts of it, that is kept back to measure the model on."""
    test: str | None = None
    """Measure on this file instead, and keep nothing back."""
    cache: str | None = None
    """Folder where encodings of texts are kept for the next time."""


def fit(argv: Sequence[str]) -> int:
    """Fit, measure on what was held out, save."""
    names, options = split_names(argv, 1, "reward fit DATA --out DIR [--options]")
    groups = {"reward fit": FitCommandArgs, "reward model": FitArgs}
    given = names[0] if names else "DATA"
    args, fit_args = parse_options(groups, options, f"reward fit {given}", _DESCRIPTION)
    if not names:
        raise LmgymError("name the data: lmgym reward fit DATA --out DIR")
    out = _checked_directory(args)
    data = read_rows(given, args.format, skip_malformed=args.skip_malformed)
    train, test = _parts(data, args, fit_args.seed)

    from lmgym.reward_models import fit_reward_model

    with progress() as tell:
        model = fit_reward_model(train, fit_args, cache=args.cache, on_progress=tell)
        table = _figures(model, train, test)
    model.save(out)
    console = Console()
    console.print(Text(f"read {counted(data)}"))
    console.print(table)
    n_shared = _n_shared(train, test)
    if n_shared:
        told = f"{n_shared:,} prompts of the {len(test):,} rows measured on were learned from, too"
        console.print(Text(f"{told}: these figures are too good"))
    console.print(Text(f"written to {out}; use it as reward='rm:{out}'"), soft_wrap=True)
    return 0


_DESCRIPTION = (
    "Fit a reward model.\n\nDATA is a file or folder of preference pairs (.jsonl or .json, plain or"
    " .gz), the name of one in the folder that LMGYM_DATA names, a data set USER/NAME[:SPLIT], or"
    " logged trials with --objective classification."
)


def _checked_directory(args: FitCommandArgs) -> Path:
    """Where to write, found out before the work."""
    if args.out is None:
        raise LmgymError("--out is missing; give a directory for the reward model")
    out = Path(args.out)
    if out.is_file() or any(parent.is_file() for parent in out.parents):
        raise LmgymError(f"--out {args.out!r} is a file, or lies in one; give a directory")
    if out.is_dir() and any(out.iterdir()) and not (out / "reward_model.json").is_file():
        raise LmgymError(f"--out {args.out!r} holds other files; give a new or an empty directory")
    return out


def _parts(data: Data, args: FitCommandArgs, seed: int) -> tuple[Data, Data]:
    """What to learn from and what to measure on."""
    if args.test is not None:
        return data, read_rows(args.test, args.format, skip_malformed=args.skip_malformed)
    if not 0 < args.held_out < 1:
        raise LmgymError(f"--held-out {args.held_out} is out of range; give a share as 0.2")
    fractions = (1 - args.held_out, args.held_out)
    if isinstance(data, PreferenceDataset):
        train, test = data.split(*fractions, seed=seed)
        return train, test
    parts = split_by_prompt([(trial.prompt,) for trial in data], fractions, seed)
    return [data[row] for row in parts[0]], [data[row] for row in parts[1]]


def _n_shared(train: Data, test: Data) -> int:
    """How many prompts are on both sides."""
    seen, asked = ({prompt for row in part for prompt in _prompts(row)} for part in (train, test))
    return len(seen & asked)


def _prompts(row: PreferencePair | Trial) -> tuple[Any, ...]:
    return row.prompts if isinstance(row, PreferencePair) else (row.prompt,)


def _figures(model: RewardModel, train: Data, test: Data) -> Table:
    """What the model gets right on what it has not seen."""
    table = Table(box=SIMPLE_HEAD, show_header=False)
    table.add_row("fitted to", counted(train))
    table.add_row("measured on", counted(test))
    if isinstance(test, PreferenceDataset):
        rule = length_rule(train if isinstance(train, PreferenceDataset) else test)
        found = evaluate_pairs(model, test, rule=rule)
        table.add_row("accuracy", str(found.accuracy))
        table.add_row(f"the {rule} answer wins", str(found.length))
    else:
        labels = [trial.label for trial in test]
        rewards = model.score([trial.transcript for trial in test]).outcome
        lengths = [len(trial.transcript.completion_text) for trial in test]
        table.add_row("right before wrong", f"{auc(rewards, labels):.1%}")
        table.add_row("the longer before the shorter", f"{auc(lengths, labels):.1%}")
    for name, form in (("train_accuracy", ".1%"), ("regularisation", ".4g")):
        if name in model.figures:
            table.add_row(name.replace("_", " "), format(model.figures[name], form))
    return table
