"""What a KL penalty adds to the loss of each id.

With r = log ref - log pi of an id that the policy drew (Schulman, 2020):

- k1 = -r: the right value; its gradient vanishes in the mean, so it belongs into the reward.
- k2 = r^2 / 2: biased as a value, with the right gradient.
- k3 = e^r - r - 1: the right value, never negative, with a biased gradient.
- k3+: the value of k3 with the gradient of k2 (straight through).
"""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor

from lmgym.errors import unknown

__all__ = ["KLKind", "kl_terms"]

KLKind = Literal["k1", "k2", "k3", "k3+"]
"""The estimators by name."""


def kl_terms(logprobs: Tensor, reference_logprobs: Tensor, kind: KLKind = "k3") -> Tensor:
    """An estimate of KL(policy || reference) for each id, in the shape of the arguments.

    Args:
        logprobs: of the ids under the policy, with gradient.
        reference_logprobs: under the reference; carries no gradient.
        kind: which estimator.

    Example:
        >>> import torch
        >>> kl_terms(torch.tensor([0.0]), torch.tensor([-2.0]), "k2")
        tensor([2.])
    """
    if kind not in get_args(KLKind):
        raise unknown("KL estimator", kind, get_args(KLKind))
    difference = reference_logprobs.detach() - logprobs
    if kind == "k1":
        return -difference
    if kind == "k2":
        return difference.square() / 2
    value = difference.exp() - difference - 1
    if kind == "k3":
        return value
    right = difference.square() / 2
    return right + (value - right).detach()
