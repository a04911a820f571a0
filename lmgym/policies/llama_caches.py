"""Keys and values of rows under way, beginning with their prompts: copied, or shared.

Rows of a group begin with the same prompt. A short one is copied for each of its rows. A long one
is kept once, and all rows read it together: the cascade of Hydragen (Juravsky et al., 2024), with
one softmax over the prompt and the row's own ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from lmgym.policies.llama_layers import LlamaLayers

__all__ = ["CopiedPrompts", "RowCache", "SharedPrompts", "is_worth_sharing"]

_BLOCK = 16
"""Columns that a cache grows by at least. Few: a cache with unused columns lies in more pages of
memory, and finding these costs more than copying it now and then."""

_WORTH_SHARING = 2**18
"""Numbers of keys in a layer that sharing must spare the rows of each prompt."""


class RowCache(Protocol):
    """Keys and values of rows that grow by one id at a time."""

    def add_layer(self, keys: Tensor, values: Tensor) -> None:
        """Take those of a layer's prompts, both of shape (P, kv_heads, T, width)."""
        ...

    def grow(self) -> None:
        """Begin a new id in each row."""
        ...

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Keep keys and values of the new ids, and read all of their rows.

        Args:
            layer: number of the layer.
            q: shape (B, heads, width).
            k: shape (B, kv_heads, width).
            v: as `k`.

        Returns:
            Shape (B, heads * width).
        """
        ...

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only, in ascending order."""
        ...


def is_worth_sharing(lengths: Sequence[int], parents: Tensor, llama: LlamaLayers) -> bool:
    """Whether prompts of these lengths are to be kept once for all of their rows.

    Args:
        lengths: of the prompts.
        parents: the index of each row's prompt, shape (B,).
        llama: the model.
    """
    counts = torch.bincount(parents, minlength=len(lengths)).tolist()
    spared = [(n - 1) * length for n, length in zip(counts, lengths, strict=True)]
    size = llama.kv_heads * llama.width
    is_sorted = bool((parents[1:] >= parents[:-1]).all())  # the rows of a prompt are neighbours
    return is_sorted and sum(spared) * size >= len(spared) * _WORTH_SHARING


class CopiedPrompts:
    """A `RowCache` in which each row has its prompt for itself.

    Args:
        llama: the model.
        parents: the index of each row's prompt, shape (B,).
        mask: 1 for ids and 0 for padding of the prompts, shape (P, T); None where all are ids.
        length: of the prompts, T.
    """

    def __init__(
        self, llama: LlamaLayers, parents: Tensor, mask: Tensor | None, length: int
    ) -> None:
        """Make room for nothing yet."""
        self._llama = llama
        self._parents = parents
        self._length = length
        self._keys: list[Tensor] = []  # (B, kv_heads, capacity, width) a layer
        self._values: list[Tensor] = []
        self._bias: Tensor | None = None  # (B, capacity), 0 or -inf, where prompts are padded
        self._shown: Tensor | None = None
        if mask is not None:
            bias = torch.zeros(len(parents), _capacity(length), device=llama.device)
            bias[:, :length].masked_fill_(mask[parents] == 0, -torch.inf)
            self._bias = bias.to(llama.dtype)

    def add_layer(self, keys: Tensor, values: Tensor) -> None:
        """Copy those of the prompts for each row."""
        _, heads, length, width = keys.shape
        shape = (len(self._parents), heads, _capacity(length), width)
        for cache, new in ((self._keys, keys), (self._values, values)):
            cache.append(new.new_empty(shape))
            cache[-1][:, :, :length] = new if len(new) == shape[0] else new[self._parents]

    def grow(self) -> None:
        """Begin a new id in each row."""
        if self._length == self._keys[0].shape[2]:
            extra = _capacity(self._length) - self._length
            self._keys = [_widened(keys, extra) for keys in self._keys]
            self._values = [_widened(values, extra) for values in self._values]
            if self._bias is not None:
                self._bias = F.pad(self._bias, (0, extra))
        self._length += 1
        if self._bias is not None:
            self._shown = self._llama.score_bias(self._bias[:, : self._length])

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Keep keys and values of the new ids, and read all of their rows."""
        keys, values, length = self._keys[layer], self._values[layer], self._length
        keys[:, :, length - 1] = k
        values[:, :, length - 1] = v
        seen = keys[:, :, :length], values[:, :, :length]
        return self._llama.attend(q, *seen, self._shown)

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        self._keys = [keys.index_select(0, rows) for keys in self._keys]
        self._values = [values.index_select(0, rows) for values in self._values]
        if self._bias is not None:
            self._bias = self._bias[rows]


class SharedPrompts:
    """A `RowCache` in which the rows of a prompt read one copy of it, together.

    Args:
        llama: the model.
        parents: the index of each row's prompt, ascending, shape (B,).
        lengths: of the prompts, which are padded on the left.
    """

    def __init__(self, llama: LlamaLayers, parents: Tensor, lengths: Sequence[int]) -> None:
        """Make room for nothing yet."""
        self._llama = llama
        self._parents = parents
        self._lengths = list(lengths)
        self._prompts: list[tuple[Tensor, Tensor]] = []  # (P, kv_heads, T, width) a layer
        self._keys: list[Tensor] = []  # (kv_heads, B, capacity, width) a layer, of the new ids
        self._values: list[Tensor] = []
        self._length = 0  # of the new ids
        self._groups = self._grouped()

    def add_layer(self, keys: Tensor, values: Tensor) -> None:
        """Take those of a layer's prompts."""
        self._prompts.append((keys.contiguous(), values.contiguous()))
        shape = (keys.shape[1], len(self._parents), _capacity(0), keys.shape[3])
        self._keys.append(keys.new_empty(shape))
        self._values.append(values.new_empty(shape))

    def grow(self) -> None:
        """Begin a new id in each row."""
        if self._length == self._keys[0].shape[2]:
            extra = _capacity(self._length) - self._length
            self._keys = [_widened(keys, extra) for keys in self._keys]
            self._values = [_widened(values, extra) for values in self._values]
        self._length += 1

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Keep keys and values of the new ids, and read all of their rows."""
        keys, values, length = self._keys[layer], self._values[layer], self._length
        keys[:, :, length - 1] = k.transpose(0, 1)
        values[:, :, length - 1] = v.transpose(0, 1)
        kv_heads, _, _, width = keys.shape
        q = q.view(len(q), kv_heads, -1, width).transpose(0, 1)  # (kv_heads, B, G, width)
        read = torch.empty_like(q, memory_format=torch.contiguous_format)
        for prompt, rows in self._groups:
            start = self._prompts[layer][0].shape[2] - self._lengths[prompt]
            trunk_keys, trunk_values = (some[prompt, :, start:] for some in self._prompts[layer])
            own = keys[:, rows, :length], values[:, rows, :length]
            read[:, rows] = _cascade(q[:, rows], trunk_keys, trunk_values, *own)
        return read.transpose(0, 1).reshape(read.shape[1], -1)

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        self._keys = [keys.index_select(1, rows) for keys in self._keys]
        self._values = [values.index_select(1, rows) for values in self._values]
        self._parents = self._parents[rows]
        self._groups = self._grouped()

    def _grouped(self) -> list[tuple[int, slice]]:
        """The prompts with rows, and where these are."""
        counts = torch.bincount(self._parents).tolist()
        ends = list(accumulate(counts))
        rows = (slice(end - count, end) for end, count in zip(ends, counts, strict=True))
        return [(n, own) for n, own in enumerate(rows) if own.stop > own.start]


def _cascade(
    q: Tensor, trunk_keys: Tensor, trunk_values: Tensor, keys: Tensor, values: Tensor
) -> Tensor:
    """What rows read of a common beginning and of their own ids.

    Args:
        q: shape (kv_heads, R, G, width), scaled.
        trunk_keys: of the common beginning, shape (kv_heads, P, width).
        trunk_values: as `trunk_keys`.
        keys: of the rows' own ids, shape (kv_heads, R, S, width).
        values: as `keys`.

    Returns:
        Shape (kv_heads, R, G, width).
    """
    together = q.flatten(1, 2)  # (kv_heads, R * G, width)
    common = torch.bmm(together, trunk_keys.transpose(1, 2))  # (kv_heads, R * G, P)
    own = torch.matmul(q, keys.transpose(2, 3)).flatten(1, 2)  # (kv_heads, R * G, S)
    scores = torch.cat([common, own], -1)
    weights = scores.softmax(-1, dtype=torch.float32).to(scores.dtype)
    length = common.shape[-1]
    read = torch.bmm(weights[..., :length], trunk_values).view_as(q)
    return read + torch.matmul(weights[..., length:].view(*q.shape[:3], -1), values)


def _widened(cache: Tensor, extra: int) -> Tensor:
    """A cache with so many more columns, of which nothing is known yet."""
    *before, columns, width = cache.shape
    wide = cache.new_empty(*before, columns + extra, width)
    wide[:, :, :columns] = cache
    return wide


def _capacity(length: int) -> int:
    """How many columns to have room for where so many are used.

    An odd number: at powers of two the new keys of all rows fall on the same cache lines.
    """
    return (length + max(_BLOCK, length // 4)) | 1
