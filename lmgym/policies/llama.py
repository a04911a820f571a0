"""A fast decoder for small models of the Llama family.

The same arithmetic as `LlamaForCausalLM`, written for one new id a row: few operations, a cache
that is allocated ahead, and batched matrix products in place of the attention kernels, which are
slow for a single query on a CPU. Weights are read anew for each call, because a learner changes
them in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmgym.policies.sampling import left_padded

__all__ = ["LlamaDecoder", "supports"]

_ROPE_TYPES = ("default", "linear", "llama3")
_FUSE_BELOW = 2_000_000
"""Parameters up to which copying weights into fused matrices costs less than it saves."""

_BLOCK = 64
"""Columns that the cache grows by at least."""


def supports(model: Any) -> bool:
    """Whether `LlamaDecoder` computes what this model computes."""
    from transformers import LlamaForCausalLM

    if type(model) is not LlamaForCausalLM:
        return False
    linears = [m for name, m in model.named_modules() if name.endswith(("_proj", "lm_head"))]
    return (
        model.config.hidden_act == "silu"
        and model.model.rotary_emb.rope_type in _ROPE_TYPES
        and all(type(linear) is nn.Linear and linear.bias is None for linear in linears)
    )


class _Input(NamedTuple):
    """A norm and the matrices that read it; several stand for their concatenation.

    The weight of the norm is None where the only matrix has been multiplied with it.
    """

    norm: Tensor | None
    matrices: tuple[Tensor, ...]


class _Layer(NamedTuple):
    """The weights of one layer."""

    qkv: _Input
    attention_out: Tensor
    gate_up: _Input
    down: Tensor


class LlamaDecoder:
    """A `Decoder` for `LlamaForCausalLM`.

    Args:
        model: a model that `supports` accepts.
        pad_id: any valid id; it is masked.
    """

    drops_rows = True

    def __init__(self, model: Any, pad_id: int) -> None:
        """Gather the weights."""
        config = model.config
        self.model = model
        self.pad_id = pad_id
        self.device: torch.device = model.device
        self.heads: int = config.num_attention_heads
        self.kv_heads: int = config.num_key_value_heads
        self.width: int = model.model.layers[0].self_attn.head_dim
        self.eps = torch.tensor(config.rms_norm_eps, device=self.device)
        self.uses_products = self.device.type == "cpu" and model.dtype == torch.float32
        size = config.num_hidden_layers * config.hidden_size
        size *= 4 * config.hidden_size + 3 * config.intermediate_size  # about, of the layers
        fuse = self.uses_products and size <= _FUSE_BELOW
        with torch.no_grad():
            self.layers = [_layer(layer, fuse=fuse) for layer in model.model.layers]
            self.head = _input(model.model.norm, [model.lm_head], fuse=fuse)
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
        self._tabulate(capacity)
        attends, cos, sin = None, self.cos[: self.length, None], self.sin[: self.length, None]
        if not bool(mask.all()):
            positions = (mask.cumsum(1) - 1).clamp_(min=0)  # (P, T)
            attends, cos, sin = _causal(mask), self.cos[positions, None], self.sin[positions, None]
            self.positions = mask.sum(1)[parents]
            self.bias = torch.zeros(len(parents), capacity, device=self.device)
            self.bias[:, : self.length].masked_fill_(mask[parents] == 0, -torch.inf)
            self.bias = self.bias.to(self.model.dtype)
        return _rows_of(self._read(ids, cos, sin, attends, parents), parents)

    def _read(
        self, ids: Tensor, cos: Tensor, sin: Tensor, attends: Tensor | None, parents: Tensor
    ) -> Tensor:
        """Fill the cache from prompts, shape (P, T); logits after their last ids, (P, V)."""
        prompts, length = ids.shape
        x = F.embedding(ids, self.model.model.embed_tokens.weight).flatten(0, 1)  # (P*T, C)
        for layer in self.layers:
            q, k, v = self._qkv(x, layer, cos, sin, (prompts, length))  # (P, T, heads, width)
            q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
            self._store(k, v, parents)
            attended = F.scaled_dot_product_attention(
                q, k, v, attends, is_causal=attends is None, scale=1.0, enable_gqa=True
            )
            x = self._after(x, attended.transpose(1, 2).reshape(len(x), -1), layer)
        return self._project(x.view(prompts, length, -1)[:, -1], self.head)

    def step(self, ids: Tensor) -> Tensor:
        """Append one id to each row, shape (B,), and return the next logits, shape (B, V)."""
        if self.length == self.keys[0].shape[2]:
            self._grow()
        now, rows = self.length, len(ids)
        cos, sin = self._rotation()
        x = F.embedding(ids, self.model.model.embed_tokens.weight)  # (B, C)
        self.length += 1
        bias = None if self.bias is None else self._step_bias(self.bias[:, : self.length])
        for layer, keys, values in zip(self.layers, self.keys, self.values, strict=True):
            q, k, v = self._qkv(x, layer, cos, sin, (rows,))  # (B, heads, width)
            keys[:, :, now] = k
            values[:, :, now] = v
            seen = keys[:, :, : self.length], values[:, :, : self.length]
            x = self._after(x, self._attend(q, *seen, bias), layer)
        return self._project(x, self.head)

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        self.keys = [keys.index_select(0, rows) for keys in self.keys]
        self.values = [values.index_select(0, rows) for values in self.values]
        if self.bias is not None and self.positions is not None:
            self.bias, self.positions = self.bias[rows], self.positions[rows]

    def _qkv(
        self, x: Tensor, layer: _Layer, cos: Tensor, sin: Tensor, shape: tuple[int, ...]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries and keys, and values, each of shape (*shape, heads, width)."""
        out = self._project(x, layer.qkv).view(*shape, -1, self.width)
        turned = self.heads + self.kv_heads
        qk, v = out[..., :turned, :], out[..., turned:, :]
        qk = torch.addcmul(qk * cos, qk.roll(self.width // 2, -1), sin)
        return qk[..., : self.heads, :], qk[..., self.heads :, :], v

    def _attend(self, q: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
        """What one query a row reads from its cache, shape (B, heads * width)."""
        rows = len(q)
        grouped = q.reshape(rows, self.kv_heads, -1, self.width)  # (B, kv_heads, G, width)
        if not self.uses_products:
            read = F.scaled_dot_product_attention(grouped, keys, values, bias, scale=1.0)
            return read.reshape(rows, -1)
        scores = torch.bmm(grouped.flatten(0, 1), keys.flatten(0, 1).transpose(1, 2))
        if bias is not None:
            scores += bias
        return torch.bmm(scores.softmax(-1), values.flatten(0, 1)).view(rows, -1)

    def _step_bias(self, bias: Tensor) -> Tensor:
        """The padding bias in the shape of the scores."""
        if not self.uses_products:
            return bias[:, None, None]  # (B, 1, 1, T)
        return bias[:, None].expand(-1, self.kv_heads, -1).reshape(-1, 1, bias.shape[1])

    def _after(self, x: Tensor, attended: Tensor, layer: _Layer) -> Tensor:
        """The rest of a layer, after its attention."""
        x = torch.addmm(x, attended, layer.attention_out.t())
        gate, up = self._project(x, layer.gate_up).chunk(2, -1)
        return torch.addmm(x, F.silu(gate) * up, layer.down.t())

    def _project(self, x: Tensor, weights: _Input) -> Tensor:
        """Normalise (root mean square) and multiply."""
        norm, matrices = weights
        if norm is None:  # half the time of `rms_norm` for a few rows
            size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
            scale = torch.addcmul(self.eps, size, size, value=1 / x.shape[-1]).rsqrt_()
            return F.linear(x * scale, matrices[0])
        normed = F.rms_norm(x, norm.shape, norm, float(self.eps))
        if len(matrices) == 1:
            return F.linear(normed, matrices[0])
        return torch.cat([F.linear(normed, matrix) for matrix in matrices], -1)

    def _tabulate(self, length: int) -> None:
        """Rotations of every position; they carry the scale of the attention scores as well.

        `roll` swaps the halves of a head, so the minus sign of the rotation sits in the table.
        """
        positions = torch.arange(length, device=self.device)[None]
        probe = torch.empty(0, dtype=torch.float32, device=self.device)
        cos, sin = self.model.model.rotary_emb(probe, positions)
        sign = torch.ones_like(sin)
        sign[..., : self.width // 2] = -1
        scale = self.width**-0.25  # on queries and on keys
        self.cos = (cos[0] * scale).to(self.model.dtype)  # (T, width)
        self.sin = (sin[0] * sign[0] * scale).to(self.model.dtype)

    def _rotation(self) -> tuple[Tensor, Tensor]:
        """The rotation of the next position, broadcastable to (B, heads, width)."""
        if self.positions is None:
            return self.cos[self.length], self.sin[self.length]
        at = self.positions
        self.positions = at + 1
        return self.cos[at].unsqueeze(1), self.sin[at].unsqueeze(1)

    def _store(self, k: Tensor, v: Tensor, parents: Tensor) -> None:
        """Keep a layer's keys and values of the prompts, copied for each row."""
        shape = (len(parents), self.kv_heads, self.length + _BLOCK, self.width)
        for cache, new in ((self.keys, k), (self.values, v)):
            cache.append(new.new_empty(shape))
            cache[-1][:, :, : self.length] = _rows_of(new, parents)

    def _grow(self) -> None:
        """Make room for more columns."""
        extra = max(_BLOCK, self.length // 2)
        self._tabulate(self.length + extra)
        self.keys = [F.pad(keys, (0, 0, 0, extra)) for keys in self.keys]
        self.values = [F.pad(values, (0, 0, 0, extra)) for values in self.values]
        if self.bias is not None:
            self.bias = F.pad(self.bias, (0, extra))


def _layer(layer: Any, *, fuse: bool) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp
    qkv = [attention.q_proj, attention.k_proj, attention.v_proj]
    return _Layer(
        qkv=_input(layer.input_layernorm, qkv, fuse=fuse),
        attention_out=attention.o_proj.weight,
        gate_up=_input(layer.post_attention_layernorm, [mlp.gate_proj, mlp.up_proj], fuse=fuse),
        down=mlp.down_proj.weight,
    )


def _input(norm: Any, linears: list[nn.Linear], *, fuse: bool) -> _Input:
    matrices = tuple(linear.weight for linear in linears)
    if fuse:
        return _Input(None, (torch.cat(matrices) * norm.weight,))
    return _Input(norm.weight, matrices)


def _rows_of(of_prompts: Tensor, parents: Tensor) -> Tensor:
    """What each row has from its prompt."""
    return of_prompts if len(of_prompts) == len(parents) else of_prompts[parents]


def _causal(mask: Tensor) -> Tensor:
    """Which position attends to which, shape (P, 1, T, T); padding attends to itself."""
    square = torch.ones(mask.shape[1], mask.shape[1], dtype=torch.bool, device=mask.device)
    attends = square.tril() & (mask[:, None] == 1)
    return (attends | torch.diag(square.diagonal()))[:, None]
