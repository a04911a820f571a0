"""Learning with Stable-Baselines3 over seeds: from scratch, and from the embedded policy.

`lmgym bench sb3-learning --seeds 5` runs six settings with `lmgym train`, each seed in a process
of its own. From scratch, with the digit alphabet, PPO, MaskablePPO, A2C and DQN learn one-digit
addition by heart: the bar is a mean reward of 0.6 on the problems they are trained on, answered as
the policy acts (drawn; DQN's answers are its likeliest). From the embedded policy PPO and
MaskablePPO learn two-digit addition: 80 % of the test problems, which training never sees, with
greedy answers and with drawn ones. A command must end within 180 seconds. The controls
are not paid, train for 30 seconds, and must not get there.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from lmgym.commands.arguments import parse_options
from lmgym.commands.files import check_file, write_json, write_text
from lmgym.commands.running import INTERRUPTED, run_train
from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.training.records import cpu_name, versions
from lmgym.training.runs import read_metrics
from lmgym.training.uncertainty import mean_interval, permutation_test

WORLD = "lmgym/Math-v0"
ROOM = {"max_tokens": 3, "context": 10}
"""What one-digit sums need: a prompt of 7 ids, and two digits and the end for the answer."""

LEAST_REWARD, LEAST_ACCURACY, MOST_SECONDS = 0.6, 0.8, 180.0
CONTROL_SECONDS = 30
_RECORD, _WALL = "lmgym.json", "wall_seconds.json"


@dataclass(frozen=True)
class Setting:
    """What is run for each seed.

    Attributes:
        label: in tables and figures.
        agent: the learner.
        color: in the figure.
        is_from_scratch: one-digit addition with a small network, else two-digit addition with the
            embedded policy.
        control_of: for a control, the setting that must do better.
    """

    label: str
    agent: str
    color: str
    is_from_scratch: bool
    control_of: str | None = None

    @property
    def words(self) -> list[str]:
        """Of the command line, after `lmgym train`."""
        paid = f"--seconds 140 --target {0.8 if self.is_from_scratch else 0.88}"
        budget = f"--reward none --seconds {CONTROL_SECONDS}" if self.control_of else paid
        world = "--difficulty 1 --max-tokens 3 --context 10"  # ROOM
        start = "--model none --alphabet digits --validate-on train"
        scratch = f"{world} {start} " if self.is_from_scratch else ""
        return f"{self.agent} {WORLD} {scratch}{budget}".split()


SETTINGS: Mapping[str, Setting] = {
    "ppo": Setting("PPO", "sb3-ppo", "#1f5fa8", True),
    "maskable-ppo": Setting("MaskablePPO", "sb3-maskable-ppo", "#3a7d44", True),
    "a2c": Setting("A2C", "sb3-a2c", "#d9822b", True),
    "dqn": Setting("DQN", "sb3-dqn", "#7a4fa0", True),
    "warm-ppo": Setting("PPO, warm start", "sb3-ppo", "#1f5fa8", False),
    "warm-maskable-ppo": Setting("MaskablePPO, warm start", "sb3-maskable-ppo", "#3a7d44", False),
    "unpaid": Setting("control: PPO, unpaid", "sb3-ppo", "#888888", True, "ppo"),
    "warm-unpaid": Setting(
        "control: PPO, warm start, unpaid", "sb3-ppo", "#888888", False, "warm-ppo"
    ),
}


@dataclass(frozen=True)
class SB3LearningArgs:
    """Arguments of the benchmark."""

    seeds: int = 5
    """How many seeds."""
    first_seed: int = 110
    """The first of them."""
    controls: bool = False
    """Run the two controls too."""
    runs: str = "runs/sb3_learning"
    """Folder of the runs; finished ones are kept and not run again."""
    out: str = "benchmarks/results/sb3_learning"
    """Where the results go: this path with .json, .md and .png."""


@dataclass(frozen=True, slots=True)
class Result:
    """One finished run; shares of right answers of the best checkpoint, which are mean rewards."""

    setting: str
    seed: int
    drawn: float | None
    """On the problems that count: those of training from scratch, else the test split; None where
    the policy draws nothing."""
    greedy: float
    """The same with greedy answers."""
    test_before: float
    """On the test split, greedy."""
    test_after: float
    updates: int
    seconds: float
    """Of training."""
    wall_seconds: float
    """Of the whole command."""

    @property
    def meets_bar(self) -> bool:
        """Whether this run gets to the bar of its setting."""
        drawn = self.greedy if self.drawn is None else self.drawn
        is_scratch = SETTINGS[self.setting].is_from_scratch
        enough = drawn >= LEAST_REWARD if is_scratch else min(drawn, self.greedy) >= LEAST_ACCURACY
        return enough and self.wall_seconds <= MOST_SECONDS


def main(argv: Sequence[str]) -> int:
    """Run what is missing and write the results; 1 for a missed bar or a control that meets it."""
    groups = {"sb3-learning": SB3LearningArgs}
    (args,) = parse_options(groups, argv, "bench sb3-learning", __doc__ or "")
    if args.seeds < 1:
        raise LmgymError(f"--seeds {args.seeds} is out of range; give 1 or more")
    check_file(f"{args.out}.json")
    names = [n for n, s in SETTINGS.items() if args.controls or s.control_of is None]
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    results = [run_setting(name, seed, Path(args.runs)) for seed in seeds for name in names]
    summary = summarize(results)
    print(verdict_of(summary))
    write_json(f"{args.out}.json", {**summary, "results": list(map(asdict, results))})
    write_text(f"{args.out}.md", markdown(results, summary))
    draw_curves(results, Path(args.runs), Path(f"{args.out}.png"), summary["chance"])
    print(f"written to {args.out}.json, .md and .png")
    return 0 if summary["is_met"] and not summary["controls_at_bar"] else 1


def run_setting(name: str, seed: int, runs: Path) -> Result:
    """Run one setting, unless it has been finished before."""
    folder = runs / f"{name}-seed{seed}"
    if (folder / _WALL).is_file():
        _check_command(folder, SETTINGS[name].words)
        print(f"{name}, seed {seed}: finished before; delete {folder} to run it again", flush=True)
        return read_result(folder, name, seed)
    if (folder / _RECORD).is_file():
        shutil.rmtree(folder)  # a run that was broken off
    words = [*SETTINGS[name].words, "--seed", str(seed), "--out", str(folder)]
    print(f"{name}, seed {seed}: lmgym train {' '.join(words)}", flush=True)
    start = time.perf_counter()
    code = run_train(words)
    wall_seconds = time.perf_counter() - start
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code != 0:
        raise LmgymError(f"{name} with seed {seed} failed, exit code {code}; see {folder}")
    write_json(folder / _WALL, {"wall_seconds": wall_seconds, "words": SETTINGS[name].words})
    return read_result(folder, name, seed)


def _check_command(folder: Path, words: Sequence[str]) -> None:
    """Raise where a finished run is of another command than the one that is asked for."""
    found = json.loads((folder / _WALL).read_text(encoding="utf-8")).get("words", ())
    if found != list(words):
        raise LmgymError(
            f"{folder} was made with {' '.join(found)!r}; delete it, or give other --runs"
        )


def read_result(folder: Path, name: str, seed: int) -> Result:
    """The result that a run folder holds."""
    record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    wall = json.loads((folder / _WALL).read_text(encoding="utf-8"))
    counts = record["train_after" if SETTINGS[name].is_from_scratch else "after"]
    return Result(
        setting=name,
        seed=seed,
        drawn=counts.get("pass@1"),
        greedy=counts["greedy"],
        test_before=record["before"]["greedy"],
        test_after=record["after"]["greedy"],
        updates=record["updates"],
        seconds=record["seconds"],
        wall_seconds=wall["wall_seconds"],
    )


def summarize(results: Sequence[Result]) -> dict[str, Any]:
    """Means with 95 % intervals for each setting, tests against the controls, and the bar."""
    by_name = {name: [r for r in results if r.setting == name] for name in SETTINGS}
    by_name = {name: runs for name, runs in by_name.items() if runs}
    asked = {name: runs for name, runs in by_name.items() if SETTINGS[name].control_of is None}
    return {
        "is_met": all(run.meets_bar for runs in asked.values() for run in runs),
        "controls_at_bar": [
            f"{r.setting}-seed{r.seed}" for r in results if r.setting not in asked and r.meets_bar
        ],
        "n_met": {name: sum(run.meets_bar for run in runs) for name, runs in asked.items()},
        "n_seeds": {name: len(runs) for name, runs in asked.items()},
        "bar": {
            "least_reward_from_scratch": LEAST_REWARD,
            "least_accuracy_from_warm_start": LEAST_ACCURACY,
            "most_wall_seconds": MOST_SECONDS,
        },
        "paid_seconds": [f(r.seconds for r in results if r.setting in asked) for f in (min, max)],
        "chance": chance(),
        "settings": {name: _means(runs) for name, runs in by_name.items()},
        "commands": {name: " ".join(SETTINGS[name].words) for name in by_name},
        "p_values": {
            name: _p_value(by_name[SETTINGS[name].control_of or ""], runs)
            for name, runs in by_name.items()
            if SETTINGS[name].control_of in by_name
        },
        "machine": {"cpu_count": os.cpu_count(), "cpu": cpu_name()},
        "versions": versions(),
    }


def chance(n_episodes: int = 20_000) -> dict[str, float]:
    """Mean rewards on one-digit addition without learning: of random actions, and of one answer."""
    task = make_task(WORLD, difficulty=1)
    words: dict[str, Any] = {"alphabet": "digits", "difficulty": 1, **ROOM}
    env = gym.make_vec(WORLD, num_envs=256, autoreset_mode="same_step", **words)
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    n_ended, total = 0, 0.0
    while n_ended < n_episodes:
        rewards, terminations = env.step(rng.integers(11, size=256))[1:3]
        n_ended += int(terminations.sum())
        total += float(rewards.sum())
    golds = [task.reset(rng).gold for _ in range(n_episodes)]
    most_frequent = Counter(golds).most_common(1)[0][1]
    return {"random_actions": total / n_ended, "best_single_answer": most_frequent / n_episodes}


def _means(runs: Sequence[Result]) -> dict[str, dict[str, float]]:
    names = [name for name in asdict(runs[0]) if name not in ("setting", "seed")]
    known = [name for name in names if getattr(runs[0], name) is not None]
    return {
        name: asdict(mean_interval([float(getattr(run, name)) for run in runs])) for name in known
    }


def _p_value(paid: Sequence[Result], unpaid: Sequence[Result]) -> float:
    """Of being paid making no difference to greedy answers, by permutation."""
    first, second = ([run.greedy for run in runs] for runs in (paid, unpaid))
    return permutation_test(first, second, np.random.default_rng(0), alternative="greater")


_HEAD = "setting|seed|drawn|greedy|test before|test after|updates|train s|wall s|bar"


def rows_of(results: Sequence[Result], summary: Mapping[str, Any]) -> list[list[str]]:
    """The table's cells: the seeds of each setting, then their mean."""
    rows = []
    for name, means in summary["settings"].items():
        label = SETTINGS[name].label
        is_asked = name in summary["n_met"]
        for run in (r for r in results if r.setting == name):
            shares = (run.drawn, run.greedy, run.test_before, run.test_after)
            bar = "met" if run.meets_bar else "missed" if is_asked else "below"
            seconds = [f"{run.seconds:.0f}", f"{run.wall_seconds:.0f}", bar]
            rows.append([label, str(run.seed), *map(_share, shares), f"{run.updates:,}", *seconds])
        cells = [_mean_cell(means.get(key), key) for key in _MEANS]
        met = f"{summary['n_met'][name]} of {summary['n_seeds'][name]}" if is_asked else ""
        rows.append([label, "mean", *cells, met])
    return rows


_MEANS = ("drawn", "greedy", "test_before", "test_after", "updates", "seconds", "wall_seconds")


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.1%}"


def _mean_cell(mean: Mapping[str, float] | None, key: str) -> str:
    if mean is None:
        return "none"
    factor, digits, unit = (1, 0, "") if key in _MEANS[4:] else (100, 1, "%")
    value = f"{factor * mean['mean']:,.{digits}f}{unit}"
    half = factor * (mean["high"] - mean["mean"])
    return f"{value} ± {half:,.{digits}f}" if math.isfinite(half) else value


def verdict_of(summary: Mapping[str, Any]) -> str:
    """Which bars are met, in a few sentences."""
    n_seeds, chances = summary["n_seeds"], summary["chance"]
    met = [f"{SETTINGS[name].label} {n} of {n_seeds[name]}" for name, n in summary["n_met"].items()]
    said = (
        f"Seeds that meet the bar (from scratch a mean reward of {LEAST_REWARD:g} on the training"
        f" problems of one-digit addition; from the warm start {LEAST_ACCURACY:.0%} of the test"
        f" problems of two-digit addition, greedy and drawn; {MOST_SECONDS:.0f} s for the whole"
        f" command): {', '.join(met)}. By chance one-digit addition pays"
        f" {chances['random_actions']:.3f} with random actions, and"
        f" {chances['best_single_answer']:.3f} with the best single answer."
    )
    for name, p_value in summary["p_values"].items():
        said += f" Permutation test against the {SETTINGS[name].label}: p = {p_value:.4f}."
    if summary["p_values"]:
        low, high = summary["paid_seconds"]
        said += f" Controls trained for {CONTROL_SECONDS} s, paid runs {low:.0f} to {high:.0f} s."
        said += f" Controls at the bar: {', '.join(summary['controls_at_bar']) or 'none'}."
    return said


def markdown(results: Sequence[Result], summary: Mapping[str, Any]) -> str:
    """The results as a page."""
    machine, found = summary["machine"], summary["versions"]
    lines = [[_HEAD.replace("|", " | ")], ["---"] * 10, *rows_of(results, summary)]
    commands = [f"    lmgym train {words}" for words in summary["commands"].values()]
    return "\n".join(
        [
            "# Learning with Stable-Baselines3 over seeds",
            "",
            "`lmgym bench sb3-learning`: shares of right answers, which are mean rewards, of the"
            " best checkpoint. Drawn and greedy answers are to the training problems for settings"
            " from scratch (44 sums of one digit, learned by heart: nothing tells a small network"
            " what a digit is worth, as the 5 test problems show), and to test problems that"
            " training never sees for warm starts. ± is half of the 95 % interval"
            " over seeds (Student's t).",
            "",
            *(f"| {' | '.join(cells)} |" for cells in lines),
            "",
            verdict_of(summary),
            "",
            "The commands, with `--seed` and `--out` besides:",
            "",
            *commands,
            "",
            f"Machine: {machine['cpu']}, {machine['cpu_count']} cores (one thread a run);"
            f" Python {found['python']}, torch {found['torch']}, lmgym {found['lmgym']}.",
            "",
        ]
    )


def draw_curves(
    results: Sequence[Result], runs: Path, path: Path, chances: Mapping[str, float]
) -> None:
    """Draw validation against seconds: each seed thin, the mean of a setting thick."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    scratch, warm = figure.subplots(1, 2, sharey=True)
    scratch.set_title("from scratch: one-digit addition, training problems")
    warm.set(title="warm start: two-digit addition, validation problems")
    for axes, bar in ((scratch, LEAST_REWARD), (warm, LEAST_ACCURACY)):
        axes.axhline(bar, lw=1, ls="--", color="#555555", label=f"bar, {bar:g}")
    level = chances["best_single_answer"]
    scratch.axhline(level, lw=1, ls=":", color="#555555", label=f"best answer, {level:.2f}")
    for name, setting in SETTINGS.items():
        folders = [runs / f"{name}-seed{r.seed}" for r in results if r.setting == name]
        if folders:
            axes = scratch if setting.is_from_scratch else warm
            _draw_setting(axes, [_curve(folder) for folder in folders], setting)
    for axes in (scratch, warm):
        axes.set(xlabel="seconds of training", ylabel="mean reward", ylim=(-0.02, 1.02))
        axes.grid(True, lw=0.5, alpha=0.4)
        axes.legend(loc="lower right", fontsize=8, frameon=False)
    figure.savefig(path, format="png", metadata={"Software": "lmgym"})


def _draw_setting(axes: Any, curves: Sequence[tuple[list[float], list[float]]], s: Setting) -> None:
    for seconds, values in curves:
        axes.plot(seconds, values, lw=0.8, alpha=0.35, color=s.color)
    grid = np.linspace(0, max(seconds[-1] for seconds, _ in curves), 200)
    # a run that reached its target stops early: its last value stands for what would follow
    mean = np.mean([np.interp(grid, seconds, values) for seconds, values in curves], axis=0)
    axes.plot(grid, mean, lw=2.2, color=s.color, label=s.label)


def _curve(folder: Path) -> tuple[list[float], list[float]]:
    """Seconds and validation; DQN draws nothing, its greedy answers are how it acts."""
    rows = [row for row in read_metrics(folder) if "validation/greedy" in row]
    values = [row.get("validation/pass@1", row["validation/greedy"]) for row in rows]
    return [row["seconds"] for row in rows], values


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
