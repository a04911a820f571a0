"""A decoder for any causal language model of transformers, through the model's own cache."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lmgym.policies.sampling import left_padded

__all__ = ["CachedDecoder"]


class CachedDecoder:
    """A `Decoder` that calls the model with its `past_key_values`.

    Where the cache can select rows, each prompt is read once and finished rows are dropped;
    where it cannot, as in a recurrent model, the prompt is read once for every row.

    Args:
        model: an `AutoModelForCausalLM`.
        pad_id: any valid id; it is masked.
    """

    def __init__(self, model: Any, pad_id: int) -> None:
        """Look at what the model's forward takes."""
        self.model = model
        self.pad_id = pad_id
        self.device: torch.device = model.device
        self.vocab_size: int = model.get_output_embeddings().weight.shape[0]
        self.takes = frozenset(inspect.signature(model.forward).parameters)
        self.drops_rows = False
        self.cache: Any = None
        self.mask = torch.empty(0)

    def prefill(self, prompts: Sequence[Sequence[int]], parents: Tensor) -> Tensor:
        """Read each prompt once and start one row for each entry of `parents`."""
        ids, mask = (tensor.to(self.device) for tensor in left_padded(prompts, self.pad_id))
        self.mask = mask
        logits = self._forward(ids)
        self.drops_rows = _selects_rows(self.cache)
        if len(parents) == len(prompts):
            return logits
        if not self.drops_rows:
            self.mask, self.cache = mask[parents], None
            return self._forward(ids[parents])
        self.keep(parents)
        return logits[parents]

    def step(self, ids: Tensor) -> Tensor:
        """Append one id to each row, shape (B,), and return the next logits, shape (B, V)."""
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(ids), 1)], 1)
        return self._forward(ids[:, None])

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        self.cache.batch_select_indices(rows)
        self.mask = self.mask[rows]

    def _forward(self, ids: Tensor) -> Tensor:
        """Feed ids of shape (B, T) and return the logits after the last, shape (B, V)."""
        positions = (self.mask.cumsum(1) - 1).clamp_(min=0)[:, -ids.shape[1] :]
        inputs = {
            "attention_mask": self.mask,
            "position_ids": positions,
            "past_key_values": self.cache,
            "use_cache": True,
            "logits_to_keep": 1,
        }
        out = self.model(ids, **{k: v for k, v in inputs.items() if k in self.takes})
        self.cache = out.past_key_values
        logits: Tensor = out.logits[:, -1]
        return logits


def _selects_rows(cache: Any) -> bool:
    """Whether every layer of a cache can repeat and drop rows."""
    layers = getattr(cache, "layers", None)
    return bool(layers) and all(hasattr(layer, "batch_select_indices") for layer in layers)
