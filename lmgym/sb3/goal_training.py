"""Training on goal worlds with Stable-Baselines3: a bench of parts, and a session that measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from lmgym.errors import LmgymError
from lmgym.evaluation import Evaluation
from lmgym.factory import make_task
from lmgym.goals import GoalTask
from lmgym.rewards.schedule import RewardSchedule
from lmgym.sb3.training import SB3Session, train_at_bench
from lmgym.sb3.vec_env import as_sb3
from lmgym.task import Verdict
from lmgym.training.arguments import OF_LARGE_MODELS, LearnerArgs, Range
from lmgym.training.presets import default_batch_size
from lmgym.training.uncertainty import wilson_interval
from lmgym.transcript import Transcript

__all__ = ["GoalArgs", "GoalBench", "evaluate_goals", "train_on_goals"]


@dataclass(frozen=True)
class GoalArgs(LearnerArgs):
    """Arguments of learners on goal worlds."""

    model: str = "none"
    """Only none: a small network with random weights."""
    lr: float | None = None
    """Learning rate of Adam; by default 1e-3."""
    steps: int = 120_000
    """Commands to learn from, if the seconds last."""
    reward: str = "sparse"
    """What commands are paid: sparse, -1 until the goal is reached, or verifier, 1 once it is."""
    num_envs: int = 16
    """Episodes that are played at a time."""
    validation_limit: int | None = 128
    """Problems of a validation."""
    seconds: float = 600.0
    """Wall-clock budget of training, validations on the way included."""
    validate_every: float = 10.0
    """Seconds between validations."""
    target: float = 1.01
    """Stop once success on validation reaches this twice in a row; above 1: never."""

    ranges: ClassVar[dict[str, Range]] = LearnerArgs.ranges | {
        "steps": (1, float("inf")),
        "num_envs": (1, float("inf")),
    }

    unused: ClassVar[tuple[str, ...]] = (
        "model",
        "context",
        "max_tokens",
        "test_samples",
        "dtype",
        *OF_LARGE_MODELS,
    )
    is_from_scratch: ClassVar[bool] = True
    level: ClassVar[str] = "goal"
    validate_on: ClassVar[str] = "validation"

    def __post_init__(self) -> None:
        """Raise where a value is not allowed."""
        super().__post_init__()
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name in self.unused and f.name != "model" and value != f.default:
                raise LmgymError(f"{f.name}={value}: goal worlds have no tokens; leave it out")
        if self.model != "none":
            raise LmgymError(
                f"model={self.model!r}: on goal worlds a small network learns from nothing; leave"
                " --model out, or train a language model on the text world"
            )


class GoalBench:
    """The parts of an algorithm on a goal world.

    Args:
        args: of the learner.
        env: id of the world.
        world_args: its arguments.

    Attributes:
        task: the world.
        env: the training environment, a `VecEnv`.
        lr: the learning rate.
    """

    is_judged = True
    alphabet = mask = None

    def __init__(self, args: GoalArgs, env: str, world_args: Mapping[str, Any]) -> None:
        """Check the world, then make the environment."""
        self.args = args
        task = make_task(env, **world_args)
        if not isinstance(task, GoalTask):
            raise LmgymError(
                f"{env} has no goals as vectors; take a goal world such as lmgym/WebGoal-v0"
            )
        self.task = task
        self.lr = args.lr or 1e-3
        self.schedule = RewardSchedule(None)
        self.env: VecEnv = as_sb3(
            gym.make_vec(
                env,
                num_envs=args.num_envs,
                level="goal",
                reward=args.reward,
                autoreset_mode="same_step",
                **world_args,
            )
        )


def train_on_goals(
    agent: str,
    args: GoalArgs,
    env: str,
    world_args: Mapping[str, Any],
    make: Callable[[GoalBench], BaseAlgorithm],
) -> Path:
    """Train an algorithm on a goal world; returns the run folder.

    Args:
        agent: the learner's name.
        args: its arguments.
        env: id of the world.
        world_args: arguments of the world.
        make: the algorithm, from the parts on the bench.
    """

    def session(bench: GoalBench) -> SB3Session:
        parts: Any = bench  # all that the session takes of a workbench
        return _GoalSession(agent, env, world_args, parts, make(bench))

    return train_at_bench(args.seed, lambda: GoalBench(args, env, world_args), session)


class _GoalSession(SB3Session):
    """One training run on a goal world."""

    bench: GoalBench  # type: ignore[assignment]

    @property
    def _is_sampled(self) -> bool:
        return False

    def _introduce(self) -> None:
        bench = self.bench
        self.say(
            f"a small network: {self._n_parameters:,} parameters on {self.algorithm.device},"
            f" {len(bench.task.commands)} commands, {len(bench.task.schema.facts)} facts, learning"
            f" rate {bench.lr:g}, run folder {self.run.path}"
        )

    def _reason_to_stop(self) -> str | None:
        steps = self.bench.args.steps
        if self.algorithm.num_timesteps >= steps:
            return f"{steps:,} commands are done"
        return super()._reason_to_stop()

    def _further_figures(self) -> dict[str, Any]:
        return self._figures_of_splits(self.bench.task)

    def _measure(self, split: str, limit: int, samples: int, *, is_shown: bool) -> Evaluation:
        del samples, is_shown
        return evaluate_goals(self.algorithm, self.bench.task, split=split, limit=limit)

    def _evaluate(self, split: str) -> Evaluation:
        return self._measure(split, *self._limits(split == "test"), is_shown=False)


def evaluate_goals(
    algorithm: BaseAlgorithm, task: GoalTask[Any], *, split: str, limit: int
) -> Evaluation:
    """Measure an algorithm's greedy commands on the first problems of a split.

    Args:
        algorithm: trained on one-hot goals.
        task: the world.
        split: which problems.
        limit: how many of them at most.
    """
    from lmgym.vector import GoalVectorEnv, VectorArgs

    task_ids = task.task_ids(task.check_split(split), limit)
    journeys: list[list[Any]] = []
    size = default_batch_size(0)
    for start in range(0, len(task_ids), size):
        chosen = task_ids[start : start + size]
        args = VectorArgs(num_envs=len(chosen), autoreset_mode="disabled")
        journeys += _play(algorithm, GoalVectorEnv(task, args, reward=None), chosen)
    is_right = [_is_reached(task, states[-1]) for states in journeys]
    lengths = [len(states) - 1 for states in journeys]
    pairs = zip(task_ids, is_right, strict=True)
    return Evaluation(
        split=split,
        n=len(task_ids),
        greedy=float(np.mean(is_right)),
        greedy_interval=wilson_interval(sum(is_right), len(is_right)),
        pass_at_1=None,
        pass_at_1_interval=None,
        samples=0,
        temperature=1.0,
        mean_length=float(np.mean(lengths)),
        transcripts=[
            Transcript((), task_id=task_id, verdict=_verdict(right)) for task_id, right in pairs
        ],
        figures=task.figures(journeys) if task.has_figures else {},
    )


def _play(algorithm: BaseAlgorithm, env: Any, task_ids: Sequence[str]) -> list[list[Any]]:
    """The states of an episode of each problem."""
    observations, _ = env.reset(seed=0, options={"task_id": list(task_ids)})
    journeys = [[state] for state in env.states]
    is_over = np.zeros(len(task_ids), np.bool_)
    while not is_over.all():
        actions, _ = algorithm.predict(observations, deterministic=True)
        step = env.step_rows(actions)
        for row in (~is_over).nonzero()[0].tolist():
            journeys[row].append(env.states[row])
        ended = step.terminations | step.truncations
        is_over |= ended
        observations = step.observations
        if ended.any() and not is_over.all():  # rows that are over play on, and nobody looks
            observations, _ = env.reset(options={"reset_mask": ended})
    return journeys


def _is_reached(task: GoalTask[Any], state: Any) -> bool:
    return bool(task.schema.matches(task.achieved(state), task.desired(state)))


def _verdict(is_right: bool) -> Verdict:
    return Verdict.CORRECT if is_right else Verdict.UNFINISHED
