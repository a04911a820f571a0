"""Parts of a data set that share no prompt."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from lmgym.errors import LmgymError

__all__ = ["split_by_prompt"]


def split_by_prompt(
    rows: Sequence[Sequence[Hashable]], fractions: Sequence[float], seed: int = 0
) -> list[list[int]]:
    """Deal rows out into parts of about these fractions, no prompt in more than one of them.

    Prompts are shuffled and dealt out whole. A row of several prompts that fall into different
    parts is in none.

    Args:
        rows: the prompts of each row.
        fractions: positive, with sum 1.
        seed: of the shuffle.

    Returns:
        The indices of the rows of each part, rising.

    Raises:
        LmgymError: for other fractions, and where a part would be empty.

    Example:
        >>> [len(part) for part in split_by_prompt(["a", "b", "c", "d"], [0.75, 0.25])]
        [3, 1]
    """
    if len(fractions) < 2 or min(fractions) <= 0 or not math.isclose(sum(fractions), 1):
        raise LmgymError(
            f"fractions {tuple(fractions)} must be two or more positive numbers with sum 1"
        )
    part_of = _deal(rows, fractions, seed)
    parts: list[list[int]] = [[] for _ in fractions]
    for index, prompts in enumerate(rows):
        found = {part_of[prompt] for prompt in prompts}
        if len(found) == 1:
            parts[found.pop()].append(index)
    if not all(parts):
        raise LmgymError(
            f"{len(rows)} rows with {len(part_of)} prompts are too few for parts of"
            f" {tuple(fractions)}; give more of them or fewer parts"
        )
    return parts


def _deal(
    rows: Sequence[Sequence[Hashable]], fractions: Sequence[float], seed: int
) -> dict[Hashable, int]:
    """Which part each prompt falls into."""
    counts = Counter(prompt for prompts in rows for prompt in prompts)
    prompts = list(counts)
    order = np.random.default_rng(seed).permutation(len(prompts))
    sizes = np.array([counts[prompts[index]] for index in order], dtype=np.float64)
    middles = np.cumsum(sizes) - sizes / 2  # of each prompt's rows, on a line of all rows
    bounds = np.cumsum(fractions)[:-1] * sizes.sum()
    parts = np.searchsorted(bounds, middles, side="right")
    return {prompts[index]: int(part) for index, part in zip(order, parts, strict=True)}
