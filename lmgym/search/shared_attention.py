"""Attention of many texts to keys that they share: the common beginning is read once for all.

The cascade of Hydragen (Juravsky et al., 2024), with one softmax over both parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lmgym.search.chains import common_length
from lmgym.search.prefix_tree import Handles
from lmgym.search.slot_pool import Place, SlotPool, Slots

__all__ = ["Group", "attend", "groups_of"]

_WORTH_SHARING = 64
"""Keys that a common beginning must spare the rows of a group, for it to be read apart."""


class Group(NamedTuple):
    """Rows that read a common beginning together, then each its own rest.

    Attributes:
        indices: of the rows, shape (G,); None where these are all.
        size: G.
        trunk: where the common beginning lies, P slots; None where there is none.
        rest: rows of keys and values of the rests, shape (2 * kv_heads * G * S,).
        bias: 0 or -inf for each key of the rests, shape (G, 1, S); None where all are read.
    """

    indices: Tensor | None
    size: int
    trunk: Place | None
    rest: Tensor
    bias: Tensor | None


def groups_of(paths: Handles, ends: Slots, pool: SlotPool) -> list[Group]:
    """The rows by their common beginnings; those without company come together.

    Args:
        paths: of `PrefixTree.paths`, shape (B, T); every handle has a slot.
        ends: how long they are, shape (B,).
        pool: the slots.
    """
    groups, alone = [], list[Slots]()
    for rows in _rows_by_root(paths):
        shared = common_length(paths[rows])
        if shared * (len(rows) - 1) >= _WORTH_SHARING:
            groups.append(_group(rows, paths, ends, shared, pool))
        else:
            alone.append(rows)
    if alone:
        groups.append(_group(np.concatenate(alone), paths, ends, 0, pool))
    return groups


def attend(groups: list[Group], q: Tensor, cache: Tensor) -> Tensor:
    """What one query a row reads, shape (B, heads * width).

    Args:
        groups: of `groups_of`.
        q: shape (B, heads, width).
        cache: keys and values of a layer, shape (2, kv_heads, slots, width).
    """
    if groups[0].indices is None:
        return _attend(groups[0], q, cache)
    attended = q.new_empty(len(q), q.shape[1] * q.shape[2])
    for group in groups:
        assert group.indices is not None
        attended[group.indices] = _attend(group, q[group.indices], cache)
    return attended


def _attend(group: Group, q: Tensor, cache: Tensor) -> Tensor:
    _, kv_heads, _, width = cache.shape
    G = group.size
    q = q.view(G, kv_heads, -1, width).transpose(0, 1).reshape(kv_heads * G, -1, width)
    rest = cache.view(-1, width).index_select(0, group.rest).view(2, kv_heads * G, -1, width)
    scores = torch.bmm(q, rest[0].transpose(1, 2))  # (kv_heads * G, g, S)
    if group.bias is not None:
        scores = (scores.view(kv_heads, G, *scores.shape[1:]) + group.bias).view_as(scores)
    if group.trunk is None:
        read = torch.bmm(_softmax(scores), rest[1])
    else:
        trunk = cache[:, :, group.trunk]  # (2, kv_heads, P, width)
        together = q.view(kv_heads, -1, width)  # (kv_heads, G * g, width)
        common = torch.bmm(together, trunk[0].transpose(1, 2))  # (kv_heads, G * g, P)
        weights = _softmax(torch.cat([common.view(*scores.shape[:2], -1), scores], -1))
        split = common.shape[-1]
        read = torch.bmm(weights[..., :split].view_as(common), trunk[1]).view_as(q)
        read = torch.baddbmm(read, weights[..., split:], rest[1])
    return read.view(kv_heads, G, -1).transpose(0, 1).reshape(G, -1)


def _softmax(scores: Tensor) -> Tensor:
    return scores.softmax(-1, dtype=torch.float32).to(scores.dtype)


def _rows_by_root(paths: Handles) -> Iterator[Slots]:
    roots = paths[:, 0]
    if (roots == roots[0]).all():
        yield np.arange(len(roots))
        return
    order = roots.argsort(kind="stable")
    yield from np.split(order, np.diff(roots[order]).nonzero()[0] + 1)


def _group(rows: Slots, paths: Handles, ends: Slots, shared: int, pool: SlotPool) -> Group:
    """Rows whose paths agree in the first `shared` places."""
    is_all = len(rows) == len(paths)
    indices = None if is_all else torch.from_numpy(rows).to(pool.device)
    if not is_all:
        paths, ends = paths[rows], ends[rows]
    last = int(ends.max())
    slots = pool.slots[paths[:, shared:last]]  # (G, S)
    is_key = np.arange(shared, last) < ends[:, None]
    bias = None
    if not is_key.all():
        slots = np.where(is_key, slots, 0)
        added = np.where(is_key, 0.0, -np.inf)[:, None]
        bias = torch.from_numpy(added).to(pool.device, pool.hidden.dtype)
    trunk = pool.place(pool.slots[paths[0, :shared]]) if shared else None
    return Group(indices, len(rows), trunk, _places(slots, pool), bias)


def _places(slots: Slots, pool: SlotPool) -> Tensor:
    """Where slots, shape (G, S), lie in a cache that is seen as rows of the width of a head."""
    two, kv_heads, capacity, _ = pool.caches[0].shape
    heads = np.arange(two * kv_heads)[:, None, None]
    return torch.from_numpy((heads * capacity + slots).reshape(-1)).to(pool.device)
