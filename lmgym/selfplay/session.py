"""`SelfPlaySession`: what surrounds the updates of self-play: budget, checkpoints, files."""

from __future__ import annotations

import copy
import math
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from rich.table import Table

from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.games.game import Game
from lmgym.games.policies import GamePolicy, make_game_policy
from lmgym.games.task import GameTask, SeatArgs
from lmgym.selfplay.averages import make_average
from lmgym.selfplay.curves import draw_self_play
from lmgym.selfplay.exams import Exam
from lmgym.training.presets import use_threads
from lmgym.training.progress import TrainingDisplay
from lmgym.training.runs import Interrupt, RunFolder, read_metrics

__all__ = ["SelfPlaySession", "SessionArgs"]

_LINES = 200
"""Lines of metrics in a run, about."""

Range = tuple[float, float]


@dataclass(frozen=True)
class SessionArgs:
    """Arguments of every run of self-play."""

    policy: str = "auto"
    """What learns: tabular, linear, mlp, reader, or the directory of a saved policy; auto takes
    the first of them that suits the game."""
    games: int = 50_000
    """Stop after so many games; with the same seed they give the same weights."""
    seconds: float = math.inf
    """Stop after so many seconds, measures on the way included; by default never."""
    seed: int = 0
    """Seed of deals, moves and weights."""
    checkpoints: int = 20
    """Times, evenly over a run, that the policy is measured, saved and kept as an opponent."""
    deals: int = 20
    """Deals on which best responses are sought, where a game cannot list all there are."""
    matches: int = 100
    """Deals of a match, each of which is played in every seat."""
    out: str | None = None
    """Run folder; by default runs/self-play-ENV-TIME."""
    device: str = "cpu"
    """Where the policy runs: cpu, cuda, cuda:1, ..."""
    track: str | None = None
    """Log to wandb or trackio as well."""

    default_world: ClassVar[str] = "lmgym/KuhnPoker-v0"
    ranges: ClassVar[dict[str, Range]] = {
        "games": (1, math.inf),
        "seconds": (1e-9, math.inf),
        "seed": (0, 2**63 - 1),
        "checkpoints": (1, 10_000),
        "deals": (1, 10_000),
        "matches": (2, 1_000_000),
    }

    def __post_init__(self) -> None:
        """Raise where a number is out of its range."""
        for name, (low, high) in self.ranges.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise LmgymError(f"{name}={value} is out of range; allowed are {low:g} to {high:g}")


class SelfPlaySession:
    """One run of self-play.

    Args:
        agent: the learner's name.
        args: of the run.
        env: id of a world that is a game.
        world_args: its arguments.

    Attributes:
        run: the run folder.
        game: the rules.
        policy: is trained in place.
        exam: measures policies on validation deals.
        average: of the policies so far; whoever learns adds to it.
        kept: the policy as it was at each checkpoint, with the games until then.
        rng: draws deals and moves.
    """

    def __init__(
        self, agent: str, args: SessionArgs, env: str, world_args: Mapping[str, Any]
    ) -> None:
        self.args = args
        self.game = _game(env, world_args)
        generator = torch.Generator().manual_seed(args.seed)
        self.policy = make_game_policy(args.policy, self.game, generator).to(args.device)
        n_parameters = sum(p.numel() for p in self.policy.parameters())
        use_threads(n_parameters)
        self.rng = np.random.default_rng(args.seed)
        self.exam = Exam(self.game, "validation", args.deals, args.matches, args.seed)
        self.average = make_average(self.policy, self.exam.tree)
        self.kept: dict[int, GamePolicy] = {}
        self._n_games = self._n_updates = 0
        self._best = -math.inf
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._n_summed = 0
        self._stopped = ""
        self._interrupt = Interrupt()
        self._display = TrainingDisplay(f"{agent} on {env}", args.games, "games")
        self.run = RunFolder(agent, env, args.out, seed=args.seed, track=args.track)
        facts = {"world": dict(world_args), "policy": self.policy.kind, "parameters": n_parameters}
        self.run.write_record({"status": "running", "args": args, **facts})

    def __enter__(self) -> Self:
        """Say what is trained, and start the clock."""
        told = "" if self.exam.tree else "; the game is too large for best responses"
        self._display.print(f"{self.policy.kind} policy of {self.run.env}{told}")
        with ExitStack() as stack:
            stack.callback(self.run.close)
            stack.enter_context(self._interrupt)
            self._stack = stack.pop_all()
        self._display.__enter__()
        self._started = time.perf_counter()
        return self

    @property
    def share(self) -> float:
        """Of the budget that is spent."""
        seconds = time.perf_counter() - self._started
        return min(1.0, max(self._n_games / self.args.games, seconds / self.args.seconds))

    def batches(self) -> Iterator[float]:
        """Shares of the budget that are spent, one for each batch, until all of it is.

        On the way checkpoints are made: at the start, and after each part of the budget.
        """
        while not self._interrupt.interrupted:
            share = self.share
            if share * self.args.checkpoints >= len(self.kept):
                self._checkpoint()
            if share >= 1:
                is_full = self._n_games >= self.args.games
                self._stopped = f"the {'games are played' if is_full else 'seconds are over'}"
                return
            yield share

    def log(self, metrics: Mapping[str, float], n_games: int) -> None:
        """Take in an update and the games it learned from; means are logged now and then."""
        before = self._n_games * _LINES // self.args.games
        self._n_games += n_games
        self._n_updates += 1
        self._n_summed += 1
        for name, value in metrics.items():
            self._sums[name] += value
        if self._n_games * _LINES // self.args.games > before:
            self._write({})

    def __exit__(self, kind: Any, exception: BaseException | None, traceback: Any) -> bool:
        """Save, measure on test deals, and report."""
        with self._stack:
            self._display.__exit__(kind, exception, traceback)
            self.policy.save(self.run.path / "last")
            is_interrupted = self._interrupt.interrupted or kind is KeyboardInterrupt
            if exception is None and not is_interrupted:
                self._finish()
            else:
                self._record("interrupted" if is_interrupted else f"failed: {exception}")
                self._display.print(f"stopped; the last policy is in {self.run.path / 'last'}")
            return is_interrupted

    def _checkpoint(self) -> None:
        """Measure the policy and its average, save the better one, and keep the policy."""
        exam, average = self.exam, self.average
        average.refresh()
        frozen = copy.deepcopy(self.policy).requires_grad_(False).eval()
        measured: dict[str, float] = {}
        scores: list[tuple[float, GamePolicy]] = []
        for name, policy in (("", self.policy), ("/average", average.policy)):
            found = exam.exploitability(policy)
            if found is not None:
                measured[f"exploitability{name}"] = found
                scores.append((-found, policy))
        rates = {"random": exam.against(self.policy)}
        if self.kept:
            earlier = list(self.kept.values())
            rates |= {"first": exam.against(self.policy, earlier[0])}
            rates |= {"previous": exam.against(self.policy, earlier[-1])}
        for name, rate in rates.items():
            measured |= {f"win/{name}": rate.rate, f"gain/{name}": rate.gain}
            measured |= {f"win/{name}/low": rate.low, f"win/{name}/high": rate.high}
        measured |= exam.facts(self.policy)
        self._save_best(scores or [(rates["random"].rate, self.policy)])
        frozen.save(self.run.path / "checkpoints" / f"{self._n_games:09d}")
        self.kept[self._n_games] = frozen
        self._write(measured)
        self._display.print(f"{self._n_games:,} games: {_in_short(measured)}")

    def _save_best(self, scores: list[tuple[float, GamePolicy]]) -> None:
        score, policy = max(scores, key=lambda pair: pair[0])
        if score >= self._best:
            self._best = score
            policy.save(self.run.path / "best")
            self._best_policy = copy.deepcopy(policy).eval()

    def _write(self, measured: Mapping[str, float]) -> None:
        """A line of metrics: means since the last one, and what was measured."""
        means = {name: total / self._n_summed for name, total in self._sums.items()}
        self._sums.clear()
        self._n_summed = 0
        self.run.log(self._n_updates, {"games": self._n_games, **means, **measured})
        self._display.update(self._n_games, {**means, **measured})

    def _finish(self) -> None:
        """Measure on test deals what came of it."""
        args = self.args
        self.average.refresh()
        self.average.policy.save(self.run.path / "average")
        exam = Exam(self.game, "test", args.deals, args.matches, args.seed + 1)
        policies = {
            "first": next(iter(self.kept.values())),
            "last": self.policy,
            "average": self.average.policy,
            "best": self._best_policy,
        }
        tested = {name: _tested(exam, policy) for name, policy in policies.items()}
        earlier = {
            games: exam.against(self._best_policy, policy)
            for games, policy in self.kept.items()
            if games < self._n_games
        }
        self._record("finished", test=tested, best_against=earlier)
        metrics = read_metrics(self.run.path)
        title = f"{self.run.agent} on {self.run.env}"
        draw_self_play(metrics, self.run.path / "curve.png", title=title)
        self._display.console.print(_table(tested))
        games, least = min(earlier.items(), key=lambda item: item[1].rate)
        self._display.print(
            f"best policy against its {len(earlier)} earlier checkpoints: at least {least},"
            f" after {games:,} games"
        )
        best, curve = self.run.path / "best", self.run.path / "curve.png"
        self._display.print(f"stopped after {self._n_games:,} games: {self._stopped}")
        self._display.print(f"policy {best}, curve {curve}")

    def _record(self, status: str, **facts: Any) -> None:
        seconds = time.perf_counter() - self._started
        told = {"seconds_of_training": seconds, "games": self._n_games, "updates": self._n_updates}
        self.run.write_record({"status": status, "stopped": self._stopped, **told, **facts})


def _game(env: str, world_args: Mapping[str, Any]) -> Game[Any]:
    """The game of a world."""
    for name, default in asdict(SeatArgs()).items():
        if world_args.get(name, default) != default:
            raise LmgymError(f"self-play fills all seats itself; leave {name} out")
    task = make_task(env, **world_args)
    if not isinstance(task, GameTask):
        raise LmgymError(f"{env} is no game for several players; take lmgym/KuhnPoker-v0")
    return task.game


def _tested(exam: Exam, policy: GamePolicy) -> dict[str, Any]:
    """What a policy is worth on test deals."""
    found: dict[str, Any] = {"against random": asdict(exam.against(policy)), **exam.facts(policy)}
    exploitability = exam.exploitability(policy)
    return found if exploitability is None else {"exploitability": exploitability, **found}


def _in_short(measured: Mapping[str, float]) -> str:
    told = []
    if "exploitability" in measured:
        both = measured["exploitability"], measured["exploitability/average"]
        told.append("exploitability {:.4f}, of the average {:.4f}".format(*both))
    against = "{:.1%} and {:+.3f} a game against random"
    told.append(against.format(measured["win/random"], measured["gain/random"]))
    return ", ".join(told)


def _table(tested: Mapping[str, Mapping[str, Any]]) -> Table:
    """The policies side by side."""
    table = Table("on test deals", *tested)
    for name in next(iter(tested.values())):
        values = [found[name] for found in tested.values()]
        table.add_row(name.replace("_", " "), *map(_shown, values))
    return table


def _shown(value: Any) -> str:
    """A number, or what a match gave."""
    if isinstance(value, dict):
        return f"{value['rate']:.1%} {value['gain']:+.2f}"
    return f"{value:.4f}"
