"""Matches drawn from known strengths, and how often intervals of ratings hold these."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lmgym.leaderboards.pairwise.match_counts import MatchCounts
from lmgym.leaderboards.ratings import ELO_PER_NAT, Intervals, rate

__all__ = ["MODELS", "Codes", "Model", "coverage", "drawn_codes", "names"]

Floats: TypeAlias = NDArray[np.float64]
Model: TypeAlias = Literal["no draws", "draws as half wins", "Davidson"]

MODELS: tuple[Model, ...] = ("no draws", "draws as half wins", "Davidson")
DRAW_STRENGTH = 0.85  # of Davidson's draws: about 28 % of the matches
DRAW_SHARE = 0.6  # of the weaker one's score that comes from draws, where they are half wins

_BLOCK = 1 << 18


class Codes(NamedTuple):
    """Matches in columns of small whole numbers."""

    first: NDArray[np.int16]
    second: NDArray[np.int16]
    outcome: NDArray[np.int8]


def names(n: int) -> list[str]:
    """Of n players."""
    return [f"player {index}" for index in range(n)]


def drawn_codes(
    strengths: Floats,
    n_matches: int,
    rng: np.random.Generator,
    model: Model = "Davidson",
    popularity: float = 0.0,
) -> Codes:
    """Matches between players who are drawn the more often the earlier they are named.

    Args:
        strengths: log strengths, shape (n,).
        n_matches: how many.
        rng: draws them.
        model: of the outcomes.
        popularity: the exponent of Zipf's law; 0 draws all alike.
    """
    n = len(strengths)
    weights = np.arange(1, n + 1) ** -popularity
    columns = Codes(
        np.empty(n_matches, np.int16), np.empty(n_matches, np.int16), np.empty(n_matches, np.int8)
    )
    for start in range(0, n_matches, _BLOCK):
        rows = slice(start, min(start + _BLOCK, n_matches))
        first, second = _players(weights / weights.sum(), rows.stop - rows.start, rng)
        columns.first[rows], columns.second[rows] = first, second
        columns.outcome[rows] = _outcomes(strengths[first] - strengths[second], rng, model)
    return columns


def coverage(
    model: Model,
    intervals: Intervals,
    n_simulations: int,
    rng: np.random.Generator,
    n_players: int = 20,
    n_matches: int = 4000,
) -> float:
    """Percent of 95 % intervals that hold the truth, which is drawn anew for each simulation."""
    held = []
    options: dict[str, Any] = {"ties": "davidson" if model == "Davidson" else "half"}
    if intervals == "bootstrap":
        options |= {"rng": rng, "n_resamples": 100}
    for _ in range(n_simulations):
        strengths = rng.normal(0, 0.7, size=n_players)
        codes = drawn_codes(strengths, n_matches, rng, model)
        counts = MatchCounts.from_codes(*codes, names=names(n_players))
        ratings = rate(counts, intervals=intervals, **options)
        truth = 1500 + ELO_PER_NAT * (strengths - strengths.mean())
        held.append(np.mean((ratings.low <= truth) & (truth <= ratings.high)))
    return 100 * float(np.mean(held))


def _players(
    shares: Floats, n_matches: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    n = len(shares)
    first, second = rng.choice(n, size=(2, n_matches), p=shares)
    while (itself := first == second).any():
        second[itself] = rng.choice(n, size=int(itself.sum()), p=shares)
    return first, second


def _outcomes(lead: Floats, rng: np.random.Generator, model: Model) -> NDArray[np.int64]:
    """1, 0 or -1."""
    if model == "Davidson":
        win, loss = np.exp(lead / 2), np.exp(-lead / 2)
        total = win + loss + DRAW_STRENGTH
        win, draw = win / total, DRAW_STRENGTH / total
    else:
        win = 1 / (1 + np.exp(-lead))
        draw = 2 * np.minimum(win, 1 - win) * (DRAW_SHARE if model == "draws as half wins" else 0)
        win = win - draw / 2
    level = rng.random(len(lead))
    return np.where(level < win, 1, np.where(level < win + draw, 0, -1))
