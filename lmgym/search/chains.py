"""Which new ids of a tree can be read at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from lmgym.search.prefix_tree import Handles
from lmgym.search.slot_pool import Slots

__all__ = ["Chain", "batches_of", "chains_of", "common_length"]

_READ_AT_ONCE = 4096
"""About how many ids are read together."""


class Chain(NamedTuple):
    """A text, by the handles of its beginnings; it is known up to `start`, and new from there."""

    path: Handles
    start: int


def chains_of(paths: Handles, known: Slots, ends: Slots) -> Iterator[Chain]:
    """The new ids of some texts, up to where texts part that share new ones.

    Args:
        paths: of `PrefixTree.paths`, shape (B, T).
        known: how many ids of each text were read, shape (B,).
        ends: how long the texts are, shape (B,); each has something new.
    """
    firsts = paths[np.arange(len(paths)), known]
    order = firsts.argsort(kind="stable")
    for rows in np.split(order, np.diff(firsts[order]).nonzero()[0] + 1):
        row = rows[0]
        end = common_length(paths[rows]) if len(rows) > 1 else ends[row]
        yield Chain(paths[row, :end], int(known[row]))


def common_length(paths: Handles) -> int:
    """How many of their first places the paths have in common."""
    agrees = (paths == paths[0]).all(0) & (paths[0] >= 0)
    return len(agrees) if agrees.all() else int(agrees.argmin())


def batches_of(chains: Iterator[Chain]) -> Iterator[list[Chain]]:
    """Chains in batches of a bounded size."""
    batch, size = list[Chain](), 0
    for chain in chains:
        batch.append(chain)
        size += len(chain.path) - chain.start
        if size >= _READ_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
