"""Arguments of learners that sample, learn from what they sampled, and sample again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import ClassVar, Literal

from lmgym.errors import LmgymError
from lmgym.policy_gradients.corrections import Correction
from lmgym.policy_gradients.kl_terms import KLKind
from lmgym.training.arguments import LearnerArgs, Range
from lmgym.training.presets import Preset

__all__ = ["OnPolicyArgs"]


@dataclass(frozen=True)
class OnPolicyArgs(LearnerArgs):
    """Arguments of learners that sample with the policy in training."""

    reward: str = "verifier"
    """What episodes are paid: verifier, or another registered reward."""
    groups: int | None = None
    """Problems a batch; by default chosen by the size of the model, 64 for a small one."""
    group_size: int | None = None
    """Answers to each problem; by default chosen by the size of the model, 4 for a small one."""
    temperature: float = 1.0
    """Of sampling; log-probabilities are those at this temperature."""
    curriculum: Literal["uniform", "adaptive"] = "uniform"
    """How problems are drawn: all alike, or adaptive, so that between 20 and 80 % of the answers
    are right."""
    dynamic_sampling: int = 0
    """How often at most a batch is topped up with new problems, in place of those whose answers
    are all paid the same (DAPO)."""
    epochs: int = 1
    """Passes over a batch; more than one needs the clip."""
    minibatches: int = 1
    """Optimiser steps a pass."""
    micro_tokens: int | None = None
    """Tokens of one forward pass, padding included; by default chosen by the size of the model.
    Lower it when memory runs out."""
    clip_low: float | None = None
    """Lower clip of the ratio; by default the one usual for the loss."""
    clip_high: float | None = None
    """Upper clip of the ratio; by default the one usual for the loss."""
    dual_clip: float | None = None
    """Bounds the loss of ids with a negative advantage at this many times it, as 3."""
    beta: float = 0.0
    """Weight of the KL penalty against the starting policy; 0 keeps no reference."""
    kl_in: Literal["loss", "reward"] = "loss"
    """Where the penalty stands: in the loss, an id at a time, or in the reward (k1)."""
    kl: KLKind = "k3"
    """Its estimator in the loss: k1, k2, k3, or k3+ (the value of k3, the gradient of k2)."""
    kl_ratio: bool = False
    """Multiply the penalty in the loss by the ratio, which corrects it on older data."""
    log_kl: bool = False
    """Log the KL to the starting policy where beta is 0, too; it takes one more forward pass."""
    correction: Correction = "none"
    """Importance weights where sampler and trainer differ: token_truncate, token_mask,
    sequence_truncate or sequence_mask."""
    correction_cap: float = 3.0
    """Importance weights above it are truncated or masked."""
    correction_floor: float = 0.0
    """Importance weights below it are masked."""
    overlong_buffer: int = 0
    """Punish answers that use the last so many tokens of their budget, up to -1 at its end (DAPO);
    0 does not."""
    mask_truncated: bool = False
    """Learn nothing from answers that ran out of tokens."""
    patience: int = 100
    """Batches in a row without a learning signal after which training stops."""

    ranges: ClassVar[dict[str, Range]] = LearnerArgs.ranges | {
        "groups": (1, 100_000),
        "group_size": (1, 10_000),
        "temperature": (0.01, 100),
        "dynamic_sampling": (0, 1000),
        "epochs": (1, math.inf),
        "minibatches": (1, math.inf),
        "micro_tokens": (1, math.inf),
        "clip_low": (0, math.inf),
        "clip_high": (0, math.inf),
        "dual_clip": (math.nextafter(1, 2), math.inf),
        "beta": (0, math.inf),
        "correction_cap": (0, math.inf),
        "correction_floor": (0, math.inf),
        "overlong_buffer": (0, math.inf),
        "patience": (1, math.inf),
    }

    @property
    def batch_shape(self) -> tuple[int, int]:
        """Problems a batch and answers to each, those for a small model where nothing is said."""
        default = Preset()
        return self.groups or default.groups, self.group_size or default.group_size

    @property
    def pass_tokens(self) -> int:
        """Tokens of one forward pass, those for a small model where nothing is said."""
        return self.micro_tokens or Preset().micro_tokens

    def __post_init__(self) -> None:
        """Raise where numbers are out of range or do not go together."""
        super().__post_init__()
        if self.correction_floor > self.correction_cap:
            raise LmgymError(
                f"correction_floor={self.correction_floor:g} is above correction_cap="
                f"{self.correction_cap:g}; the weights in between are kept"
            )
        if self.kl == "k1" and self.beta > 0 and self.kl_in == "loss":
            raise LmgymError(
                "kl=k1 in the loss has no gradient in the mean; put it into the reward"
                " (kl_in=reward), or take k2, k3 or k3+"
            )
        if self.beta > 0 and self.kl_in == "reward":
            unread = ["kl_ratio"] + ["kl"] * (self.kl != "k1")
            self._check_unread(unread, "kl_in=reward, which takes k1", "take kl_in=loss")
        if self.dynamic_sampling and self.group_size == 1:
            raise LmgymError(
                "dynamic_sampling looks for groups in which answers differ, and group_size is 1;"
                " give a group_size of 2 or more"
            )

    def _check_unread(self, names: Sequence[str], where: str, instead: str) -> None:
        """Raise where one of these is not at its default although nothing reads it.

        Args:
            names: of arguments.
            where: what makes that nothing reads them.
            instead: what else to do than to leave them out.
        """
        defaults = {field.name: field.default for field in fields(self)}
        for name in names:
            if (value := getattr(self, name)) != defaults[name]:
                raise LmgymError(
                    f"{name}={value} is not read with {where}; leave it out, or {instead}"
                )
