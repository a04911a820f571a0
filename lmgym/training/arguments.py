"""Arguments of every learner, checked before any work starts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from lmgym.errors import LmgymError

__all__ = ["OF_LARGE_MODELS", "LearnerArgs", "Range"]

Range = tuple[float, float]
"""The smallest and the largest allowed value."""

OF_LARGE_MODELS = ("autocast", "lora_rank", "lora_alpha", "gradient_checkpointing")
"""Arguments that learners without a language model of their own leave unused."""

_ANY = math.inf
_TINY = math.nextafter(0.0, 1.0)


@dataclass(frozen=True)
class LearnerArgs:
    """Arguments of every learner."""

    model: str = "embedded"
    """The policy to start from: embedded, a Hugging Face directory, a hub id, or a .gguf file."""
    out: str | None = None
    """Run folder; by default runs/AGENT-ENV-TIME."""
    seed: int = 0
    """Seed of problems, samples and evaluations."""
    seconds: float = 90.0
    """Wall-clock budget of training, validations on the way included."""
    updates: int | None = None
    """Stop after so many updates, if the seconds last."""
    lr: float | None = None
    """Learning rate of AdamW; by default chosen by the size of the model."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm."""
    validate_every: float = 5.0
    """Seconds between validations, more where they take over a tenth of the time; the best
    checkpoint by validation is kept."""
    validate_updates: int | None = None
    """Updates between validations, in place of seconds: then equal runs validate at equal
    updates, however fast they are."""
    validation_limit: int | None = None
    """Problems of a validation; by default 256, or 32 for models above 10 million parameters."""
    target: float = 0.97
    """Stop once both greedy and sampled accuracy on validation reach this twice in a row."""
    test_limit: int | None = None
    """Test problems of the evaluations before and after, which nothing else touches; by default
    512, or 50 for models above 10 million parameters."""
    test_samples: int | None = None
    """Sampled answers for each test problem, besides the greedy one; by default 4, or 1 for models
    above 10 million parameters."""
    context: int | None = None
    """Positions of an episode; by default what the world needs."""
    max_tokens: int | None = None
    """Tokens of the agent in an episode; by default what the world needs."""
    device: str = "cpu"
    """Where the model runs: cpu, cuda, cuda:1, ..."""
    dtype: str = "auto"
    """Type of the weights; auto is float32, in which small updates are not lost."""
    autocast: Literal["none", "bf16"] | None = None
    """Multiply matrices in bfloat16 whatever the type of the weights; by default bf16 on GPUs for
    models above 50 million parameters."""
    lora_rank: int | None = None
    """Train an adapter of this rank (LoRA) in place of all weights; 0 trains all, which models up
    to a billion parameters do by default."""
    lora_alpha: float | None = None
    """What the adapter adds is scaled by alpha / rank; by default alpha is twice the rank."""
    gradient_checkpointing: Literal["on", "off"] | None = None
    """Compute layers a second time for the gradient, which saves memory; by default on above a
    billion parameters."""
    threads: int | None = None
    """CPU threads of torch; by default one for small models, else all."""
    track: str | None = None
    """Log to wandb or trackio as well."""
    checkpoint_every: float | None = None
    """Seconds between checkpoints that a run is resumed from, 0 for one after each update; by
    default as often as takes at most a twentieth of the time."""
    resume: str | None = None
    """Run folder to go on in; agent, world and arguments are those of its record."""

    ranges: ClassVar[dict[str, Range]] = {
        "seed": (0, 2**63 - 1),
        "seconds": (_TINY, _ANY),
        "updates": (0, _ANY),
        "lr": (_TINY, _ANY),
        "max_grad_norm": (_TINY, _ANY),
        "validate_every": (0, _ANY),
        "validate_updates": (1, _ANY),
        "validation_limit": (1, _ANY),
        "test_limit": (1, _ANY),
        "test_samples": (1, _ANY),
        "context": (2, _ANY),
        "max_tokens": (1, _ANY),
        "lora_rank": (0, 100_000),
        "lora_alpha": (_TINY, _ANY),
        "threads": (1, _ANY),
        "checkpoint_every": (0, _ANY),
    }
    """What numbers are allowed, by argument; learners add their own."""
    default_world: ClassVar[str] = "lmgym/Math-v0"
    """What is trained on where no world is named."""
    unused: ClassVar[tuple[str, ...]] = ()
    """Arguments that mean nothing to the learner, and that command lines do not offer."""
    may_change: ClassVar[tuple[str, ...]] = (
        "seconds",
        "updates",
        "target",
        "validate_every",
        "validate_updates",
        "checkpoint_every",
        "track",
        "model",
        "device",
        "threads",
        "micro_tokens",
        "gradient_checkpointing",
    )
    """Arguments that may differ where a run is resumed; a model must be the same one elsewhere."""
    learns_from_failure: ClassVar[bool] = False
    """Whether episodes without success teach something."""

    def __post_init__(self) -> None:
        """Raise where a number is out of its range."""
        for name, (low, high) in self.ranges.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise LmgymError(
                    f"{name}={value} is out of range; allowed is {_interval(low, high)}"
                )


def _interval(low: float, high: float) -> str:
    """A range in words; the least float above a round number stands for what is above that."""
    edge = math.nextafter(low, -math.inf)
    is_open = low > 0 and float(f"{edge:g}") == edge
    smallest = f"more than {edge:g}" if is_open else f"{low:g} or more"
    return smallest if high == _ANY else f"{smallest}, up to {high:g}"
