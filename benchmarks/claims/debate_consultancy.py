"""Debate tells a judge more than consultancy, and consultancy more than nobody.

Khan et al. (2024, "Debating with more persuasive LLMs leads to more truthful answers") and Kenton
et al. (2024, "On scalable oversight with weak LLMs judging strong LLMs") compare a judge who hears
two debaters with one who hears a consultant, who argues for a side that may be wrong, and with one
who hears nobody. Here the judge follows rules and truth is known. Debaters have learned by
self-play; the consultant is one of them, for a side that is drawn, and what is quoted for the other
side is beside the point. Accuracy is of test documents, for each document the mean over seeds.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from lmgym.agents.self_play import SelfPlayArgs, train
from lmgym.commands.arguments import parse_options
from lmgym.commands.files import check_file
from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.games.players import RandomPlayer
from lmgym.games.policies import load_game_policy
from lmgym.games.run import Turn
from lmgym.games.task import GameTask
from lmgym.selfplay.playing import Chooser, PlayerChooser, PolicyChooser, fixed_deals, play_out
from lmgym.training.uncertainty import rates_interval
from measuring import Claim, claimed

WORLD = "lmgym/Debate-v0"


@dataclass(frozen=True)
class ConsultancyArgs:
    """Arguments of the benchmark."""

    seeds: int = 5
    """Seeds of training, and of moves."""
    seed: int = 200
    """The first."""
    games: int = 6_400
    """Games of self-play."""
    documents: int = 2_000
    """Test documents."""
    out: str | None = None
    """Write the results to this .json file as well."""

    def __post_init__(self) -> None:
        """Raise where there would be nothing to measure, or nowhere to write."""
        if min(self.seeds, self.games) < 1 or self.documents < 2 or self.seed < 0:
            raise LmgymError(
                f"--seeds {self.seeds} --seed {self.seed} --games {self.games} --documents"
                f" {self.documents}: needs a seed, a game and 2 documents or more"
            )
        if self.out is not None:
            check_file(self.out)


class BesidePlayer:
    """Quotes what is beside the point: sentences that defeat nothing, as long as there are some."""

    def act(self, turn: Turn, rng: np.random.Generator) -> int:
        """A quote."""
        targets = turn.state.document.targets
        legal = turn.game.legal(turn.state)
        beside = [place for place in legal if not targets[place]] or legal
        return int(rng.choice(beside))


Rights = dict[str, NDArray[np.float64]]
"""Of each document whether the judge was right, by who was heard."""


def main(argv: Sequence[str]) -> int:
    """Measure, print, write; 1 where a bar is missed."""
    (args,) = parse_options(
        {"benchmark": ConsultancyArgs}, argv, "bench claims/debate-consultancy", __doc__ or ""
    )
    task = make_task(WORLD)
    assert isinstance(task, GameTask)
    starts = [state for _, state in fixed_deals(task.game, args.documents, "test")]
    runs = [_judged(args, task.game, starts, args.seed + i) for i in range(args.seeds)]
    told = {name: _told([run[name] for run in runs]) for name in runs[0]}
    _show(told)
    return claimed(_claims(told), args, accuracy=told)


def _judged(args: ConsultancyArgs, game: Any, starts: Sequence[Any], seed: int) -> Rights:
    """Train, and let the judge hear all kinds of debates."""
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "run")
        settings = SelfPlayArgs(
            policy="linear",
            games=args.games,
            batch_size=64,
            seed=seed,
            checkpoints=4,
            deals=10,
            matches=20,
            out=out,
        )
        debater = PolicyChooser(load_game_policy(train(settings, WORLD, {}) / "best"))
    rng = np.random.default_rng(seed)
    both = np.zeros((len(starts), 2), np.int64)
    one = both.copy()
    one[np.arange(len(starts)), rng.integers(2, size=len(starts))] = 1
    random = PlayerChooser(RandomPlayer())
    heard: dict[str, tuple[list[Chooser], NDArray[np.int64]]] = {
        "debate": ([debater], both),
        "random quotes": ([random], both),
        "consultancy": ([debater, PlayerChooser(BesidePlayer())], one),
    }
    found = {
        name: _right(game, play_out(game, starts, choosers, seats, rng))
        for name, (choosers, seats) in heard.items()
    }
    return {**found, "nobody": _right(game, starts)}


def _right(game: Any, states: Sequence[Any]) -> NDArray[np.float64]:
    return np.array([game.accepts(s) == s.document.is_true for s in states], np.float64)


def _told(rights: Sequence[NDArray[np.float64]]) -> dict[str, Any]:
    """The mean over documents and seeds, its interval over documents, and each seed's mean."""
    by_document = np.mean(rights, axis=0)
    low, high = rates_interval(by_document.tolist())
    by_seed = [float(right.mean()) for right in rights]
    return {"mean": float(by_document.mean()), "low": low, "high": high, "by_seed": by_seed}


def _claims(told: Mapping[str, Mapping[str, Any]]) -> list[Claim]:
    claims = [Claim(f"accuracy, {name}", found["by_seed"], "") for name, found in told.items()]
    for better, worse in (("debate", "consultancy"), ("consultancy", "nobody")):
        gap = told[better]["low"] - told[worse]["high"]
        claims.append(Claim(f"gap of intervals, {better} over {worse}", [gap], "", least=0.0))
    return claims


def _show(told: Mapping[str, Mapping[str, Any]]) -> None:
    table = Table("the judge hears", "accuracy", "95 % interval", box=SIMPLE_HEAD)
    for name, found in told.items():
        table.add_row(name, f"{found['mean']:.3f}", f"{found['low']:.3f} to {found['high']:.3f}")
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
