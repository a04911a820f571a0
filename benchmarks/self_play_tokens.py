"""Self-play of a policy that writes its moves, over seeds: Kuhn poker and a small Nim.

`lmgym bench self-play-tokens` trains `lmgym train self-play-grpo` from nothing in two parts, the
imitation of legal moves and self-play, one seed after the other with one thread, and measures the
policy after each. Exploitability is exact: the probability of each legal message in each situation
is computed, not sampled. Won games and legal messages are counted in games of the test split
against random moves, half of them in each seat. CPU time is that of training.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmgym.agents.self_play_grpo import SelfPlayGRPOArgs, legal_share, train
from lmgym.commands.arguments import parse_options
from lmgym.commands.files import check_file
from lmgym.envs.nim.rules import Heaps
from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.games.collecting import Contestant, GameCollector
from lmgym.games.message_policy import MessagePolicy, information_sets
from lmgym.games.players import RandomPlayer
from lmgym.policies.loading import load_policy
from lmgym.search.exact import exploitability
from lmgym.training.uncertainty import mean_interval
from measuring import Claim, claimed

KUHN, NIM = "lmgym/KuhnPoker-v0", "lmgym/Nim-v0"


@dataclass(frozen=True)
class Arm:
    """A game, and how it is learned.

    Attributes:
        env: the world.
        world: its arguments.
        settings: of the learner.
        updates: of self-play.
    """

    env: str
    world: Mapping[str, Any]
    settings: SelfPlayGRPOArgs
    updates: int


ARMS: Mapping[str, Arm] = {
    "kuhn poker": Arm(KUHN, {}, SelfPlayGRPOArgs(n_layers=1), 40),
    "nim": Arm(NIM, {"heaps": 2, "most": 3}, SelfPlayGRPOArgs(n_layers=1, beta=0.02), 40),
}
"""What is trained, by name."""


@dataclass(frozen=True)
class SelfPlayTokensArgs:
    """Arguments of the benchmark."""

    seeds: int = 3
    """Seeds of each game."""
    first_seed: int = 600
    """The first of them."""
    games: int = 512
    """Test games against random moves."""
    out: str = "benchmarks/results/self_play_tokens.json"
    """Where the results go."""

    def __post_init__(self) -> None:
        """Raise where there is nothing to run, or nowhere to write."""
        if min(self.seeds, self.games) < 1:
            raise LmgymError(f"--seeds {self.seeds} --games {self.games}: each must be above 0")
        check_file(self.out)


def main(argv: Sequence[str]) -> int:
    """Train and measure; 1 where a bar is missed."""
    (args,) = parse_options(
        {"self-play-tokens": SelfPlayTokensArgs}, argv, "bench self-play-tokens", __doc__ or ""
    )
    torch.set_num_threads(1)
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    runs = {name: [_run(name, args, seed) for seed in seeds] for name in ARMS}
    summary = {name: _summary(found) for name, found in runs.items()}
    return claimed(_claims(runs), args, summary=summary, runs=runs)


def _run(name: str, args: SelfPlayTokensArgs, seed: int) -> dict[str, float]:
    """Imitate and play; what the policy does after each."""
    arm = ARMS[name]
    quiet: dict[str, Any] = {"seconds": math.inf, "validate_every": math.inf, "seed": seed}
    quiet |= {"test_limit": 2, "test_samples": 1, "validation_limit": 2}
    own = replace(arm.settings, **quiet)
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        path = Path(folder) / "imitation"
        run = train(replace(own, updates=own.imitation, out=str(path)), arm.env, arm.world)
        between = time.process_time()
        found = {"seed": float(seed), "cpu, imitation": between - start}
        found |= _measured(arm, run / "last", args, "imitation")
        start, path = time.process_time(), Path(folder) / "play"
        own = replace(own, model=str(run / "last"), imitation=0, updates=arm.updates)
        run = train(replace(own, out=str(path)), arm.env, arm.world)
        found["cpu, self-play"] = time.process_time() - start
        found |= _measured(arm, run / "last", args, "self-play")
    print(f"{name}: " + ", ".join(f"{key} {value:.3f}" for key, value in found.items()), flush=True)
    return found


def _measured(arm: Arm, model: Path, args: SelfPlayTokensArgs, part: str) -> dict[str, float]:
    """The figures of a policy, named after the part of training that it has been through."""
    task: Any = make_task(arm.env, **arm.world)
    game, policy = task.game, load_policy(model)
    deals = game.deals() or _all_heaps(**arm.world)
    message = MessagePolicy(policy, game)
    message.read(information_sets(game, deals) or [])
    lineups: list[tuple[Contestant, Contestant]] = [
        (policy, RandomPlayer()) if place % 2 else (RandomPlayer(), policy)
        for place in range(args.games)
    ]
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    collector = GameCollector(game, max_tokens=task.answer_bytes())
    games = collector.play(lineups, rng, generator, split="test")
    won = np.array([g.run.returns[0 if g.lineup[0] is policy else 1] for g in games])
    found = {
        "exploitability": exploitability(game, message, deals),
        "legal probability": message.coverage,
        "legal messages": legal_share(games, policy),
        "won against random": float((won > 0).mean()),
        "return against random": float(won.mean()),
    }
    return {f"{name}, {part}": value for name, value in found.items()}


def _all_heaps(heaps: int, most: int) -> list[tuple[float, Heaps]]:
    """Every start of Nim, equally likely as they are."""
    sizes = list(product(range(1, most + 1), repeat=heaps))
    return [(1 / len(sizes), Heaps(some, 0)) for some in sizes]


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
    """What is told of each game; that self-play has improved it is the only bar."""
    for name, found in runs.items():
        for figure in ("legal messages", "won against random", "exploitability"):
            for part in ("imitation", "self-play"):
                values = [run[f"{figure}, {part}"] for run in found]
                yield Claim(f"{name}, {figure} after {part}", values, "")
        gained = [
            run["return against random, self-play"] - run["return against random, imitation"]
            for run in found
        ]
        yield Claim(f"{name}, gain of self-play against random", gained, "", least=0.1)
        cpu = [run["cpu, imitation"] + run["cpu, self-play"] for run in found]
        yield Claim(f"{name}, CPU", cpu, "s")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
