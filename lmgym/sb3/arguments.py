"""Arguments that the learners of Stable-Baselines3 have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from lmgym.errors import LmgymError
from lmgym.training.arguments import OF_LARGE_MODELS, LearnerArgs, Range

__all__ = ["SB3Args", "check_layers"]


@dataclass(frozen=True)
class SB3Args(LearnerArgs):
    """Arguments of every learner of Stable-Baselines3."""

    model: str = "embedded"
    """The policy to start from: embedded, a Hugging Face directory, or a hub id; none for a small
    network with random weights."""
    reward: str = "verifier"
    """What episodes are paid: verifier, or another registered reward that is causal."""
    level: Literal["token", "chunk"] = "token"
    """What an action is: a token, or a chunk of up to `chunk_size` tokens."""
    chunk_size: int = 4
    """Tokens of an action at level chunk."""
    alphabet: str | None = None
    """What the policy may write: an alphabet of the world such as digits, chars:01+- for your own,
    or all for every token; by default all for language models, and the world's first alphabet
    from scratch."""
    validate_on: Literal["validation", "train"] = "validation"
    """What checkpoints and the end of training are chosen by: problems that are not trained on, or
    those that are, where a small world is to be learned by heart."""
    num_envs: int | None = None
    """Episodes that are played at a time; by default 256, or 16 for models above 10 million
    parameters."""
    gamma: float = 1.0
    """Discount of a step."""
    lr: float | None = None
    """Learning rate; by default chosen by the size of a language model, and 1e-3 from scratch."""
    max_grad_norm: float = 0.5
    """Gradients are clipped to this norm."""
    hidden: tuple[int, ...] = (128, 128)
    """Layers of the network from scratch, of the actor and of the critic each."""
    embedding_dim: int = 16
    """Numbers for each token that the network from scratch reads."""
    window: int = 16
    """How many tokens back the network from scratch reads."""

    ranges: ClassVar[dict[str, Range]] = LearnerArgs.ranges | {
        "seed": (0, 2**32 - 1),  # of NumPy's global generator, which Stable-Baselines3 seeds
        "chunk_size": (1, 1024),
        "num_envs": (1, 1_000_000),
        "gamma": (0, 1),
        "embedding_dim": (1, 100_000),
        "window": (1, math.inf),
    }
    unused: ClassVar[tuple[str, ...]] = OF_LARGE_MODELS

    def __post_init__(self) -> None:
        """Raise where a value is not allowed."""
        super().__post_init__()
        if self.dtype not in ("auto", "float32"):
            raise LmgymError(
                f"dtype={self.dtype}: Stable-Baselines3 trains in float32; leave dtype out"
            )
        given = [name for name in OF_LARGE_MODELS if getattr(self, name) is not None]
        if given:
            raise LmgymError(
                f"{given[0]}={getattr(self, given[0])}: Stable-Baselines3 trains all weights in"
                f" float32; leave {given[0]} out"
            )
        check_layers(self.hidden)

    @property
    def is_from_scratch(self) -> bool:
        """Whether a small network is trained, and no language model."""
        return self.model == "none"


def check_layers(hidden: Sequence[int]) -> None:
    """Raise where a network would have no layer, or one without a neuron."""
    if not hidden or min(hidden) < 1:
        raise LmgymError(f"hidden={hidden}: give the width of one layer or more, from 1")
