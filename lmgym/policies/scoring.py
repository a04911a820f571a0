"""Log-probabilities of given ids, with gradient, in bounded memory.

The vocabulary of a large model is wide: the logits of a micro-batch would be the largest tensor of
training by far. Where the model allows it they are never made as a whole: the head reads a block of
hidden states at a time, and reads it again for the gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from lmgym.errors import LmgymError
from lmgym.policies.cached import accepted
from lmgym.policies.merging import base_of
from lmgym.policies.packing import Pack

__all__ = ["Scorer", "check_checkpointing"]

_AT_ONCE = 2**24
"""How many logits are held in fp32 at a time: 64 MiB."""

_recomputed = partial(checkpoint, use_reentrant=False, preserve_rng_state=False)  # no dropout


class Scorer:
    """Scores ids with a model as it is at the time, and remembers how its head can be called.

    Args:
        model: any `AutoModelForCausalLM`, with an adapter perhaps, in evaluation mode.
        n_ids: ids from here on do not count, as if the model lacked them.

    Example:
        >>> from lmgym.policies.loading import load_policy
        >>> ids = torch.tensor([[259, 49, 257, 260]])
        >>> Scorer(load_policy().model, 262).score(ids, torch.ones_like(ids)).shape
        torch.Size([1, 3])
    """

    def __init__(self, model: Any, n_ids: int) -> None:
        """Look at nothing yet."""
        self.model = model
        self._n_ids = n_ids
        self._has_plain_head: bool | None = None

    def score(
        self,
        ids: Tensor,
        mask: Tensor,
        temperature: float = 1.0,
        first: int = 1,
        *,
        recompute: bool = False,
    ) -> Tensor:
        """As `LanguagePolicy.token_logprobs`; all tensors are on the model's device.

        Args:
            ids: shape (B, T).
            mask: 1 for ids, 0 for padding, shape (B, T).
            temperature: logits are divided by it.
            first: position of the first id that is scored.
            recompute: compute each layer a second time for the gradient.
        """
        is_wide = ids.shape[0] * (ids.shape[1] - first) * self._n_ids > _AT_ONCE
        with _recomputing(self.model) if recompute and torch.is_grad_enabled() else _as_it_is():
            if is_wide and self._plain_head(ids):
                taken = self._in_blocks(ids, mask, temperature, first)
            else:
                taken = self._whole(ids, mask, temperature, first)
        taken = F.pad(taken, (first - 1, 0))
        return taken.masked_fill((mask[:, 1:] * mask[:, :-1]) == 0, 0.0)

    def score_pack(self, pack: Pack, temperature: float, *, recompute: bool = False) -> Tensor:
        """As `score`, of packed rows: log-probabilities of the scored ids, the rest 0.

        Args:
            pack: of rows, for a model that `can_pack` accepts.
            temperature: logits are divided by it.
            recompute: compute each layer a second time for the gradient.

        Returns:
            Shape (B, T - 1), fp32, with gradient.
        """
        base = base_of(self.model)
        attends = pack.attends_as(base)
        inputs = {"attention_mask": attends, "position_ids": pack.positions, "use_cache": False}
        with _recomputing(self.model) if recompute and torch.is_grad_enabled() else _as_it_is():
            states = base.base_model(pack.ids, **inputs)[0].flatten(0, 1)[pack.sources]
            taken = self._of_states(states, pack.targets, temperature)
        return pack.scattered(taken)

    def _whole(self, ids: Tensor, mask: Tensor, temperature: float, first: int) -> Tensor:
        """With the logits that the model itself computes, shape (B, T - first)."""
        kept = ids.shape[1] - first + 1
        out = self.model(ids, **self._inputs(mask), **_accepted(self.model, logits_to_keep=kept))
        logits = out.logits[:, -kept:-1, : self._n_ids]
        return _selected_logprobs(logits, ids[:, first:], temperature)

    def _in_blocks(self, ids: Tensor, mask: Tensor, temperature: float, first: int) -> Tensor:
        """With the logits of a block of positions at a time, padding left out."""
        base = base_of(self.model)
        states = base.base_model(ids, **self._inputs(mask))[0][:, first - 1 : -1]  # (B, T', C)
        targets = ids[:, first:]
        kept = (mask[:, first:] * mask[:, first - 1 : -1]).flatten().nonzero()[:, 0]
        states, ids_kept = states.flatten(0, 1)[kept], targets.flatten()[kept]
        taken = self._of_states(states, ids_kept, temperature)
        scored = taken.new_zeros(targets.numel()).index_copy(0, kept, taken)
        return scored.view_as(targets)

    def _of_states(self, states: Tensor, ids: Tensor, temperature: float) -> Tensor:
        """Log-probabilities of ids, (n,), from the hidden states before them, (n, C)."""
        size = max(1, _AT_ONCE // self._n_ids)
        head, n_ids = base_of(self.model).get_output_embeddings(), self._n_ids

        def block(some: Tensor, wanted: Tensor) -> Tensor:
            return _selected(head(some)[:, :n_ids], wanted, temperature)

        if len(ids) <= size:
            return block(states, ids)
        blocks = zip(torch.split(states, size), torch.split(ids, size), strict=True)
        return torch.cat([_recomputed(block, *pair) for pair in blocks])

    def _inputs(self, mask: Tensor) -> dict[str, Any]:
        positions = (mask.cumsum(1) - 1).clamp_(min=0)
        return _accepted(self.model, attention_mask=mask, position_ids=positions, use_cache=False)

    def _plain_head(self, ids: Tensor) -> bool:
        """Whether logits are what the head says of the last hidden states, and nothing else.

        Some architectures scale or bend them. Two ids are asked both ways, and the answers have to
        agree in every bit.
        """
        if self._has_plain_head is None:
            base, probe = base_of(self.model), ids[:1, :2]
            head = base.get_output_embeddings()
            if not isinstance(head, torch.nn.Module) or base.base_model is base:
                self._has_plain_head = False
            else:
                with torch.no_grad():
                    inputs = _accepted(self.model, use_cache=False)
                    states = base.base_model(probe, **inputs)[0]
                    whole = self.model(probe, **inputs).logits
                    self._has_plain_head = torch.equal(head(states), whole)
        return self._has_plain_head


def check_checkpointing(model: Any) -> None:
    """Raise where a model has no layers that could be computed again."""
    if not _layers(model):
        raise LmgymError(
            f"{type(base_of(model)).__name__} has no layers that can be computed again for the"
            " gradient; leave --gradient-checkpointing out"
        )


@contextmanager
def _recomputing(model: Any) -> Iterator[None]:
    """The layers of a model forget what they computed, and compute it again for the gradient.

    The mechanism of transformers does so in training mode only, which would turn dropout on.
    """
    layers = _layers(model)
    try:
        for layer in layers:
            layer.forward = partial(_recomputed, layer.forward)
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("forward", None)


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


def _layers(model: Any) -> list[Any]:
    from transformers.modeling_layers import GradientCheckpointingLayer

    return [layer for layer in model.modules() if isinstance(layer, GradientCheckpointingLayer)]


def _accepted(model: Any, **inputs: Any) -> dict[str, Any]:
    """Those of the inputs that a model's forward takes."""
    takes = accepted(model)
    return {name: value for name, value in inputs.items() if name in takes}


def _selected_logprobs(logits: Tensor, ids: Tensor, temperature: float) -> Tensor:
    """Log-probabilities of `ids`, shape (B, T), under `logits`, shape (B, T, V), in fp32."""
    if logits.numel() <= _AT_ONCE:
        return _selected(logits, ids, temperature)
    B, T, V = logits.shape
    n_rows = min(B, max(1, _AT_ONCE // V))
    n_columns = min(T, max(1, _AT_ONCE // (n_rows * V)))
    rows = []
    # `split` and not slices: its gradient is put together once.
    for some_logits, some_ids in zip(
        torch.split(logits, n_rows), torch.split(ids, n_rows), strict=True
    ):
        blocks = zip(
            torch.split(some_logits, n_columns, 1),
            torch.split(some_ids, n_columns, 1),
            strict=True,
        )
        taken = [_recomputed(_selected, *block, temperature) for block in blocks]
        rows.append(torch.cat(taken, 1))
    return torch.cat(rows)


def _selected(logits: Tensor, ids: Tensor, temperature: float) -> Tensor:
    logprobs = (logits.float() / temperature).log_softmax(-1)
    return logprobs.gather(-1, ids.unsqueeze(-1)).squeeze(-1)
