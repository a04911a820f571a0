"""Hindsight experience replay: what an episode did reach is what it shall have been asked for.

For worlds of goals (Andrychowicz et al. 2017, "Hindsight Experience Replay") a DQN that chooses
among admissible commands learns from transitions whose goals, rewards and ends are told again.
For worlds of text (Zhang et al. 2023, "The Wisdom of Hindsight"; Sun et al. 2019, "Policy
Continuation with Hindsight Inverse Dynamics") a language policy learns by supervision: each
stretch of an episode that changed something demonstrates the instruction that asks for this
change. It starts from random commands and goes on from its own episodes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from stable_baselines3 import DQN
from stable_baselines3.her import HerReplayBuffer

from lmgym.errors import LmgymError, unknown
from lmgym.factory import make_task
from lmgym.hindsight import Journey, RetellableTask, Strategy, journey_of
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policies.learned_tokenizer import learn_renderer
from lmgym.policies.loading import load_policy
from lmgym.registry import WorldSpec
from lmgym.rollouts import RolloutBatch
from lmgym.sb3.arguments import check_layers
from lmgym.sb3.goal_buffer import GoalReplayBuffer, GoalStrategy
from lmgym.sb3.goal_training import GoalArgs, GoalBench, train_on_goals
from lmgym.sb3.masked_dqn import MaskedDQN
from lmgym.sb3.q_learning import QLearningArgs
from lmgym.training.arguments import LearnerArgs, Range
from lmgym.training.retelling import DemonstrationBuffer, Relabeling, as_text, explore
from lmgym.training.session import TrainingSession

from .embedded import new_policy
from .sft import supervised_step

__all__ = ["HERArgs", "HERGoalArgs", "arguments_for", "dqn", "train"]

_COMMAND_IDS = 24
"""Ids that a message may take on average, with a learned tokenizer three times what it needs."""
_TEXTS = 8_000
"""Messages that a tokenizer is learned from."""


@dataclass(frozen=True)
class HERArgs(LearnerArgs):
    """Arguments of hindsight for language policies."""

    model: str = "none"
    """The policy to start from; none for a small new one with a tokenizer of the world's texts."""
    seconds: float = 240.0
    """Wall-clock budget of training, validations on the way included."""
    relabel: Relabeling = "later"
    """How episodes are told again: up to the next change, later ones too, or the final one; none
    imitates episodes that succeeded, as they were."""
    most_changes: int = 3
    """Changes that a stretch of an episode may span."""
    explore_episodes: int = 4_000
    """Episodes of random commands at the start."""
    play_every: int = 500
    """Updates between rounds of the policy's own episodes."""
    play_episodes: int = 64
    """Episodes of such a round."""
    temperature: float = 1.0
    """At which the policy plays."""
    batch_size: int = 32
    """Examples a batch."""
    reading: float = 0.2
    """Share of the seconds in which whole examples are learned, what is read and what is written,
    in place of what is written alone; for new policies, which cannot read yet."""
    lr: float | None = 3e-3
    """Learning rate of AdamW, after a warm-up; it falls with a cosine over the seconds."""
    warmup: int = 100
    """Updates in which the learning rate rises."""
    vocabulary: int = 1_024
    """Ids of a new policy's tokenizer at most."""
    hidden_size: int = 64
    """Width of a new policy."""
    n_layers: int = 2
    """Layers of a new policy."""
    validation_limit: int | None = 64
    """Problems of a validation."""
    validate_every: float = 40.0
    """Seconds between validations."""
    micro_tokens: int = 16_384
    """Tokens of one forward pass, padding included; lower it when memory runs out."""

    learns_from_failure: ClassVar[bool] = True
    default_world: ClassVar[str] = "lmgym/WebGoal-v0"
    ranges: ClassVar[dict[str, Range]] = LearnerArgs.ranges | {
        "most_changes": (1, math.inf),
        "explore_episodes": (1, math.inf),
        "play_every": (1, math.inf),
        "play_episodes": (0, math.inf),
        "temperature": (0.01, 100),
        "batch_size": (1, math.inf),
        "reading": (0, 1),
        "warmup": (0, math.inf),
        "vocabulary": (512, math.inf),
        "hidden_size": (8, math.inf),
        "n_layers": (1, math.inf),
        "micro_tokens": (1, math.inf),
    }

    def __post_init__(self) -> None:
        """Raise where a value is not allowed."""
        super().__post_init__()
        _check_relabel(self.relabel, get_args(Strategy))


@dataclass(frozen=True)
class HERGoalArgs(QLearningArgs, GoalArgs):
    """Arguments of hindsight for goal worlds: a DQN with masks and a relabelling buffer."""

    relabel: GoalStrategy | Literal["none"] = "future_change"
    """Which outcome of its episode becomes the goal of a transition: one of the later changes, any
    later one, the final one, any of the episode; with none nothing is relabelled."""
    n_sampled_goal: int = 4
    """Relabelled transitions for each real one."""
    gamma: float = 0.95
    """Discount of a command."""
    train_freq: int = 2
    """Commands of each episode between updates."""
    gradient_steps: int = 4
    """Optimiser steps an update."""
    buffer_size: int = 120_000
    """Transitions that are remembered."""
    learning_starts: int = 2_000
    """Commands at random before the first update."""
    exploration_steps: int = 30_000
    """Commands in which the share of random ones falls from 1 to `exploration_rate`."""

    learns_from_failure: ClassVar[bool] = True
    ranges: ClassVar[dict[str, Range]] = (
        GoalArgs.ranges | QLearningArgs.ranges | {"n_sampled_goal": (1, math.inf)}
    )

    def __post_init__(self) -> None:
        """Raise where a value is not allowed."""
        super().__post_init__()
        check_layers(self.hidden)
        _check_relabel(self.relabel, get_args(GoalStrategy))
        if self.steps <= self.learning_starts:
            raise LmgymError(
                f"steps={self.steps} are not more than learning_starts={self.learning_starts}, so"
                " nothing would be learned; give more steps, or fewer at random before"
            )


def _check_relabel(relabel: str, strategies: Sequence[str]) -> None:
    if relabel not in (*strategies, "none"):
        raise unknown("relabel", relabel, (*strategies, "none"))


def arguments_for(spec: WorldSpec) -> type[LearnerArgs]:
    """The arguments that suit a world: of goals as vectors, or of text."""
    return HERGoalArgs if "goal" in spec.levels else HERArgs


def train(args: HERArgs | HERGoalArgs, env: str, world_args: Mapping[str, Any]) -> Path:
    """Train on a world; returns the run folder."""
    if isinstance(args, HERGoalArgs):
        return train_on_goals("her", args, env, world_args, lambda bench: dqn(args, bench))
    return _train_language_policy(args, env, world_args)


def dqn(
    args: HERGoalArgs,
    bench: GoalBench,
    algorithm: type[DQN] = MaskedDQN,
    buffer: type[HerReplayBuffer] = GoalReplayBuffer,
) -> DQN:
    """The algorithm: by default it chooses among admissible commands, and looks ahead to them.

    Args:
        args: its settings.
        bench: the training environment.
        algorithm: Stable-Baselines3's DQN, or one of its kind.
        buffer: which replay buffer relabels; it must know the strategy `args.relabel`.
    """
    hindsight: dict[str, Any] = {}
    if args.relabel != "none":
        words = {"n_sampled_goal": args.n_sampled_goal, "goal_selection_strategy": args.relabel}
        hindsight = {"replay_buffer_class": buffer, "replay_buffer_kwargs": words}
    return algorithm(
        "MultiInputPolicy",
        bench.env,
        learning_rate=bench.lr,
        policy_kwargs={"net_arch": list(args.hidden)},
        seed=args.seed,
        device=args.device,
        **args.settings(),
        **hindsight,
    )


def _train_language_policy(args: HERArgs, env: str, world_args: Mapping[str, Any]) -> Path:
    task = make_task(env, **world_args)
    if not isinstance(task, RetellableTask):
        raise LmgymError(
            f"{env} cannot tell its episodes again with other goals, so hindsight teaches nothing"
            " there; take lmgym/Web-v0 or lmgym/WebGoal-v0, or another learner"
        )
    if not task.restarts_context:
        raise LmgymError(
            "hindsight teaches one page at a time, and these arguments keep all of them in the"
            " context; leave --history out"
        )
    is_new = args.model == "none"  # and does not know where a command ends
    if args.max_tokens is None and is_new:
        args = replace(args, max_tokens=_COMMAND_IDS * task.max_turns)
    rng = np.random.default_rng(args.seed)
    start = time.perf_counter()
    babble = explore(task, rng, args.explore_episodes)
    policy = _policy(args, task, babble)
    with TrainingSession("her", args, env, world_args, policy=policy) as session:
        buffer = DemonstrationBuffer(task, policy.renderer, args.relabel, args.most_changes)
        buffer.add(babble, rng)
        session.say(
            f"{len(babble):,} episodes of random commands hold {len(buffer):,} examples"
            f" ({time.perf_counter() - start:.0f} s)"
        )
        if not len(buffer):
            raise LmgymError(f"no example in {len(babble)} episodes; give --explore-episodes more")
        _learn(session, args, buffer)
    return session.run.path


def _learn(session: TrainingSession, args: HERArgs, buffer: DemonstrationBuffer) -> None:
    """Imitate what the buffer holds, and fill it with episodes of the policy's own."""
    policy, task = session.policy, buffer.task
    optimizer = torch.optim.AdamW(
        policy.model.parameters(), session.lr, betas=(0.9, 0.95), weight_decay=0.1
    )
    played = _nothing()
    for update in session.updates():
        if update and update % args.play_every == 0 and args.play_episodes:
            played = session.collector.collect(
                session.rng,
                session.generator,
                n_groups=args.play_episodes,
                temperature=args.temperature,
            )
            buffer.add((journey_of(task, t) for t in played.transcripts), session.rng)
        for group in optimizer.param_groups:
            group["lr"] = session.lr * _share(args, update, session.seconds)
        examples = buffer.sample(session.rng, args.batch_size)
        if args.model == "none" and session.seconds < args.reading * args.seconds:
            examples = [as_text(example) for example in examples]
        loss = supervised_step(
            policy,
            optimizer,
            examples,
            max_grad_norm=args.max_grad_norm,
            micro_tokens=args.micro_tokens,
            update=update,
        )
        metrics = {"loss": loss, "examples": float(len(buffer))}
        if played.transcripts:
            session.log(metrics, played)
        else:
            session.log_numbers(metrics)


def _share(args: HERArgs, update: int, seconds: float) -> float:
    """The share of the learning rate: a warm-up, then a cosine down to a twentieth."""
    rise = min(1.0, (update + 1) / (args.warmup + 1))
    fall = 0.5 * (1 + math.cos(math.pi * min(1.0, seconds / args.seconds)))
    return rise * (0.05 + 0.95 * fall)


def _policy(
    args: HERArgs, task: RetellableTask[Any], journeys: Sequence[Journey[Any]]
) -> LanguagePolicy:
    """The policy to start from."""
    if args.model != "none":
        return load_policy(args.model, device=args.device, dtype=args.dtype)
    some = journeys[:: max(1, len(journeys) * task.max_turns // _TEXTS)]
    renderer = learn_renderer(_texts(task, some), args.vocabulary)
    policy = new_policy(args.hidden_size, args.n_layers, args.seed, renderer)
    policy.model.to(args.device)
    return policy


def _texts(task: RetellableTask[Any], journeys: Sequence[Journey[Any]]) -> Iterator[str]:
    """What is read and written in episodes."""
    for journey in journeys:
        yield from journey.texts
        for state in journey.states:
            yield from (message.content for message in task.said(state))


def _nothing() -> RolloutBatch:
    return RolloutBatch([], np.zeros(0), np.zeros(0, np.bool_))
