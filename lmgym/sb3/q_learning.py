"""What the learners of values of actions have in common: arguments, and DQN's settings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from lmgym.sb3.training import ENDLESS
from lmgym.training.arguments import Range

__all__ = ["QLearningArgs"]


@dataclass(frozen=True)
class QLearningArgs:
    """Arguments of DQN (Mnih et al. 2015, "Human-level control through deep RL").

    Among the bases of a class it stands before the other arguments, whose defaults it replaces.
    """

    model: str = "none"
    """Only none: a small network with random weights."""
    hidden: tuple[int, ...] = (256, 256)
    """Layers of the network."""
    gamma: float = 1.0
    """Discount of a step."""
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

    ranges: ClassVar[dict[str, Range]] = {
        "seed": (0, 2**32 - 1),  # of NumPy's global generator, which Stable-Baselines3 seeds
        "gamma": (0, 1),
        "train_freq": (1, math.inf),
        "gradient_steps": (1, math.inf),
        "batch_size": (1, math.inf),
        "buffer_size": (1, math.inf),
        "learning_starts": (0, math.inf),
        "target_update_interval": (1, math.inf),
        "exploration_steps": (1, math.inf),
        "exploration_rate": (0, 1),
    }

    def settings(self) -> dict[str, Any]:
        """The keyword arguments of Stable-Baselines3's DQN that follow from these."""
        return {
            "buffer_size": self.buffer_size,
            "learning_starts": self.learning_starts,
            "batch_size": self.batch_size,
            "gamma": self.gamma,
            "train_freq": self.train_freq,
            "gradient_steps": self.gradient_steps,
            "target_update_interval": self.target_update_interval,
            "exploration_fraction": self.exploration_steps / ENDLESS,
            "exploration_final_eps": self.exploration_rate,
            "max_grad_norm": self.max_grad_norm,
        }
