"""Advantages of samples that answer the same problem, without a value function.

Pure functions on tensors. Rewards come as shape (N,) with `group_ids` of shape (N,), or as shape
(P, G), P problems with G samples each; the result has the shape of the rewards.

A sample that was not scored (its verifier failed, it was lost) is left out of every mean and
standard deviation and gets advantage 0. So does a sample that is alone in its group: there is
nothing to compare it with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from lmgym.errors import LmgymError, unknown

__all__ = [
    "Scale",
    "group_advantages",
    "rloo_advantages",
    "summed_advantages",
    "turn_advantages",
]

Scale = Literal["group", "batch", "none"]
"""What the centred rewards are divided by."""


def group_advantages(
    rewards: Tensor,
    group_ids: Tensor | None = None,
    *,
    scale: Scale = "group",
    eps: float = 1e-4,
    scored: Tensor | None = None,
) -> Tensor:
    """How much better each sample is than the mean of its group.

    - "group": (R - mean of the group) / (std of the group + eps): GRPO (Shao et al. 2024,
      DeepSeekMath).
    - "none": R - mean of the group: Dr. GRPO (Liu et al. 2025), where the standard deviation is
      left out because it weighs very easy and very hard problems up.
    - "batch": (R - mean of the group) / (std of all rewards + eps): Lite PPO (Liu et al. 2025,
      "Tricks or Traps?") and TRL's `scale_rewards="batch"`.

    Standard deviations are unbiased (n - 1). A reward that is not finite spreads over its group.

    Args:
        rewards: shape (N,) or (P, G).
        group_ids: integers of shape (N,); left out where the rewards have shape (P, G).
        scale: see above.
        eps: keeps the quotient finite where all rewards are equal (TRL 1e-4, verl 1e-6).
        scored: booleans in the shape of the rewards; None where all are scored.

    Example:
        >>> group_advantages(torch.tensor([[1.0, 0.0, 0.0, 1.0]]), scale="none")
        tensor([[ 0.5000, -0.5000, -0.5000,  0.5000]])
    """
    if scale not in get_args(Scale):
        raise unknown("scale", scale, get_args(Scale))
    groups = _Groups(rewards, group_ids, scored)
    centred = groups.centred()
    if scale == "group":
        centred = centred / (groups.std(centred) + eps)
    elif scale == "batch":
        centred = centred / (groups.batch_std() + eps)
    return centred.float().reshape(rewards.shape)


def rloo_advantages(
    rewards: Tensor, group_ids: Tensor | None = None, *, scored: Tensor | None = None
) -> Tensor:
    """R minus the mean of the *other* samples of its group: RLOO (Ahmadian et al. 2024).

    Equal to G / (G - 1) times the advantage of Dr. GRPO. Shapes as for `group_advantages`.

    Example:
        >>> rloo_advantages(torch.tensor([[1.0, 0.0, 0.0]]))
        tensor([[ 1.0000, -0.5000, -0.5000]])
    """
    groups = _Groups(rewards, group_ids, scored)
    size = groups.sizes[groups.ids]
    scaled = groups.centred() * size / (size - 1).clamp(min=1)
    return scaled.float().reshape(rewards.shape)


def summed_advantages(
    parts: Sequence[tuple[float, Tensor]],
    group_ids: Tensor | None = None,
    *,
    eps: float = 1e-4,
    scored: Tensor | None = None,
) -> Tensor:
    """The weighted sum of each part's own group advantages, whitened over the batch.

    Each part of a reward is compared with the group and divided by its own standard deviation
    before weights are applied, so that a part of small spread keeps its say: GDPO (Liu et al.
    2026), TRL's `multi_objective_aggregation="normalize_then_sum"`.

    Args:
        parts: the weight of each and what it is worth before it is weighted, in shapes as for
            `group_advantages`; at least one.
        group_ids: as for `group_advantages`.
        eps: keeps quotients finite.
        scored: as for `group_advantages`.

    Example:
        >>> right, brief = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 0.1]])
        >>> summed_advantages([(1.0, right), (1.0, brief)])
        tensor([[ 0.5786, -1.1546,  0.5759]])
    """
    if not parts:
        raise LmgymError("a sum of advantages needs at least one part; 0 were given")
    total = torch.zeros(parts[0][1].shape, dtype=torch.float64)
    for weight, rewards in parts:
        own = group_advantages(rewards, group_ids, eps=eps, scored=scored)
        total = total + weight * own.double().cpu()
    counts = torch.ones_like(total) if scored is None else scored.reshape(total.shape)
    values = total[counts.bool()]
    if values.numel() < 2 or bool((values == values[0]).all()):
        return torch.zeros_like(total).float()
    whitened = (total - values.mean()) / (values.std() + eps)
    is_silent = ~counts.bool() | (total == 0)  # stays exactly 0, whatever rounding makes the mean
    return whitened.masked_fill(is_silent, 0.0).float()


def turn_advantages(
    rewards: Tensor,
    turns: Tensor,
    mask: Tensor,
    group_ids: Tensor,
    *,
    scale: Scale = "group",
    eps: float = 1e-4,
) -> Tensor:
    """Advantages of turns: what a turn and all later ones are paid, less the group's mean there.

    The return of turn k is compared with those of turn k in the other episodes of the group, so
    that an early mistake is not credited to what came after it (as turn-level credit assignment
    of Zeng et al. 2025). A turn that no other episode of the group has reached has advantage 0.

    Args:
        rewards: what was paid at each id, (N, L).
        turns: the turn of each id, (N, L).
        mask: 1 on ids, (N, L).
        group_ids: of the episodes, (N,).
        scale: as for `group_advantages`.
        eps: as for `group_advantages`.

    Returns:
        The advantage of each id's turn, (N, L); 0 on padding.
    """
    keep = mask.bool()
    n_turns = int(turns[keep].max()) + 1 if bool(keep.any()) else 0
    paid = rewards.double().new_zeros(len(rewards), n_turns)
    paid.scatter_add_(1, turns.masked_fill(~keep, 0), rewards.double().masked_fill(~keep, 0.0))
    returns = paid.flip(1).cumsum(1).flip(1)  # (N, n_turns)
    reached = torch.arange(n_turns, device=turns.device) <= turns.masked_fill(~keep, -1).amax(
        1, keepdim=True
    )
    columns = [
        group_advantages(returns[:, turn], group_ids, scale=scale, eps=eps, scored=reached[:, turn])
        for turn in range(n_turns)
    ]
    if not columns:
        return torch.zeros_like(rewards)
    by_turn = torch.stack(columns, 1).to(rewards.dtype)
    return by_turn.gather(1, turns.masked_fill(~keep, 0)).masked_fill(~keep, 0.0)


class _Groups:
    """Flat rewards with the number of their group, and which of them count."""

    def __init__(self, rewards: Tensor, group_ids: Tensor | None, scored: Tensor | None) -> None:
        values = rewards.double()
        self.ids = _group_numbers(rewards, group_ids)  # (N,), 0 to n_groups - 1
        if scored is not None and scored.shape != rewards.shape:
            raise LmgymError(
                f"scored has shape {tuple(scored.shape)} and rewards {tuple(rewards.shape)};"
                " give one boolean for each reward"
            )
        counts = torch.ones_like(rewards) if scored is None else scored
        self.counts = counts.bool().reshape(-1)  # (N,)
        self.rewards = values.reshape(-1).masked_fill(~self.counts, 0.0)  # (N,)
        self.n_groups = int(self.ids.max()) + 1 if self.ids.numel() else 0
        self.sizes = self._sum(self.counts.to(values.dtype))  # (n_groups,)

    def centred(self) -> Tensor:
        """Reward minus the mean of the group, 0 where it doesn't count or is alone; (N,)."""
        means = self._sum(self.rewards) / self.sizes.clamp(min=1)
        is_comparable = self.counts & (self._spread()[self.ids] != 0)
        return (self.rewards - means[self.ids]).masked_fill(~is_comparable, 0.0)

    def _spread(self) -> Tensor:
        """The largest reward less the smallest of each group, exactly 0 where all are equal."""
        rewards, ids = self.rewards[self.counts], self.ids[self.counts]
        empty = rewards.new_zeros(self.n_groups)
        most = empty.scatter_reduce(0, ids, rewards, "amax", include_self=False)
        return most - empty.scatter_reduce(0, ids, rewards, "amin", include_self=False)

    def std(self, centred: Tensor) -> Tensor:
        """The unbiased standard deviation of each sample's group; (N,)."""
        variances = self._sum(centred.square()) / (self.sizes - 1).clamp(min=1)
        return variances.sqrt()[self.ids]

    def batch_std(self) -> Tensor:
        """The unbiased standard deviation of all rewards that count; a scalar."""
        rewards = self.rewards[self.counts]
        return rewards.std() if rewards.numel() > 1 else self.rewards.new_zeros(())

    def _sum(self, values: Tensor) -> Tensor:
        """Sums over each group; (n_groups,)."""
        return values.new_zeros(self.n_groups).index_add(0, self.ids, values)


def _group_numbers(rewards: Tensor, group_ids: Tensor | None) -> Tensor:
    """The groups of the flat rewards, numbered from 0; (N,)."""
    if group_ids is not None and group_ids.shape == rewards.shape:
        numbers: Tensor = torch.unique(group_ids.reshape(-1), return_inverse=True)[1]
        return numbers.to(rewards.device)
    if group_ids is None and rewards.dim() == 2:
        rows = torch.arange(rewards.shape[0], device=rewards.device)
        return rows.repeat_interleave(rewards.shape[1])
    given = "no group_ids" if group_ids is None else f"group_ids of shape {tuple(group_ids.shape)}"
    raise LmgymError(
        f"rewards of shape {tuple(rewards.shape)} came with {given}; give rewards of shape (P, G)"
        " alone, or rewards and group_ids of one shape"
    )
