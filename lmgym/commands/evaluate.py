"""`lmgym eval`: how often a policy is right, with standard errors, and what it says."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from lmgym.commands import eval_tables as tables
from lmgym.commands.arguments import parse_options, split_names
from lmgym.commands.files import check_file, write_json
from lmgym.commands.journal import partial_file
from lmgym.commands.protocol import are_numbers, check_metrics
from lmgym.commands.summary import Summary, figures_of
from lmgym.commands.worlds import DEFAULT_WORLD, find_text_world, world_arguments
from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.metric_figure import draw_metrics, points_of
from lmgym.metrics import Kind, Metric
from lmgym.registry import WORLDS
from lmgym.task import Verdict
from lmgym.training.progress import visible
from lmgym.training.records import run_facts
from lmgym.transcript import Transcript

if TYPE_CHECKING:
    from lmgym.commands.measuring import Measured

__all__ = ["EvalArgs", "evaluate_policy"]


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
    """Sampled answers for each problem, besides the greedy one; by default what --metrics needs;
    without these 4, or 0 for policies of more than 10 million parameters."""
    metrics: str | None = None
    """What to measure, as greedy,pass@1,8,maj@8,best@4; a letter k stands for 1, 2, 4, ... and
    --samples. By default greedy,pass@1."""
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
    """A .json file for the figures, all settings and the answers. Until it is written, a file
    beside it keeps what is answered, and the same command goes on from there."""
    all_answers: bool = False
    """Keep every sampled answer in --out too."""
    plot: str | None = None
    """A .png file for pass@k and maj@k against k."""


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
        measured = measure(args, spec.id, world_args, task, title)
    _print(measured, title, args)
    if args.plot is not None:
        _plot(measured, title, args.plot)
    if args.out is not None:
        write_json(args.out, _record(env, args, world_args, measured))
        partial_file(args.out).unlink(missing_ok=True)
    for path in (args.plot, args.out):
        if path is not None:
            Console().print(Text(f"written to {path}"), soft_wrap=True)
    return 0


_LEAST = {"limit": 1, "batch_size": 1, "samples": 0, "seed": 0, "show": 0, "best_of": 1}


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
    elif args.all_answers:
        raise LmgymError("--all-answers keeps the answers in a file; give --out results.json")
    if args.plot is not None:
        check_file(args.plot, ".png")
        if importlib.util.find_spec("matplotlib") is None:
            raise LmgymError("--plot needs matplotlib; run: pip install matplotlib")
    check_metrics(args)


def _print(measured: Measured, title: str, args: EvalArgs) -> None:
    console, found = Console(), measured.evaluation
    if isinstance(found, Summary):
        console.print(tables.metrics_table(found, title))
        if len(found.families) > 1:
            console.print(tables.families_table(found.families))
        console.print(tables.facts_table(measured, args.reward))
    else:
        console.print(tables.best_table(measured, found, title, args.reward))
    if args.show:
        console.print(tables.answers_table(tables.evenly(_shown(measured), args.show)))


def _shown(measured: Measured) -> list[tuple[bool, str, str, str]]:
    """The greedy answers, else the first samples, or those that are best."""
    return [
        (row["verdict"] == Verdict.CORRECT, row["question"], row["answer"], row["gold"] or "")
        for row in _answers(measured, has_samples=False)
    ]


def _plot(measured: Measured, title: str, path: str) -> None:
    """pass@k against k, and maj@k where the right answers are numbers."""
    answers = measured.answers
    has_votes = are_numbers([each.problem.gold for each in answers])
    kinds: tuple[Kind, ...] = ("pass", "maj") if has_votes else ("pass",)
    curves = {
        f"{kind}@k": {
            k: figures_of(answers, [Metric(kind, k)])[f"{kind}@{k}"]
            for k in points_of(len(answers[0].samples))
        }
        for kind in kinds
    }
    is_greedy = answers[0].greedy is not None
    greedy = figures_of(answers, [Metric("greedy")] if is_greedy else [])
    lines = {name: estimate.mean for name, estimate in greedy.items()}
    draw_metrics(curves, Path(path), title=title, lines=lines)


def _record(env: str, args: EvalArgs, world_args: Any, measured: Measured) -> dict[str, Any]:
    """What `--out` keeps."""
    facts = run_facts("", env, args.seed)
    del facts["agent"]
    return facts | {
        "args": args,
        "world": world_args,
        "protocol": measured.settings,
        "figures": measured.evaluation.as_dict(),
        "seconds": measured.seconds,
        "tokens_per_second": measured.tokens_per_second,
        "n_parameters": measured.n_parameters,
        "answers": _answers(measured, has_samples=args.all_answers),
    }


def _answers(measured: Measured, *, has_samples: bool) -> list[dict[str, Any]]:
    """The answers that are kept, as plain values."""
    found = measured.evaluation
    if isinstance(found, Summary):
        return [each.as_dict(has_samples=has_samples) for each in measured.answers]
    return [_told(transcript) for transcript in found.transcripts]


def _told(transcript: Transcript) -> dict[str, Any]:
    found = {
        "task_id": transcript.task_id,
        "question": transcript.prompt_text,
        "gold": transcript.gold,
        "answer": transcript.completion_text,
        "verdict": str(transcript.verdict),
    }
    grade = transcript.gold_reward
    return found if grade is None else found | {"gold_reward": grade}
