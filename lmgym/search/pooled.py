"""What decoders have in common that keep keys and values for each handle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from lmgym.policies.weight_stamp import WeightStamp
from lmgym.search.prefix_tree import PrefixTree
from lmgym.search.slot_pool import SlotPool

__all__ = ["PooledDecoder", "logits_of"]


class PooledDecoder:
    """The part of a `TreeDecoder` that looks after its pool.

    Every handle that was read has a slot with its keys and values in each layer. What was read is
    never read again, until its text is pruned or the weights change (see `WeightStamp`).

    Attributes:
        n_read: ids that were computed so far.
    """

    shares_cache = True

    def __init__(self, model: Any, tree: PrefixTree) -> None:
        """Nothing is read yet."""
        self.model = model
        self.tree = tree
        self.n_read = 0
        self._stamp = WeightStamp(model)
        self.forget()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._pool.device

    @property
    def n_held(self) -> int:
        """Ids whose keys and values are held now."""
        return len(self._pool)

    def forget(self) -> None:
        """Compute everything again when it is asked for, with the weights as they are now."""
        self._weights = self._stamp.now()
        with torch.inference_mode():
            self._pool = self._new_pool()

    def logits(self, handles: ArrayLike) -> Tensor:
        """Logits of the id after each text, shape (B, V)."""
        raise NotImplementedError

    def logprobs(self, handles: ArrayLike) -> Tensor:
        """Log-probabilities of the id after each text, shape (B, V), fp32."""
        with torch.inference_mode():
            return self.logits(handles).float().log_softmax(-1)

    def _new_pool(self) -> SlotPool:
        """An empty pool for the model as it is."""
        raise NotImplementedError

    def _refresh(self) -> bool:
        """Take notice of new weights and of a tree that changed; whether something was dropped."""
        is_new = self._stamp.now() != self._weights
        if is_new:
            self.forget()
        return self._pool.follow() or is_new


def logits_of(model: Any, handles: Sequence[int], found: Mapping[int, Tensor]) -> Tensor:
    """The logits that were found for some handles, shape (B, V)."""
    if not handles:
        width = model.get_output_embeddings().weight.shape[0]
        return torch.empty(0, width, device=model.device)
    return torch.stack([found[handle] for handle in handles])
