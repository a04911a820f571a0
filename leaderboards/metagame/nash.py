"""Nash averaging (Balduzzi et al. 2018): ratings against the strongest mixture of all agents.

Agents play a symmetric game of constant sum: who picks the stronger agent wins. Its equilibrium of
greatest entropy is unique and does not change when an agent is entered twice, so redundant agents
cannot shift the ratings; an agent's rating is its payoff against that mixture.

The equilibria are found with an interior-point method on the self-dual linear program of the game.
Its central path p_i (t - (A p)_i) = t / n leads to a strictly complementary equilibrium (Goldman
and Tucker 1956): one that plays all that any equilibrium plays. On the face of equilibria, which is
a point or small, a second one maximizes the entropy.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from lmgym.errors import LmgymError

from ..arrays import Floats
from .payoffs import square_payoffs

__all__ = ["NashAveraging", "nash_averaging"]

_MOST_STEPS = 200
_EXACT = 1e-13  # the regret that ends the path
_BACK = 0.995  # of the way to the boundary at most
_FLAT = 1e-9  # of the largest singular value: a direction that changes no payoff
_STILL = 1e-9  # the slope of the entropy at its maximum


class NashAveraging(NamedTuple):
    """The equilibrium of greatest entropy of a game between agents.

    Attributes:
        shares: the chance of each agent in it, shape (n,).
        ratings: each agent's mean payoff against it, shape (n,). Agents that it plays have half the
            payoffs' sum, for win rates 1/2; the others have at most that.
    """

    shares: Floats
    ratings: Floats


def nash_averaging(payoffs: ArrayLike) -> NashAveraging:
    """The equilibrium of greatest entropy, and each agent's payoff against it.

    Args:
        payoffs: of the row against the column, shape (n, n), where `payoffs + payoffs.T` is
            constant: win rates, or antisymmetric payoffs.

    Raises:
        LmgymError: where the sum isn't constant.

    Example:
        >>> cycle = np.array([[0, 1, -1], [-1, 0, 1], [1, -1, 0]])  # rock, scissors, paper
        >>> nash_averaging(cycle).shares.round(3)
        array([0.333, 0.333, 0.333])
        >>> twice = cycle[np.ix_([0, 0, 1, 2], [0, 0, 1, 2])]  # rock is entered twice
        >>> nash_averaging(twice).shares.round(3)
        array([0.167, 0.167, 0.333, 0.333])
    """
    table = square_payoffs(payoffs)
    total = table + table.T
    scale = float(np.ptp(table))
    if np.ptp(total) > 1e-9 * (scale or 1):
        sums = [
            f"payoffs[{i}, {j}] + payoffs[{j}, {i}] is {total[i, j]:g}"
            for i, j in (
                divmod(int(place), len(total)) for place in (total.argmax(), total.argmin())
            )
        ]
        raise LmgymError(f"payoffs must have a constant sum; {' and '.join(sums)}")
    if scale == 0:  # all agents are equal
        return NashAveraging(np.full(len(table), 1 / len(table)), table[0].copy())
    game = (table - table.T) / (2 * scale)
    shares = _greatest_entropy(game, *_complementary(game))
    return NashAveraging(shares, scale * (game @ shares) + float(total.mean()) / 2)


def _complementary(game: Floats) -> tuple[Floats, Floats]:
    """An equilibrium that plays all that any plays, and what each agent earns less than it.

    Predictor and corrector steps (Mehrotra 1992) for p s = μ, where s = t - A p and p sums to 1.
    """
    n = len(game)
    p, t = np.full(n, 1 / n), 1.0
    for _ in range(_MOST_STEPS):
        s = t - game @ p
        if t < _EXACT:
            return p, s
        solver = _PathStep(np.diag(s / p) - game, p)
        dp, dt = solver.towards(-p * s)
        ds = dt - game @ dp
        length = min(1.0, _within(p, dp), _within(s, ds))
        left = float((p + length * dp) @ (s + length * ds)) / t  # of the gap, p @ s = t
        dp, dt = solver.towards(left**3 * t / n - p * s - dp * ds)
        length = min(1.0, _BACK * min(_within(p, dp), _within(s, dt - game @ dp)))
        p, t = p + length * dp, t + length * dt
        p /= p.sum()
    raise LmgymError(f"no equilibrium was found in {_MOST_STEPS} steps; are payoffs of one size?")


class _PathStep:
    """Solves for steps along the central path from one point."""

    def __init__(self, matrix: Floats, p: Floats) -> None:
        self._matrix, self._p = matrix, p
        self._one = np.linalg.solve(matrix, np.ones(len(p)))

    def towards(self, change: Floats) -> tuple[Floats, float]:
        """The steps of p and t that change p s by this to first order, and keep the sum of p."""
        step = np.linalg.solve(self._matrix, change / self._p)
        dt = float(step.sum() / self._one.sum())
        return step - dt * self._one, dt


def _greatest_entropy(game: Floats, p: Floats, s: Floats) -> Floats:
    """Of the equilibria that play what `p` plays, or less, the one of greatest entropy.

    They are p + Z z, where Z spans the changes that keep the payoffs of all that is played; the
    others must not earn more than nothing. Newton's method on that and on the multipliers.
    """
    played = p > s
    shares = np.zeros(len(p))
    start, basis = _face(game[np.ix_(played, played)], p[played])
    if basis.shape[1]:
        slack = -game[np.ix_(~played, played)]
        start = _maximize_entropy(start, basis, slack)
    shares[played] = start
    return shares


def _face(game: Floats, p: Floats) -> tuple[Floats, Floats]:
    """The nearest p for which all earn nothing, and a basis of the changes that keep that."""
    rows = np.vstack([game, np.ones(len(game))])
    left, sizes, right = np.linalg.svd(rows)
    rank = int((sizes > _FLAT * sizes[0]).sum())
    missing = np.append(np.zeros(len(game)), 1.0) - rows @ p
    exact = p + right[:rank].T @ ((left[:, :rank].T @ missing) / sizes[:rank])
    return exact, right[rank:].T


def _maximize_entropy(p: Floats, basis: Floats, slack: Floats) -> Floats:
    """Maximize the entropy of p + Z z where slack @ p is at least 0, as it is at the start."""
    gaps = slack @ p
    multipliers = np.full(len(gaps), 1e-2) / np.maximum(gaps, 1e-2)
    moves = slack @ basis
    for _ in range(_MOST_STEPS):
        gradient = basis.T @ np.log(p)
        if np.abs(gradient - moves.T @ multipliers).max() < _STILL and gaps @ multipliers < _EXACT:
            return p
        mu = 0.1 * float(gaps @ multipliers) / max(len(gaps), 1)
        weights = multipliers / gaps
        curvature = basis.T @ (basis / p[:, None]) + moves.T @ (moves * weights[:, None])
        z = np.linalg.solve(curvature, moves.T @ (mu / gaps) - gradient)
        dp, dg = basis @ z, moves @ z
        dm = mu / gaps - multipliers - weights * dg
        length = min(1.0, _BACK * min(_within(p, dp), _within(gaps, dg), _within(multipliers, dm)))
        p, gaps, multipliers = p + length * dp, gaps + length * dg, multipliers + length * dm
    raise LmgymError(f"the greatest entropy was not found in {_MOST_STEPS} steps")


def _within(values: Floats, step: Floats) -> float:
    """How much of a step can be taken until a value is 0."""
    falling = step < 0
    return float((values[falling] / -step[falling]).min(initial=np.inf))
