"""Self-play over seeds: a debate learned from nothing, and how learners cycle in Kuhn poker.

`lmgym bench self-play` trains on `lmgym/Debate-v0` with a policy that is linear in features of
actions, and measures it on test documents: how often the judge is right, what best responses win
against it, and how often it beats random quotes and all its earlier checkpoints, on the same
documents in both seats. On `lmgym/KuhnPoker-v0` and on iterated matching pennies it trains with
plain self-play, with a falling step and an entropy bonus, and with other opponents, and follows
exploitability of the last policy and of the average. Finished runs are kept, and made again where
their arguments or a version have changed; remove their folder when code has.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lmgym.agents.self_play import SelfPlayArgs, train
from lmgym.commands.arguments import parse_options
from lmgym.commands.files import check_file, write_json
from lmgym.errors import LmgymError, unknown
from lmgym.factory import make_task
from lmgym.games.players import find_player
from lmgym.games.policies import GamePolicy, load_game_policy
from lmgym.games.task import GameTask
from lmgym.selfplay.curves import new_figure, save_figure
from lmgym.selfplay.exams import Exam
from lmgym.selfplay.playing import PlayerChooser
from lmgym.selfplay.win_rates import self_play_facts
from lmgym.training.curves import finish_axes
from lmgym.training.records import plain_value, versions
from lmgym.training.runs import read_metrics
from lmgym.training.uncertainty import mean_interval
from measuring import Claim, claimed

DEBATE, KUHN, PENNIES = "lmgym/Debate-v0", "lmgym/KuhnPoker-v0", "lmgym/MatchingPennies-v0"
_NAIVE = {"lr_end": 1.0, "entropy": 0.0}


@dataclass(frozen=True)
class Arm:
    """What is trained.

    Attributes:
        env: the world.
        games: of a run.
        settings: of the learner, where they are not its defaults.
        world: arguments of the world, where they are not its defaults.
    """

    env: str
    games: int
    settings: Mapping[str, Any]
    world: Mapping[str, Any]


ARMS: Mapping[str, Arm] = {
    "debate": Arm(DEBATE, 12_800, {"policy": "linear", "batch_size": 64}, {}),
    "kuhn, plain": Arm(KUHN, 512_000, _NAIVE, {}),
    "kuhn, regularised": Arm(KUHN, 512_000, {}, {}),
    "kuhn, pool": Arm(KUHN, 512_000, {**_NAIVE, "opponents": "pool"}, {}),
    "kuhn, average": Arm(KUHN, 512_000, {"opponents": "average"}, {}),
    "kuhn, league": Arm(KUHN, 512_000, {"opponents": "league"}, {}),
    "pennies, plain": Arm(PENNIES, 256_000, _NAIVE, {"rounds": 3}),
    "pennies, regularised": Arm(PENNIES, 256_000, {"lr": 2.0}, {"rounds": 3}),
}
"""What is trained, by name."""


@dataclass(frozen=True)
class SelfPlayBenchArgs:
    """Arguments of the benchmark."""

    seeds: int = 5
    """Seeds of each arm."""
    first_seed: int = 100
    """The first of them."""
    documents: int = 60
    """Test documents on which best responses to the debate's policy are found."""
    matches: int = 500
    """Test documents of a match, each of which is debated in both seats."""
    games: int | None = None
    """Games of every arm, in place of its own."""
    runs: str = "runs/self_play"
    """Folder of the runs; finished ones are kept and not run again."""
    only: str = ""
    """Take only the arms whose name begins like this."""
    out: str = "benchmarks/results/self_play.json"
    """Where the results go; a figure is written beside."""

    def __post_init__(self) -> None:
        """Raise where there is nothing to run, or nowhere to write."""
        if min(self.seeds, self.documents, self.games or 1) < 1 or self.matches < 2:
            raise LmgymError(
                f"--seeds {self.seeds} --documents {self.documents} --matches {self.matches}"
                f" --games {self.games}: each must be above 0, and matches above 1"
            )
        check_file(self.out)


Runs = Mapping[str, Sequence[Mapping[str, Any]]]
"""What came of the seeds of each arm."""


def main(argv: Sequence[str]) -> int:
    """Train what is missing, measure, print, write; 1 where a bar is missed."""
    (args,) = parse_options(
        {"self-play": SelfPlayBenchArgs}, argv, "bench self-play", __doc__ or ""
    )
    chosen = [name for name in ARMS if name.startswith(args.only)]
    if not chosen:
        raise unknown("arm", args.only, ARMS, "--only takes what names begin with")
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    found: dict[str, list[dict[str, Any]]] = {
        name: [_run(args, name, seed) for seed in seeds] for name in chosen
    }
    told: dict[str, Any] = {}
    if "debate" in found:
        told["references"] = _examine_debates(args, found["debate"])
    summary = {name: _summary(runs) for name, runs in found.items()}
    _print(summary)
    _draw(found, Path(args.out).with_suffix(".png"))
    arms = {name: asdict(ARMS[name]) for name in chosen}
    return claimed(_claims(found), args, arms=arms, summary=summary, **told, runs=found)


def _run(args: SelfPlayBenchArgs, name: str, seed: int) -> dict[str, Any]:
    """Train, unless the run is kept; returns what it measured on the way, and what it cost."""
    arm, folder = ARMS[name], _folder(args, name, seed)
    settings = SelfPlayArgs(games=args.games or arm.games, seed=seed, **arm.settings)
    made_by = plain_value({"versions": versions(), "args": settings, "world": arm.world})
    kept = folder / "cost.json"
    if not kept.is_file() or json.loads(kept.read_text(encoding="utf-8"))["by"] != made_by:
        shutil.rmtree(folder, ignore_errors=True)
        start = time.process_time()
        train(replace(settings, out=str(folder)), arm.env, arm.world)
        write_json(kept, {"cpu": time.process_time() - start, "by": made_by})
    cost = json.loads(kept.read_text(encoding="utf-8"))
    rows = [row for row in read_metrics(folder) if "exploitability" in row]
    names = ("games", "exploitability", "exploitability/average", "win/random", "judge_correct")
    curve = {key: [row[key] for row in rows] for key in names if key in rows[0]}
    return {"seed": seed, "cpu": cost["cpu"], "curve": curve}


def _folder(args: SelfPlayBenchArgs, name: str, seed: int) -> Path:
    return Path(args.runs) / f"{name.replace(', ', '-')}-{seed}"


def _examine_debates(args: SelfPlayBenchArgs, runs: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Measure the policies on test documents; returns what others make of these."""
    task = make_task(DEBATE)
    assert isinstance(task, GameTask)
    exam = Exam(task.game, "test", args.documents, args.matches, args.first_seed)
    for run in runs:
        folder = _folder(args, "debate", run["seed"])
        policy = load_game_policy(folder / "best")
        checkpoints = sorted((folder / "checkpoints").iterdir())[:-1]
        earlier = {path.name: load_game_policy(path) for path in checkpoints}
        first = next(iter(earlier.values()))
        run["test"] = {
            "start": _figures(exam, first),
            "end": _figures(exam, policy),
            "against random": asdict(exam.against(policy)),
            "against earlier": {n: asdict(exam.against(policy, p)) for n, p in earlier.items()},
        }
    rng = np.random.default_rng(args.first_seed)
    players = {name: PlayerChooser(find_player(name)) for name in ("random", "best")}
    return {
        f"judge accuracy, {name} quotes": facts["judge_correct"]
        for name, player in players.items()
        for facts in [self_play_facts(task.game, player, exam.starts, rng)]
    }


def _figures(exam: Exam, policy: GamePolicy) -> dict[str, float]:
    exploitability = exam.exploitability(policy)
    assert exploitability is not None, "fewer --documents have room in a tree"
    return {
        "judge accuracy": exam.facts(policy)["judge_correct"],
        "exploitability": exploitability,
    }


def _summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over seeds with 95 % intervals."""
    told = {"CPU seconds": [run["cpu"] for run in runs]}
    for which, key in (("last", "exploitability"), ("average", "exploitability/average")):
        told[f"exploitability, {which}"] = [run["curve"][key][-1] for run in runs]
    if "test" in runs[0]:
        for when in ("start", "end"):
            for figure in ("judge accuracy", "exploitability"):
                told[f"test {figure}, {when}"] = [run["test"][when][figure] for run in runs]
        told["test win rate against random"] = [
            run["test"]["against random"]["rate"] for run in runs
        ]
    return {name: _told(values) for name, values in told.items()}


def _told(values: Sequence[float]) -> dict[str, float]:
    found = mean_interval(values)
    ends = {"low": found.low, "high": found.high} if len(values) > 1 else {}
    return {"mean": found.mean, "min": min(values), "max": max(values), **ends}


def _claims(found: Runs) -> Iterator[Claim]:
    """What is claimed of the arms that there are."""
    if "debate" in found:
        yield from _debate_claims([run["test"] for run in found["debate"]])
        cpu = [run["cpu"] for run in found["debate"]]
        yield Claim("debate: CPU of a seed", cpu, "s", most=60)
    for name, bar in (("kuhn, regularised", 0.04), ("kuhn, plain", None), ("kuhn, pool", None)):
        if name in found:
            last = [run["curve"]["exploitability"][-1] for run in found[name]]
            yield Claim(f"{name}, last", last, "", most=bar)
            average = [run["curve"]["exploitability/average"][-1] for run in found[name]]
            most = None if bar is None else 0.015
            yield Claim(f"{name}, average", average, "", most=most)
    if "kuhn, plain" in found and "kuhn, regularised" in found:
        late = {
            name: [float(np.mean(_late(run))) for run in found[f"kuhn, {name}"]]
            for name in ("plain", "regularised")
        }
        times = [a / b for a, b in zip(late["plain"], late["regularised"], strict=True)]
        yield Claim("kuhn, last, plain / regularised", times, "x")


def _debate_claims(tests: Sequence[Mapping[str, Any]]) -> Iterator[Claim]:
    start, end = ([test[when] for test in tests] for when in ("start", "end"))
    accuracy, exploited = "judge accuracy", "exploitability"
    yield Claim("debate: accuracy, start", [f[accuracy] for f in start], "")
    yield Claim("debate: accuracy", [f[accuracy] for f in end], "", least=0.93)
    yield Claim("debate: exploitability, start", [f[exploited] for f in start], "")
    yield Claim("debate: exploitability", [f[exploited] for f in end], "", most=0.08)
    rates = [test["against random"]["low"] for test in tests]
    yield Claim("debate: beats random, low", rates, "", least=0.7)
    earlier = [list(test["against earlier"].values()) for test in tests]
    firsts = [rates[0]["low"] for rates in earlier]
    yield Claim("debate: beats the first, low", firsts, "", least=0.6)
    least = [min(rate["rate"] for rate in rates) for rates in earlier]
    yield Claim("debate: beats any, least", least, "")
    worse = [float(sum(rate["high"] < 0.5 for rate in rates)) for rates in earlier]
    yield Claim("debate: lost to, high < 1/2", worse, "", most=0)


def _late(run: Mapping[str, Any]) -> Sequence[float]:
    values: Sequence[float] = run["curve"]["exploitability"]
    return values[len(values) // 2 :]


def _print(summary: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    table = Table("arm", "figure", "mean [95 % interval]", "min to max", box=SIMPLE_HEAD)
    for name, figures in summary.items():
        for figure, told in figures.items():
            spread = f" [{told['low']:.4f}, {told['high']:.4f}]" if "low" in told else ""
            ends = f"{told['min']:.4f} to {told['max']:.4f}"
            cells = (name, figure, f"{told['mean']:.4f}{spread}", ends)
            table.add_row(*(Text(cell, no_wrap=True) for cell in cells))
    Console().print(table)


_COLORS = ("#b03a48", "#1f5fa8", "#d9822b", "#3a7d44", "#7a4fa0")


def _draw(found: Runs, path: Path) -> None:
    """Exploitability of last policies (lines) and averages (dashes): means over seeds, extremes."""
    games = [
        game for game in ("kuhn", "pennies", "debate") if any(n.startswith(game) for n in found)
    ]
    figure = new_figure((4.6 * len(games), 4.2), "self-play: last policy (line), average (dashes)")
    for place, game in enumerate(games):
        axes = figure.add_subplot(1, len(games), place + 1)
        finish_axes(axes, f"games of {game}", "exploitability")
        arms = [name for name in found if name.startswith(game)]
        for name, color in zip(arms, _COLORS, strict=False):
            x = found[name][0]["curve"]["games"]
            for key, style in (("exploitability", "-"), ("exploitability/average", "--")):
                values = np.array([run["curve"][key] for run in found[name]])
                label = (name.partition(", ")[2] or name) if style == "-" else ""
                axes.plot(x, values.mean(0), style, lw=1.6, color=color, label=label)
                if label == "plain":  # means of what goes in circles would hide it
                    axes.plot(x, values.T, style, lw=0.6, color=color, alpha=0.5)
                axes.fill_between(x, values.min(0), values.max(0), color=color, alpha=0.08, lw=0)
        axes.set_yscale("log")
        axes.legend(fontsize=8, framealpha=0.9, edgecolor="none")
    save_figure(figure, path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
