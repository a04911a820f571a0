"""What decoders have in common that keep keys and values for each handle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from lmgym.policies.weight_stamp import WeightStamp
from lmgym.search.prefix_tree import Handles, PrefixTree, as_handles
from lmgym.search.slot_pool import SlotPool

__all__ = ["PooledDecoder", "leave_training_mode", "logits_of"]


class PooledDecoder:
    """The part of a `TreeDecoder` that looks after its pool.

    Every handle that was read has a slot with its keys and values in each layer. What was read is
    never read again, until its text is pruned or the weights change (see `WeightStamp`). Where a
    reading fails or is interrupted, everything is forgotten.

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
        self._weights: list[tuple[int, int]] = []
        self._held: SlotPool | None = None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._stamp.device

    @property
    def n_held(self) -> int:
        """Ids whose keys and values are held now."""
        return 0 if self._held is None else len(self._held)

    def forget(self) -> None:
        """Compute everything again when it is asked for, with the weights as they are then."""
        self._held = None

    def logits(self, handles: ArrayLike) -> Tensor:
        """Logits of the id after each text, shape (B, V), for handles of shape (B,)."""
        asked = as_handles(handles)
        depths = self.tree.depths(asked)
        leave_training_mode(self.model)
        try:
            with torch.inference_mode():
                self._refresh()
                return self._logits(asked, depths)
        except BaseException:  # interrupts too: there are slots now that nothing was written to
            self.forget()
            raise

    def logprobs(self, handles: ArrayLike) -> Tensor:
        """Log-probabilities of the id after each text, shape (B, V), fp32."""
        with torch.inference_mode():
            return self.logits(handles).float().log_softmax(-1)

    def _logits(self, handles: Handles, depths: Handles) -> Tensor:
        """Logits of the id after texts of these lengths, shape (B, V)."""
        raise NotImplementedError

    def _new_pool(self) -> SlotPool:
        """An empty pool for the model as it is."""
        raise NotImplementedError

    @property
    def _pool(self) -> SlotPool:
        """What was read since something was forgotten."""
        if self._held is None:
            self._weights = self._stamp.now()
            self._held = self._new_pool()
        return self._held

    def _refresh(self) -> None:
        """Take notice of new weights and of a tree that changed."""
        if self._stamp.now() != self._weights:
            self.forget()
        self._pool.follow()


def leave_training_mode(model: Any) -> None:
    """Have the model say the same whenever it is asked; dropout would not."""
    if model.training:
        model.eval()


def logits_of(model: Any, handles: Sequence[int], found: Mapping[int, Tensor]) -> Tensor:
    """The logits that were found for some handles, shape (B, V)."""
    if not handles:
        width = model.get_output_embeddings().weight.shape[0]
        return torch.empty(0, width, device=model.device)
    return torch.stack([found[handle] for handle in handles])
