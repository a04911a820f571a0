"""MaskablePPO of sb3-contrib: PPO that never draws a masked action (Huang and Ontañón 2020).

The environments' masks leave out what an agent cannot write, other roles' headers. `--mask digits`
narrows them to an alphabet while every id stays an action, so that a language model keeps its
vocabulary and writes digits only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sb3_contrib import MaskablePPO

from lmgym.rewards.source import Reward
from lmgym.sb3.training import train_with_sb3
from lmgym.sb3.workbench import Workbench

from .sb3_ppo import SB3PPOArgs, ppo_words

__all__ = ["SB3MaskablePPOArgs", "train"]


@dataclass(frozen=True)
class SB3MaskablePPOArgs(SB3PPOArgs):
    """Arguments of MaskablePPO."""

    mask: str | None = None
    """Mask all but an alphabet of the world, as digits, or chars:01+- for your own; by default
    only other roles' headers are masked."""


def train(
    args: SB3MaskablePPOArgs, env: str, world_args: Mapping[str, Any], reward: Reward = None
) -> Path:
    """Train on a world; returns the run folder.

    Args:
        args: of the learner.
        env: id of the world.
        world_args: its arguments.
        reward: a function or source, in place of the name in `args`.
    """

    def make(bench: Workbench) -> MaskablePPO:
        return MaskablePPO(
            bench.maskable_policy,
            bench.env_for(MaskablePPO),
            rollout_buffer_class=bench.maskable_buffer,
            **ppo_words(args, bench),
        )

    words = {"mask": args.mask}
    return train_with_sb3("sb3-maskable-ppo", args, env, world_args, make, reward, **words)
