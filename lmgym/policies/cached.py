"""A decoder for any causal language model of transformers, through the model's own cache."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lmgym.errors import LmgymError
from lmgym.policies.merging import base_of
from lmgym.policies.sampling import left_padded

__all__ = ["CachedDecoder", "accepted"]

_CACHES = ("past_key_values", "cache_params")
"""What transformers calls the cache of a model, in its forward and in its output."""


class CachedDecoder:
    """A `Decoder` that calls the model with its own cache.

    Where the cache can select rows, each prompt is read once and finished rows are dropped; where
    it cannot, the prompt is read for every row. A model without a cache reads everything again at
    each step.

    Args:
        model: an `AutoModelForCausalLM`.
        pad_id: any valid id; it is masked.
    """

    def __init__(self, model: Any, pad_id: int) -> None:
        """Look at what the model's forward takes."""
        takes = accepted(model)
        self.model = model
        self.pad_id = pad_id
        self.device: torch.device = base_of(model).device
        self.takes = takes
        self.cache_name = next((name for name in _CACHES if name in takes), None)
        self.drops_rows = False
        self.cache: Any = None
        self.ids = self.mask = torch.empty(0)

    @staticmethod
    def pads_for(model: Any) -> bool:
        """Whether a model is told about padding; others read equally long prompts together."""
        return {"position_ids", "attention_mask"} <= accepted(model)

    def prefill(self, prompts: Sequence[Sequence[int]], parents: Tensor) -> Tensor:
        """Read each prompt once and start one row for each entry of `parents`."""
        ids, mask = left_padded(prompts, self.pad_id)
        self.ids, self.mask = ids.to(self.device), mask.to(self.device)
        self.is_padded = not bool(mask.all())
        logits = self._read(self.ids)
        self.drops_rows = self.cache_name is None or _selects_rows(self.cache)
        if len(parents) == len(prompts):
            return logits
        if not self.drops_rows:
            self.ids, self.mask, self.cache = self.ids[parents], self.mask[parents], None
            return self._read(self.ids)
        self.keep(parents)
        return logits[parents]

    def step(self, ids: Tensor) -> Tensor:
        """Append one id to each row, shape (B,), and return the next logits, shape (B, V)."""
        column = ids[:, None]
        self.mask = torch.cat([self.mask, torch.ones_like(column)], 1)
        if self.cache_name is not None:
            return self._read(column)
        self.ids = torch.cat([self.ids, column], 1)
        return self._read(self.ids)

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        self.ids, self.mask = self.ids[rows], self.mask[rows]
        if self.cache_name is not None:
            self.cache.reorder_cache(rows)

    def _read(self, ids: Tensor) -> Tensor:
        """Feed ids of shape (B, T) and return the logits after the last, shape (B, V)."""
        positions = (self.mask.cumsum(1) - 1).clamp_(min=0)[:, -ids.shape[1] :]
        inputs = {
            "attention_mask": self.mask if self.is_padded else None,
            "position_ids": positions,
            "use_cache": self.cache_name is not None,
            "logits_to_keep": 1,
        }
        if self.cache_name is not None:
            inputs[self.cache_name] = self.cache
        out = self.model(ids, **{name: inputs[name] for name in self.takes & inputs.keys()})
        if self.cache_name is not None:
            self.cache = out.get(self.cache_name)
            if self.cache is None:
                raise LmgymError(
                    f"{type(self.model).__name__} takes a cache but returns none: it keeps its"
                    " state elsewhere, or is no causal language model; choose another model"
                )
        logits: Tensor = out.logits[:, -1]
        return logits


def accepted(model: Any) -> frozenset[str]:
    """The parameters of a model's forward; of the wrapped model's, where an adapter wraps it."""
    return frozenset(inspect.signature(base_of(model).forward).parameters)


def _selects_rows(cache: Any) -> bool:
    """Whether every layer of a cache can repeat and drop rows."""
    from transformers import Cache

    # Not `batch_select_indices`: layers that are both recurrent and attentive inherit one that
    # leaves the recurrent states alone.
    return isinstance(cache, Cache) and all(
        hasattr(layer, "reorder_cache") for layer in getattr(cache, "layers", ())
    )
