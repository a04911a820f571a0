"""Spaces of a batch that take no more memory than those of one row."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import batch_space

__all__ = ["batched_space"]


def batched_space(space: spaces.Space[Any], n: int) -> spaces.Space[Any]:
    """What `gymnasium.vector.utils.batch_space` makes, with bounds that all rows share.

    Gymnasium repeats the bounds of a box for each row: more memory than the observations take.

    Example:
        >>> batch = batched_space(spaces.Box(0, 261, (512,), np.int32), 4096)
        >>> batch.shape, batch.high.strides
        ((4096, 512), (0, 4))
    """
    if type(space) is spaces.Dict:
        parts = {name: batched_space(part, n) for name, part in space.items()}
        return spaces.Dict(parts, seed=deepcopy(space.np_random))
    return _batched_box(space, n) if type(space) is spaces.Box else batch_space(space, n)


def _batched_box(space: spaces.Box[Any], n: int) -> spaces.Box[Any]:
    batch = deepcopy(space)
    batch._shape = (n, *space.shape)
    for name in ("low", "high", "bounded_below", "bounded_above"):
        setattr(batch, name, np.broadcast_to(getattr(space, name), batch._shape))
    return batch
