"""The arrays of a batch: all their forms hold the same ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmgym.vector import VectorArgs
from lmgym.vector.buffers import TokenBuffers

N, CONTEXT, END = 9, 20, 7
FORMS = [(False, False), (True, True), (True, False)]


def made(*, compiled: bool, copy: bool) -> TokenBuffers:
    sizes = {"context": CONTEXT, "max_tokens": 12, "vocab_size": 8, "pad_id": 6}
    return VectorArgs(compiled=compiled, copy=copy).buffers(N, **sizes, end_ids=[END, 99])


def play(buffers: TokenBuffers, steps: int = 60) -> list[Any]:
    """What the buffers tell while rows end, wait, start again and are forked."""
    rng = np.random.default_rng(3)
    prompts = np.array([[1, 2, 3, 4, 5], [5, 4, 6, 6, 6], [2, 6, 6, 6, 6]], np.int32)
    lengths = np.array([5, 2, 1])
    told, waiting = [], np.arange(N)
    buffers.start(waiting, prompts[waiting % 3], lengths[waiting % 3])
    waiting = waiting[:0]
    for step in range(steps):
        ids = rng.integers(6, size=N)
        ids[rng.random(N) < 0.2] = END
        ended = buffers.append(ids, waiting if len(waiting) else None)
        n = len(waiting)
        if n:
            picks = rng.integers(3, size=n)
            buffers.start(waiting, prompts[picks], lengths[picks])
        if step % 7 == 0:
            buffers.fork(np.array([0, 0]), np.array([4, 2]))
            ended = np.setdiff1d(ended, [2, 4])
            if 0 in ended:
                ended = np.union1d(ended, [2, 4])
        told.append((ended.tolist(), [a.tolist() for a in buffers.observe(copy=True).values()]))
        waiting = ended
    return told


@pytest.mark.parametrize(("compiled", "copy"), FORMS)
def test_every_form_holds_the_same_ids(compiled: bool, copy: bool) -> None:
    told = play(made(compiled=compiled, copy=copy))
    assert told == play(made(compiled=False, copy=True))
    assert any(ended for ended, _ in told)


def test_rows_that_nobody_copies_lie_an_odd_number_of_cache_lines_apart() -> None:
    for context in (1, 16, 17, 64, 500, 512):
        sizes = {"context": context, "max_tokens": 4, "vocab_size": 8, "pad_id": 6, "end_ids": [7]}
        lines, rest = divmod(VectorArgs(copy=False).buffers(2, **sizes).tokens.strides[0], 64)
        assert rest == 0
        assert lines % 2 == 1
        assert VectorArgs().buffers(2, **sizes).tokens.flags.c_contiguous
