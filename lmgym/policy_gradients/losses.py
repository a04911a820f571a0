"""Policy losses over tokens: GRPO, Dr. GRPO, DAPO, GSPO, CISPO, PPO and REINFORCE.

All arguments of shape (B, T) are aligned to the *predicted* ids: column t belongs to id t + 1 of
a batch (`batches.Batch.targets`). The mask is 1 on tokens that the agent drew and 0 on the
prompt, the world's replies and the padding; holes are allowed. Values under a mask of 0 are never
read. Values under a mask of 1 that are not finite make the loss, its gradient or the ratio not
finite: nothing is hidden.

A batch may be split into micro-batches. Pass the normaliser of the whole batch
(`global_normalizer`) to each call, and the sum of the losses and of their gradients equals that
of one call over the whole batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from lmgym.errors import LmgymError, unknown
from lmgym.policy_gradients.kl_terms import KLKind, kl_terms

__all__ = [
    "LossKind",
    "LossStats",
    "default_clip",
    "global_normalizer",
    "merge_stats",
    "policy_loss",
]

LossKind = Literal["grpo", "dr_grpo", "dapo", "gspo", "cispo", "ppo", "reinforce"]
"""The policy losses by name."""

_CLIPS: dict[LossKind, tuple[float, float]] = {
    "grpo": (0.2, 0.2),
    "dr_grpo": (0.2, 0.2),
    "dapo": (0.2, 0.28),
    "gspo": (3e-4, 4e-4),
    "cispo": (0.0, 5.0),
    "ppo": (0.2, 0.2),
    "reinforce": (0.0, math.inf),
}
_BY_TOKEN = ("dapo", "cispo", "ppo")
"""Losses that are a mean over all tokens of the batch."""


@dataclass(frozen=True, slots=True)
class LossStats:
    """What happened in one call of `policy_loss`; means are over the masked tokens.

    Attributes:
        n_tokens: tokens that carried loss.
        n_samples: rows of the batch.
        clip_fraction: share of tokens whose gradient the clip removed (CISPO: scaled down).
        clip_fraction_low: the part of it at the lower clip, where the advantage is negative.
        clip_fraction_high: the part of it at the upper clip, the dual one included.
        mean_ratio: mean of the ratio that was clipped, the sequence's own for GSPO.
        approximate_kl: k3 estimate of KL(old policy || policy), 0 on-policy (Schulman 2020).
        reference_kl: estimate of KL(policy || reference) that is penalised; 0 without one.
    """

    n_tokens: int
    n_samples: int
    clip_fraction: float
    clip_fraction_low: float
    clip_fraction_high: float
    mean_ratio: float
    approximate_kl: float
    reference_kl: float


def policy_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    kind: LossKind = "grpo",
    *,
    clip_low: float | None = None,
    clip_high: float | None = None,
    dual_clip: float | None = None,
    weights: Tensor | None = None,
    max_completion_length: int | None = None,
    normalizer: float | None = None,
    sample_lengths: Tensor | None = None,
    reference_logprobs: Tensor | None = None,
    beta: float = 0.0,
    kl: KLKind = "k3",
    kl_ratio: bool = False,
) -> tuple[Tensor, LossStats]:
    """The loss to minimise, a scalar, and its statistics.

    With the ratio r = exp(logp - logp_old), the advantage A and the clips el and eh, the loss of a
    token is -min(r A, clip(r, 1 - el, 1 + eh) A) (PPO, Schulman et al. 2017), and the kinds differ
    in the ratio and in how tokens are summed (m is the mask, L_i the masked tokens of sample i):

    - "grpo" (Shao et al. 2024): the mean over samples of the mean over their tokens.
    - "dr_grpo" (Liu et al. 2025): sum(m l) / (samples * max_completion_length), so that a long
      answer isn't weighed down.
    - "dapo" (Yu et al. 2025): sum(m l) / sum(m), every token equal, with a higher upper clip.
    - "gspo" (Zheng et al. 2025): the ratio is the geometric mean over the sequence; the token's
      gradient flows through sg(s_i) exp(logp - sg(logp)); aggregated as GRPO.
    - "cispo" (MiniMax 2025): -sg(min(r, clip_high)) A logp: the weight is clipped, no token loses
      its gradient; `clip_low` isn't used; aggregated as DAPO.
    - "ppo": the mean over all tokens, with the clips of PPO.
    - "reinforce" (Williams 1992): -A logp, no ratio and no clip, summed over the tokens of each
      sample: the policy gradient itself. Only for data that the policy has just drawn.

    With `dual_clip` c (Ye et al. 2020), where A < 0, the loss of a token is at most -c A: a token
    that has become much more likely since it was drawn does not blow the gradient up.

    With beta > 0, beta times an estimate of the KL to the reference is added (`kl_terms`). On data
    of an older policy the estimate is biased; `kl_ratio` multiplies it by the ratio, with gradient.

    Args:
        logprobs: (B, T), with gradient, at the sampling temperature.
        old_logprobs: (B, T), of the policy that sampled, at the same temperature.
        advantages: (B,), or (B, T) for one per token.
        mask: (B, T), zeros and ones.
        kind: which loss.
        clip_low: el; None for `default_clip(kind)`.
        clip_high: eh, for CISPO the largest weight itself; None for `default_clip(kind)`.
        dual_clip: c, above 1; None for none. For the losses with a clipped ratio.
        weights: (B, T), without gradient, of the policy loss but not of the KL
            (`corrections.importance_weights`).
        max_completion_length: the constant of "dr_grpo", which needs it.
        normalizer: tokens ("dapo", "cispo", "ppo") or samples (all others) of the whole batch;
            None where this is the whole batch and each row is a sample.
        sample_lengths: (B,), the masked tokens of the sample that each row belongs to, where
            samples lie in several rows, as episodes of several segments do; None where each row is
            a sample. The ratio of "gspo" is that of the row.
        reference_logprobs: (B, T), without gradient; needed where beta > 0.
        beta: weight of the KL to the reference.
        kl: its estimator.
        kl_ratio: whether the estimate is multiplied by the ratio.

    Raises:
        LmgymError: for an unknown kind, shapes that don't match, or a missing argument.
    """
    low, high = default_clip(kind)
    low, high = low if clip_low is None else clip_low, high if clip_high is None else clip_high
    _check(logprobs, old_logprobs, advantages, mask)
    keep = mask.bool()
    per_token_advantages = advantages if advantages.dim() == 2 else advantages.unsqueeze(1)
    log_ratio = _masked(logprobs - old_logprobs.detach(), keep)  # (B, T)
    ratio = _ratio(kind, log_ratio, keep)  # (B, T)
    if kind in ("cispo", "reinforce"):
        weight = ratio.clamp(max=high).detach() if kind == "cispo" else 1.0
        losses = -weight * per_token_advantages * _masked(logprobs, keep)
    else:
        losses = _clipped(ratio, per_token_advantages, low, high, dual_clip)
    if weights is not None:
        losses = losses * weights.detach()
    penalty = torch.zeros_like(log_ratio)
    if beta > 0:
        reference = _reference(reference_logprobs, logprobs)
        penalty = kl_terms(_masked(logprobs, keep), _masked(reference, keep), kl)
        penalty = penalty * ratio if kl_ratio else penalty
        losses = losses + beta * penalty
    loss = _aggregate(kind, losses, keep, normalizer, max_completion_length, sample_lengths)
    limits = _Limits.of(kind, low, high, dual_clip)
    return loss, _stats(limits, ratio, log_ratio, penalty, per_token_advantages, keep)


def default_clip(kind: LossKind) -> tuple[float, float]:
    """The lower and upper clip that the authors of each loss use.

    - "grpo", "dr_grpo": 0.2 and 0.2, as PPO.
    - "dapo": 0.2 and 0.28: room for unlikely tokens to become likely keeps the entropy up.
    - "gspo": 3e-4 and 4e-4: a geometric mean over a sequence moves a thousand times less than the
      ratio of one token; at 0.2 nothing would ever be clipped.
    - "cispo": 5.0, the largest weight itself and not a distance from 1: at 0.28 it would scale
      down every on-policy gradient. The lower value, 0.0, stands for no lower clip.
    - "ppo": 0.2 and 0.2; "reinforce" has none.

    Example:
        >>> default_clip("dapo")
        (0.2, 0.28)
    """
    if kind not in get_args(LossKind):
        raise unknown("loss", kind, get_args(LossKind))
    return _CLIPS[kind]


def global_normalizer(kind: LossKind, mask: Tensor, n_samples: int | None = None) -> float:
    """What `kind` divides by over the whole batch: tokens ("dapo", "cispo", "ppo") or samples.

    Args:
        kind: which loss.
        mask: (B, T) of the whole batch.
        n_samples: how many samples the rows are of; by default each row is a sample, also one
            without any token.
    """
    default_clip(kind)
    if kind in _BY_TOKEN:
        return float(mask.sum())
    return float(mask.shape[0] if n_samples is None else n_samples)


def merge_stats(stats: Sequence[LossStats]) -> LossStats:
    """The statistics of a batch from those of its micro-batches, weighed by their tokens."""
    n_tokens = sum(s.n_tokens for s in stats)

    def mean(name: str) -> float:
        total = sum(float(getattr(s, name)) * s.n_tokens for s in stats if s.n_tokens)
        return total / max(n_tokens, 1)

    means = [mean(name) for name in _MEANS]
    return LossStats(n_tokens, sum(s.n_samples for s in stats), *means)


_MEANS = (
    "clip_fraction",
    "clip_fraction_low",
    "clip_fraction_high",
    "mean_ratio",
    "approximate_kl",
    "reference_kl",
)


@dataclass(frozen=True, slots=True)
class _Limits:
    """Where a ratio is clipped: below, above, and above for a negative advantage."""

    low: float
    high: float
    dual: float
    is_scaled: bool

    @classmethod
    def of(cls, kind: LossKind, low: float, high: float, dual: float | None) -> _Limits:
        if kind in ("cispo", "reinforce"):
            return cls(0.0, high, math.inf, is_scaled=True)
        return cls(1 - low, 1 + high, math.inf if dual is None else dual, is_scaled=False)


def _clipped(
    ratio: Tensor, advantages: Tensor, low: float, high: float, dual_clip: float | None
) -> Tensor:
    """PPO's loss of each token, with the dual clip where there is one; (B, T)."""
    clipped = ratio.clamp(1 - low, 1 + high)
    losses = -torch.minimum(ratio * advantages, clipped * advantages)
    if dual_clip is None:
        return losses
    if not dual_clip > 1:
        raise LmgymError(f"dual_clip {dual_clip:g} is out of range; it must be above 1, as 3")
    return torch.where(advantages < 0, torch.minimum(losses, -dual_clip * advantages), losses)


def _ratio(kind: LossKind, log_ratio: Tensor, keep: Tensor) -> Tensor:
    """The ratio that is clipped; (B, T)."""
    if kind != "gspo":
        return log_ratio.exp()
    sequence = (log_ratio.sum(1) / _lengths(keep)).exp().detach()  # (B,)
    return sequence.unsqueeze(1) * (log_ratio - log_ratio.detach()).exp()


def _aggregate(
    kind: LossKind,
    losses: Tensor,
    keep: Tensor,
    normalizer: float | None,
    max_completion_length: int | None,
    sample_lengths: Tensor | None,
) -> Tensor:
    """The (B, T) losses as one number."""
    count = max(global_normalizer(kind, keep) if normalizer is None else normalizer, 1.0)
    losses = _masked(losses, keep)
    if kind in ("grpo", "gspo"):
        lengths = _lengths(keep) if sample_lengths is None else sample_lengths
        return (losses.sum(1) / lengths).sum() / count
    if kind == "dr_grpo":
        if max_completion_length is None or max_completion_length < 1:
            raise LmgymError(
                f"the dr_grpo loss divides by max_completion_length, which was"
                f" {max_completion_length}; give the largest number of tokens a sample may have"
            )
        return losses.sum() / (count * max_completion_length)
    return losses.sum() / count


@torch.no_grad()
def _stats(
    limits: _Limits,
    ratio: Tensor,
    log_ratio: Tensor,
    kl: Tensor,
    advantages: Tensor,
    keep: Tensor,
) -> LossStats:
    is_low = (ratio < limits.low) & (advantages < 0)
    raised = advantages != 0 if limits.is_scaled else advantages > 0
    is_high = ((ratio > limits.high) & raised) | ((ratio > limits.dual) & (advantages < 0))
    moved = kl_terms(torch.zeros_like(log_ratio), log_ratio)  # from the old policy, which drew
    columns = [is_low | is_high, is_low, is_high, ratio, moved, kl]
    dtype = torch.promote_types(ratio.dtype, torch.float32)
    sums = torch.stack([_masked(column.to(dtype), keep).sum() for column in columns])
    n_tokens = int(keep.sum())
    means: list[float] = (sums / max(n_tokens, 1)).tolist()
    return LossStats(n_tokens, keep.shape[0], *means)


def _masked(values: Tensor, keep: Tensor) -> Tensor:
    """Zero where the mask is 0, whatever stood there."""
    return values.masked_fill(~keep, 0.0)


def _lengths(keep: Tensor) -> Tensor:
    """Masked tokens of each row, at least 1; (B,)."""
    return keep.sum(1).clamp(min=1)


def _reference(reference_logprobs: Tensor | None, logprobs: Tensor) -> Tensor:
    if reference_logprobs is None:
        raise LmgymError("beta > 0 needs reference_logprobs, (B, T); give them or set beta to 0")
    if reference_logprobs.shape != logprobs.shape:
        raise _wrong_shape("reference_logprobs", reference_logprobs, logprobs)
    return reference_logprobs.detach()


def _check(logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, mask: Tensor) -> None:
    for name, given in (("old_logprobs", old_logprobs), ("mask", mask)):
        if given.shape != logprobs.shape:
            raise _wrong_shape(name, given, logprobs)
    if advantages.shape not in (logprobs.shape, logprobs.shape[:1]):
        raise _wrong_shape("advantages", advantages, logprobs)


def _wrong_shape(name: str, given: Tensor, logprobs: Tensor) -> LmgymError:
    rows = " or (B,)" if name == "advantages" else ""
    return LmgymError(
        f"{name} has shape {tuple(given.shape)} and logprobs {tuple(logprobs.shape)};"
        f" allowed is the shape of logprobs, (B, T){rows}"
    )
