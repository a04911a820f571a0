"""The hot path of `TokenBuffers`, compiled: the same arrays, bit for bit, in one pass each.

Needs numba (`pip install "lmgym[fast]"`); the first use compiles for a second or two, later ones
read the result from numba's cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lmgym.vector.buffers import Int32s, Rows, TokenBuffers

__all__ = ["CompiledBuffers"]


class CompiledBuffers(TokenBuffers):
    """`TokenBuffers` with a compiled `append`, `start` and `fork`."""

    def append(self, ids: NDArray[np.integer], waiting: Rows | None = None) -> Rows:
        """Write one id to each row; the rows whose turn or budget this ended, in order."""
        ended = np.empty(len(ids), np.intp)
        skipped = _NONE if waiting is None else waiting
        n = _append(self._cells, self._flat_counts, self._is_end, ids, skipped, ended)
        return ended[:n]

    def start(self, rows: Rows, prompts: Int32s, lengths: Rows) -> None:
        """Begin episodes."""
        sizes = self.context, self.max_tokens, self.pad_id
        _start(self._cells, self._flat_counts, rows, prompts, lengths, *sizes)

    def fork(self, sources: Rows, targets: Rows) -> None:
        """Make `targets` copies of `sources`, row by row."""
        _fork(self._cells, self._flat_counts, sources, targets, self.pad_id)


_NONE = np.empty(0, np.intp)


# Calls are dear by the argument, and guesses about branches by the wrong guess: arrays come joined
# where they can, and loops have no branch that depends on a row. Unsigned places need no test for
# negative ones.


@njit(cache=True)
def _append(tokens: Any, counts: Any, is_end: Any, ids: Any, waiting: Any, ended: Any) -> int:
    lengths, remaining = counts[0], counts[1]
    for row in waiting:
        lengths[row] -= 1
    n = 0
    for row in range(len(ids)):
        token = ids[row]
        tokens[np.uint64(row), np.uint64(lengths[row])] = token
        ended[n] = row
        n += is_end[np.uint64(token)] | (remaining[row] == 1)
    for row in range(len(ids)):
        lengths[row] += 1
        remaining[row] -= 1
    return _without(ended, n, waiting) if len(waiting) else n


@njit(cache=True)
def _without(rows: Any, n: int, left_out: Any) -> int:
    """Drop some of the first `n` rows, all in order; how many are left."""
    kept = next_out = 0
    for index in range(n):
        row = rows[index]
        while next_out < len(left_out) and left_out[next_out] < row:
            next_out += 1
        rows[kept] = row
        kept += next_out == len(left_out) or left_out[next_out] != row
    return kept


@njit(cache=True)
def _start(
    tokens: Any,
    counts: Any,
    rows: Any,
    prompts: Any,
    prompt_lengths: Any,
    context: int,
    max_tokens: int,
    pad_id: int,
) -> None:
    lengths, remaining = counts[0], counts[1]
    width = prompts.shape[1]
    for index in range(len(rows)):
        row, length = rows[index], prompt_lengths[index]
        for column in range(width):
            tokens[row, column] = prompts[index, column]
        for column in range(width, min(lengths[row], context)):
            tokens[row, column] = pad_id
        lengths[row] = length
        remaining[row] = min(context - length, max_tokens)


@njit(cache=True)
def _fork(
    tokens: Any,
    counts: Any,
    sources: Any,
    targets: Any,
    pad_id: int,
) -> None:
    lengths, remaining = counts[0], counts[1]
    for index in range(len(sources)):
        source, target = sources[index], targets[index]
        length = lengths[source]
        for column in range(length):  # several times as fast as a slice here
            tokens[target, column] = tokens[source, column]
        for column in range(length, lengths[target]):
            tokens[target, column] = pad_id
        lengths[target] = length
        remaining[target] = remaining[source]
