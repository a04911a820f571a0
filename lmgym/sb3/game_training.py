"""Training on games with Stable-Baselines3: a bench of parts, and a session that measures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from lmgym.errors import LmgymError
from lmgym.evaluation import Evaluation
from lmgym.factory import make_task
from lmgym.games.task import GameTask, Seated
from lmgym.multi_agent import GameAECEnv
from lmgym.rewards.schedule import RewardSchedule
from lmgym.sb3.games import OpponentPool, SeatEnv
from lmgym.sb3.generators import seeded_globals
from lmgym.sb3.training import SB3Session, train_at_bench
from lmgym.task import Verdict
from lmgym.training.arguments import OF_LARGE_MODELS, LearnerArgs, Range
from lmgym.training.uncertainty import mean_interval, rates_interval, wilson_interval
from lmgym.transcript import Transcript

__all__ = ["GameArgs", "GameBench", "evaluate_seats", "train_on_games"]

POOL = "pool"


@dataclass(frozen=True)
class GameArgs(LearnerArgs):
    """Arguments of learners that hold a seat of a game."""

    model: str = "none"
    """Only none: a small network with random weights."""
    against: str = POOL
    """Who plays the other seats in training: pool, frozen copies of the learner, or a player by its
    name, as random or best; `--opponent`, of the world, is who it is measured against."""
    pool_size: int = 10
    """Copies that the pool keeps, the latest."""
    pool_every: int = 5_000
    """Moves between copies."""
    latest: float = 0.5
    """Share of games against the latest copy; the others are against any of them."""
    steps: int = 160_000
    """Moves to learn from, if the seconds last."""
    num_envs: int = 32
    """Games that are played at a time."""
    lr: float | None = None
    """Learning rate of Adam; by default 1e-3."""
    hidden: tuple[int, ...] = (128, 128)
    """Layers of the actor and of the critic each."""
    seconds: float = 600.0
    """Wall-clock budget of training, validations on the way included."""
    validate_every: float = 10.0
    """Seconds between validations."""
    validation_limit: int | None = 64
    """Games of a validation."""
    test_limit: int | None = 256
    """Test games of the evaluations before and after."""
    test_samples: int | None = 1
    """Games of each test deal in which moves are drawn, besides the greedy one."""
    target: float = 1.01
    """Stop once success on validation reaches this twice in a row; above 1: never."""

    ranges: ClassVar[dict[str, Range]] = LearnerArgs.ranges | {
        "seed": (0, 2**32 - 1),  # of NumPy's global generator, which Stable-Baselines3 seeds
        "pool_size": (1, math.inf),
        "pool_every": (1, math.inf),
        "latest": (0, 1),
        "steps": (1, math.inf),
        "num_envs": (1, math.inf),
    }
    default_world: ClassVar[str] = "lmgym/TicTacToe-v0"
    unused: ClassVar[tuple[str, ...]] = (
        "model",
        "context",
        "max_tokens",
        "dtype",
        *OF_LARGE_MODELS,
    )
    learns_from_failure: ClassVar[bool] = True
    is_from_scratch: ClassVar[bool] = True
    level: ClassVar[str] = "seat"
    reward: ClassVar[str] = "gold"
    validate_on: ClassVar[str] = "validation"

    def __post_init__(self) -> None:
        """Raise where a value is not allowed."""
        super().__post_init__()
        for f in fields(self):
            if f.name in self.unused and getattr(self, f.name) != f.default:
                raise LmgymError(
                    f"{f.name}={getattr(self, f.name)}: a small network learns from a game's"
                    f" numbers, without tokens; leave {f.name} out"
                )


class GameBench:
    """The parts of an algorithm that holds a seat of a game.

    Args:
        args: of the learner.
        env: id of the world.
        world_args: its arguments.

    Attributes:
        task: the world, whose opponent the learner is measured against.
        pool: its opponents in training; None where `args.against` is a player.
        env: the training environment, a `VecEnv`.
        lr: the learning rate.
    """

    is_judged = True
    alphabet = mask = None

    def __init__(self, args: GameArgs, env: str, world_args: Mapping[str, Any]) -> None:
        """Check the world, then make the environments."""
        self.args = args
        task = make_task(env, **world_args)
        if not isinstance(task, GameTask):
            raise LmgymError(
                f"{env} is no game for several players; take one, as lmgym/TicTacToe-v0"
            )
        self.task = task
        self.lr = args.lr or 1e-3
        self.schedule = RewardSchedule(None)
        is_pool = args.against == POOL
        settings = (args.pool_size, args.latest, args.pool_every)
        self.pool = OpponentPool(*settings) if is_pool else None
        self.env: VecEnv = DummyVecEnv([self._seat for _ in range(args.num_envs)])

    def _seat(self) -> SeatEnv:
        opponent = self.pool if self.pool is not None else self.args.against
        return SeatEnv(GameAECEnv(self.task.game), opponent, seat=self.task.args.seat)


def train_on_games(
    agent: str,
    args: GameArgs,
    env: str,
    world_args: Mapping[str, Any],
    make: Callable[[GameBench], BaseAlgorithm],
) -> Path:
    """Train an algorithm on a seat of a game; returns the run folder.

    Args:
        agent: the learner's name.
        args: its arguments.
        env: id of the world.
        world_args: arguments of the world.
        make: the algorithm, from the parts on the bench.
    """

    def session(bench: GameBench) -> SB3Session:
        parts: Any = bench  # all that the session takes of a workbench
        return _GameSession(agent, env, world_args, parts, make(bench))

    return train_at_bench(args.seed, lambda: GameBench(args, env, world_args), session)


class _GameSession(SB3Session):
    """One training run on a seat of a game."""

    bench: GameBench  # type: ignore[assignment]

    def learn(self) -> None:
        """Train until the session ends it."""
        self._copy()
        super().learn()

    def log_update(self, metrics: Mapping[str, float]) -> None:
        """Log an update, and freeze a copy for the pool where one is due."""
        self._copy()
        super().log_update(metrics)

    def _copy(self) -> None:
        if self.bench.pool is not None:
            self.bench.pool.see(self.algorithm.policy, self.algorithm.num_timesteps)

    def _is_better(self, score: float) -> bool:
        """In self-play the last checkpoint counts: one opponent does not measure it."""
        return self.bench.pool is not None or super()._is_better(score)

    def _introduce(self) -> None:
        bench = self.bench
        self.say(
            f"a small network: {self._n_parameters:,} parameters on {self.algorithm.device},"
            f" against {bench.args.against}, measured against {bench.task.args.opponent}, learning"
            f" rate {bench.lr:g}, run folder {self.run.path}"
        )

    def _reason_to_stop(self) -> str | None:
        steps = self.bench.args.steps
        if self.algorithm.num_timesteps >= steps:
            return f"{steps:,} moves are done"
        return super()._reason_to_stop()

    def _measure(self, split: str, limit: int, samples: int, *, is_shown: bool) -> Evaluation:
        del is_shown
        words: dict[str, Any] = {"split": split, "limit": limit, "samples": samples}
        return evaluate_seats(self.algorithm, self.bench.task, seed=self.args.seed + 1, **words)

    def _evaluate(self, split: str) -> Evaluation:
        return self._measure(split, *self._limits(split == "test"), is_shown=False)


def evaluate_seats(
    algorithm: BaseAlgorithm,
    task: GameTask,
    *,
    split: str = "test",
    limit: int = 256,
    samples: int = 0,
    seed: int = 0,
) -> Evaluation:
    """Measure an algorithm on the first games of a split, against the world's opponent.

    Success is to win; `figures` have the shares of draws and losses of the greedy games too.

    Args:
        algorithm: reads a game's features; masks are given to those that take them.
        task: the world.
        split: which games.
        limit: how many of them at most.
        samples: games of each deal in which moves are drawn.
        seed: of these.
    """
    task_ids = task.task_ids(task.check_split(split), limit)
    won = _play(algorithm, task, task_ids, is_greedy=True)
    with seeded_globals(seed % 2**32):
        drawn = _play(algorithm, task, task_ids * samples, is_greedy=False) if samples else None
    rates = None if drawn is None else (drawn.reshape(samples, -1) > 0).mean(0).tolist()
    mean = mean_interval(won.tolist())
    pairs = zip(task_ids, won > 0, strict=True)
    return Evaluation(
        split=split,
        n=len(task_ids),
        greedy=float((won > 0).mean()),
        greedy_interval=wilson_interval(int((won > 0).sum()), len(won)),
        pass_at_1=None if rates is None else float(np.mean(rates)),
        pass_at_1_interval=None if rates is None else rates_interval(rates),
        samples=samples,
        temperature=1.0,
        mean_length=math.nan,
        transcripts=[Transcript((), task_id=i, verdict=_verdict(is_won)) for i, is_won in pairs],
        gold_reward=mean.mean,
        gold_reward_interval=(mean.low, mean.high) if math.isfinite(mean.low) else None,
        figures={"drawn": float((won == 0).mean()), "lost": float((won < 0).mean())},
    )


def _play(
    algorithm: Any, task: GameTask, task_ids: Sequence[str], *, is_greedy: bool
) -> NDArray[np.float64]:
    """What the learner wins in each game, shape (N,); a move of all games at a time."""
    rng = np.random.default_rng(0)  # nothing is drawn from it
    states: list[Seated] = [task.reset(rng, task_id=task_id).state for task_id in task_ids]
    running = list(range(len(states)))
    while running:
        seen = np.stack([task.features(states[row]) for row in running])
        words = {"action_masks": _masks(task, [states[row] for row in running])}
        takes = words if _takes_masks(algorithm) else {}
        actions, _ = algorithm.predict(seen, deterministic=is_greedy, **takes)
        goes_on = []
        for row, action in zip(running, actions.tolist(), strict=True):
            reply = task.reply(states[row], task.choices[action], rng)
            states[row] = reply.state
            if reply.verdict is None:
                goes_on.append(row)
        running = goes_on
    return np.array([state.returns for state in states])


def _masks(task: GameTask, states: Sequence[Seated]) -> NDArray[np.bool_]:
    masks = np.zeros((len(states), task.game.n_actions), np.bool_)
    for row, state in enumerate(states):
        masks[row, list(task.allowed(state))] = True
    return masks


def _takes_masks(algorithm: Any) -> bool:
    from sb3_contrib import MaskablePPO

    return isinstance(algorithm, MaskablePPO)


def _verdict(is_won: bool) -> Verdict:
    return Verdict.CORRECT if is_won else Verdict.INCORRECT
