"""A fast decoder for small models of the Llama family.

The same arithmetic as `LlamaForCausalLM`, written for one new id a row, with a cache that is
allocated ahead. Weights are read anew for each call, because a learner changes them in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lmgym.policies.llama_layers import LlamaLayers, supports
from lmgym.policies.sampling import left_padded

__all__ = ["LlamaDecoder", "supports"]

_BLOCK = 64
"""Columns that the cache grows by at least."""


class LlamaDecoder:
    """A `Decoder` for `LlamaForCausalLM`.

    Args:
        model: a model that `supports` accepts.
        pad_id: any valid id; it is masked.
    """

    drops_rows = True

    def __init__(self, model: Any, pad_id: int) -> None:
        """Gather the weights."""
        self.llama = LlamaLayers(model)
        self.pad_id = pad_id
        self.device = self.llama.device
        self.cos = self.sin = torch.empty(0)
        self.keys: list[Tensor] = []  # (B, kv_heads, capacity, width) a layer
        self.values: list[Tensor] = []
        self.length = 0
        self.positions: Tensor | None = None  # (B,), or None where all rows are equally long
        self.bias: Tensor | None = None  # (B, capacity), 0 or -inf, where prompts are padded

    @staticmethod
    def pads_for(model: Any) -> bool:
        """Prompts of different lengths are read together."""
        del model
        return True

    def prefill(self, prompts: Sequence[Sequence[int]], parents: Tensor) -> Tensor:
        """Read each prompt once and start one row for each entry of `parents`."""
        ids, mask = (tensor.to(self.device) for tensor in left_padded(prompts, self.pad_id))
        self.length = ids.shape[1]
        capacity = self.length + _BLOCK
        self.cos, self.sin = self.llama.rotations(capacity)
        attends, cos, sin = None, self.cos[: self.length, None], self.sin[: self.length, None]
        if not bool(mask.all()):
            positions = (mask.cumsum(1) - 1).clamp_(min=0)  # (P, T)
            attends, cos, sin = _causal(mask), self.cos[positions, None], self.sin[positions, None]
            self.positions = mask.sum(1)[parents]
            self.bias = torch.zeros(len(parents), capacity, device=self.device)
            self.bias[:, : self.length].masked_fill_(mask[parents] == 0, -torch.inf)
            self.bias = self.bias.to(self.llama.dtype)
        return _rows_of(self._read(ids, cos, sin, attends, parents), parents)

    def _read(
        self, ids: Tensor, cos: Tensor, sin: Tensor, attends: Tensor | None, parents: Tensor
    ) -> Tensor:
        """Fill the cache from prompts, shape (P, T); logits after their last ids, (P, V)."""
        prompts, length = ids.shape
        llama = self.llama
        x = llama.embed(ids).flatten(0, 1)  # (P*T, C)
        for layer in llama.layers:
            q, k, v = llama.qkv(x, layer, cos, sin, (prompts, length))  # (P, T, heads, width)
            q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
            self._store(k, v, parents)
            attended = F.scaled_dot_product_attention(
                q, k, v, attends, is_causal=attends is None, scale=1.0, enable_gqa=True
            )
            x = llama.after(x, attended.transpose(1, 2).reshape(len(x), -1), layer)
        return llama.logits(x.view(prompts, length, -1)[:, -1])

    def step(self, ids: Tensor) -> Tensor:
        """Append one id to each row, shape (B,), and return the next logits, shape (B, V)."""
        if self.length == self.keys[0].shape[2]:
            self._grow()
        now, rows, llama = self.length, len(ids), self.llama
        cos, sin = self._rotation()
        x = llama.embed(ids)  # (B, C)
        self.length += 1
        bias = None if self.bias is None else llama.score_bias(self.bias[:, : self.length])
        for layer, keys, values in zip(llama.layers, self.keys, self.values, strict=True):
            q, k, v = llama.qkv(x, layer, cos, sin, (rows,))  # (B, heads, width)
            keys[:, :, now] = k
            values[:, :, now] = v
            seen = keys[:, :, : self.length], values[:, :, : self.length]
            x = llama.after(x, llama.attend(q, *seen, bias), layer)
        return llama.logits(x)

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        self.keys = [keys.index_select(0, rows) for keys in self.keys]
        self.values = [values.index_select(0, rows) for values in self.values]
        if self.bias is not None and self.positions is not None:
            self.bias, self.positions = self.bias[rows], self.positions[rows]

    def _rotation(self) -> tuple[Tensor, Tensor]:
        """The rotation of the next position, broadcastable to (B, heads, width)."""
        if self.positions is None:
            return self.cos[self.length], self.sin[self.length]
        at = self.positions
        self.positions = at + 1
        return self.cos[at].unsqueeze(1), self.sin[at].unsqueeze(1)

    def _store(self, k: Tensor, v: Tensor, parents: Tensor) -> None:
        """Keep a layer's keys and values of the prompts, copied for each row."""
        shape = (len(parents), self.llama.kv_heads, self.length + _BLOCK, self.llama.width)
        for cache, new in ((self.keys, k), (self.values, v)):
            cache.append(new.new_empty(shape))
            cache[-1][:, :, : self.length] = _rows_of(new, parents)

    def _grow(self) -> None:
        """Make room for more columns."""
        extra = max(_BLOCK, self.length // 2)
        self.cos, self.sin = self.llama.rotations(self.length + extra)
        self.keys = [F.pad(keys, (0, 0, 0, extra)) for keys in self.keys]
        self.values = [F.pad(values, (0, 0, 0, extra)) for values in self.values]
        if self.bias is not None:
            self.bias = F.pad(self.bias, (0, extra))


def _rows_of(of_prompts: Tensor, parents: Tensor) -> Tensor:
    """What each row has from its prompt."""
    return of_prompts if len(of_prompts) == len(parents) else of_prompts[parents]


def _causal(mask: Tensor) -> Tensor:
    """Which position attends to which, shape (P, 1, T, T); padding attends to itself."""
    square = torch.ones(mask.shape[1], mask.shape[1], dtype=torch.bool, device=mask.device)
    attends = square.tril() & (mask[:, None] == 1)
    return (attends | torch.diag(square.diagonal()))[:, None]
