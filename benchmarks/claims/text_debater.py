"""Does a debater that reads only the sentences learn to debate, on a CPU, from who wins?

A small network, `ReaderPolicy`, reads the claim, the document and what was quoted as words, without
the graph that other policies are given. It plays with itself, from random weights, and learns from
who wins and from nothing else: with a critic that shares its network (`ReaderLearner`), or with the
mean return of each seat as the baseline (`lmgym train self-play`). Documents of the test split are
seen at the end only. How often the judge is right says how good the debates are; a best response on
some of these documents tells what a perfect opponent would win.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from lmgym.agents.self_play import SelfPlayArgs, train
from lmgym.commands.arguments import parse_options
from lmgym.commands.files import write_json
from lmgym.envs.debate.rules import Debate
from lmgym.errors import unknown
from lmgym.games.policies import GamePolicy, load_game_policy, make_game_policy
from lmgym.games.reader import ReaderPolicy
from lmgym.games.reader_learner import ReaderLearner
from lmgym.selfplay.exams import Exam
from lmgym.selfplay.playing import deal_states
from lmgym.training.uncertainty import mean_interval
from measuring import Claim, MeasuringArgs, claimed, cpu_seconds

BATCH = 128
FIGURES = {
    "judge_correct": "judge is right",
    "exploitability": "exploitability",
    "win_random": "wins against random",
}


@dataclass(frozen=True)
class TextDebaterClaims(MeasuringArgs):
    """What to measure; a repetition is a seed."""

    repetitions: int = 3
    """Seeds of weights, documents and moves."""
    seed: int = 100
    """The first of them."""
    arms: str = "critic"
    """What learns, with commas: critic, self-play."""
    games: int = 64_000
    """Games to learn from."""
    documents: int = 1000
    """Test documents that are debated."""
    searched: int = 30
    """Those among them on which a best response is found."""
    runs: str = "runs/text-debater"
    """Folder of the runs; those that are there are not made again."""


def main(argv: Sequence[str]) -> int:
    """Train, measure, compare."""
    (args,) = parse_options({"text": TextDebaterClaims}, argv, "bench text-debater", __doc__ or "")
    game = Debate()
    exam = Exam(game, "test", args.searched, args.documents, seed=1)
    untrained = _measured(exam, make_game_policy("reader", game, torch.Generator().manual_seed(0)))
    seeds = range(args.seed, args.seed + args.repetitions)
    arms = {arm: [_run(args, arm, seed, exam) for seed in seeds] for arm in args.arms.split(",")}
    _print(arms, untrained)
    return claimed(_claims(arms), args, runs=arms, untrained=untrained)


def _run(args: TextDebaterClaims, arm: str, seed: int, exam: Exam) -> dict[str, Any]:
    """Train with a seed and measure on test documents, or what was measured before."""
    if arm not in ARMS:
        raise unknown("arm", arm, ARMS)
    folder = Path(args.runs) / f"{arm}-{seed}"
    file = folder / "measured.json"
    if not file.is_file():
        cpu = cpu_seconds(lambda: ARMS[arm](args, seed, folder))
        found = _measured(exam, load_game_policy(folder / "last"))
        write_json(file, {"seed": seed, "games": args.games, "cpu": cpu, **found})
    run: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return run


def _with_critic(args: TextDebaterClaims, seed: int, folder: Path) -> None:
    game, generator = Debate(), torch.Generator().manual_seed(seed)
    rng, policy = np.random.default_rng(seed), ReaderPolicy.for_game(game, generator)
    learner, n_updates = ReaderLearner(game, policy, generator), args.games // BATCH
    for update in range(n_updates):
        learner.step(deal_states(game, rng, BATCH, "train"), update / n_updates)
    policy.save(folder / "last")


def _with_means(args: TextDebaterClaims, seed: int, folder: Path) -> None:
    settings = SelfPlayArgs(
        policy="reader",
        games=args.games,
        batch_size=BATCH,
        seed=seed,
        checkpoints=1,
        deals=1,
        matches=2,
        out=str(folder),
    )
    train(settings, "lmgym/Debate-v0", {})


ARMS = {"critic": _with_critic, "self-play": _with_means}


def _measured(exam: Exam, policy: GamePolicy) -> dict[str, Any]:
    """A policy with itself, against random moves, and against a best response."""
    with torch.no_grad():
        rate = exam.against(policy)
        return {
            **exam.facts(policy),
            "exploitability": exam.exploitability(policy),
            "win_random": rate.rate,
            "win_random_interval": [rate.low, rate.high],
        }


def _claims(arms: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[Claim]:
    for arm, runs in arms.items():
        told = {name: [run[name] for run in runs] for name in (*FIGURES, "cpu")}
        mean = mean_interval(told["judge_correct"]).mean
        yield Claim(f"{arm}: judge is right, mean of the seeds", [mean], "", least=0.85)
        yield Claim(f"{arm}: judge is right", told["judge_correct"], "")
        yield Claim(f"{arm}: exploitability", told["exploitability"], "")
        yield Claim(f"{arm}: wins against random", told["win_random"], "")
        yield Claim(f"{arm}: CPU seconds, most", [max(told["cpu"])], "s", most=600)


def _print(arms: Mapping[str, Sequence[Mapping[str, Any]]], untrained: Mapping[str, Any]) -> None:
    table = Table("", "untrained", *arms, box=SIMPLE_HEAD)
    for name, told in FIGURES.items():
        cells = [_cell([run[name] for run in runs]) for runs in arms.values()]
        table.add_row(told, f"{untrained[name]:.3f}", *cells)
    seconds = [" ".join(f"{run['cpu']:.0f}" for run in runs) for runs in arms.values()]
    table.add_row("CPU seconds", "", *seconds)
    Console().print(table)


def _cell(values: Sequence[float]) -> str:
    """The mean, its 95 % interval over seeds, and each value."""
    found = mean_interval(values)
    spread = f" [{found.low:.3f}, {found.high:.3f}]" if len(values) > 1 else ""
    return f"{found.mean:.3f}{spread} ({' '.join(f'{value:.3f}' for value in values)})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
