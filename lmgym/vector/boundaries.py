"""Which rows of a batch stand where a reward is paid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lmgym.rendering import Renderer
from lmgym.rewards.source import RewardLevel
from lmgym.steps import breaks_line
from lmgym.vector.buffers import Rows, TokenBuffers

__all__ = ["rows_at_boundary"]


def rows_at_boundary(
    level: RewardLevel,
    turned: Rows,
    waiting: Rows | None,
    buffers: TokenBuffers,
    renderer: Renderer,
    n_new: int | NDArray[np.int64],
) -> Rows:
    """The rows whose turn ended and, at the levels step and token, those that go on in theirs.

    Args:
        level: what is paid.
        turned: rows whose turn ended.
        waiting: rows that were not written to.
        buffers: the ids, before any world replied.
        renderer: tells the texts of ids.
        n_new: how many ids were written, to all rows or to each, shape (N,).
    """
    if level is RewardLevel.TOKEN:
        is_due = np.ones(len(buffers.lengths), np.bool_)
    elif level is RewardLevel.STEP:
        is_due = _holds_new_break(buffers, renderer, n_new)
    else:
        return turned
    if waiting is not None:
        is_due[waiting] = False
    is_due[turned] = True
    return is_due.nonzero()[0]


def _holds_new_break(
    buffers: TokenBuffers, renderer: Renderer, n_new: int | NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether one of the last ids of each row holds a line break."""
    lengths = buffers.lengths[:, 0]
    counts = np.broadcast_to(n_new, lengths.shape)
    holds = np.zeros(len(lengths), np.bool_)
    for back in range(1, int(counts.max()) + 1):
        rows = (counts >= back).nonzero()[0]
        holds[rows] |= breaks_line(renderer, buffers.tokens[rows, lengths[rows] - back])
    return holds
