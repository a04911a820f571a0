"""MaskablePPO of sb3-contrib in one seat of a game, against frozen copies of itself.

A pool keeps copies of the learner; each game is played against the latest or against any of them,
as drawn (fictitious self-play, Heinrich et al. 2015; opponent sampling, Bansal et al. 2018). With
`--against best` or another player it learns to beat that one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from sb3_contrib import MaskablePPO
from torch import nn

from lmgym.errors import LmgymError
from lmgym.sb3.arguments import check_layers
from lmgym.sb3.game_training import GameArgs, GameBench, train_on_games
from lmgym.training.arguments import Range

__all__ = ["SB3SelfPlayArgs", "maskable_ppo", "train"]


@dataclass(frozen=True)
class SB3SelfPlayArgs(GameArgs):
    """Arguments of MaskablePPO on games."""

    n_steps: int = 32
    """Moves of each game's learner between updates."""
    n_epochs: int = 4
    """Passes over the moves of an update."""
    minibatches: int = 4
    """Optimiser steps a pass."""
    gamma: float = 1.0
    """Discount of a move."""
    gae_lambda: float = 0.95
    """Of the advantages: 1 believes the returns, 0 the critic."""
    clip_range: float = 0.2
    """How far the ratio of probabilities may move from 1."""
    ent_coef: float = 0.02
    """Weight of the entropy, which keeps the policy exploring."""
    max_grad_norm: float = 0.5
    """Gradients are clipped to this norm."""

    ranges: ClassVar[dict[str, Range]] = GameArgs.ranges | {
        "n_steps": (1, math.inf),
        "n_epochs": (1, math.inf),
        "minibatches": (1, math.inf),
        "gamma": (0, 1),
        "gae_lambda": (0, 1),
        "clip_range": (0, math.inf),
        "ent_coef": (0, math.inf),
    }

    def __post_init__(self) -> None:
        """Raise where a value is not allowed."""
        super().__post_init__()
        check_layers(self.hidden)
        total = self.n_steps * self.num_envs
        if total % self.minibatches or total // self.minibatches < 2:
            raise LmgymError(
                f"minibatches={self.minibatches} does not share {total} moves"
                f" (n_steps={self.n_steps} of num_envs={self.num_envs}) into even parts of 2 or"
                " more; choose a divisor"
            )


def train(args: SB3SelfPlayArgs, env: str, world_args: Mapping[str, Any]) -> Path:
    """Train on a game; returns the run folder."""
    words = (args, env, world_args)
    return train_on_games("sb3-self-play", *words, lambda bench: maskable_ppo(args, bench))


def maskable_ppo(args: SB3SelfPlayArgs, bench: GameBench) -> MaskablePPO:
    """The algorithm on a bench."""
    return MaskablePPO(
        "MlpPolicy",
        bench.env,
        learning_rate=bench.lr,
        n_steps=args.n_steps,
        batch_size=args.n_steps * args.num_envs // args.minibatches,
        n_epochs=args.n_epochs,
        gamma=args.gamma,
        gae_lambda=args.gae_lambda,
        clip_range=args.clip_range,
        ent_coef=args.ent_coef,
        max_grad_norm=args.max_grad_norm,
        policy_kwargs={"net_arch": list(args.hidden), "activation_fn": nn.Tanh},
        seed=args.seed,
        device=args.device,
    )
