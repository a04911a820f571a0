"""Stable-Baselines3's own DQN and hindsight buffer on a goal world, for `web_hindsight`.

Settings, environments and evaluation are those of `lmgym train her`; what differs is that no
command is masked, that `done` and goal-derived observations stay as they were, and that goals are
those of any later step.
"""

from __future__ import annotations

import sys

from stable_baselines3 import DQN
from stable_baselines3.her import HerReplayBuffer

from lmgym.agents.her import HERGoalArgs, dqn
from lmgym.sb3.goal_training import train_on_goals


def train_stock(family: str, seed: int, steps: int, out: str) -> None:
    """Train on a family of `lmgym/WebGoal-v0`, one to three facts; `out` is the run folder."""
    args = HERGoalArgs(seed=seed, steps=steps, out=out, test_limit=200, relabel="future")
    world = {"family": family, "difficulty": 3}
    train_on_goals(
        "her", args, "lmgym/WebGoal-v0", world, lambda bench: dqn(args, bench, DQN, HerReplayBuffer)
    )


if __name__ == "__main__":
    family, seed, steps, out = sys.argv[1:]
    train_stock(family, int(seed), int(steps), out)
