"""MaskablePPO in a seat of tic-tac-toe and of Nim, over seeds: won, drawn and lost.

`lmgym bench sb3-self-play` trains `lmgym train sb3-self-play` against copies of itself, and once
against a perfect player, one seed after the other with one thread, and lets the last checkpoint
play games of the test split against random moves and against perfect play, taking its likeliest
moves. CPU time is that of training, validations on the way included.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sb3_contrib import MaskablePPO

from lmgym.agents.sb3_self_play import SB3SelfPlayArgs, train
from lmgym.commands.arguments import parse_options
from lmgym.commands.files import check_file
from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.sb3.game_training import evaluate_seats
from lmgym.training.uncertainty import mean_interval
from measuring import Claim, claimed

TIC_TAC_TOE, NIM = "lmgym/TicTacToe-v0", "lmgym/Nim-v0"

ARMS: Mapping[str, tuple[str, Mapping[str, Any], str]] = {
    "tic-tac-toe, self-play": (TIC_TAC_TOE, {}, "pool"),
    "nim, self-play": (NIM, {"heaps": 3, "most": 3}, "pool"),
    "nim, against best": (NIM, {"heaps": 3, "most": 3}, "best"),
}
"""The world of each arm, its arguments, and who plays the other seat in training."""


@dataclass(frozen=True)
class SB3SelfPlayBenchArgs:
    """Arguments of the benchmark."""

    seeds: int = 3
    """Seeds of each arm."""
    first_seed: int = 500
    """The first of them."""
    steps: int = 120_000
    """Moves of the learner."""
    games: int = 400
    """Test games against each opponent, half of them in each seat."""
    out: str = "benchmarks/results/sb3_self_play.json"
    """Where the results go."""

    def __post_init__(self) -> None:
        """Raise where there is nothing to run, or nowhere to write."""
        if min(self.seeds, self.steps, self.games) < 1:
            raise LmgymError(
                f"--seeds {self.seeds} --steps {self.steps} --games {self.games}: each must be"
                " above 0"
            )
        check_file(self.out)


def main(argv: Sequence[str]) -> int:
    """Train and play; 1 where a bar is missed."""
    (args,) = parse_options(
        {"sb3-self-play": SB3SelfPlayBenchArgs}, argv, "bench sb3-self-play", __doc__ or ""
    )
    torch.set_num_threads(1)
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    runs = {name: [_run(name, args, seed) for seed in seeds] for name in ARMS}
    summary = {name: _summary(found) for name, found in runs.items()}
    return claimed(_claims(runs), args, summary=summary, runs=runs)


def _run(name: str, args: SB3SelfPlayBenchArgs, seed: int) -> dict[str, float]:
    """Train a seed, and play; shares of games against each opponent."""
    env, world, against = ARMS[name]
    own = SB3SelfPlayArgs(
        seed=seed, steps=args.steps, against=against, seconds=math.inf, test_limit=2
    )
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        run = train(replace(own, out=str(Path(folder) / "run")), env, world)
        cpu = time.process_time() - start
        algorithm = MaskablePPO.load(run / "last" / "sb3.zip", device="cpu")
    found = {"seed": float(seed), "cpu": cpu}
    for opponent in ("random", "best"):
        task: Any = make_task(env, opponent=opponent, **world)
        played = evaluate_seats(algorithm, task, limit=args.games)
        shares = {"won": played.greedy, **played.figures}
        found |= {f"{share}, {opponent}": value for share, value in shares.items()}
    told = ", ".join(f"{key} {value:.3f}" for key, value in found.items())
    print(f"{name}: {told}", flush=True)
    return found


def _summary(runs: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Means over seeds with 95 % intervals."""
    told = {}
    for key in runs[0]:
        if key != "seed":
            found = mean_interval([run[key] for run in runs])
            ends = {"low": found.low, "high": found.high} if len(runs) > 1 else {}
            told[key] = {"mean": found.mean, **ends}
    return told


def _claims(runs: Mapping[str, Sequence[Mapping[str, float]]]) -> Iterator[Claim]:
    """What is claimed of all seeds together."""
    ttt, copies, best = (runs[name] for name in ARMS)
    yield Claim("won against random, tic-tac-toe", _of(ttt, "won, random"), "", least=0.85)
    yield Claim("lost against random, tic-tac-toe", _of(ttt, "lost, random"), "", most=0.1)
    yield Claim("lost against best, tic-tac-toe", _of(ttt, "lost, best"), "", most=0.5)
    yield Claim("won against random, nim", _of(copies, "won, random"), "", least=0.65)
    yield Claim("won against best, nim, self-play", _of(copies, "won, best"), "")  # 0.5 at best
    yield Claim("won against best, nim, trained against it", _of(best, "won, best"), "")
    cpu = [float(np.max(_of(found, "cpu"))) for found in runs.values()]
    yield Claim("most CPU of a seed", [max(cpu)], "s", most=240)


def _of(runs: Sequence[Mapping[str, float]], key: str) -> list[float]:
    return [run[key] for run in runs]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
