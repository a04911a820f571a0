"""`Critic`: the return that is expected before each id, learned beside a policy."""

from __future__ import annotations

import copy
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from lmgym.errors import unknown
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policies.packing import can_pack, pack_rows, reach_of
from lmgym.training.batches import Batch

__all__ = ["Critic", "CriticKind", "value_loss"]

CriticKind = Literal["model", "head"]
"""A critic of its own, or a head on what the policy computes."""


class Critic(nn.Module):
    """Values of the states before each id.

    `model` is a copy of the policy's layers with one output, all of it trained. `head` is a small
    network on the hidden states of the policy, whose own weights it leaves alone: it costs a
    forward pass and little memory, and sees only what the policy has learned to see.

    Args:
        policy: is read, and for `model` copied.
        kind: see above.
        seed: of the head's initial weights. The last layer starts at 0, and all values with it.
    """

    def __init__(self, policy: LanguagePolicy, kind: CriticKind = "model", seed: int = 0) -> None:
        """Make the layers."""
        super().__init__()
        if kind not in get_args(CriticKind):
            raise unknown("critic", kind, get_args(CriticKind))
        self.kind: CriticKind = kind
        self.policy = policy
        trunk = _trunk(policy)
        self.trunk = copy.deepcopy(trunk).requires_grad_(True) if kind == "model" else None
        weight = policy.model.get_input_embeddings().weight
        width = int(weight.shape[1])
        self.head = _head(width, kind, seed).to(weight.device)

    def forward(self, batch: Batch) -> Tensor:
        """Values before each target, shape (B, T - 1), fp32, with gradient.

        Where prompts are shared, only those before ids that carry loss; others are 0.
        """
        mask = batch.attention_mask
        pack = None
        if can_pack(model := self.policy.model):
            pad_id, reach = self.policy.renderer.pad_id, reach_of(model)
            pack = pack_rows(batch.ids, mask, batch.loss_mask, pad_id, reach)
        if pack is not None:
            states = self._states(pack.ids, pack.attends_as(model), pack.positions)
            values = self._values(states.flatten(0, 1)[pack.sources])
            return pack.scattered(values)
        positions = (mask.cumsum(1) - 1).clamp_(min=0)
        return self._values(self._states(batch.ids, mask, positions)[:, :-1])

    def _states(self, ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        inputs = {"attention_mask": mask, "position_ids": positions, "use_cache": False}
        is_own = self.trunk is not None
        trunk: Any = self.trunk or _trunk(self.policy)
        with self.policy.autocasting(), torch.set_grad_enabled(is_own and torch.is_grad_enabled()):
            states: Tensor = trunk(ids, **inputs).last_hidden_state
        return states

    def _values(self, states: Tensor) -> Tensor:
        values: Tensor = self.head(states.float()).squeeze(-1)
        return values


def value_loss(
    values: Tensor, old_values: Tensor, returns: Tensor, mask: Tensor, clip: float | None = None
) -> Tensor:
    """Half the squared error of each id, shape (B, T); 0 where the mask is 0.

    With a clip c it is at least the error of the value that has moved at most c from the old one
    (PPO's clipped value loss; Schulman et al., 2017, in the form of Baselines).

    Example:
        >>> one = torch.ones(1, 1)
        >>> value_loss(one, 0 * one, one, one, clip=0.5)
        tensor([[0.1250]])
    """
    keep = mask.bool()
    errors = (values - returns).square()
    if clip is not None:
        near = old_values + (values - old_values).clamp(-clip, clip)
        errors = torch.maximum(errors, (near - returns).square())
    return (errors / 2).masked_fill(~keep, 0.0)


def _trunk(policy: LanguagePolicy) -> Any:
    """The layers of a policy below its head, beneath an adapter too."""
    model = policy.model
    whole = model.get_base_model() if hasattr(model, "get_base_model") else model
    return whole.base_model


def _head(width: int, kind: CriticKind, seed: int) -> nn.Sequential:
    """One output from hidden states: linear on a model of its own, else with a hidden layer."""
    last = nn.Linear(width, 1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    if kind == "model":
        return nn.Sequential(last)
    first = nn.Linear(width, width)
    with torch.no_grad():
        first.weight.normal_(0.0, width**-0.5, generator=torch.Generator().manual_seed(seed))
        first.bias.zero_()
    return nn.Sequential(first, nn.Tanh(), last)
