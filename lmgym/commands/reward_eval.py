"""`lmgym reward eval`: how often a reward prefers the better answer, subset by subset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lmgym.commands.arguments import parse_options, split_names
from lmgym.commands.files import check_file, write_json
from lmgym.commands.reward_data import counted, progress, read_pairs
from lmgym.errors import LmgymError
from lmgym.preferences.evaluation import PairEvaluation, evaluate_pairs
from lmgym.preferences.rewardbench import result_record, section_scores
from lmgym.registry import REWARDS
from lmgym.rewards.source import RewardSource
from lmgym.training.progress import visible

__all__ = ["RewardEvalArgs", "evaluate"]


@dataclass(frozen=True)
class RewardEvalArgs:
    """Arguments of the evaluation."""

    format: str = "auto"
    """Of the pairs: auto, jsonl, rewardbench, hh, llmbar or pandalm."""
    skip_malformed: bool = False
    """Leave rows out that are no pairs, and count them, instead of refusing the file."""
    out: str | None = None
    """A .json file in the form of RewardBench: an accuracy for each subset; intervals, the rule of
    length and the sections stand under "lmgym"."""


def evaluate(argv: Sequence[str]) -> int:
    """Measure a reward on preference pairs, beside a rule of length."""
    names, options = split_names(argv, 2, "reward eval DIR DATA [--options]")
    command = f"reward eval {' '.join(names) or 'DIR DATA'}"
    (args,) = parse_options({"reward eval": RewardEvalArgs}, options, command, _DESCRIPTION)
    if len(names) < 2:
        raise LmgymError("name a reward model and pairs: lmgym reward eval DIR DATA")
    if args.out is not None:
        check_file(args.out)
    model, source = names
    data = read_pairs(source, args.format, skip_malformed=args.skip_malformed)
    with progress() as tell:
        found = evaluate_pairs(
            _source(model), data, on_progress=lambda done, total: tell("pairs", done, total)
        )
    console = Console()
    console.print(_table(found, f"{visible(model)} on {visible(source)}"))
    for name, score in section_scores(_accuracies(found)).items():
        console.print(Text(f"RewardBench {name}: {score:.1%}"))
    if data.n_equal or data.n_malformed:
        console.print(Text(f"read {counted(data)}"))
    if found.n_ties:
        console.print(Text(f"{found.n_ties:,} pairs whose label is a tie are left out"))
    if args.out is not None:
        write_json(args.out, _record(model, found))
        console.print(Text(f"written to {args.out}"), soft_wrap=True)
    return 0


_DESCRIPTION = (
    "Measure a reward on preference pairs.\n\nDIR is a reward model that `lmgym reward fit` wrote,"
    " or a directory of Hugging Face with one label (`DIR,device=cuda,dtype=bf16` says where it"
    " computes), or a reward as NAME:ARGUMENT. DATA is as for"
    " `lmgym reward fit`. The rule of length is the one that is right more often on these pairs."
)


def _source(name: str) -> RewardSource:
    """A reward by its name, or a reward model by its directory."""
    if name.partition(":")[0] in REWARDS and not Path(name).is_dir():
        from lmgym.rewards.names import as_source

        return as_source(name)
    from lmgym.reward_models import load_reward_model

    return load_reward_model(name)


def _accuracies(found: PairEvaluation) -> dict[str, float]:
    return {name or "pairs": accuracy.value for name, accuracy in found.subsets.items()}


def _table(found: PairEvaluation, title: str) -> Table:
    """A line for each subset, and one for all of them."""
    heads = ("subset", "pairs", "accuracy", f"the {found.rule} answer wins")
    table = Table(*heads, title=Text(title), box=SIMPLE_HEAD)
    rows = {name: (found.subsets[name], found.length_subsets[name]) for name in found.subsets}
    if len(rows) == 1:
        rows = {}
    rows["all"] = (found.accuracy, found.length)
    for name, (accuracy, length) in rows.items():
        cells = (visible(name), f"{accuracy.n:,}", str(accuracy), str(length))
        table.add_row(*map(Text, cells))
    return table


def _record(model: str, found: PairEvaluation) -> dict[str, Any]:
    accuracies = _accuracies(found)
    more = {
        "overall": asdict(found.accuracy),
        "subsets": {name: asdict(accuracy) for name, accuracy in found.subsets.items()},
        "sections": section_scores(accuracies),
        "length_rule": found.rule,
        "length_overall": asdict(found.length),
        "length_subsets": {name: asdict(length) for name, length in found.length_subsets.items()},
        "n_ties": found.n_ties,
    }
    return {**result_record(model, accuracies), "lmgym": more}
