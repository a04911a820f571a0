"""`SlotPool`: where the keys and values of a prefix tree lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lmgym.search.prefix_tree import Handles, PrefixTree

__all__ = ["Place", "SlotPool", "Slots"]

Slots = NDArray[np.int64]
Place = slice | Tensor
"""Slots; a slice where they follow each other, which spares copies."""

_SLOTS = 256
"""Slots at the start; then they double."""


class SlotPool:
    """A slot for each handle that was read, in tensors that grow.

    Args:
        tree: whose handles have slots.
        shapes: heads and width of the keys and values of each layer.
        size: of a hidden state that is kept as well; 0 for none.
        like: a tensor of the data type and on the device of all these.

    Attributes:
        caches: keys and values of each layer, shape (2, kv_heads, capacity, width).
        hidden: what the last layer says at each slot, shape (capacity, C).
        slots: by handle, -1 where there is none.
    """

    def __init__(
        self, tree: PrefixTree, shapes: Sequence[tuple[int, int]], size: int, like: Tensor
    ) -> None:
        """Make room for a few hundred ids."""
        self.tree = tree
        self.slots: Slots = np.full(_SLOTS, -1, np.int64)
        self._free: Slots = np.empty(0, np.int64)
        self._used = 0
        self._n_pruned = tree.n_pruned
        self.caches = [like.new_zeros(2, heads, _SLOTS, width) for heads, width in shapes]
        self.hidden = like.new_zeros(_SLOTS, size)

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.hidden.device

    def __len__(self) -> int:
        """How many handles have a slot."""
        return self._used - len(self._free)

    def follow(self) -> bool:
        """Catch up with the tree, that grows and is pruned; whether it was pruned."""
        if len(self.tree) > len(self.slots):
            more = max(len(self.tree) - len(self.slots), len(self.slots))
            self.slots = np.concatenate([self.slots, np.full(more, -1, np.int64)])
        if self.tree.n_pruned == self._n_pruned:
            return False
        held = (self.slots >= 0).nonzero()[0]
        dead = held[~self.tree.are_alive(held)]
        self._free = np.sort(np.concatenate([self._free, self.slots[dead]]))
        self.slots[dead] = -1
        self._n_pruned = self.tree.n_pruned
        return True

    def take(self, handles: Handles) -> Place:
        """Slots for handles that have none."""
        count = len(handles)
        if len(self._free) >= count:
            slots, self._free = self._free[:count], self._free[count:]
        else:
            slots = np.arange(self._used, self._used + count)
            self._used += count
            self._reserve(self._used)
        self.slots[handles] = slots
        return self.place(slots)

    def place(self, slots: Slots) -> Place:
        """Slots as a slice where that is possible."""
        first, last = int(slots[0]), int(slots[-1])
        if last - first == len(slots) - 1 and (np.diff(slots) == 1).all():
            return slice(first, last + 1)
        return torch.from_numpy(slots).to(self.device)

    def _reserve(self, slots: int) -> None:
        extra = slots - self.hidden.shape[0]
        if extra > 0:
            extra = max(extra, self.hidden.shape[0])
            self.caches = [F.pad(cache, (0, 0, 0, extra)) for cache in self.caches]
            self.hidden = F.pad(self.hidden, (0, 0, 0, extra))
