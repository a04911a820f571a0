"""Returns and advantages of single ids, of episodes laid out as rows.

A row holds the ids that the agent drew in one episode, in their order, and padding after them
(`agent_tokens.AgentTokens`): what the world wrote between two turns takes no part, so the value
after the last id of a turn is the value of the first id of the next.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lmgym.errors import LmgymError

__all__ = ["generalized_advantages", "returns_to_go", "whiten"]


def returns_to_go(rewards: Tensor, mask: Tensor, gamma: float = 1.0) -> Tensor:
    """What is paid from each id on, discounted, shape (N, L); 0 on padding.

    Example:
        >>> returns_to_go(torch.tensor([[0.0, 1.0, 9.0]]), torch.tensor([[1, 1, 0]]), gamma=0.5)
        tensor([[0.5000, 1.0000, 0.0000]])
    """
    zeros = torch.zeros_like(rewards)
    advantages, _ = generalized_advantages(rewards, zeros, mask, gamma=gamma, lam=1.0)
    return advantages


def generalized_advantages(
    rewards: Tensor, values: Tensor, mask: Tensor, *, gamma: float = 1.0, lam: float = 1.0
) -> tuple[Tensor, Tensor]:
    """GAE (Schulman et al., 2016): advantages and the returns that values should predict.

    A_t = sum over k of (gamma lam)^k d_{t+k} with d_t = r_t + gamma V_{t+1} - V_t, where V after
    the last id is 0: episodes end, also those that run out of tokens. The returns are A + V.

    Args:
        rewards: what was paid at each id, (N, L).
        values: estimates of the return before each id, (N, L).
        mask: 1 on ids, 0 on the padding after them, (N, L).
        gamma: discount an id.
        lam: lambda, from 0 (one step) to 1 (the whole return).
    """
    if not (0 <= gamma <= 1 and 0 <= lam <= 1):
        raise LmgymError(f"gamma {gamma:g} and lambda {lam:g} are out of range; both are 0 to 1")
    keep = mask.bool()
    rewards, values = rewards.masked_fill(~keep, 0.0), values.masked_fill(~keep, 0.0)
    following = torch.nn.functional.pad(values[:, 1:], (0, 1))  # V of padding is 0
    deltas = rewards + gamma * following - values
    advantages = torch.zeros_like(deltas)
    running = torch.zeros_like(deltas[:, 0]) if deltas.shape[1] else deltas.sum(1)
    for step in range(deltas.shape[1] - 1, -1, -1):
        running = deltas[:, step] + gamma * lam * running
        advantages[:, step] = running
    return advantages.masked_fill(~keep, 0.0), (advantages + values).masked_fill(~keep, 0.0)


def whiten(values: Tensor, mask: Tensor, *, eps: float = 1e-8) -> Tensor:
    """Values with mean 0 and variance 1 over the mask, in any shape; 0 elsewhere.

    The variance is unbiased, and divides as 1 / sqrt(variance + eps). Fewer than two values, or
    equal ones, become 0.

    Args:
        values: what to whiten.
        mask: 1 on what counts.
        eps: keeps the quotient finite.
    """
    keep = mask.bool()
    counted = values[keep].double()
    if counted.numel() < 2 or bool((counted == counted[0]).all()):
        return torch.zeros_like(values)
    whitened = (values.double() - counted.mean()) * (counted.var() + eps).rsqrt()
    return whitened.to(values.dtype).masked_fill(~keep, 0.0)
