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
        arrays = self.tokens, self._lengths, self._remaining, self._is_end
        n = _append(*arrays, ids, _NONE if waiting is None else waiting, ended)
        return ended[:n]

    def start(self, rows: Rows, prompts: Int32s, lengths: Rows, picks: Rows) -> None:
        """Begin episodes."""
        arrays = self.tokens, self._lengths, self._remaining
        _start(*arrays, rows, prompts, lengths, picks, self.pad_id, self.max_tokens)

    def fork(self, sources: Rows, targets: Rows) -> None:
        """Make `targets` copies of `sources`, row by row."""
        arrays = self.tokens, self._lengths, self._remaining
        _fork(*arrays, sources, targets, self.pad_id)


_NONE = np.empty(0, np.intp)


@njit(cache=True)
def _append(
    tokens: Any,
    lengths: Any,
    remaining: Any,
    is_end: Any,
    ids: Any,
    waiting: Any,
    ended: Any,
) -> int:
    n = 0
    next_waiting = 0
    for row in range(len(ids)):
        token = ids[row]
        remaining[row] -= 1
        if next_waiting < len(waiting) and waiting[next_waiting] == row:
            next_waiting += 1
            tokens[row, lengths[row] - 1] = token
            continue
        tokens[row, lengths[row]] = token
        lengths[row] += 1
        if is_end[token] or remaining[row] == 0:
            ended[n] = row
            n += 1
    return n


@njit(cache=True)
def _start(
    tokens: Any,
    lengths: Any,
    remaining: Any,
    rows: Any,
    prompts: Any,
    prompt_lengths: Any,
    picks: Any,
    pad_id: int,
    max_tokens: int,
) -> None:
    context = tokens.shape[1]
    width = prompts.shape[1]
    for index in range(len(rows)):
        row, pick = rows[index], picks[index]
        length = prompt_lengths[pick]
        tokens[row, :width] = prompts[pick]
        for column in range(width, min(lengths[row], context)):
            tokens[row, column] = pad_id
        lengths[row] = length
        remaining[row] = min(context - length, max_tokens)


@njit(cache=True)
def _fork(
    tokens: Any,
    lengths: Any,
    remaining: Any,
    sources: Any,
    targets: Any,
    pad_id: int,
) -> None:
    for index in range(len(sources)):
        source, target = sources[index], targets[index]
        length = lengths[source]
        tokens[target, :length] = tokens[source, :length]
        for column in range(length, lengths[target]):
            tokens[target, column] = pad_id
        lengths[target] = length
        remaining[target] = remaining[source]
