"""`RowDecoder`: the hidden states of growing rows of ids, with a cache that outlives the call.

A vectorized environment shows its whole rows at every step, and all but the last id were there a
step before. The decoder remembers which ids it has read, looks what is new, and reads only that.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lmgym.errors import LmgymError
from lmgym.policies.cached import accepted
from lmgym.policies.llama_layers import LlamaLayers, supports
from lmgym.policies.merging import base_of
from lmgym.policies.weight_stamp import WeightStamp

__all__ = ["RowDecoder"]

Lengths = NDArray[np.int64]
Rows = NDArray[np.bool_]

_BLOCK = 64
"""Columns that the cache grows by at least."""

_READ_AT_ONCE = 4096
"""About how many ids are read together where rows have several new ones."""

_UNREAD = torch.iinfo(torch.int32).min
"""Stands in `seen` where nothing was read; no id is as low."""


class RowDecoder:
    """Reads growing rows with a cache of keys and values per row.

    Nothing is taken on trust: the ids that a row has now are compared with those that were read,
    and the cache is used as far as they agree. Changed weights are noticed (see `WeightStamp`).
    Models other than Llama's family are read from the start each time. Where a reading fails or is
    interrupted, everything is forgotten.

    Args:
        model: an `AutoModelForCausalLM`; reading puts it into evaluation mode.
        pad_id: any valid id; what it is read as does not matter.

    Example:
        >>> import torch
        >>> from lmgym.policies.loading import load_policy
        >>> decoder = RowDecoder(load_policy().model, pad_id=256)
        >>> tokens = torch.tensor([[259, 49, 257, 260, 49], [259, 50, 257, 260, 256]])
        >>> decoder.read(tokens, torch.tensor([5, 4])).shape
        torch.Size([2, 64])
    """

    def __init__(self, model: Any, pad_id: int) -> None:
        """Look at the model; its weights are gathered when there is something to read."""
        self.model = model
        self.pad_id = pad_id
        self._stamp = WeightStamp(model)
        self._weights = self._stamp.now()
        self._is_llama = supports(model)
        self._rows: _LlamaRows | None = None

    def read(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Hidden states after each row's last id, as the model's own forward has them at its end.

        Args:
            tokens: ids, padded on the right with anything, shape (N, context).
            lengths: how many of them each row has, 1 or more, shape (N,).

        Returns:
            Shape (N, C), without gradient.
        """
        ends: Lengths = lengths.cpu().numpy().astype(np.int64)
        _check(tokens, ends)
        if self.model.training:
            self.model.eval()
        with self._all_or_nothing():
            tokens = tokens.to(self._stamp.device)
            hidden = (
                self._rows_for(len(tokens)).read(tokens, ends)
                if self._is_llama
                else _read_anew(self.model, self.pad_id, tokens, ends)
            )
        return hidden.clone()  # one that a learner may go on from

    def fork(self, sources: Tensor, targets: Tensor) -> None:
        """Give rows the cache of others, shapes (K,), for the ids that they are about to have."""
        if self._rows is not None:
            with self._all_or_nothing():
                self._rows.fork(sources.cpu(), targets.cpu())

    def forget(self) -> None:
        """Read everything again the next time, with the weights as they are then."""
        self._rows = None

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Do not trust what was done only in part."""
        try:
            with torch.inference_mode():
                yield
        except BaseException:  # interrupts too
            self.forget()
            raise

    def _rows_for(self, n_rows: int) -> _LlamaRows:
        weights = self._stamp.now()
        if self._rows is None or len(self._rows.lengths) != n_rows or weights != self._weights:
            self._weights = weights
            self._rows = _LlamaRows(LlamaLayers(self.model), n_rows)
        return self._rows


class _LlamaRows:
    """Keys and values of a fixed number of rows, and the ids that they belong to.

    What is decided from row to row is decided on the CPU, in NumPy: its calls are the cheaper ones,
    and a GPU is waited for once.
    """

    def __init__(self, llama: LlamaLayers, n_rows: int) -> None:
        device = llama.device
        self.llama = llama
        self.seen = torch.empty(n_rows, 0, dtype=torch.int32, device=device)  # (N, capacity)
        self.lengths: Lengths = np.zeros(n_rows, np.int64)
        self.bias = torch.empty(n_rows, 0, dtype=llama.dtype, device=device)  # as `seen`: 0, -inf
        shape = (n_rows, llama.kv_heads, 0, llama.width)  # (N, kv_heads, capacity, width)
        self.keys = [torch.empty(shape, dtype=llama.dtype, device=device) for _ in llama.layers]
        self.values = [keys.clone() for keys in self.keys]
        size = llama.model.config.hidden_size
        self.hidden = torch.zeros(n_rows, size, dtype=llama.dtype, device=device)
        self.heads = torch.arange(n_rows * llama.kv_heads, device=device).view(n_rows, -1)
        self.cos = self.sin = torch.empty(0)

    def read(self, tokens: Tensor, ends: Lengths) -> Tensor:
        """Take what is new in the rows; their hidden states, shape (N, C)."""
        steps, others = self._news(tokens, ends)
        n_steps = int(np.count_nonzero(steps))
        if 4 * n_steps < len(steps):  # few enough to leave the rest alone
            others, n_steps = steps | others, 0
        self._reserve(max(int(ends.max()), int(self.lengths.max())) + 1)
        if others.any():
            self._read_rows(others.nonzero()[0], tokens, ends)
        if n_steps:
            self._step(tokens, None if n_steps == len(steps) else steps)
        return self.hidden

    def fork(self, sources: Tensor, targets: Tensor) -> None:
        """Copy what is known of some rows to others."""
        self.lengths[targets.numpy()] = self.lengths[sources.numpy()]
        device = self.llama.device
        sources, targets = sources.to(device), targets.to(device)
        longest = int(self.lengths.max())
        for kept in (self.seen, self.bias, self.hidden):
            kept[targets] = kept[sources]
        for cache in (*self.keys, *self.values):
            cache[targets, :, :longest] = cache[sources, :, :longest]

    def _news(self, tokens: Tensor, ends: Lengths) -> tuple[Rows, Rows]:
        """Which rows have one id more than was read, and which have changed otherwise."""
        width = min(int(self.lengths.max()), tokens.shape[1])
        agreeing = (tokens[:, :width] == self.seen[:, :width]).sum(1).cpu().numpy()
        more = ends - self.lengths
        goes_on = agreeing == self.lengths
        steps = goes_on & (more == 1)
        return steps, ~steps & ~(goes_on & (more == 0))

    def _step(self, tokens: Tensor, steps: Rows | None) -> None:
        """Read one id in each row of `steps`, or in all.

        The other rows go along and are left as they were: what they compute lands behind their
        last id, where nobody reads.
        """
        llama, at = self.llama, self._put(self.lengths)
        column, place = at.clamp(max=tokens.shape[1] - 1)[:, None], at[:, None]
        new, is_step = tokens.gather(1, column).int(), None
        if steps is not None:
            is_step = self._put(steps)[:, None]
            new = new.masked_fill(~is_step, 0)
        self._mark(place, new, is_step)
        seen = slice(int(self.lengths.max()) + 1)
        bias = None
        if self.lengths.min() + 1 < seen.stop:
            bias = llama.score_bias(self.bias[:, seen])
        cos, sin = self.cos.index_select(0, at)[:, None], self.sin.index_select(0, at)[:, None]
        places = self._places(self.heads, place)
        x = llama.embed(new[:, 0])  # (N, C)
        for layer, keys, values in zip(llama.layers, self.keys, self.values, strict=True):
            q, k, v = llama.qkv(x, layer, cos, sin, (len(x),))  # (N, heads, width)
            _write(keys, places, k)
            _write(values, places, v)
            attended = llama.attend(q, keys[:, :, seen], values[:, :, seen], bias)
            x = llama.after(x, attended, layer)
        hidden = llama.final_norm(x)
        self.hidden = hidden if is_step is None else torch.where(is_step, hidden, self.hidden)
        self.lengths = self.lengths + (1 if steps is None else steps)

    def _mark(self, place: Tensor, new: Tensor, is_step: Tensor | None) -> None:
        """Remember that ids were read, all of shape (N, 1), where there was one to read."""
        if is_step is None:
            self.bias.scatter_(1, place, 0.0)
        else:
            is_read = torch.where(is_step, 0.0, -torch.inf).to(self.bias.dtype)
            self.bias.scatter_(1, place, is_read)
            new = new.masked_fill(~is_step, _UNREAD)
        self.seen.scatter_(1, place, new)

    def _read_rows(self, rows: Lengths, tokens: Tensor, ends: Lengths) -> None:
        """Read what these rows do not share with what they were, in batches of similar sizes."""
        chosen = self._put(rows)
        tokens, ends = tokens[chosen], ends[rows]
        width = min(int(self.lengths.max()), tokens.shape[1])
        agrees = tokens[:, :width] == self.seen[chosen, :width]
        starts = np.minimum(agrees.cumprod(1).sum(1).cpu().numpy(), ends - 1)
        order = np.argsort(starts - ends, kind="stable")
        while len(order):
            most = int(ends[order[0]] - starts[order[0]])
            some, order = np.split(order, [max(1, _READ_AT_ONCE // most)])
            batch = (rows[some], starts[some], ends[some])
            self._read_batch(tokens[self._put(some)], *map(self._put, batch))
            self.lengths[rows[some]] = ends[some]

    def _read_batch(self, tokens: Tensor, rows: Tensor, starts: Tensor, ends: Tensor) -> None:
        """Read the ids from `starts` to `ends`, both of shape (R,), of rows with these tokens."""
        llama, device = self.llama, self.llama.device
        count, longest = int((ends - starts).max()), int(ends.max())
        positions = starts[:, None] + torch.arange(count, device=device)  # (R, T)
        positions = torch.minimum(positions, ends[:, None])  # padding lands behind the last id
        is_id = positions < ends[:, None]
        ids = tokens.gather(1, positions.clamp(max=tokens.shape[1] - 1)).masked_fill(~is_id, 0)
        attends = torch.arange(longest, device=device) <= positions[:, None, :, None]
        places = self._places(self.heads[rows][:, None], positions[:, :, None])
        cos, sin = self.cos[positions, None], self.sin[positions, None]
        x = llama.embed(ids).flatten(0, 1)  # (R*T, C)
        for layer, keys, values in zip(llama.layers, self.keys, self.values, strict=True):
            q, k, v = llama.qkv(x, layer, cos, sin, ids.shape)  # (R, T, heads, width)
            _write(keys, places, k)
            _write(values, places, v)
            cache = keys[rows, :, :longest], values[rows, :, :longest]
            attended = F.scaled_dot_product_attention(
                q.transpose(1, 2), *cache, attends, scale=1.0, enable_gqa=True
            )
            x = llama.after(x, attended.transpose(1, 2).reshape(len(x), -1), layer)
        last = torch.arange(len(rows), device=device) * count + ends - starts - 1
        self.hidden = self.hidden.index_copy(0, rows, llama.final_norm(x[last]))
        self._note(rows, tokens, ends)

    def _note(self, rows: Tensor, tokens: Tensor, ends: Tensor) -> None:
        """Remember that these ids were read."""
        is_read = torch.arange(self.seen.shape[1], device=ends.device) < ends[:, None]
        self.bias[rows] = torch.where(is_read, 0.0, -torch.inf).to(self.bias.dtype)
        known = F.pad(tokens, (0, max(0, is_read.shape[1] - tokens.shape[1])))
        self.seen[rows] = known[:, : is_read.shape[1]].int().masked_fill(~is_read, _UNREAD)

    def _put(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(values).to(self.llama.device)

    def _places(self, heads: Tensor, positions: Tensor) -> Tensor:
        """Where keys and values of some positions lie, in the order of `qkv`."""
        return (heads * self.seen.shape[1] + positions).flatten()

    def _reserve(self, columns: int) -> None:
        """Make room for so many ids a row."""
        capacity = self.seen.shape[1]
        if columns <= capacity:
            return
        # An odd number: at powers of two the new keys of all rows fall on the same cache lines.
        extra = (max(columns, capacity + _BLOCK, capacity * 3 // 2) | 1) - capacity
        self.seen = F.pad(self.seen, (0, extra), value=_UNREAD)
        self.bias = F.pad(self.bias, (0, extra), value=-torch.inf)
        self.keys = [F.pad(keys, (0, 0, 0, extra)) for keys in self.keys]
        self.values = [F.pad(values, (0, 0, 0, extra)) for values in self.values]
        self.cos, self.sin = self.llama.rotations(self.seen.shape[1])


def _write(cache: Tensor, places: Tensor, new: Tensor) -> None:
    """Put keys or values, shape (..., kv_heads, width), into their places."""
    width = new.shape[-1]
    cache.view(-1, width).index_copy_(0, places, new.reshape(-1, width))


def _read_anew(model: Any, pad_id: int, tokens: Tensor, ends: Lengths) -> Tensor:
    """The hidden states by a plain forward; padding on the right is in nobody's past."""
    width = int(ends.max())
    mask = torch.from_numpy(np.arange(width) < ends[:, None]).to(tokens.device)
    ids = tokens[:, :width].long().masked_fill(~mask, pad_id)
    base = base_of(model).base_model
    takes = accepted(base)
    at_once = max(1, _READ_AT_ONCE // width)
    hidden = []
    for some, some_mask in zip(torch.split(ids, at_once), torch.split(mask, at_once), strict=True):
        inputs = {"attention_mask": some_mask.long(), "use_cache": False}
        states = base(some, **{name: inputs[name] for name in takes & inputs.keys()})[0]
        hidden.append(states[torch.arange(len(some)), some_mask.sum(1) - 1])
    return torch.cat(hidden)


def _check(tokens: Tensor, ends: Lengths) -> None:
    """Raise where the rows make no sense."""
    if tokens.dim() != 2 or ends.shape != tokens.shape[:1] or not len(ends):
        raise LmgymError(
            f"tokens of shape {tuple(tokens.shape)} and lengths of shape {ends.shape};"
            " give them as (N, context) and (N,), N at least 1"
        )
    if not 1 <= ends.min() <= ends.max() <= tokens.shape[1]:
        raise LmgymError(
            f"lengths go from {ends.min()} to {ends.max()}; a row has 1 to {tokens.shape[1]} ids"
        )
