"""The main job over seeds: from the embedded policy to nine of ten sums, and two controls.

`lmgym bench main-job --seeds 5 --controls` trains `grpo lmgym/Math-v0` once for each seed, in a
process of its own, and asks whether the bar is met: on test problems that training never sees, at
most 40 % right before and at least 90 % after with greedy answers, at least 75 % with sampled
ones, the whole command within 180 seconds. The controls must not get there: the same with rewards
shuffled over the batch, and supervised training on the policy's own unfiltered answers.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from lmgym.commands.arguments import parse_options
from lmgym.commands.files import check_file, write_json, write_text
from lmgym.commands.running import INTERRUPTED, run_train
from lmgym.errors import LmgymError
from lmgym.training.records import cpu_name, versions
from lmgym.training.runs import read_metrics
from lmgym.training.uncertainty import mean_interval, permutation_test

WORLD = "lmgym/Math-v0"
JOBS: Mapping[str, tuple[str, ...]] = {
    "main": ("grpo", WORLD),
    "shuffled": ("grpo", WORLD, "--reward", "shuffled"),
    "samples": ("sft", WORLD, "--source", "samples"),
}
"""What is run for each seed; all but the first are controls."""

LABELS = {
    "main": "GRPO, verifier's reward",
    "shuffled": "control: shuffled reward",
    "samples": "control: own samples, supervised",
}
MOST_GREEDY_BEFORE, LEAST_GREEDY_AFTER, LEAST_SAMPLED_AFTER = 0.40, 0.90, 0.75
MOST_SECONDS = 180.0
LEAST_SHARE_OF_SEEDS = 0.8

_RECORD, _WALL = "lmgym.json", "wall_seconds.json"
_COLORS = {"main": "#1f5fa8", "shuffled": "#c0392b", "samples": "#8a6d3b"}


@dataclass(frozen=True)
class MainJobArgs:
    """Arguments of the benchmark."""

    seeds: int = 5
    """How many seeds."""
    first_seed: int = 0
    """The first of them."""
    controls: bool = False
    """Run the two controls too."""
    seconds: float | None = None
    """Training budget of each run; by default the learner's own."""
    runs: str = "runs/main_job"
    """Folder of the runs; finished ones are kept and not run again."""
    out: str = "benchmarks/results/main_job"
    """Where the results go: this path with .json, .md and .png."""


@dataclass(frozen=True, slots=True)
class Result:
    """One finished run; shares of right answers on the test split."""

    job: str
    seed: int
    greedy_before: float
    greedy_after: float
    sampled_before: float
    sampled_after: float
    seconds: float
    """Of training."""
    wall_seconds: float
    """Of the whole command."""
    updates: int

    @property
    def meets_bar(self) -> bool:
        """Whether this run does what is asked of the main job."""
        return (
            self.greedy_before <= MOST_GREEDY_BEFORE
            and self.greedy_after >= LEAST_GREEDY_AFTER
            and self.sampled_after >= LEAST_SAMPLED_AFTER
            and self.wall_seconds <= MOST_SECONDS
        )


def main(argv: Sequence[str]) -> int:
    """Run what is missing, write the results; 1 where too few seeds meet the bar."""
    (args,) = parse_options({"main-job": MainJobArgs}, argv, "bench main-job", __doc__ or "")
    if args.seeds < 1:
        raise LmgymError(f"--seeds {args.seeds} is out of range; at least 1 is needed")
    check_file(f"{args.out}.json")
    jobs = list(JOBS) if args.controls else ["main"]
    results = [
        run_job(job, seed, args)
        for seed in range(args.first_seed, args.first_seed + args.seeds)
        for job in jobs
    ]
    summary = summarize(results)
    _print(results, summary)
    write_json(f"{args.out}.json", {**summary, "results": list(map(asdict, results))})
    write_text(f"{args.out}.md", markdown(results, summary))
    draw_curves(results, Path(args.runs), Path(f"{args.out}.png"))
    print(f"written to {args.out}.json, .md and .png")
    return 0 if summary["is_met"] else 1


def run_job(job: str, seed: int, args: MainJobArgs) -> Result:
    """Run one job, unless it has been finished before."""
    folder = folder_of(Path(args.runs), job, seed)
    if _is_finished(folder):
        _check_budget(folder, args)
        print(f"{job}, seed {seed}: finished before; delete {folder} to run it again", flush=True)
        return read_result(folder, job, seed)
    if (folder / _RECORD).is_file():
        shutil.rmtree(folder)  # a run that was broken off
    budget = [] if args.seconds is None else ["--seconds", str(args.seconds)]
    words = [*JOBS[job], "--seed", str(seed), "--out", str(folder), *budget]
    print(f"{job}, seed {seed}: lmgym train {' '.join(words)}", flush=True)
    start = time.perf_counter()
    code = run_train(words)
    wall_seconds = time.perf_counter() - start
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code != 0:
        raise LmgymError(f"{job} with seed {seed} failed, exit code {code}; see {folder}")
    write_json(folder / _WALL, {"wall_seconds": wall_seconds})
    return read_result(folder, job, seed)


def folder_of(runs: Path, job: str, seed: int) -> Path:
    """The run folder of a job."""
    return runs / f"{job}-seed{seed}"


def read_result(folder: Path, job: str, seed: int) -> Result:
    """The result that a run folder holds."""
    record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    wall = json.loads((folder / _WALL).read_text(encoding="utf-8"))
    before, after = record["before"], record["after"]
    return Result(
        job=job,
        seed=seed,
        greedy_before=before["greedy"],
        greedy_after=after["greedy"],
        sampled_before=before["pass@1"],
        sampled_after=after["pass@1"],
        seconds=record["seconds"],
        wall_seconds=wall["wall_seconds"],
        updates=record["updates"],
    )


def summarize(results: Sequence[Result]) -> dict[str, Any]:
    """Means with 95 % intervals for each job, tests against the controls, and the bar."""
    by_job = {job: [r for r in results if r.job == job] for job in JOBS}
    main_runs = by_job["main"]
    n_met = sum(result.meets_bar for result in main_runs)
    return {
        "is_met": n_met >= LEAST_SHARE_OF_SEEDS * len(main_runs),
        "n_met": n_met,
        "n_seeds": len(main_runs),
        "bar": {
            "most_greedy_before": MOST_GREEDY_BEFORE,
            "least_greedy_after": LEAST_GREEDY_AFTER,
            "least_sampled_after": LEAST_SAMPLED_AFTER,
            "most_wall_seconds": MOST_SECONDS,
            "least_share_of_seeds": LEAST_SHARE_OF_SEEDS,
        },
        "jobs": {job: _means(runs) for job, runs in by_job.items() if runs},
        "p_values": {
            job: _p_value(main_runs, runs) for job, runs in by_job.items() if job != "main" and runs
        },
        "machine": {"cpu_count": os.cpu_count(), "cpu": cpu_name()},
        "versions": versions(),
    }


def _means(runs: Sequence[Result]) -> dict[str, dict[str, float]]:
    names = [name for name in asdict(runs[0]) if name not in ("job", "seed")]
    means = {name: mean_interval([getattr(run, name) for run in runs]) for name in names}
    return {name: asdict(mean) for name, mean in means.items()}


def _p_value(main_runs: Sequence[Result], controls: Sequence[Result]) -> float:
    """Of the main job's greedy accuracy being no better than the control's, by permutation."""
    first, second = ([run.greedy_after for run in runs] for runs in (main_runs, controls))
    return permutation_test(first, second, np.random.default_rng(0), alternative="greater")


_HEAD = (
    "job", "seed", "greedy before", "greedy after", "pass@1 before", "pass@1 after",
    "train s", "wall s", "updates", "bar",
)  # fmt: skip


def rows_of(results: Sequence[Result], summary: Mapping[str, Any]) -> list[list[str]]:
    """The table's cells: a row for each run, then the means of each job."""
    rows = [
        [
            LABELS[r.job],
            str(r.seed),
            *(f"{v:.1%}" for v in (r.greedy_before, r.greedy_after)),
            *(f"{v:.1%}" for v in (r.sampled_before, r.sampled_after)),
            *(f"{v:.0f}" for v in (r.seconds, r.wall_seconds)),
            f"{r.updates:,}",
            ("met" if r.meets_bar else "missed") if r.job == "main" else "",
        ]
        for r in sorted(results, key=lambda r: (list(JOBS).index(r.job), r.seed))
    ]
    for job, means in summary["jobs"].items():
        cells = [_mean_cell(mean, is_share=i < 4) for i, mean in enumerate(means.values())]
        met = f"{summary['n_met']} of {summary['n_seeds']}" if job == "main" else ""
        rows.append([LABELS[job], "mean", *cells, met])
    return rows


def _mean_cell(mean: Mapping[str, float], *, is_share: bool) -> str:
    factor, digits, unit = (100, 1, "%") if is_share else (1, 0, "")
    value = f"{factor * mean['mean']:.{digits}f}{unit}"
    half = factor * (mean["high"] - mean["mean"])
    return f"{value} ± {half:.{digits}f}" if math.isfinite(half) else value


def verdict_of(summary: Mapping[str, Any]) -> str:
    """Whether the bar is met, in one sentence, and how sure the controls make it."""
    said = (
        f"The bar (greedy at most {MOST_GREEDY_BEFORE:.0%} before and at least"
        f" {LEAST_GREEDY_AFTER:.0%} after, pass@1 at least {LEAST_SAMPLED_AFTER:.0%} after, at most"
        f" {MOST_SECONDS:.0f} s) is met by {summary['n_met']} of {summary['n_seeds']} seeds."
    )
    for job, p_value in summary["p_values"].items():
        said += f" Permutation test against the {LABELS[job]}: p = {p_value:.4f}."
    return said


def markdown(results: Sequence[Result], summary: Mapping[str, Any]) -> str:
    """The results as a page."""
    machine, found = summary["machine"], summary["versions"]
    lines = [_HEAD, ["---"] * len(_HEAD), *rows_of(results, summary)]
    return "\n".join(
        [
            "# The main job over seeds",
            "",
            "`lmgym bench main-job`: shares of right answers on test problems that training never"
            " sees; seconds of training, and of the whole command. ± is half of the 95 % interval"
            " over seeds (Student's t).",
            "",
            *(f"| {' | '.join(cells)} |" for cells in lines),
            "",
            verdict_of(summary),
            "",
            f"Machine: {machine['cpu']}, {machine['cpu_count']} cores;"
            f" Python {found['python']}, torch {found['torch']},"
            f" transformers {found['transformers']}, lmgym {found['lmgym']}.",
            "",
        ]
    )


def draw_curves(results: Sequence[Result], runs: Path, path: Path) -> None:
    """Draw accuracy on validation against seconds: each seed thin, the mean of a job thick."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    panels = (("validation/greedy", "greedy"), ("validation/pass@1", "sampled"))
    for axes, (metric, label) in zip(figure.subplots(1, 2, sharey=True), panels, strict=True):
        for job in dict.fromkeys(result.job for result in results):
            folders = [folder_of(runs, job, r.seed) for r in results if r.job == job]
            _draw_job(axes, [_curve(folder, metric) for folder in folders], job)
        axes.set(xlabel="seconds of training", title=f"{label} answers", ylim=(-0.02, 1.02))
        axes.grid(True, lw=0.5, alpha=0.4)
        if axes.lines:
            axes.legend(loc="best", fontsize=8, frameon=False)
    figure.axes[0].set_ylabel("accuracy (validation)")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", metadata={"Software": "lmgym"})


def _draw_job(axes: Any, curves: Sequence[tuple[list[float], list[float]]], job: str) -> None:
    curves = [curve for curve in curves if curve[0]]
    if not curves:
        return
    for seconds, values in curves:
        axes.plot(seconds, values, lw=0.8, alpha=0.4, color=_COLORS[job])
    grid = np.linspace(0, max(seconds[-1] for seconds, _ in curves), 200)
    # a run that reached its target stops early: its last value stands for what would follow
    mean = np.mean([np.interp(grid, seconds, values) for seconds, values in curves], axis=0)
    axes.plot(grid, mean, lw=2.2, color=_COLORS[job], label=f"{LABELS[job]} ({len(curves)} seeds)")


def _curve(folder: Path, metric: str) -> tuple[list[float], list[float]]:
    rows = [row for row in read_metrics(folder) if math.isfinite(row.get(metric, math.nan))]
    return [row["seconds"] for row in rows], [row[metric] for row in rows]


def _is_finished(folder: Path) -> bool:
    if not (folder / _WALL).is_file():
        return False
    record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    return bool(record["status"] == "finished")


def _check_budget(folder: Path, args: MainJobArgs) -> None:
    """A kept run must have had the budget that is asked for now."""
    record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    had = record["args"]["seconds"]
    if args.seconds is not None and had != args.seconds:
        raise LmgymError(
            f"{folder} was trained with --seconds {had:g}, not {args.seconds:g}; name another"
            " folder with --runs, or delete this one"
        )


def _print(results: Sequence[Result], summary: Mapping[str, Any]) -> None:
    headings = (heading.replace(" ", "\n") for heading in _HEAD)
    table = Table(*headings, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for label, *cells in rows_of(results, summary):
        job = next(job for job in JOBS if LABELS[job] == label)
        table.add_row(job, *(cell.replace(" ±", "\n±") for cell in cells))
    console = Console()
    console.print(table)
    for job in summary["jobs"]:
        console.print(f"{job}: {LABELS[job]}", highlight=False)
    console.print(verdict_of(summary), highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
