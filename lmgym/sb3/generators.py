"""The global random generators that Stable-Baselines3 draws from, given back as they were."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from stable_baselines3.common.utils import set_random_seed

__all__ = ["seeded_globals"]


@contextmanager
def seeded_globals(seed: int) -> Iterator[None]:
    """Seed the generators of Python, NumPy and torch for a while.

    Stable-Baselines3 draws actions, minibatches and initial weights from them. Whoever else draws
    from them finds them afterwards as if nothing had happened.

    Args:
        seed: below 2**32.

    Example:
        >>> with seeded_globals(0):
        ...     first = random.random()
        >>> with seeded_globals(0):
        ...     first == random.random()
        True
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 (not to draw, to keep)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            set_random_seed(seed)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
