"""What tests of the leaderboards share: simulated matches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lmgym.leaderboards.pairwise.match_counts import MatchCounts

Floats = NDArray[np.float64]


def names(n: int) -> list[str]:
    return [f"p{index}" for index in range(n)]


def drawn_matches(
    strengths: Floats, n_matches: int, rng: np.random.Generator, draw_strength: float = 0.0
) -> MatchCounts:
    """Matches of Davidson's model between players who are drawn at random."""
    n = len(strengths)
    first = rng.integers(n, size=n_matches)
    second = (first + rng.integers(1, n, size=n_matches)) % n
    half = (strengths[first] - strengths[second]) / 2
    win, loss = np.exp(half), np.exp(-half)
    level = rng.random(n_matches) * (win + loss + draw_strength)
    outcome = np.where(level < win, 1, np.where(level < win + draw_strength, 0, -1))
    return MatchCounts.from_codes(first, second, outcome, names(n))


def centred(values: Floats) -> Floats:
    shifted: Floats = values - values.mean()
    return shifted
