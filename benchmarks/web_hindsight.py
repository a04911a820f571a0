"""Hindsight on web sites over seeds: a DQN on goals, and a language policy on pages.

`lmgym bench web-hindsight` runs `lmgym train her` in processes of its own, two at a time with a
thread each. On `lmgym/WebGoal-v0`, forms and shop, one to three facts to change, with relabelled
goals, without, and with Stable-Baselines3's own DQN and buffer, for which there is no bar; on
`lmgym/Web-v0`, forms in one site's words, one or two facts, imitating what episodes achieved by
chance, or only those that succeeded. Each is measured on splits that training never sees: other
starts of the sites (iid), and pairs of facts that were never asked for together (comp). CPU time is
that of the whole process, evaluations included. Finished runs are kept, and made again where their
arguments, defaults included, or a version have changed; remove their folder when code has.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import default_rng
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import lmgym
import web_stock
from lmgym.agents.her import arguments_for
from lmgym.commands.arguments import parse_options
from lmgym.commands.files import check_file, write_json
from lmgym.commands.worlds import world_arguments
from lmgym.errors import LmgymError, unknown
from lmgym.registry import find_world
from lmgym.training.records import plain_value, versions
from lmgym.training.uncertainty import mean_interval, permutation_test
from measuring import Claim, claimed

_GOAL = "her lmgym/WebGoal-v0 --difficulty 3 --test-limit 200"
_COST = "cost.json"
_TEXT = "her lmgym/Web-v0 --sites 1 --difficulty 2 --test-limit 100 --test-samples 1 --target 1.01"

ARMS: Mapping[str, str] = {
    "forms, DQN + HER": f"{_GOAL} --family forms",
    "forms, DQN": f"{_GOAL} --family forms --relabel none",
    "forms, stock": "forms",
    "shop, DQN + HER": f"{_GOAL} --family shop",
    "shop, DQN": f"{_GOAL} --family shop --relabel none",
    "shop, stock": "shop",
    "language, hindsight": f"{_TEXT} --relabel later",
    "language, success only": f"{_TEXT} --relabel none",
}
"""Command lines of `lmgym train` by name, seed, folder and budget apart; families for `stock`."""

CONTRASTS = (
    ("forms, DQN + HER", "forms, DQN"),
    ("forms, DQN + HER", "forms, stock"),
    ("shop, DQN + HER", "shop, DQN"),
    ("shop, DQN + HER", "shop, stock"),
    ("language, hindsight", "language, success only"),
)
"""Arms of which the first should succeed more often."""


@dataclass(frozen=True)
class WebHindsightArgs:
    """Arguments of the benchmark."""

    seeds: int = 5
    """Seeds of the DQN."""
    language_seeds: int = 3
    """Seeds of the language policy."""
    first_seed: int = 300
    """The first of the DQN."""
    first_language_seed: int = 310
    """The first of the language policy."""
    steps: int = 40_000
    """Commands of the DQN."""
    seconds: float = 240.0
    """Seconds of the language policy, with a thread of its own."""
    runs: str = "runs/web_hindsight"
    """Folder of the runs; finished ones are kept and not run again."""
    jobs: int = 2
    """Runs at a time."""
    only: str = ""
    """Run the arms whose name begins like this; of others, finished runs are reported."""
    out: str = "benchmarks/results/web_hindsight.json"
    """Where the results go."""

    def __post_init__(self) -> None:
        """Raise where there is nothing to run, or nowhere to write."""
        if min(self.seeds, self.language_seeds, self.steps, self.jobs) < 1 or self.seconds <= 0:
            raise LmgymError(
                f"--seeds {self.seeds} --language-seeds {self.language_seeds} --steps {self.steps}"
                f" --jobs {self.jobs} --seconds {self.seconds}: each must be above 0"
            )
        check_file(self.out)


Runs = Mapping[str, Sequence[Mapping[str, Any]]]
"""What came of the seeds of each arm."""


def main(argv: Sequence[str]) -> int:
    """Run what is missing or stale and write the results; 1 where a bar is missed."""
    (args,) = parse_options(
        {"web-hindsight": WebHindsightArgs}, argv, "bench web-hindsight", __doc__ or ""
    )
    chosen = [name for name in ARMS if name.startswith(args.only)]
    if not chosen:
        raise unknown("arm", args.only, ARMS, "--only takes what names begin with")
    with ThreadPoolExecutor(args.jobs) as pool:
        runs = [(name, seed) for name in chosen for seed in _seeds(args, name)]
        list(pool.map(lambda run: _run(args, *run), runs))
    found = {
        name: [_read(args, name, seed) for seed in _seeds(args, name)]
        for name in ARMS
        if all(_is_kept(args, name, seed) for seed in _seeds(args, name))
    }
    summary = {name: _summary(runs) for name, runs in found.items()}
    _print(summary)
    told = {"commands": dict(ARMS), "summary": summary, "runs": found}
    return claimed(_claims(found), args, **told)


def _seeds(args: WebHindsightArgs, name: str) -> range:
    if name.startswith("language"):
        return range(args.first_language_seed, args.first_language_seed + args.language_seeds)
    return range(args.first_seed, args.first_seed + args.seeds)


def _folder(args: WebHindsightArgs, name: str, seed: int) -> Path:
    return Path(args.runs) / f"{name.replace(', ', '-').replace(' ', '_')}-{seed}"


def _is_kept(args: WebHindsightArgs, name: str, seed: int) -> bool:
    """Whether a run is there and would be made by the same arguments and versions."""
    kept = _folder(args, name, seed) / _COST
    if not kept.is_file():
        return False
    record, cost = _record(args, name, seed), json.loads(kept.read_text(encoding="utf-8"))
    own, world = (plain_value(given) for given in _arguments(args, name, seed))
    own = {key: value for key, value in own.items() if value is not None}  # else found by the run
    then = {key: record["args"].get(key) for key in own}
    world_then = {key: record["world"].get(key) for key in world}
    return bool(then == own and world_then == world and cost["versions"] == versions())


def _arguments(args: WebHindsightArgs, name: str, seed: int) -> tuple[Any, Any]:
    """The arguments of a run and of its world, defaults of the first included."""
    words, folder = _words(args, name, seed), str(_folder(args, name, seed))
    if name.endswith("stock"):
        return web_stock.settings(seed, args.steps, folder), web_stock.world(ARMS[name])
    agent, env = words[3:5]
    spec = find_world(env)
    groups = {agent: arguments_for(spec), env: spec.task_class.Args}
    own, world = parse_options(groups, words[5:], f"train {agent} {env}", "")
    return own, world_arguments(world)


def _record(args: WebHindsightArgs, name: str, seed: int) -> dict[str, Any]:
    path = _folder(args, name, seed) / "lmgym.json"
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def _run(args: WebHindsightArgs, name: str, seed: int) -> None:
    """Train, unless the run is kept."""
    if _is_kept(args, name, seed):
        return
    folder = _folder(args, name, seed)
    words = _words(args, name, seed)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    root = str(Path(lmgym.__file__).resolve().parents[1])
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, *words], env=settings, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise LmgymError(f"{' '.join(words)} ended with {child.returncode}")
    spent = {"cpu": used.ru_utime + used.ru_stime, "wall": time.perf_counter() - start}
    write_json(folder / _COST, {"versions": versions(), **spent})
    print(f"{name}, seed {seed}: {spent['cpu']:.0f} CPU seconds", flush=True)


def _words(args: WebHindsightArgs, name: str, seed: int) -> list[str]:
    """What Python is told to run."""
    folder = str(_folder(args, name, seed))
    if name.endswith("stock"):
        stock = str(Path(__file__).with_name("web_stock.py"))
        return [stock, ARMS[name], str(seed), str(args.steps), folder]
    is_text = name.startswith("language")
    budget = ["--seconds", str(args.seconds)] if is_text else ["--steps", str(args.steps)]
    command = ["-m", "lmgym.cli", "train", *ARMS[name].split(), *budget]
    return [*command, "--seed", str(seed), "--out", folder]


def _read(args: WebHindsightArgs, name: str, seed: int) -> dict[str, Any]:
    """The figures of a run.

    Raises:
        LmgymError: where a DQN has not played all its commands.
    """
    record = _record(args, name, seed)
    ends = f"{args.steps:,} commands are done"
    if not name.startswith("language") and record["stopped"] != ends:
        raise LmgymError(f"{name}, seed {seed} ended early: {record['stopped']}")
    spent = json.loads((_folder(args, name, seed) / _COST).read_text(encoding="utf-8"))
    cost = {key: spent[key] for key in ("cpu", "wall")}
    splits = {split: _figures(found) for split, found in record["splits"].items()}
    return {"seed": seed, "splits": {"iid": _figures(record["after"]), **splits}, **cost}


def _figures(found: Mapping[str, Any]) -> dict[str, float]:
    return {"success": found["greedy"], **found["figures"]}


def _summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over seeds with 95 % intervals, by split and figure; extremes; CPU seconds."""
    told: dict[str, Any] = {"cpu_seconds": _told([run["cpu"] for run in runs], most=math.inf)}
    for split in runs[0]["splits"]:
        figures = [run["splits"][split] for run in runs]
        names = [name for name in figures[0] if all(name in found for found in figures)]
        told[split] = {name: _told([found[name] for found in figures]) for name in names}
    return told


def _told(values: Sequence[float], most: float = 1.0) -> dict[str, float]:
    """The mean with its interval, and the extremes, of values between 0 and `most`."""
    found = mean_interval(values)
    ends = {"low": max(0.0, found.low), "high": min(most, found.high)} if len(values) > 1 else {}
    return {"mean": found.mean, "min": float(np.min(values)), "max": float(np.max(values)), **ends}


def _claims(found: Runs) -> Iterator[Claim]:
    """What is claimed of the arms that there are."""
    for family in ("forms", "shop"):
        ours, without = f"{family}, DQN + HER", f"{family}, DQN"
        if ours in found:
            yield Claim(f"mean success, {ours}", [_mean(found[ours])], "", least=0.85)
            yield Claim(f"worst seed, {ours}", [min(_success(found[ours]))], "", least=0.7)
            yield Claim(f"most CPU, {ours}", [max(_of(found[ours], "cpu"))], "s", most=120)
        if without in found:
            yield Claim(f"mean success, {without}", [_mean(found[without])], "", most=0.05)
    hindsight, imitation = "language, hindsight", "language, success only"
    if hindsight in found:
        runs, pairs = found[hindsight], "success, 2 changes"
        level = "mean success at level"
        yield Claim(f"{level} 1, {hindsight}", [_mean(runs, "success, 1 change")], "", least=0.9)
        yield Claim(f"{level}s 1 and 2, {hindsight}", [_mean(runs)], "", least=0.6)
        yield Claim(f"most CPU, {hindsight}", [max(_of(runs, "cpu"))], "s", most=300)
        gap = _mean(runs, pairs) - _mean(runs, pairs, split="comp")
        yield Claim("level 2, seen pairs over unseen ones", [gap], "", most=0.15)
        if imitation in found:
            lead = _mean(runs, pairs) - _mean(found[imitation], pairs)
            yield Claim(f"level 2, lead over {imitation}", [lead], "", least=0.3)
    for better, worse in CONTRASTS:
        if better in found and worse in found:
            high, low, rng = _success(found[better]), _success(found[worse]), default_rng(0)
            p = permutation_test(high, low, rng, alternative="greater")
            yield Claim(f"p that {better} is no better than {worse}", [p], "")


def _of(runs: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [run[name] for run in runs]


def _success(
    runs: Sequence[Mapping[str, Any]], figure: str = "success", split: str = "iid"
) -> list[float]:
    return [run["splits"][split][figure] for run in runs]


def _mean(runs: Sequence[Mapping[str, Any]], figure: str = "success", split: str = "iid") -> float:
    return float(np.mean(_success(runs, figure, split)))


def _print(summary: Mapping[str, Any]) -> None:
    table = Table("arm", "split", "success", "worst", "by changes", "CPU s", box=SIMPLE_HEAD)
    for name, told in summary.items():
        for split, figures in told.items():
            if split == "cpu_seconds":
                continue
            success = figures["success"]
            sizes = [f"{f['mean']:.2f}" for n, f in figures.items() if n.startswith("success, ")]
            spread = f" [{success['low']:.2f}, {success['high']:.2f}]" if "low" in success else ""
            cells = (f"{success['mean']:.3f}{spread}", f"{success['min']:.2f}", " / ".join(sizes))
            table.add_row(name, split, *cells, f"{told['cpu_seconds']['mean']:.0f}")
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
