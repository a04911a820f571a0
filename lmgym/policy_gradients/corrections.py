"""Weights for ids that another policy drew than the one that is trained.

A sampler and a trainer that compute the same model in different ways (other kernels, other
precision, older weights) disagree on log-probabilities. With w = pi_trainer / pi_sampler at the
weights before the update, the policy loss of an id is multiplied by a bounded w:

- token_truncate: min(w, cap), truncated importance sampling (Yao et al., 2025, "Your Efficient RL
  Framework Secretly Brings You Off-Policy RL Training").
- token_mask: w where floor <= w <= cap, else 0 (IcePop; Ling team, 2025).
- sequence_truncate: the product of the answer's w in place of each, truncated at the cap.
- sequence_mask: the product where it lies between floor and cap, else 0.

Together with old log-probabilities that the trainer computes before the update this is decoupled
PPO (Hilton et al., 2022): the ratio is clipped around the proximal policy, and w leads from the
behaviour policy to it. The normaliser of the loss counts masked ids too, so that masking some
does not inflate the rest. The sampler must draw at top-p = 1, or w carries the kept mass.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from lmgym.errors import LmgymError, unknown

__all__ = ["Correction", "importance_weights"]

Correction = Literal["none", "token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]
"""The corrections by name."""


@torch.no_grad()
def importance_weights(
    old_logprobs: Tensor,
    sampler_logprobs: Tensor,
    mask: Tensor,
    kind: Correction = "token_truncate",
    *,
    floor: float = 0.0,
    cap: float = 3.0,
) -> Tensor:
    """The weight of each id, shape (B, T), without gradient; 1 where the mask is 0.

    Args:
        old_logprobs: of the trainer before the update, (B, T).
        sampler_logprobs: at which the ids were drawn, (B, T).
        mask: 1 on ids that the agent drew, (B, T).
        kind: see the module.
        floor: weights below it are masked.
        cap: weights above it are truncated or masked.

    Example:
        >>> old, drawn = torch.tensor([[0.0, -1.0]]), torch.tensor([[-2.0, -1.0]])
        >>> importance_weights(old, drawn, torch.ones(1, 2))
        tensor([[3., 1.]])
    """
    if kind not in get_args(Correction):
        raise unknown("correction", kind, get_args(Correction))
    if not 0 <= floor <= cap:
        raise LmgymError(
            f"importance weights from {floor:g} to {cap:g}; the floor is 0 or more and not above"
            " the cap"
        )
    keep = mask.bool()
    apart = (old_logprobs - sampler_logprobs).masked_fill(~keep, 0.0)
    if kind == "none":
        return torch.ones_like(apart)
    if kind.startswith("sequence"):
        apart = apart.sum(1, keepdim=True).expand_as(apart)
    weights = apart.exp()
    if kind.endswith("truncate"):
        weights = weights.clamp(max=cap)
    else:
        weights = weights.masked_fill((weights < floor) | (weights > cap), 0.0)
    return weights.masked_fill(~keep, 1.0)
