"""A fast decoder for small models of the Llama family.

The same arithmetic as `LlamaForCausalLM`, written for one new id a row, with a cache that is
allocated ahead and in which the rows of a group share a long prompt. Weights are read anew for each
call, because a learner changes them in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lmgym.policies.llama_caches import (
    CopiedPrompts,
    RowCache,
    SharedPrompts,
    is_worth_sharing,
)
from lmgym.policies.llama_layers import LlamaLayers, supports
from lmgym.policies.sampling import left_padded

__all__ = ["LlamaDecoder", "supports"]

_POSITIONS = 64
"""Positions whose rotations are computed ahead, at least."""


class LlamaDecoder:
    """A `Decoder` for `LlamaForCausalLM`.

    Args:
        model: a model that `supports` accepts.
        pad_id: any valid id; it is masked.
        autocast: the type that matrices are multiplied in, by default that of the weights.
    """

    drops_rows = True

    def __init__(self, model: Any, pad_id: int, autocast: torch.dtype | None = None) -> None:
        """Gather the weights."""
        self.llama = LlamaLayers(model, autocast)
        self.pad_id = pad_id
        self.device = self.llama.device
        self.cos = self.sin = torch.empty(0)
        self.cache: RowCache
        self.length = 0
        self.positions: Tensor | None = None  # (B,), or None where all rows are equally long

    @staticmethod
    def pads_for(model: Any) -> bool:
        """Prompts of different lengths are read together."""
        del model
        return True

    def prefill(self, prompts: Sequence[Sequence[int]], parents: Tensor) -> Tensor:
        """Read each prompt once and start one row for each entry of `parents`."""
        ids, mask = (tensor.to(self.device) for tensor in left_padded(prompts, self.pad_id))
        self.length = ids.shape[1]
        self.cos, self.sin = self.llama.rotations(self.length + _POSITIONS)
        attends, cos, sin = None, self.cos[: self.length, None], self.sin[: self.length, None]
        is_padded = not bool(mask.all())
        if is_padded:
            positions = (mask.cumsum(1) - 1).clamp_(min=0)  # (P, T)
            attends, cos, sin = _causal(mask), self.cos[positions, None], self.sin[positions, None]
            self.positions = mask.sum(1)[parents]
        lengths = [len(prompt) for prompt in prompts]
        if is_worth_sharing(lengths, parents, self.llama):
            self.cache = SharedPrompts(self.llama, parents, lengths)
        else:
            padding = mask if is_padded else None
            self.cache = CopiedPrompts(self.llama, parents, padding, self.length)
        logits = self._read(ids, cos, sin, attends)
        return logits if len(logits) == len(parents) else logits[parents]

    def _read(self, ids: Tensor, cos: Tensor, sin: Tensor, attends: Tensor | None) -> Tensor:
        """Fill the cache from prompts, shape (P, T); logits after their last ids, (P, V)."""
        prompts, length = ids.shape
        llama = self.llama
        x = llama.embed(ids).flatten(0, 1)  # (P*T, C)
        for layer in llama.layers:
            q, k, v = llama.qkv(x, layer, cos, sin, (prompts, length))  # (P, T, heads, width)
            q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
            self.cache.add_layer(k, v)
            attended = F.scaled_dot_product_attention(
                q, k, v, attends, is_causal=attends is None, scale=1.0, enable_gqa=True
            )
            x = llama.after(x, attended.transpose(1, 2).reshape(len(x), -1), layer)
        return llama.logits(x.view(prompts, length, -1)[:, -1])

    def step(self, ids: Tensor) -> Tensor:
        """Append one id to each row, shape (B,), and return the next logits, shape (B, V)."""
        llama, cache = self.llama, self.cache
        cache.grow()
        cos, sin = self._rotation()
        x = llama.embed(ids)  # (B, C)
        for number, layer in enumerate(llama.layers):
            q, k, v = llama.qkv(x, layer, cos, sin, (len(ids),))  # (B, heads, width)
            x = llama.after(x, cache.attend(number, q, k, v), layer)
        self.length += 1
        return llama.logits(x)

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        self.cache.keep(rows)
        if self.positions is not None:
            self.positions = self.positions[rows]

    def _rotation(self) -> tuple[Tensor, Tensor]:
        """The rotation of the next position, broadcastable to (B, heads, width)."""
        if self.length == len(self.cos):
            self.cos, self.sin = self.llama.rotations(2 * self.length)
        if self.positions is None:
            return self.cos[self.length], self.sin[self.length]
        at = self.positions
        self.positions = at + 1
        return self.cos[at].unsqueeze(1), self.sin[at].unsqueeze(1)


def _causal(mask: Tensor) -> Tensor:
    """Which position attends to which, shape (P, 1, T, T); padding attends to itself."""
    square = torch.ones(mask.shape[1], mask.shape[1], dtype=torch.bool, device=mask.device)
    attends = square.tril() & (mask[:, None] == 1)
    return (attends | torch.diag(square.diagonal()))[:, None]
