"""`lmgym eval`: how often a policy is right, with intervals, and what it says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lmgym.commands.arguments import parse_options, split_names
from lmgym.commands.files import check_file, write_json
from lmgym.commands.worlds import DEFAULT_WORLD, find_text_world, world_arguments
from lmgym.errors import LmgymError
from lmgym.evaluation import Evaluation
from lmgym.factory import make_task
from lmgym.registry import WORLDS
from lmgym.task import Verdict
from lmgym.training.progress import visible
from lmgym.training.records import run_facts
from lmgym.transcript import Transcript

if TYPE_CHECKING:
    from lmgym.commands.measuring import Measured
    from lmgym.commands.worth import BestOf, Worth

__all__ = ["EvalArgs", "evaluate_policy"]

_MARKS = {True: ("right", "green"), False: ("wrong", "red")}


@dataclass(frozen=True)
class EvalArgs:
    """Arguments of the evaluation."""

    model: str = "embedded"
    """The policy: embedded, a Hugging Face directory, a hub id, or a .gguf file."""
    split: str = "test"
    """Which problems: train, validation or test."""
    limit: int | None = None
    """Problems; by default 512, or 50 for policies of more than 10 million parameters."""
    samples: int | None = None
    """Sampled answers for each problem, besides the greedy one; by default 4, or 0 for policies of
    more than 10 million parameters."""
    temperature: float = 1.0
    """Of the samples."""
    seed: int = 0
    """Seed of the samples."""
    max_tokens: int | None = None
    """Tokens of the agent in an episode; by default what the world needs."""
    context: int | None = None
    """Positions of an episode; by default what the world needs."""
    batch_size: int | None = None
    """Episodes at a time; by default 512, or 16 for policies of more than 10 million parameters."""
    reward: str | None = None
    """Tell what a reward makes of the greedy answers too: rm:DIR, or another reward."""
    best_of: int | None = None
    """Measure the best of this many sampled answers by --reward, in place of the greedy one."""
    device: str = "cpu"
    """Where the model runs: cpu, cuda, cuda:1, ..."""
    dtype: str = "auto"
    """Type of the weights: auto (float32), float32, bfloat16 or float16."""
    show: int = 5
    """Answers to print."""
    out: str | None = None
    """A .json file for the figures, the command, the versions and all answers that were kept."""


def evaluate_policy(argv: Sequence[str]) -> int:
    """Measure a policy on a split of a world."""
    names, options = split_names(argv, 1, "eval [ENV] [--options]")
    env = names[0] if names else DEFAULT_WORLD
    spec = find_text_world(env, "eval")
    description = f"Measure a policy on {spec.id}.\n\nWorlds: {', '.join(WORLDS)}, MODULE:ID"
    groups = {"eval": EvalArgs, spec.id: spec.task_class.Args}
    args, world_args = parse_options(groups, options, f"eval {env}", description)
    _check(args)
    task = make_task(env, **world_arguments(world_args))
    task.check_split(args.split)
    title = f"{visible(args.model)} on {spec.id}, {args.split} split"

    from lmgym.commands.measuring import measure

    with closing(task):
        measured = measure(args, task, title)
    console = Console()
    console.print(_table(measured, title, args.reward))
    if args.show:
        console.print(_answers(measured.evaluation.transcripts, args.show))
    if args.out is not None:
        write_json(args.out, _record(env, args, world_args, measured))
        console.print(Text(f"written to {args.out}"), soft_wrap=True)
    return 0


_LEAST = {"limit": 1, "batch_size": 1, "samples": 0, "show": 0, "best_of": 1}


def _check(args: EvalArgs) -> None:
    for name, least in _LEAST.items():
        value = getattr(args, name)
        if value is not None and value < least:
            option = name.replace("_", "-")
            raise LmgymError(f"--{option} {value} is out of range; at least {least} is needed")
    if not args.temperature > 0:
        raise LmgymError(
            f"--temperature {args.temperature} is out of range; it must be above 0. The greedy"
            " answer alone is --samples 0"
        )
    if args.best_of is not None and args.reward is None:
        raise LmgymError(
            "--best-of compares answers by a reward; name it, as --reward rm:DIR or --reward"
            " verifier"
        )
    if args.best_of is not None and args.samples is not None:
        raise LmgymError(
            f"--samples {args.samples} does not go with --best-of {args.best_of}, which measures"
            " the answers that it samples"
        )
    if args.out is not None:
        check_file(args.out)


def _table(measured: Measured, title: str, reward: str | None) -> Table:
    """The figures with 95 % intervals."""
    found = measured.evaluation
    table = Table(title=Text(title), box=SIMPLE_HEAD, show_header=False)
    if isinstance(found, Evaluation):
        _add_greedy(table, found)
        _add_reward(table, "reward", measured.reward)
        if found.gold_reward is not None:
            table.add_row("gold reward", _number(found.gold_reward, found.gold_reward_interval))
        for name, value in found.figures.items():
            table.add_row(name, f"{value:.1%}")
    else:
        _add_best(table, found)
    if reward is not None:
        table.add_row("rewarded by", Text(visible(reward), overflow="fold"))
    table.add_row("problems", f"{found.n:,}")
    table.add_row("mean length", f"{found.mean_length:.1f} tokens")
    table.add_row("speed", f"{measured.tokens_per_second:,.0f} tokens/s")
    table.add_row("time", f"{measured.seconds:.1f} s")
    table.add_row("policy", f"{measured.n_parameters:,} parameters")
    return table


def _add_greedy(table: Table, found: Evaluation) -> None:
    table.add_row("greedy accuracy", _share(found.greedy, found.greedy_interval))
    if found.pass_at_1 is not None:
        label = f"pass@1 of {found.samples} samples, temperature {found.temperature:g}"
        table.add_row(label, _share(found.pass_at_1, found.pass_at_1_interval))


def _add_best(table: Table, found: BestOf) -> None:
    """Three figures of the best answers, each beside that of a single one."""
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


def _add_reward(table: Table, label: str, worth: Worth | None) -> None:
    if worth is None:
        return
    mean = worth.reward
    shown = Text("none") if mean is None else _number(mean.mean, (mean.low, mean.high))
    if worth.n_unscored:
        shown.append(f" ({worth.n_unscored:,} without a score)")
    table.add_row(label, shown)


def _share(value: float, interval: tuple[float, float] | None) -> Text:
    if interval is None or not all(map(math.isfinite, interval)):
        return Text(f"{value:.1%}")
    low, high = (100 * min(1.0, max(0.0, end)) for end in interval)
    return Text(f"{value:.1%} [{low:.1f}, {high:.1f}]")


def _number(value: float, interval: tuple[float, float] | None) -> Text:
    if interval is None or not all(map(math.isfinite, interval)):
        return Text(f"{value:.3f}")
    return Text(f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]")


def _answers(transcripts: Sequence[Transcript], n: int) -> Table:
    """Some answers, evenly spaced over the split."""
    table = Table("", "question", "answer", "gold", box=SIMPLE_HEAD)
    for transcript in transcripts[:: max(1, len(transcripts) // n)][:n]:
        mark, style = _MARKS[transcript.verdict is Verdict.CORRECT]
        texts = (transcript.prompt_text, transcript.completion_text, transcript.gold or "")
        table.add_row(Text(mark, style), *(Text(visible(text), overflow="fold") for text in texts))
    return table


def _record(env: str, args: EvalArgs, world_args: Any, measured: Measured) -> dict[str, Any]:
    """What `--out` keeps."""
    facts = run_facts("", env, args.seed)
    del facts["agent"]
    transcripts = measured.evaluation.transcripts
    return facts | {
        "args": args,
        "world": world_args,
        "figures": measured.figures,
        "seconds": measured.seconds,
        "tokens_per_second": measured.tokens_per_second,
        "n_parameters": measured.n_parameters,
        "answers": [
            {
                "task_id": transcript.task_id,
                "question": transcript.prompt_text,
                "answer": transcript.completion_text,
                "gold": transcript.gold,
                "verdict": str(transcript.verdict),
                **_graded(transcript),
            }
            for transcript in transcripts
        ],
    }


def _graded(transcript: Transcript) -> dict[str, float]:
    gold_reward = transcript.gold_reward
    return {} if gold_reward is None else {"gold_reward": gold_reward}
