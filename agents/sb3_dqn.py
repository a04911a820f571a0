"""DQN of Stable-Baselines3 (Mnih et al. 2015, "Human-level control through deep RL").

Learns what each token is worth, from a buffer of steps, and writes the one worth most. It starts
from scratch with an alphabet of the world: the values of a language model's logits mean nothing.
Exploring is random in a share of the steps, and Stable-Baselines3 throws that coin once for all
environments of a step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from stable_baselines3 import DQN

from lmgym.errors import LmgymError
from lmgym.rewards.source import Reward
from lmgym.sb3.arguments import SB3Args
from lmgym.sb3.q_learning import QLearningArgs
from lmgym.sb3.training import train_with_sb3
from lmgym.sb3.workbench import Workbench
from lmgym.training.arguments import Range

__all__ = ["SB3DQNArgs", "train"]


@dataclass(frozen=True)
class SB3DQNArgs(QLearningArgs, SB3Args):
    """Arguments of DQN."""

    num_envs: int | None = 64
    """Episodes that are played at a time."""

    ranges: ClassVar[dict[str, Range]] = SB3Args.ranges | QLearningArgs.ranges

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
            policy_kwargs=bench.policy_kwargs,
            seed=args.seed,
            device=args.device,
            **args.settings(),
        )

    return train_with_sb3("sb3-dqn", args, env, world_args, make, reward)
