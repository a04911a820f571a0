"""Next-id distributions of the texts in a prefix tree, each of its ids computed once.

`tree_decoder` chooses how: Llama's family shares keys and values between all texts with the same
beginning, and attends to them together; models with an ordinary cache share them; others, such as
recurrent ones, read each text from its start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from lmgym.policies.cached import CachedDecoder
from lmgym.policies.llama_layers import supports
from lmgym.policies.sampling import batches
from lmgym.search.pooled import leave_training_mode, logits_of
from lmgym.search.prefix_tree import Handles, PrefixTree, as_handles

__all__ = ["RereadingDecoder", "TreeDecoder", "TreeSampler", "tree_decoder"]


_READ_AT_ONCE = 4096
"""About how many ids are read together."""


class TreeDecoder(Protocol):
    """A model that reads the texts of a tree, without gradient and in evaluation mode.

    Reading puts a model that was in training mode into evaluation mode and leaves it there.

    Attributes:
        tree: the texts.
        shares_cache: whether an id is computed once for all texts that begin with it.
    """

    tree: PrefixTree
    shares_cache: bool

    @property
    def device(self) -> torch.device:
        """Where the logits are."""
        ...

    def logits(self, handles: ArrayLike) -> Tensor:
        """Logits of the id after each text, shape (B, V), for handles of shape (B,)."""
        ...

    def logprobs(self, handles: ArrayLike) -> Tensor:
        """Log-probabilities of the id after each text, shape (B, V), fp32."""
        ...

    def forget(self) -> None:
        """Compute everything again when it is asked for."""
        ...


def tree_decoder(model: Any, tree: PrefixTree, pad_id: int = 0) -> TreeDecoder:
    """The best decoder for this model.

    Args:
        model: an `AutoModelForCausalLM`.
        tree: the texts; it may grow and be pruned at any time.
        pad_id: any valid id; what it is read as does not matter.

    Example:
        >>> from lmgym.policies.loading import load_policy
        >>> tree = PrefixTree()
        >>> decoder = tree_decoder(load_policy().model, tree)
        >>> prompt = tree.root([259, 49, 43, 50, 257, 260])
        >>> decoder.logits([prompt, tree.extend(prompt, 51)]).shape, decoder.shares_cache
        (torch.Size([2, 262]), True)
    """
    if supports(model):
        from lmgym.search.llama_tree import LlamaTreeDecoder

        return LlamaTreeDecoder(model, tree)
    from lmgym.search.cache_tree import CacheTreeDecoder, can_share

    if can_share(model):
        return CacheTreeDecoder(model, tree)
    return RereadingDecoder(model, tree, pad_id)


class RereadingDecoder:
    """A `TreeDecoder` for any causal language model: every text is read from its start.

    Args:
        model: an `AutoModelForCausalLM`.
        tree: the texts.
        pad_id: any valid id; it is masked.
    """

    shares_cache = False

    def __init__(self, model: Any, tree: PrefixTree, pad_id: int) -> None:
        """Nothing is kept between calls."""
        self.model = model
        self.tree = tree
        self.pad_id = pad_id

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.model.device
        return device

    def logits(self, handles: ArrayLike) -> Tensor:
        """Logits of the id after each text, shape (B, V), for handles of shape (B,)."""
        asked = as_handles(handles).tolist()
        leave_training_mode(self.model)
        texts = {handle: self.tree.ids(handle) for handle in asked}
        distinct = list(texts)
        found: dict[int, Tensor] = {}
        reads_ragged = CachedDecoder.pads_for(self.model)
        with torch.inference_mode():
            for indices in batches(list(texts.values()), reads_ragged=reads_ragged):
                for some in _of_bounded_size([distinct[index] for index in indices], texts):
                    decoder = CachedDecoder(self.model, self.pad_id)
                    prompts = [texts[handle] for handle in some]
                    logits = decoder.prefill(prompts, torch.arange(len(some)))
                    found.update(zip(some, logits, strict=True))
            return logits_of(self.model, asked, found)

    def logprobs(self, handles: ArrayLike) -> Tensor:
        """Log-probabilities of the id after each text, shape (B, V), fp32."""
        with torch.inference_mode():
            return self.logits(handles).float().log_softmax(-1)

    def forget(self) -> None:
        """Nothing was kept."""


class TreeSampler:
    """A `Decoder` for `lmgym.policies.sampling.generate`, over a tree.

    The completions of a prompt share its keys and values and read them together. With a tree that
    shares children, completions that have not parted yet are one.
    """

    drops_rows = True

    def __init__(self, decoder: TreeDecoder) -> None:
        """Start at the first prompt."""
        self.decoder = decoder
        self.device = decoder.device
        self.handles: Handles = np.empty(0, np.int32)

    def prefill(self, prompts: Sequence[Sequence[int]], parents: Tensor) -> Tensor:
        """Read each prompt once and start one row for each entry of `parents`."""
        roots = np.array([self.decoder.tree.root(prompt) for prompt in prompts], np.int32)
        self.handles = roots[parents.cpu().numpy()]
        return self.decoder.logits(self.handles)

    def step(self, ids: Tensor) -> Tensor:
        """Append one id to each row, shape (B,), and return the next logits, shape (B, V)."""
        self.handles = self.decoder.tree.extend_many(self.handles, ids.cpu().numpy())
        return self.decoder.logits(self.handles)

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        self.handles = self.handles[rows.cpu().numpy()]


def _of_bounded_size(handles: list[int], texts: Mapping[int, list[int]]) -> Iterator[list[int]]:
    """The texts in batches that hold a bounded number of ids, similar lengths together."""
    rest = sorted(handles, key=lambda handle: -len(texts[handle]))
    while rest:
        count = max(1, _READ_AT_ONCE // len(texts[rest[0]]))
        yield rest[:count]
        rest = rest[count:]
