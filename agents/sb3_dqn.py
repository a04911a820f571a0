"""DQN of Stable-Baselines3 (Mnih et al. 2015, "Human-level control through deep RL").

Learns what each token is worth, from a buffer of steps, and writes the one worth most. It starts
from scratch with an alphabet of the world: the values of a language model's logits mean nothing.
Exploring is random in a share of the steps, and Stable-Baselines3 throws that coin once for all
environments of a step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from stable_baselines3 import DQN

from lmgym.errors import LmgymError
from lmgym.rewards.source import Reward
from lmgym.sb3.arguments import SB3Args
from lmgym.sb3.training import ENDLESS, train_with_sb3
from lmgym.sb3.workbench import Workbench
from lmgym.training.arguments import Range

__all__ = ["SB3DQNArgs", "train"]


@dataclass(frozen=True)
class SB3DQNArgs(SB3Args):
    """Arguments of DQN."""

    model: str = "none"
    """Only none: a small network with random weights."""
    num_envs: int | None = 64
    """Episodes that are played at a time."""
    hidden: tuple[int, ...] = (256, 256)
    """Layers of the network."""
    max_grad_norm: float = 10.0
    """Gradients are clipped to this norm."""
    train_freq: int = 4
    """Steps of each episode between updates."""
    gradient_steps: int = 16
    """Optimiser steps an update."""
    batch_size: int = 256
    """Steps of the buffer in an optimiser step."""
    buffer_size: int = 100_000
    """Steps that are remembered; each takes two observations."""
    learning_starts: int = 5_000
    """Steps at random before the first update."""
    target_update_interval: int = 500
    """Steps after which the target network takes the weights."""
    exploration_steps: int = 50_000
    """Steps in which the share of random actions falls from 1 to `exploration_rate`."""
    exploration_rate: float = 0.1
    """Share of random actions from then on."""

    ranges: ClassVar[dict[str, Range]] = SB3Args.ranges | {
        "train_freq": (1, math.inf),
        "gradient_steps": (1, math.inf),
        "batch_size": (1, math.inf),
        "buffer_size": (1, math.inf),
        "learning_starts": (0, math.inf),
        "target_update_interval": (1, math.inf),
        "exploration_steps": (1, math.inf),
        "exploration_rate": (0, 1),
    }

    def __post_init__(self) -> None:
        """Raise where a value is not allowed."""
        super().__post_init__()
        if not self.is_from_scratch:
            raise LmgymError(
                f"model={self.model!r}: DQN learns values of actions and starts from scratch; leave"
                " --model out, or start from a language model with sb3-ppo"
            )


def train(args: SB3DQNArgs, env: str, world_args: Mapping[str, Any], reward: Reward = None) -> Path:
    """Train on a world; returns the run folder.

    Args:
        args: of the learner.
        env: id of the world.
        world_args: its arguments.
        reward: a function or source, in place of the name in `args`.
    """

    def make(bench: Workbench) -> DQN:
        return DQN(
            bench.policy,
            bench.env_for(DQN),
            learning_rate=bench.lr,
            buffer_size=args.buffer_size,
            learning_starts=args.learning_starts,
            batch_size=args.batch_size,
            gamma=args.gamma,
            train_freq=args.train_freq,
            gradient_steps=args.gradient_steps,
            target_update_interval=args.target_update_interval,
            exploration_fraction=args.exploration_steps / ENDLESS,
            exploration_final_eps=args.exploration_rate,
            max_grad_norm=args.max_grad_norm,
            policy_kwargs=bench.policy_kwargs,
            seed=args.seed,
            device=args.device,
        )

    return train_with_sb3("sb3-dqn", args, env, world_args, make, reward)
