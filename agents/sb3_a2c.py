"""A2C of Stable-Baselines3 (Mnih et al. 2016, "Asynchronous Methods for Deep RL", synchronous).

One gradient step on all that was played since the last one: no clipping, no second pass. Adam in
place of RMSprop.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from stable_baselines3 import A2C

from lmgym.rewards.source import Reward
from lmgym.sb3.arguments import SB3Args
from lmgym.sb3.training import train_with_sb3
from lmgym.sb3.workbench import Workbench
from lmgym.training.arguments import Range

__all__ = ["SB3A2CArgs", "train"]


@dataclass(frozen=True)
class SB3A2CArgs(SB3Args):
    """Arguments of A2C."""

    n_steps: int = 4
    """Steps of each episode between updates."""
    gae_lambda: float = 1.0
    """Of the advantages: 1 believes the returns, 0 the critic."""
    normalize_advantage: bool = False
    """Give the advantages of an update mean 0 and standard deviation 1."""
    ent_coef: float | None = None
    """Weight of the entropy, which keeps the policy exploring; by default 0 for language models
    and 0.05 from scratch."""
    vf_coef: float = 0.5
    """Weight of the critic's loss."""

    ranges: ClassVar[dict[str, Range]] = SB3Args.ranges | {
        "n_steps": (1, math.inf),
        "gae_lambda": (0, 1),
        "ent_coef": (0, math.inf),
        "vf_coef": (0, math.inf),
    }


def train(args: SB3A2CArgs, env: str, world_args: Mapping[str, Any], reward: Reward = None) -> Path:
    """Train on a world; returns the run folder.

    Args:
        args: of the learner.
        env: id of the world.
        world_args: its arguments.
        reward: a function or source, in place of the name in `args`.
    """

    def make(bench: Workbench) -> A2C:
        return A2C(
            bench.policy,
            bench.env_for(A2C),
            learning_rate=bench.lr,
            n_steps=args.n_steps,
            gamma=args.gamma,
            gae_lambda=args.gae_lambda,
            ent_coef=bench.choose(args.ent_coef, scratch=0.05, language_model=0.0),
            vf_coef=args.vf_coef,
            max_grad_norm=args.max_grad_norm,
            use_rms_prop=False,
            rollout_buffer_class=bench.buffer,
            normalize_advantage=args.normalize_advantage,
            policy_kwargs=bench.policy_kwargs,
            seed=args.seed,
            device=args.device,
        )

    return train_with_sb3("sb3-a2c", args, env, world_args, make, reward)
