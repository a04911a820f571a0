"""Runs side by side: groups of equal arguments, means over their seeds, and a test between two."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from glob import glob
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError, unknown
from lmgym.training.runs import RECORD_FILE, read_metrics, read_record
from lmgym.training.uncertainty import MeanInterval, mean_interval, permutation_test

__all__ = ["Band", "Comparison", "Group", "Run", "find_runs", "grouped"]

_OF_NO_ACCOUNT = (
    "seed",
    "out",
    "resume",
    "track",
    "threads",
    "device",
    "checkpoint_every",
    "micro_tokens",
    "gradient_checkpointing",
)
"""Arguments by which runs of one group may differ."""
_FIGURES = ("greedy", "pass@1", "reward", "gold_reward")
_CURVES = ("validation/greedy", "validation/reward", "reward", "accuracy")
"""What is drawn where nobody says, the first that all groups have."""
_POINTS = 200


@dataclass(frozen=True)
class Run:
    """A run folder that has been read.

    Attributes:
        path: the folder.
        record: its `lmgym.json`.
        metrics: its lines of metrics.
    """

    path: Path
    record: dict[str, Any]
    metrics: list[dict[str, float]]

    @classmethod
    def read(cls, path: Path) -> Run:
        """The run in a folder."""
        return cls(path, read_record(path), read_metrics(path))

    @property
    def seed(self) -> Any:
        """Of the run."""
        return self.record.get("seed")

    @property
    def is_finished(self) -> bool:
        """Whether it came to its end, and has figures of it."""
        return self.record.get("status") == "finished"

    def problems(self, free: str | None = None) -> dict[str, Any]:
        """What says which problems it was tested on, but for the argument `free`."""
        found = {"env": self.record.get("env"), **self.record.get("world", {})}
        found["test problems"] = self.record.get("before", {}).get("n")
        return {name: value for name, value in found.items() if name != free}

    @property
    def settings(self) -> dict[str, Any]:
        """Agent, world and arguments, but those that make no other experiment."""
        args = dict(self.record.get("args", {}))
        if args.get("lr", 0) is None:
            args["lr"] = self.record.get("lr")
        if "started_from" in self.record:  # the policy was moved before the run went on
            args["model"] = self.record["started_from"]
        named = {"agent": self.record.get("agent"), "env": self.record.get("env")}
        found = {**args, **self.record.get("world", {}), **named}
        return {name: value for name, value in found.items() if name not in _OF_NO_ACCOUNT}

    def series(self, metric: str, x: str) -> tuple[list[float], list[float]]:
        """A metric where it was logged, against "seconds" or "step"."""
        rows = [row for row in self.metrics if math.isfinite(row.get(metric, math.nan))]
        return [float(row[x]) for row in rows], [row[metric] for row in rows]


@dataclass(frozen=True, slots=True)
class Band:
    """A mean over seeds with its 95 % interval, point by point; NaN ends for a single seed."""

    x: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def as_dict(self) -> dict[str, list[float]]:
        """Plain lists."""
        return {name: column.tolist() for name, column in asdict(self).items()}


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seeds alone.

    Attributes:
        label: what it differs from other groups by.
        runs: its runs.
    """

    label: str
    runs: list[Run]

    @property
    def seeds(self) -> list[Any]:
        """Of its runs."""
        return [run.seed for run in self.runs]

    def values(self, when: str, figure: str) -> list[float]:
        """A figure of the test split, "before" or "after", of each finished run that has it."""
        found = [run.record.get(when, {}).get(figure) for run in self.runs if run.is_finished]
        return [float(value) for value in found if value is not None]

    def figures(self) -> dict[str, dict[str, MeanInterval]]:
        """The figures of the test split, before and after, each with its interval over seeds."""
        found: dict[str, dict[str, MeanInterval]] = {}
        for figure in _FIGURES:
            before, after = self.values("before", figure), self.values("after", figure)
            if before and after:
                moments = {"before": mean_interval(before), "after": mean_interval(after)}
                found[figure] = moments
        return found

    def means(self) -> dict[str, MeanInterval]:
        """Updates and seconds of training."""
        done = [run.record for run in self.runs if "updates" in run.record]
        names = ("updates", "seconds") if done else ()
        return {name: mean_interval([float(record[name]) for record in done]) for name in names}

    def curve(self, metric: str, x: str) -> Band | None:
        """The mean of a metric over seeds; the last value of a run stands for what would follow."""
        series = [found for run in self.runs if (found := run.series(metric, x))[0]]
        if not series:
            return None
        start = max(places[0] for places, _ in series)
        end = max(places[-1] for places, _ in series)
        grid = np.linspace(min(start, end), end, _POINTS)
        values = np.array([np.interp(grid, places, found) for places, found in series])
        ends = [mean_interval(column.tolist()) for column in values.T]
        low, high = (np.array([getattr(e, side) for e in ends]) for side in ("low", "high"))
        return Band(
            grid, values.mean(0), *(np.where(np.isfinite(s), s, np.nan) for s in (low, high))
        )


@dataclass(frozen=True)
class Comparison:
    """Groups of runs beside each other.

    Attributes:
        groups: in the order in which they were named.
        by: the arguments by which they differ.
    """

    groups: list[Group]
    by: list[str]

    def metric(self, wanted: str | None) -> str:
        """The metric to draw: what is wanted, if any run logs it, or the usual one."""
        rows = [row for group in self.groups for run in group.runs for row in run.metrics]
        known = sorted({name for row in rows for name in row} - {"step", "seconds"})
        if wanted is not None and wanted not in known:
            raise unknown("metric", wanted, known)
        found = wanted or next((name for name in _CURVES if name in known), None)
        if found is None:
            raise LmgymError("these runs have logged nothing that could be drawn; name a --metric")
        return found

    def tests(self, rng: np.random.Generator) -> dict[str, float]:
        """Of two groups, the p-value of each figure's difference afterwards, two-sided."""
        if len(self.groups) != 2:
            return {}
        first, second = self.groups
        pairs = {name: [g.values("after", name) for g in (first, second)] for name in _FIGURES}
        return {name: permutation_test(a, b, rng) for name, (a, b) in pairs.items() if a and b}


def find_runs(words: Iterable[str]) -> list[Run]:
    """The runs that words name: run folders, folders of run folders, patterns such as "runs/a*".

    Raises:
        LmgymError: where a word names none.
    """
    found: dict[Path, Run] = {}
    for word in words:
        is_there = Path(word).exists()
        paths = [Path(word)] if is_there else map(Path, sorted(glob(word, recursive=True)))
        folders = [folder for path in paths for folder in _run_folders(path)]
        if not folders:
            raise LmgymError(
                f"no runs in {word!r}; give run folders (they hold {RECORD_FILE}), a folder of them"
                " or a pattern such as 'runs/grpo-*'"
            )
        found |= {folder.resolve(): Run.read(folder) for folder in folders}
    return list(found.values())


def grouped(runs: Sequence[Run], by: str | None = None, *, is_forced: bool = False) -> Comparison:
    """Runs in groups that differ by one argument, or by all that differ but the seed.

    Args:
        runs: at least one.
        by: the argument; None for all by which they differ.
        is_forced: compare what is not finished or of other worlds, too.
    """
    names = _known(runs)
    if by is not None and by not in names:
        raise unknown("argument", by, names)
    chosen = [by] if by is not None else [name for name in names if _differs(name, runs)]
    if not is_forced:
        _check(runs, by)
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(_label(run, chosen), []).append(run)
    found = [Group(label, members) for label, members in groups.items()]
    if not is_forced:
        for group in found:
            _check_seeds(group)
    return Comparison(found, chosen)


def _run_folders(path: Path) -> list[Path]:
    if (path / RECORD_FILE).is_file():
        return [path]
    return sorted(file.parent for file in path.glob(f"*/{RECORD_FILE}")) if path.is_dir() else []


def _known(runs: Sequence[Run]) -> list[str]:
    """The arguments that any run has, agent and world first."""
    names = dict.fromkeys(("agent", "env"))
    for run in runs:
        names |= dict.fromkeys(run.settings)
    return list(names)


def _differs(name: str, runs: Sequence[Run]) -> bool:
    """Whether those runs that have an argument have it differently."""
    values = {repr(run.settings[name]) for run in runs if name in run.settings}
    return len(values) > 1


def _label(run: Run, names: Collection[str]) -> str:
    """What tells a run's group from others."""
    settings = run.settings
    told = [(name, settings[name]) for name in names if name in settings]
    words = [str(v) if name in ("agent", "env") else f"{name}={_shown(v)}" for name, v in told]
    return ", ".join(words) or str(run.record.get("agent", "runs"))


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _check(runs: Sequence[Run], by: str | None) -> None:
    """Raise where runs are not finished, or their figures cannot be compared."""
    open_runs = [f"{run.path} ({run.record.get('status')})" for run in runs if not run.is_finished]
    if open_runs:
        raise LmgymError(
            f"not finished: {', '.join(open_runs)}; go on with lmgym train --resume DIR, leave them"
            " out, or give --force to draw what is there"
        )
    first, *others = runs
    for other in others:
        mine, theirs = first.problems(by), other.problems(by)
        names = [n for n in mine.keys() | theirs.keys() if mine.get(n) != theirs.get(n)]
        if names:
            name = min(names)
            raise LmgymError(
                f"{first.path} and {other.path} were tested on different problems ({name} is"
                f" {mine.get(name)!r} and {theirs.get(name)!r}), so their figures do not compare;"
                f" give --by {name}, or --force"
            )


def _check_seeds(group: Group) -> None:
    """Raise where a seed counts twice."""
    for seed, runs in groupby(sorted(group.runs, key=lambda r: str(r.seed)), lambda r: str(r.seed)):
        paths = [str(run.path) for run in runs]
        if len(paths) > 1:
            raise LmgymError(
                f"{' and '.join(paths)} are the same run with seed {seed}, and would count twice;"
                " leave one out, or give --force"
            )
