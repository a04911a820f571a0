"""Reward alone teaches a small policy to call a calculator.

A copy of the embedded policy is first shown the two ways there are: to call the calculator and
answer with its result, and to answer at once, which with two-digit factors is nearly always wrong.
At the end it calls in about a quarter of its episodes. From there on nobody shows it anything: GRPO
pays answers that are right (`verifier`), and nothing for a call. The control is trained alike, from
the same weights, on the same problems without a calculator. Settings were found with seeds below
200.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from lmgym.agents.grpo import GRPOArgs, train
from lmgym.agents.sft import supervised_step
from lmgym.commands.arguments import parse_options
from lmgym.commands.files import check_file
from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policies.loading import load_policy
from lmgym.rollouts import RolloutCollector, demonstrations
from lmgym.task import Role
from lmgym.training.uncertainty import mean_interval, permutation_test
from lmgym.transcript import Transcript
from measuring import Claim, claimed

WORLD = "lmgym/ToolMath-v0"
BATCH = 64
"""Demonstrations a step."""
STAGES = ((0.5, 0.9, 3e-3), (0.44, 0.6, 1e-3), (0.06, 0.25, 3e-4))
"""How demonstrations are shown: a share of the steps, the share of them that calls, a learning
rate. Calls come first, as they take longer to learn."""
LEARNING_RATE = 5e-4
"""Of GRPO."""


@dataclass(frozen=True)
class ToolMathStudyArgs:
    """Arguments of the benchmark."""

    seeds: int = 5
    """How many, from --seed on."""
    seed: int = 200
    """The first."""
    shown: int = 800
    """Steps on demonstrations, before anything is paid."""
    updates: int = 100
    """Updates of GRPO."""
    problems: int = 512
    """Test problems at most, each sampled once and answered greedily once."""
    runs: str | None = None
    """Folder for what is trained; by default a temporary one."""
    out: str | None = None
    """Write the results to this .json file as well."""

    def __post_init__(self) -> None:
        """Raise where there would be nothing to measure, or nowhere to write."""
        counts = (self.shown, self.updates, self.problems)
        if self.seeds < 2 or self.seed < 0 or min(counts) < 1:
            raise LmgymError(
                f"--seeds {self.seeds} --seed {self.seed} --shown {self.shown} --updates"
                f" {self.updates} --problems {self.problems}: needs 2 seeds and counts of 1 or more"
            )
        if self.out is not None:
            check_file(self.out)


class Exam(NamedTuple):
    """How a policy did on test problems.

    Attributes:
        calls: share of the sampled episodes that call.
        accuracy: share of the sampled episodes that are right.
        greedy: share of the problems that the likeliest messages solve.
    """

    calls: float
    accuracy: float
    greedy: float


BEFORE, AFTER = "before", "after GRPO"
UNAIDED_BEFORE, UNAIDED = "no calculator, before", "no calculator, after GRPO"


def main(argv: Sequence[str]) -> int:
    """Measure, print, write; 1 where a bar is missed."""
    name = "bench claims/tool-math"
    (args,) = parse_options({"benchmark": ToolMathStudyArgs}, argv, name, "")
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(args.runs or folder)
        seeds = range(args.seed, args.seed + args.seeds)
        found = [study(args, runs / f"seed-{seed}", seed) for seed in seeds]
    exams = {name: [exams[name] for exams in found] for name in found[0]}
    _show(exams)
    accuracy = {name: [exam.accuracy for exam in exams[name]] for name in exams}
    p = permutation_test(
        accuracy[AFTER], accuracy[BEFORE], np.random.default_rng(0), alternative="greater"
    )
    claims = [
        Claim("share of episodes that call, before", _calls(exams[BEFORE]), unit="", most=0.5),
        Claim("share of episodes that call, after", _calls(exams[AFTER]), unit="", least=0.95),
        Claim("accuracy, before", accuracy[BEFORE], unit="", most=0.5),
        Claim("accuracy, after", accuracy[AFTER], unit="", least=0.75),
        Claim("accuracy, after, without a calculator", accuracy[UNAIDED], unit="", most=0.1),
        Claim("p that GRPO leaves accuracy as it was", [p], unit="", most=0.01),
    ]
    told = {name: [exam._asdict() for exam in exams[name]] for name in exams}
    return claimed(claims, args, outcomes=told)


def study(args: ToolMathStudyArgs, runs: Path, seed: int) -> dict[str, Exam]:
    """Show, train with and without a calculator, and examine all, from one seed."""
    torch.set_num_threads(1)
    start = runs / "start"
    shown(args, seed).save(start)
    exams = {}
    for tools, before, after in ((True, BEFORE, AFTER), (False, UNAIDED_BEFORE, UNAIDED)):
        exams[before] = examined(load_policy(start), seed, args.problems, tools=tools)
        learner = GRPOArgs(
            model=str(start),
            out=str(runs / after.replace(" ", "-").replace(",", "")),
            seed=seed,
            updates=args.updates,
            seconds=36_000,
            lr=LEARNING_RATE,
            groups=32,
            group_size=8,
            validate_updates=args.updates,
            validation_limit=64,
            test_limit=1,
            test_samples=1,
            patience=args.updates + 1,
        )
        run = train(learner, WORLD, {"tools": tools})
        exams[after] = examined(load_policy(run / "last"), seed, args.problems, tools=tools)
    return exams


def shown(args: ToolMathStudyArgs, seed: int) -> LanguagePolicy:
    """A copy of the embedded policy that knows both ways, and takes either."""
    policy, rng = load_policy("embedded"), np.random.default_rng(seed)
    calling, answering = make_task(WORLD), make_task(WORLD, tools=False)
    for part, share, lr in STAGES:
        optimizer = torch.optim.AdamW(policy.model.parameters(), lr, betas=(0.9, 0.95))
        for _ in range(math.ceil(part * args.shown)):
            n_calling = int(rng.binomial(BATCH, share))
            batch = demonstrations(calling, policy.renderer, rng, n_calling)
            batch += demonstrations(answering, policy.renderer, rng, BATCH - n_calling)
            supervised_step(policy, optimizer, batch)
    return policy


def examined(policy: LanguagePolicy, seed: int, n_problems: int, *, tools: bool) -> Exam:
    """Play test problems with or without a calculator."""
    task = make_task(WORLD, tools=tools)
    collector, rng = RolloutCollector(policy, task, None), np.random.default_rng(0)
    generator, task_ids = torch.Generator().manual_seed(seed), task.task_ids("test", n_problems)
    sampled = collector.collect(rng, generator, task_ids=task_ids)
    greedy = collector.collect(rng, None, task_ids=task_ids, greedy=True)
    calls = float(np.mean([_calls_a_tool(transcript) for transcript in sampled.transcripts]))
    return Exam(calls, float(sampled.successes.mean()), float(greedy.successes.mean()))


def _calls_a_tool(transcript: Transcript) -> bool:
    return any(message.role is Role.TOOL for message in transcript.messages)


def _calls(exams: Sequence[Exam]) -> list[float]:
    return [exam.calls for exam in exams]


def _show(exams: dict[str, list[Exam]]) -> None:
    """Means over the seeds, with 95 % intervals."""
    table = Table("", "episodes that call", "sampled", "greedy", box=SIMPLE_HEAD)
    for name, found in exams.items():
        columns = [mean_interval(column) for column in zip(*found, strict=True)]
        cells = (f"{c.mean:.3f} ({c.low:.3f} to {c.high:.3f})" for c in columns)
        table.add_row(name, *cells)
    Console().print(table)
