"""`TokenBuffers`: the ids of N episodes as arrays that grow until their context starts again.

Nothing here knows a world: ids go in, ended turns come out. A row is written at its own length,
never shifted, so a step costs one write a row whatever the context is.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Int32s", "Rows", "TokenBuffers"]

Int32s = NDArray[np.int32]
Rows = NDArray[np.intp]
"""Indices of rows, shape (R,)."""


_LINE = 16
"""Ids of a cache line."""

_ONE_MORE = np.array([[[1]], [[-1]]], np.int32)
"""What an id adds to the lengths and to what remains."""


_COPIED_AT_ONCE = 65_536
"""Ids that a fork of many rows moves at a time."""


class TokenBuffers:
    """Ids, lengths and budgets of N rows.

    Args:
        n_rows: episodes at a time.
        context: positions of a row.
        max_tokens: ids the agent may write in an episode.
        vocab_size: ids run from 0 to this, exclusive.
        pad_id: fills unused positions.
        end_ids: ids that end a turn.
        is_spread: whether rows lie an odd number of cache lines apart, so that equal positions of
            many rows do not fall on the same lines; writing is faster then, copying slower.

    Attributes:
        tokens: shape (N, context).
        lengths: ids in use, shape (N, 1).
        remaining: ids the agent may still write, shape (N, 1).

    Example:
        >>> buffers = TokenBuffers(2, context=4, max_tokens=3, vocab_size=9, pad_id=0, end_ids=[8])
        >>> prompts, both = np.array([[1, 2], [3, 0]], np.int32), np.arange(2)
        >>> buffers.start(both, prompts, np.array([2, 1]))
        >>> buffers.append(np.array([5, 8]))
        array([1])
        >>> buffers.tokens.tolist()
        [[1, 2, 5, 0], [3, 8, 0, 0]]
    """

    def __init__(
        self,
        n_rows: int,
        *,
        context: int,
        max_tokens: int,
        vocab_size: int,
        pad_id: int,
        end_ids: Collection[int],
        is_spread: bool = False,
    ) -> None:
        """Allocate; `start` begins an episode."""
        self.context = context
        self.max_tokens = max_tokens
        self.pad_id = pad_id
        stride = (-(-context // _LINE) | 1) * _LINE if is_spread else context
        self._cells: Int32s = np.full((n_rows, stride), pad_id, np.int32)
        self._counts: Int32s = np.zeros((2, n_rows, 1), np.int32)  # lengths and remaining
        self._set_views()
        self._first = np.arange(n_rows) * stride
        self._is_end = np.zeros(vocab_size, np.bool_)
        self._is_end[[i for i in end_ids if i < vocab_size]] = True

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore; views are made anew, because pickles and copies turn them into arrays."""
        self.__dict__.update(state)
        self._set_views()

    def append(self, ids: NDArray[np.integer], waiting: Rows | None = None) -> Rows:
        """Write one id to each row; the rows whose turn or budget this ended, in order.

        Args:
            ids: inside the vocabulary, shape (N,).
            waiting: rows that are over and start again next; they are overwritten.
        """
        if waiting is not None:
            self._lengths[waiting] -= 1  # over their last id: they may be full
        self._flat[self._first + self._lengths] = ids
        self._counts += _ONE_MORE
        ended = self._is_end[ids]
        ended |= self._remaining == 0
        if waiting is not None:
            ended[waiting] = False
        found: Rows = ended.nonzero()[0]
        return found

    def append_to(self, rows: Rows, ids: NDArray[np.integer]) -> Rows:
        """Write one id to each of some rows, as `append`."""
        self._flat[self._first[rows] + self._lengths[rows]] = ids
        self._lengths[rows] += 1
        self._remaining[rows] -= 1
        ended: Rows = rows[self._is_end[ids] | (self._remaining[rows] == 0)]
        return ended

    def start(self, rows: Rows, prompts: Int32s, lengths: Rows) -> None:
        """Begin episodes.

        Args:
            rows: where, shape (R,).
            prompts: their first ids, padded, shape (R, W).
            lengths: how many of them are ids, each below the context, shape (R,).
        """
        width = prompts.shape[1]
        used = int(np.maximum.reduce(self._lengths[rows], initial=0))
        self.tokens[rows, :width] = prompts
        if used > width:
            self.tokens[rows, width:used] = self.pad_id
        self._lengths[rows] = lengths
        is_roomy = self.context - width >= self.max_tokens
        room = self.max_tokens if is_roomy else np.minimum(self.context - lengths, self.max_tokens)
        self._remaining[rows] = room

    def extend(self, row: int, ids: list[int], spent: int) -> None:
        """Append the world's reply to a row.

        Args:
            row: which.
            ids: the reply; the row must have room for them and one more.
            spent: ids that the agent has written in this episode.
        """
        start = int(self._lengths[row])
        end = start + len(ids)
        self.tokens[row, start:end] = ids
        self._lengths[row] = end
        self._remaining[row] = min(self.max_tokens - spent, self.context - end)

    def restart(self, row: int, ids: list[int], spent: int) -> None:
        """Begin a row's next context, within the same episode.

        Args:
            row: which.
            ids: what the context opens with; the row must have room for them and one more.
            spent: ids that the agent has written in this episode.
        """
        used, end = int(self._lengths[row]), len(ids)
        self.tokens[row, :end] = ids
        self.tokens[row, end:used] = self.pad_id
        self._lengths[row] = end
        self._remaining[row] = min(self.max_tokens - spent, self.context - end)

    def write(self, row: int, ids: list[int]) -> None:
        """Append ids of the agent to a row; they must be within what remains."""
        start = int(self._lengths[row])
        self.tokens[row, start : start + len(ids)] = ids
        self._lengths[row] += len(ids)
        self._remaining[row] -= len(ids)

    def fork(self, sources: Rows, targets: Rows) -> None:
        """Make `targets` copies of `sources`, row by row."""
        used = max(int(self._lengths[sources].max()), int(self._lengths[targets].max()))
        n = max(1, _COPIED_AT_ONCE // max(used, 1))
        for first in range(0, len(sources), n):  # in pieces that stay in the cache
            rows = slice(first, first + n)
            self.tokens[targets[rows], :used] = self.tokens[sources[rows], :used]
        self._counts[:, targets] = self._counts[:, sources]

    def observe(self, *, copy: bool) -> dict[str, Int32s]:
        """The observation of all rows, copied or as read-only views."""
        if not copy:
            return dict(self._views)
        return {
            "tokens": self.tokens.copy(),
            "length": self.lengths.copy(),
            "remaining": self.remaining.copy(),
        }

    def _set_views(self) -> None:
        self.lengths, self.remaining = self._counts
        self._flat_counts = self._counts[:, :, 0]
        self._lengths, self._remaining = self._flat_counts
        self._flat: Int32s = self._cells.reshape(-1)
        self.tokens: Int32s = self._cells[:, : self.context]
        views = {"tokens": self.tokens, "length": self.lengths, "remaining": self.remaining}
        self._views = {name: _locked(array) for name, array in views.items()}


def _locked(array: Int32s) -> Int32s:
    view = array.view()
    view.flags.writeable = False
    return view
