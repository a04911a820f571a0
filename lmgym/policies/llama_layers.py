"""The arithmetic of `LlamaForCausalLM`, for decoders that keep keys and values their own way.

Few operations, and batched matrix products in place of the attention kernels, which are slow for
a single query on a CPU. A decoder goes through `layers`: `qkv`, its own cache, `attend` or an
attention of its own, `after`; then `logits` or `final_norm`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmgym.policies.merging import base_of, is_plain_linear, weight_of

__all__ = ["LayerWeights", "LlamaLayers", "supports"]

_ROPE_TYPES = ("default", "linear", "llama3")
_UPCAST_FROM = 4
"""Rows from which on a CPU without bfloat16 arithmetic multiplies faster in float32, although the
matrix is converted each time: its own loop reads the matrix once for every row."""

_FUSE_BELOW = 2_000_000
"""Parameters up to which copying weights into fused matrices costs less than it saves."""


def supports(model: Any) -> bool:
    """Whether `LlamaLayers` computes what this model computes."""
    from transformers import LlamaForCausalLM

    base = base_of(model)
    if type(base) is not LlamaForCausalLM or type(base.model.embed_tokens) is not nn.Embedding:
        return False
    linears = [m for name, m in base.named_modules() if name.endswith(("_proj", "lm_head"))]
    return (
        base.config.hidden_act == "silu"
        and base.model.rotary_emb.rope_type in _ROPE_TYPES
        and all(is_plain_linear(linear) and linear.bias is None for linear in linears)
    )


class _Input(NamedTuple):
    """A norm and the matrices that read it; several stand for their concatenation.

    The weight of the norm is None where the only matrix has been multiplied with it.
    """

    norm: Tensor | None
    matrices: tuple[Tensor, ...]


class LayerWeights(NamedTuple):
    """The weights of one layer."""

    qkv: _Input
    attention_out: Tensor
    gate_up: _Input
    down: Tensor


class LlamaLayers:
    """The weights of a model as they are now, and what is computed with them.

    The weights of an adapter are merged into those of the model, here and not in the model.

    Args:
        model: a model that `supports` accepts.
        autocast: the type that matrices are multiplied in; what runs from layer to layer stays in
            that of the weights, as under `torch.autocast`. By default all is in that of the
            weights.

    Attributes:
        layers: one for each layer of the model.
        heads: of the queries.
        kv_heads: of the keys and the values.
        width: of a head.
        dtype: that matrices are multiplied in, and of keys and values.
    """

    def __init__(self, model: Any, autocast: torch.dtype | None = None) -> None:
        """Gather the weights."""
        self.model = model = base_of(model)
        config = model.config
        self.device: torch.device = model.device
        self.dtype: torch.dtype = autocast or model.dtype
        self.is_mixed = self.dtype != model.dtype
        self.heads: int = config.num_attention_heads
        self.kv_heads: int = config.num_key_value_heads
        self.width: int = model.model.layers[0].self_attn.head_dim
        self.eps = torch.tensor(config.rms_norm_eps, device=self.device)
        is_emulated = not torch.backends.cpu.get_cpu_capability().startswith("AVX512")
        self.upcasts = self.device.type == "cpu" and self.dtype == torch.bfloat16 and is_emulated
        self.uses_products = self.device.type == "cpu" and self.dtype == torch.float32
        size = config.num_hidden_layers * config.hidden_size
        size *= 4 * config.hidden_size + 3 * config.intermediate_size  # about, of the layers
        fuse = self.uses_products and size <= _FUSE_BELOW
        with torch.no_grad():
            self.layers = [_layer(layer, self.dtype, fuse=fuse) for layer in model.model.layers]
            self._head = _input(model.model.norm, [model.lm_head], self.dtype, fuse=fuse)

    def embed(self, ids: Tensor) -> Tensor:
        """What the first layer reads, shape (*ids.shape, C)."""
        return F.embedding(ids, self.model.model.embed_tokens.weight)

    def rotations(self, length: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines of the first positions, both of shape (length, width).

        They carry the scale of the attention scores as well. `roll` swaps the halves of a head,
        so the minus sign of the rotation sits in the sines.
        """
        positions = torch.arange(length, device=self.device)[None]
        probe = torch.empty(0, dtype=torch.float32, device=self.device)
        cos, sin = self.model.model.rotary_emb(probe, positions)
        sign = torch.ones_like(sin)
        sign[..., : self.width // 2] = -1
        scale = self.width**-0.25  # on queries and on keys
        dtype = self.model.dtype
        return (cos[0] * scale).to(dtype), (sin[0] * sign[0] * scale).to(dtype)

    def qkv(
        self, x: Tensor, layer: LayerWeights, cos: Tensor, sin: Tensor, shape: tuple[int, ...]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries and keys, and values, each of shape (*shape, heads, width)."""
        out = self._project(x, layer.qkv).view(*shape, -1, self.width)
        turned = self.heads + self.kv_heads
        qk, v = out[..., :turned, :], out[..., turned:, :]
        qk = torch.addcmul(qk * cos, qk.roll(self.width // 2, -1), sin).to(self.dtype)
        return qk[..., : self.heads, :], qk[..., self.heads :, :], v

    def attend(self, q: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
        """What one query a row reads, shape (B, heads * width).

        Args:
            q: shape (B, heads, width).
            keys: shape (B, kv_heads, T, width), a slice of a larger cache perhaps.
            values: as the keys.
            bias: of `score_bias`, where some keys are not to be read.
        """
        rows = len(q)
        grouped = q.reshape(rows, self.kv_heads, -1, self.width)  # (B, kv_heads, G, width)
        if not self.uses_products:
            read = F.scaled_dot_product_attention(grouped, keys, values, bias, scale=1.0)
            return read.reshape(rows, -1)
        scores = torch.bmm(grouped.flatten(0, 1), keys.flatten(0, 1).transpose(1, 2))
        if bias is not None:
            scores += bias
        return torch.bmm(scores.softmax(-1), values.flatten(0, 1)).view(rows, -1)

    def score_bias(self, bias: Tensor) -> Tensor:
        """What is added to the scores of `attend`, from 0 or -inf for each key, (B, T)."""
        if not self.uses_products:
            return bias[:, None, None]  # (B, 1, 1, T)
        return bias[:, None].expand(-1, self.kv_heads, -1).reshape(-1, 1, bias.shape[1])

    def after(self, x: Tensor, attended: Tensor, layer: LayerWeights) -> Tensor:
        """The rest of a layer, after its attention."""
        x = self._add(x, attended, layer.attention_out)
        gate, up = self._project(x, layer.gate_up).chunk(2, -1)
        return self._add(x, F.silu(gate) * up, layer.down)

    def logits(self, x: Tensor) -> Tensor:
        """Logits from what the last layer says, shape (B, V)."""
        return self._project(x, self._head)

    def final_norm(self, x: Tensor) -> Tensor:
        """The hidden states that the model's own forward reports last."""
        weight = self.model.model.norm.weight
        if self.uses_products:
            normed: Tensor = self._scaled(x) * weight
            return normed
        return F.rms_norm(x, weight.shape, weight, float(self.eps))

    def _project(self, x: Tensor, weights: _Input) -> Tensor:
        """Normalise (root mean square) and multiply."""
        norm, matrices = weights
        if norm is None:
            return F.linear(self._scaled(x), matrices[0])
        normed = F.rms_norm(x, norm.shape, norm, float(self.eps)).to(self.dtype)
        if len(matrices) == 1:
            return self._linear(normed, matrices[0])
        return torch.cat([self._linear(normed, matrix) for matrix in matrices], -1)

    def _linear(self, x: Tensor, matrix: Tensor) -> Tensor:
        if self.upcasts and len(x) >= _UPCAST_FROM:
            return F.linear(x.float(), matrix.float()).to(self.dtype)
        return F.linear(x, matrix)

    def _add(self, x: Tensor, read: Tensor, matrix: Tensor) -> Tensor:
        """What a matrix makes of something, added."""
        if self.is_mixed or self.upcasts:
            return x + self._linear(read, matrix)
        return torch.addmm(x, read, matrix.t())

    def _scaled(self, x: Tensor) -> Tensor:
        """Divided by its root mean square, in half the time of `rms_norm` for a few rows."""
        size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return x * torch.addcmul(self.eps, size, size, value=1 / x.shape[-1]).rsqrt_()


def _layer(layer: Any, dtype: torch.dtype, *, fuse: bool) -> LayerWeights:
    attention, mlp = layer.self_attn, layer.mlp
    qkv = [attention.q_proj, attention.k_proj, attention.v_proj]
    gates = [mlp.gate_proj, mlp.up_proj]
    return LayerWeights(
        qkv=_input(layer.input_layernorm, qkv, dtype, fuse=fuse),
        attention_out=weight_of(attention.o_proj).to(dtype),
        gate_up=_input(layer.post_attention_layernorm, gates, dtype, fuse=fuse),
        down=weight_of(mlp.down_proj).to(dtype),
    )


def _input(norm: Any, linears: list[Any], dtype: torch.dtype, *, fuse: bool) -> _Input:
    matrices = tuple(weight_of(linear).to(dtype) for linear in linears)
    if fuse:
        return _Input(None, (torch.cat(matrices) * norm.weight,))
    return _Input(norm.weight, matrices)
