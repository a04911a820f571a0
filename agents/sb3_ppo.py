"""PPO of Stable-Baselines3 (Schulman et al. 2017, "Proximal Policy Optimization Algorithms").

A token is a step. From a language model the policy keeps its cache between steps and is trained
on trajectories, each read once; from scratch (`--model none`) it is a small network with the
alphabet of the world.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from stable_baselines3 import PPO

from lmgym.rewards.source import Reward
from lmgym.sb3.arguments import SB3Args
from lmgym.sb3.training import train_with_sb3
from lmgym.sb3.workbench import Workbench
from lmgym.training.arguments import Range

__all__ = ["SB3PPOArgs", "ppo_words", "train"]


@dataclass(frozen=True)
class SB3PPOArgs(SB3Args):
    """Arguments of PPO."""

    n_steps: int = 16
    """Steps of each episode between updates."""
    n_epochs: int | None = None
    """Passes over the steps of an update; by default 1 for language models, whose passes take
    longer than playing anew, and 4 from scratch."""
    minibatches: int = 8
    """Optimiser steps a pass."""
    gae_lambda: float = 0.95
    """Of the advantages: 1 believes the returns, 0 the critic."""
    clip_range: float = 0.2
    """How far the ratio of probabilities may move from 1."""
    ent_coef: float | None = None
    """Weight of the entropy, which keeps the policy exploring; by default 0 for language models
    and 0.1 from scratch."""
    vf_coef: float = 0.5
    """Weight of the critic's loss."""
    target_kl: float | None = None
    """End an update once the policy has moved this far; by default never."""

    ranges: ClassVar[dict[str, Range]] = SB3Args.ranges | {
        "n_steps": (1, math.inf),
        "n_epochs": (1, math.inf),
        "minibatches": (1, math.inf),
        "gae_lambda": (0, 1),
        "clip_range": (0, math.inf),
        "ent_coef": (0, math.inf),
        "vf_coef": (0, math.inf),
        "target_kl": (0, math.inf),
    }


def train(args: SB3PPOArgs, env: str, world_args: Mapping[str, Any], reward: Reward = None) -> Path:
    """Train on a world; returns the run folder.

    Args:
        args: of the learner.
        env: id of the world.
        world_args: its arguments.
        reward: a function or source, in place of the name in `args`.
    """

    def make(bench: Workbench) -> PPO:
        return PPO(
            bench.policy,
            bench.env_for(PPO),
            rollout_buffer_class=bench.buffer,
            **ppo_words(args, bench),
        )

    return train_with_sb3("sb3-ppo", args, env, world_args, make, reward)


def ppo_words(args: SB3PPOArgs, bench: Workbench) -> dict[str, Any]:
    """What the constructors of PPO and MaskablePPO have in common."""
    return {
        "learning_rate": bench.lr,
        "n_steps": args.n_steps,
        "batch_size": bench.batch_size(args.n_steps, args.minibatches),
        "n_epochs": bench.choose(args.n_epochs, scratch=4, language_model=1),
        "gamma": args.gamma,
        "gae_lambda": args.gae_lambda,
        "clip_range": args.clip_range,
        "ent_coef": bench.choose(args.ent_coef, scratch=0.1, language_model=0.0),
        "vf_coef": args.vf_coef,
        "max_grad_norm": args.max_grad_norm,
        "target_kl": args.target_kl,
        "policy_kwargs": bench.policy_kwargs,
        "seed": args.seed,
        "device": args.device,
    }
