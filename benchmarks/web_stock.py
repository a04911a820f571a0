"""Stable-Baselines3's own DQN and hindsight buffer on a goal world, for `web_hindsight`.

Settings, environments and evaluation are those of `lmgym train her`. What differs is the buffer,
whose relabelled transitions keep the `done` of the original goal and take goals of any later step,
and the algorithm: no command is masked, values are not those of double Q-learning, the network does
not see where goals differ, and one coin for all episodes decides about exploration.
"""

from __future__ import annotations

import sys
from typing import Any

from stable_baselines3 import DQN
from stable_baselines3.her import HerReplayBuffer

from lmgym.agents.her import HERGoalArgs, dqn
from lmgym.sb3.goal_training import train_on_goals


def settings(seed: int, steps: int, out: str) -> HERGoalArgs:
    """What `lmgym train her` would be told."""
    return HERGoalArgs(seed=seed, steps=steps, out=out, test_limit=200, relabel="future")


def world(family: str) -> dict[str, Any]:
    """The arguments of the world: one to three facts to change."""
    return {"family": family, "difficulty": 3}


def train_stock(family: str, seed: int, steps: int, out: str) -> None:
    """Train on a family of `lmgym/WebGoal-v0`, one to three facts; `out` is the run folder."""
    args = settings(seed, steps, out)
    train_on_goals(
        "her",
        args,
        "lmgym/WebGoal-v0",
        world(family),
        lambda bench: dqn(args, bench, DQN, HerReplayBuffer),
    )


if __name__ == "__main__":
    family, seed, steps, out = sys.argv[1:]
    train_stock(family, int(seed), int(steps), out)
