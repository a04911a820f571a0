"""PPO, REINFORCE and GRPO over seeds, on the default problems and on a mixture of families.

Each run is `lmgym train AGENT lmgym/Math-v0` in a process of its own, from the embedded policy,
with the learner's defaults. Accuracy is on test problems that nothing else touches, measured with
the checkpoint that was best on validation. The mixture asks for four families at once, three of
which the embedded policy hardly knows: it imitates demonstrations first, and is told by family.
"""

from __future__ import annotations

import json
import shutil
import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from lmgym.commands.arguments import parse_options
from lmgym.commands.files import write_json
from lmgym.commands.running import run_train
from lmgym.errors import LmgymError, unknown
from lmgym.evaluation import evaluate
from lmgym.factory import make_task
from lmgym.policies.loading import load_policy
from lmgym.rollouts import RolloutCollector
from lmgym.task import Verdict
from lmgym.training.uncertainty import mean_interval
from measuring import Claim, MeasuringArgs, claimed

WORLD = "lmgym/Math-v0"
Words = tuple[str, ...]
_FOUR = ("--problems", "four", "--seconds", "280", "--validate-every", "20")
MIXTURE: tuple[Words, ...] = (
    ("sft", WORLD, *_FOUR, "--lr", "0.002", "--batch-size", "64"),
    ("grpo", WORLD, *_FOUR, "--group-size", "8", "--curriculum", "adaptive"),
)
JOBS: Mapping[str, tuple[Words, ...]] = {
    "grpo": (("grpo", WORLD),),
    "ppo": (("ppo", WORLD),),
    "reinforce": (("reinforce", WORLD),),
    "mixture": MIXTURE,
}
"""What is run for each seed, one after the other, each from the best checkpoint before it."""
GOALS = {"grpo": 0.9, "ppo": 0.9, "reinforce": 0.9, "mixture": 0.8}
"""Greedy accuracy that a seed should reach."""
MOST_SECONDS = {"grpo": 180.0, "ppo": 180.0, "reinforce": 180.0, "mixture": 600.0}
"""Of the whole command, or of both."""
PROBLEMS = 1024
"""Test problems of which accuracy is told by family."""


@dataclass(frozen=True)
class LearnersArgs(MeasuringArgs):
    """Arguments of the benchmark."""

    repetitions: int = 5
    """Seeds of each job."""
    seed: int = 400
    """The first of them."""
    jobs: str = "grpo,ppo,reinforce,mixture"
    """What to run, separated by commas."""
    at_once: int = 1
    """Runs at a time; more than one makes each of them slower."""
    runs: str = "runs/learners"
    """Folder of the runs; finished ones are kept and not run again."""


def main(argv: Sequence[str]) -> int:
    """Run what is missing, and tell how it went."""
    (args,) = parse_options({"learners": LearnersArgs}, argv, "bench learners", __doc__ or "")
    names = args.jobs.split(",")
    for name in names:
        if name not in JOBS:
            raise unknown("job", name, JOBS)
    wanted = [(n, s) for n in names for s in range(args.seed, args.seed + args.repetitions)]
    with ThreadPoolExecutor(max(1, args.at_once)) as pool:
        records = list(pool.map(lambda job: run_job(job[0], job[1], args), wanted))
    by_job = {
        name: [record for (job, _), record in zip(wanted, records, strict=True) if job == name]
        for name in names
    }
    show(by_job)
    claims = [claim for name, found in by_job.items() for claim in claims_of(name, found)]
    return claimed(claims, args, runs=by_job)


def run_job(name: str, seed: int, args: LearnersArgs) -> dict[str, Any]:
    """Run one job, unless it has been finished before; its figures."""
    folder = Path(args.runs) / f"{name}-seed{seed}"
    figures = folder / "figures.json"
    if figures.is_file():
        return dict(json.loads(figures.read_text(encoding="utf-8")))
    shutil.rmtree(folder, ignore_errors=True)  # a run that was broken off
    start = time.perf_counter()
    records = []
    model: Words = ()
    out = folder
    for place, words in enumerate(JOBS[name], 1):
        out = folder / f"{place}-{words[0]}"
        code = run_train([*words, *model, "--seed", str(seed), "--out", str(out)])
        if code != 0:
            raise LmgymError(f"{name} with seed {seed} failed, exit code {code}; see {out}")
        records.append(json.loads((out / "lmgym.json").read_text(encoding="utf-8")))
        model = ("--model", str(out / "best"))
    found = {
        "seed": seed,
        "wall_seconds": time.perf_counter() - start,
        "train_seconds": sum(record["seconds"] for record in records),
        "updates": sum(record["updates"] for record in records),
        "before": _figures(records[0]["before"]),
        "after": _figures(records[-1]["after"]),
        "families": families_of(out / "best", JOBS[name][-1]),
    }
    write_json(figures, found)
    return found


def families_of(checkpoint: Path, words: Words) -> dict[str, float]:
    """Greedy accuracy on the test problems of each family."""
    options = dict(zip(words[2::2], words[3::2], strict=True))
    world = {"problems": options["--problems"]} if "--problems" in options else {}
    task = make_task(WORLD, **world)
    collector = RolloutCollector(load_policy(str(checkpoint)), task, None)
    result = evaluate(collector, None, split="test", limit=PROBLEMS, samples=0)
    solved: dict[str, list[bool]] = {}
    for transcript in result.transcripts:
        is_right = transcript.verdict is Verdict.CORRECT
        solved.setdefault(str(transcript.columns["family"]), []).append(is_right)
    return {family: statistics.mean(right) for family, right in solved.items()}


def claims_of(name: str, found: Sequence[Mapping[str, Any]]) -> list[Claim]:
    """How many seeds reached the goal in time, and what they reached."""
    greedy = [record["after"]["greedy"] for record in found]
    seconds = [record["wall_seconds"] for record in found]
    pairs = zip(greedy, seconds, strict=True)
    met = [share >= GOALS[name] and took <= MOST_SECONDS[name] for share, took in pairs]
    least = 0.8 * len(found)
    claims = [
        Claim(f"{name}: seeds at {GOALS[name]:.0%} in time", [sum(met)], "seeds", least=least),
        Claim(f"{name}: greedy accuracy", greedy, ""),
        Claim(f"{name}: the whole command", seconds, "s"),
    ]
    families = found[0]["families"]
    return claims + [
        Claim(f"{name}: {family}", [record["families"][family] for record in found], "")
        for family in families
        if len(families) > 1
    ]


def show(by_job: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Print the means over seeds, with 95 % intervals."""
    table = Table("job", "greedy before", "after", "sampled", "train s", box=SIMPLE_HEAD)
    for name, found in by_job.items():
        cells = [
            _interval([record[when][what] for record in found])
            for when, what in (("before", "greedy"), ("after", "greedy"), ("after", "sampled"))
        ]
        seconds = statistics.mean(record["train_seconds"] for record in found)
        table.add_row(name, *cells, f"{seconds:.0f}")
    Console().print(table)


def _figures(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "greedy": figures["greedy"],
        "sampled": figures["pass@1"],
    }


def _interval(values: Sequence[float]) -> str:
    mean = mean_interval(values)
    return f"{mean.mean:.3f} [{mean.low:.3f}, {mean.high:.3f}]"
