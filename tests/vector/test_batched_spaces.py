"""Spaces of a batch: gymnasium's, in less memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector.utils import batch_space

from lmgym.vector.batched_spaces import batched_space

HALF = np.array([[0, -np.inf], [np.inf, 2]], np.float32)
SINGLE: dict[str, spaces.Space[Any]] = {
    "box": spaces.Box(-3, 5, (4, 2), np.int32, seed=1),
    "half a box": spaces.Box(HALF[0], HALF[1], seed=1),
    "dict": spaces.Dict({"a": spaces.Box(0, 9, (3,), np.int32), "b": spaces.Discrete(4)}, seed=1),
    "choice": spaces.Discrete(7, seed=1),
}


@pytest.mark.parametrize("kind", SINGLE)
def test_it_is_the_space_that_gymnasium_makes(kind: str) -> None:
    ours: Any = batched_space(SINGLE[kind], 3)
    theirs: Any = batch_space(SINGLE[kind], 3)
    assert ours == theirs
    assert repr(ours) == repr(theirs)
    for space in (ours, theirs):
        space.seed(5)
    sample, other = ours.sample(), theirs.sample()
    assert ours.contains(other)
    assert theirs.contains(sample)
    assert repr(sample) == repr(other)


def test_a_batch_of_boxes_keeps_the_bounds_once() -> None:
    batch: Any = batched_space(spaces.Box(0, 9, (1000,), np.int32), 1000)
    for bounds in (batch.low, batch.high, batch.bounded_below, batch.bounded_above):
        assert bounds.shape == (1000, 1000)
        assert bounds.strides[0] == 0


def test_the_space_of_one_row_stays_as_it_was() -> None:
    single = spaces.Box(0, 9, (3,), np.int32)
    batched_space(single, 4)
    assert single == spaces.Box(0, 9, (3,), np.int32)
