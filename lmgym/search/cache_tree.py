"""A tree decoder for the models whose cache of keys and values can be taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lmgym.policies.cached import CachedDecoder, accepted
from lmgym.search.chains import Chain, batches_of, chains_of
from lmgym.search.pooled import PooledDecoder, leave_training_mode, logits_of
from lmgym.search.prefix_tree import Handles
from lmgym.search.slot_pool import SlotPool

__all__ = ["CacheTreeDecoder", "can_share"]


def can_share(model: Any) -> bool:
    """Whether every layer of the model's cache is plain keys and values, one of each an id.

    Recurrent states cannot be taken apart, and a sliding window has forgotten what it began with.
    """
    from transformers.cache_utils import DynamicCache

    takes = accepted(model)
    if "past_key_values" not in takes or not CachedDecoder.pads_for(model):
        return False
    cache = _first_cache(model)
    return type(cache) is DynamicCache and all(map(_is_plain, cache.layers))


def _is_plain(layer: Any) -> bool:
    from transformers.cache_utils import DynamicLayer

    if type(layer) is not DynamicLayer:
        return False
    keys, values = layer.keys, layer.values
    return keys is not None and values is not None and keys.shape == values.shape


class CacheTreeDecoder(PooledDecoder):
    """A `TreeDecoder` for models whose cache `can_share`.

    The cache that a batch of texts needs is put together from the pool for the model's own forward.
    Asking again for a text that was read reads its last id again.

    Args:
        model: a model that `can_share` accepts.
        tree: the texts.
    """

    def _new_pool(self) -> SlotPool:
        layers = _first_cache(self.model).layers
        shapes = [(layer.keys.shape[1], layer.keys.shape[3]) for layer in layers]
        return SlotPool(self.tree, shapes, 0, layers[0].keys)

    def _logits(self, handles: Handles, depths: Handles) -> Tensor:
        """Logits of the id after texts of these lengths, shape (B, V)."""
        distinct, firsts, rows = np.unique(handles, return_index=True, return_inverse=True)
        ends = depths[firsts].astype(np.int64)
        found: dict[int, Tensor] = {}
        paths = self.tree.paths(distinct)
        left = np.arange(len(distinct))
        while len(left):
            slots = self._pool.slots[paths[left]]
            known = (slots >= 0).sum(1, where=paths[left] >= 0)
            known = np.minimum(known, ends[left] - 1)  # the last id is read for its logits
            for batch in batches_of(chains_of(paths[left], known, ends[left])):
                lasts = [int(chain.path[-1]) for chain in batch]
                found.update(zip(lasts, self._read(batch), strict=True))
            left = np.array([row for row in left if int(distinct[row]) not in found], int)
        return logits_of(self.model, distinct[rows].tolist(), found)

    def _read(self, chains: Sequence[Chain]) -> Tensor:
        """Read what is new in some texts; the logits after each, shape (R, V)."""
        starts = np.array([chain.start for chain in chains])
        counts = np.array([len(chain.path) for chain in chains]) - starts
        past, width = int(starts.max()), int(counts.max())
        paths = np.full((len(chains), past + width), -1, np.int32)
        for row, chain in enumerate(chains):  # what is known to the left, what is new to the right
            paths[row, past - chain.start : past] = chain.path[: chain.start]
            paths[row, past + width - counts[row] :] = chain.path[chain.start :]
        is_id = paths >= 0
        positions = np.maximum(is_id.cumsum(1) - 1, 0)[:, past:]
        inputs: dict[str, Any] = {
            "attention_mask": self._put(is_id.astype(np.int64)),
            "position_ids": self._put(positions),
            "past_key_values": self._past(paths[:, :past], is_id[:, :past]),
            "use_cache": True,
            "logits_to_keep": 1,
        }
        ids = np.where(is_id[:, past:], self.tree.tokens(paths[:, past:]), 0)
        takes = accepted(self.model) & inputs.keys()
        out = self.model(self._put(ids.astype(np.int64)), **{name: inputs[name] for name in takes})
        self._keep(paths[:, past:], out.past_key_values, past)
        logits: Tensor = out.logits[:, -1]
        return logits

    def _past(self, paths: Any, is_id: Any) -> Any:
        """A cache of what is known, paths and mask of shape (R, P)."""
        from transformers.cache_utils import DynamicCache

        cache = DynamicCache()
        at = self._put(np.where(is_id, self._pool.slots[paths], 0))
        for index, held in enumerate(self._pool.caches):
            known = held[:, :, at].transpose(1, 2)  # (2, R, heads, P, width)
            cache.update(known[0], known[1], index)
        return cache

    def _keep(self, paths: Any, cache: Any, past: int) -> None:
        """Store keys and values of new ids, whose handles are `paths`, -1 for padding, (R, T)."""
        rows, columns = ((paths >= 0) & (self._pool.slots[paths] < 0)).nonzero()
        if not len(rows):
            return
        place = self._pool.take(paths[rows, columns])
        self.n_read += len(rows)
        at = self._put(rows), self._put(columns + past)
        for held, layer in zip(self._pool.caches, cache.layers, strict=True):
            held[0][:, place] = layer.keys[at[0], :, at[1]].transpose(0, 1)
            held[1][:, place] = layer.values[at[0], :, at[1]].transpose(0, 1)

    def _put(self, values: Any) -> Tensor:
        return torch.from_numpy(values).to(self.device)


def _first_cache(model: Any) -> Any:
    """The cache of a text of one id."""
    leave_training_mode(model)  # checkpoints of gradients would go without a cache
    with torch.inference_mode():
        ids = torch.zeros(1, 1, dtype=torch.long, device=model.device)
        return model(ids, use_cache=True).past_key_values
