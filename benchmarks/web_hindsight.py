"""Hindsight on web sites over seeds: a DQN on goals, and a language policy on pages.

`lmgym bench web-hindsight` runs `lmgym train her` in processes of its own, two at a time with a
thread each. On `lmgym/WebGoal-v0`, forms and shop, one to three facts to change, with relabelled
goals and without; on `lmgym/Web-v0`, forms in one site's words, one or two facts, imitating what
episodes achieved by chance, or only those that succeeded. Each is measured on splits that training
never sees: other starts of the sites (iid), and pairs of facts that were never asked for together
(comp). CPU time is that of the whole process, evaluations included.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import lmgym
from lmgym.commands.arguments import parse_options
from lmgym.commands.files import check_file, write_json
from lmgym.training.records import cpu_name, versions
from lmgym.training.uncertainty import mean_interval, permutation_test

_GOAL = "her lmgym/WebGoal-v0 --difficulty 3 --test-limit 200"
_TEXT = "her lmgym/Web-v0 --sites 1 --difficulty 2 --test-limit 100 --test-samples 1 --target 1"

ARMS: Mapping[str, str] = {
    "forms, DQN + HER": f"{_GOAL} --family forms",
    "forms, DQN": f"{_GOAL} --family forms --relabel none",
    "shop, DQN + HER": f"{_GOAL} --family shop",
    "shop, DQN": f"{_GOAL} --family shop --relabel none",
    "language, hindsight": f"{_TEXT} --relabel later",
    "language, success only": f"{_TEXT} --relabel none",
}
"""Command lines by name; `--seed`, `--out` and the budget are added."""

BARS = {"forms, DQN + HER": 0.85, "shop, DQN + HER": 0.85}
"""Mean success on iid that arms must reach; the worst seed stays above 0.7."""
_WORST, _WITHOUT = 0.7, 0.05


@dataclass(frozen=True)
class WebHindsightArgs:
    """Arguments of the benchmark."""

    seeds: int = 5
    """Seeds of the DQN."""
    language_seeds: int = 3
    """Seeds of the language policy."""
    first_seed: int = 300
    """The first of them."""
    steps: int = 40_000
    """Commands of the DQN."""
    seconds: float = 200.0
    """Seconds of the language policy, with a thread of its own."""
    runs: str = "runs/web_hindsight"
    """Folder of the runs; finished ones are kept and not run again."""
    jobs: int = 2
    """Runs at a time."""
    only: str = ""
    """Run the arms whose name begins like this."""
    out: str = "benchmarks/results/web_hindsight.json"
    """Where the results go."""


def main(argv: Sequence[str]) -> int:
    """Run what is missing and write the results; 1 where a bar is missed."""
    (args,) = parse_options(
        {"web-hindsight": WebHindsightArgs}, argv, "bench web-hindsight", __doc__ or ""
    )
    check_file(args.out)
    chosen = [(name, seed) for name in ARMS for seed in _seeds(args, name)]
    with ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(lambda run: _run(args, *run), chosen))
    found = {name: [_read(args, name, seed) for seed in _seeds(args, name)] for name in ARMS}
    found = {name: runs for name, runs in found.items() if runs}
    summary = {name: _summary(runs) for name, runs in found.items()}
    _print(summary)
    facts = {"cpu": cpu_name(), "versions": versions(), "args": args, "commands": dict(ARMS)}
    write_json(args.out, facts | {"summary": summary, "runs": found, "p": _contrasts(found)})
    return int(not _meets_bars(summary))


def _seeds(args: WebHindsightArgs, name: str) -> range:
    n = args.language_seeds if name.startswith("language") else args.seeds
    return range(args.first_seed, args.first_seed + n * name.startswith(args.only))


def _folder(args: WebHindsightArgs, name: str, seed: int) -> Path:
    return Path(args.runs) / f"{name.replace(', ', '-').replace(' ', '_')}-{seed}"


def _run(args: WebHindsightArgs, name: str, seed: int) -> None:
    """Train, unless the run is there."""
    folder = _folder(args, name, seed)
    if (folder / "cpu.json").is_file():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    is_text = name.startswith("language")
    budget = f"--seconds {args.seconds}" if is_text else f"--steps {args.steps}"
    words = [*ARMS[name].split(), "--seed", str(seed), "--out", str(folder), *budget.split()]
    root = str(Path(lmgym.__file__).resolve().parents[1])
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    start = time.perf_counter()
    command = [sys.executable, "-m", "lmgym.cli", "train", *words]
    child = subprocess.Popen(command, env=settings, stdout=subprocess.DEVNULL)
    _, code, used = os.wait4(child.pid, 0)
    if code:
        raise SystemExit(f"lmgym train {' '.join(words)} failed")
    spent = {"cpu": used.ru_utime + used.ru_stime, "wall": time.perf_counter() - start}
    (folder / "cpu.json").write_text(json.dumps(spent), encoding="utf-8")
    print(f"{name}, seed {seed}: {spent['cpu']:.0f} CPU seconds", flush=True)


def _read(args: WebHindsightArgs, name: str, seed: int) -> dict[str, Any]:
    """The figures of a run."""
    folder = _folder(args, name, seed)
    record = json.loads((folder / "lmgym.json").read_text(encoding="utf-8"))
    spent = json.loads((folder / "cpu.json").read_text(encoding="utf-8"))
    splits = {split: _figures(found) for split, found in record["splits"].items()}
    return {"seed": seed, "splits": {"iid": _figures(record["after"]), **splits}, **spent}


def _figures(found: Mapping[str, Any]) -> dict[str, float]:
    return {"success": found["greedy"], **found["figures"]}


def _summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over seeds with 95 % intervals, by split and figure; worst seeds; CPU seconds."""
    told: dict[str, Any] = {"cpu_seconds": _told([run["cpu"] for run in runs])}
    for split in runs[0]["splits"]:
        figures = [run["splits"][split] for run in runs]
        names = [name for name in figures[0] if all(name in found for found in figures)]
        told[split] = {name: _told([found[name] for found in figures]) for name in names}
    return told


def _told(values: Sequence[float]) -> dict[str, float]:
    found = mean_interval(values)
    ends = {"low": found.low, "high": found.high} if len(values) > 1 else {}
    return {"mean": found.mean, "worst": float(np.min(values)), **ends}


def _contrasts(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, float]:
    """Permutation tests of hindsight against none, on iid."""
    pairs = (
        ("forms, DQN + HER", "forms, DQN"),
        ("shop, DQN + HER", "shop, DQN"),
        ("language, hindsight", "language, success only"),
    )
    told = {}
    for better, worse in pairs:
        if better in found and worse in found:
            high, low = (
                [run["splits"]["iid"]["success"] for run in found[name]] for name in (better, worse)
            )
            rng = np.random.default_rng(0)
            told[f"{better} > {worse}"] = permutation_test(high, low, rng, alternative="greater")
    return told


def _print(summary: Mapping[str, Any]) -> None:
    table = Table("arm", "split", "success", "worst", "by changes", "CPU s", box=SIMPLE_HEAD)
    for name, told in summary.items():
        for split, figures in told.items():
            if split == "cpu_seconds":
                continue
            success = figures["success"]
            sizes = [f"{f['mean']:.2f}" for n, f in figures.items() if n.startswith("success, ")]
            spread = f" [{success['low']:.2f}, {success['high']:.2f}]" if "low" in success else ""
            cells = (f"{success['mean']:.3f}{spread}", f"{success['worst']:.2f}", " / ".join(sizes))
            table.add_row(name, split, *cells, f"{told['cpu_seconds']['mean']:.0f}")
    Console().print(table)


def _meets_bars(summary: Mapping[str, Any]) -> bool:
    is_met = True
    for name, bar in BARS.items():
        if name in summary:
            success = summary[name]["iid"]["success"]
            is_met &= success["mean"] >= bar and success["worst"] >= _WORST
        without = summary.get(name.removesuffix(" + HER"))
        if without is not None:
            is_met &= without["iid"]["success"]["mean"] <= _WITHOUT
    return is_met


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
