"""Keys and values of a prefix tree, shared by all texts that begin alike, at any depth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lmgym.policies.llama_layers import LlamaLayers
from lmgym.search.chains import Chain, batches_of, chains_of
from lmgym.search.pooled import PooledDecoder
from lmgym.search.prefix_tree import Handles
from lmgym.search.shared_attention import attend, groups_of
from lmgym.search.slot_pool import Place, SlotPool, Slots

__all__ = ["LlamaTreeDecoder"]


class LlamaTreeDecoder(PooledDecoder):
    """A `TreeDecoder` for `LlamaForCausalLM`.

    A handle that was read has its last hidden state in the pool as well, so that asking again costs
    nothing but the logits. Where many texts share a beginning they attend to it together.

    Args:
        model: a model that `lmgym.policies.llama_layers.supports` accepts.
        tree: the texts.
    """

    def _new_pool(self) -> SlotPool:
        self._llama = llama = LlamaLayers(self.model)
        self._cos = self._sin = torch.empty(0)
        self._latest: tuple[Handles, Handles] | None = None
        shapes = [(llama.kv_heads, llama.width)] * len(llama.layers)
        like = torch.empty(0, dtype=llama.dtype, device=llama.device)
        return SlotPool(self.tree, shapes, self.model.config.hidden_size, like)

    def _logits(self, handles: Handles, depths: Handles) -> Tensor:
        """Logits of the id after texts of these lengths, shape (B, V)."""
        depth, pool = int(depths.max(initial=0)), self._pool
        if depth > len(self._cos):
            self._cos, self._sin = self._llama.rotations(2 * depth)
        slots = pool.slots[handles]
        if (slots < 0).any():
            self._read(np.unique(handles[slots < 0]))
            slots = pool.slots[handles]
        return self._llama.logits(pool.hidden[torch.from_numpy(slots).to(self.device)])

    def _read(self, handles: Handles) -> None:
        """Read distinct texts that have no slot, and what of their beginnings has none."""
        paths, ends = self._paths(handles), self.tree.depths(handles).astype(np.int64)
        self._latest = handles, paths
        while True:
            known = (self._pool.slots[paths] >= 0).sum(1, where=paths >= 0)
            is_left = known < ends
            paths, ends, known = paths[is_left], ends[is_left], known[is_left]
            if (ends - known == 1).all():
                break
            for chains in batches_of(chains_of(paths, known, ends)):
                self._read_chains(chains)
        if len(paths):
            self._read_last(paths, ends)

    def _paths(self, handles: Handles) -> Handles:
        """As `PrefixTree.paths`, in a moment where these texts extend those read last."""
        if self._latest is None:
            return self.tree.paths(handles)
        latest, known = self._latest
        parents = self.tree.parents(handles)
        rows = np.minimum(np.searchsorted(latest, parents), len(latest) - 1)
        if not (latest[rows] == parents).all():
            return self.tree.paths(handles)
        depths = self.tree.depths(handles)
        paths: Handles = np.full((len(handles), int(depths.max())), -1, np.int32)
        width = min(known.shape[1], paths.shape[1])
        paths[:, :width] = known[rows, :width]
        paths[np.arange(len(handles)), depths - 1] = handles
        return paths

    def _read_last(self, paths: Handles, ends: Slots) -> None:
        """Read the last id of each text, whose beginnings are known."""
        llama, pool = self._llama, self._pool
        handles = paths[np.arange(len(paths)), ends - 1]
        x, cos, sin, place = self._enter(handles, ends - 1)
        groups = groups_of(paths, ends, pool)
        for layer, cache in zip(llama.layers, pool.caches, strict=True):
            q, k, v = llama.qkv(x, layer, cos, sin, (len(x),))  # (B, heads, width)
            _store(cache, place, k, v)
            x = llama.after(x, attend(groups, q, cache), layer)
        pool.hidden[place] = x

    def _read_chains(self, chains: Sequence[Chain]) -> None:
        """Read several new ids of each text, those of one text behind those of another."""
        llama, pool = self._llama, self._pool
        handles = np.concatenate([chain.path[chain.start :] for chain in chains])
        positions = np.concatenate([np.arange(c.start, len(c.path)) for c in chains])
        x, cos, sin, place = self._enter(handles, positions)
        lie = [pool.place(pool.slots[chain.path]) for chain in chains]
        counts = [len(chain.path) - chain.start for chain in chains]
        for layer, cache in zip(llama.layers, pool.caches, strict=True):
            q, k, v = llama.qkv(x, layer, cos, sin, (len(x),))  # (M, heads, width)
            _store(cache, place, k, v)
            pieces = zip(torch.split(q, counts), lie, strict=True)
            attended = torch.cat([_attend_causally(some, cache[:, :, at]) for some, at in pieces])
            x = llama.after(x, attended, layer)
        pool.hidden[place] = x

    def _enter(self, handles: Handles, positions: Slots) -> tuple[Tensor, Tensor, Tensor, Place]:
        """What the first layer reads of new handles, their rotations, and slots for them."""
        place = self._pool.take(handles)
        self.n_read += len(handles)
        at = torch.from_numpy(positions).to(self.device)
        cos, sin = self._cos.index_select(0, at)[:, None], self._sin.index_select(0, at)[:, None]
        ids = torch.from_numpy(self.tree.tokens(handles)).to(self.device)
        return self._llama.embed(ids), cos, sin, place


def _store(cache: Tensor, place: Place, k: Tensor, v: Tensor) -> None:
    """Keep keys and values of new ids, both of shape (B, kv_heads, width)."""
    cache[0][:, place] = k.transpose(0, 1)
    cache[1][:, place] = v.transpose(0, 1)


def _attend_causally(q: Tensor, known: Tensor) -> Tensor:
    """What the last ids of one text read, shape (T, heads * width).

    Args:
        q: shape (T, heads, width).
        known: keys and values of the whole text, these ids included, (2, kv_heads, S, width).
    """
    new, whole = len(q), known.shape[2]
    attends = None
    if 1 < new < whole:
        attends = torch.ones(new, whole, dtype=torch.bool, device=q.device).tril(whole - new)
    read = F.scaled_dot_product_attention(
        q.transpose(0, 1)[None],
        known[:1],
        known[1:],
        attends,
        is_causal=new == whole,
        scale=1.0,
        enable_gqa=True,
    )
    return read[0].transpose(0, 1).flatten(1)
