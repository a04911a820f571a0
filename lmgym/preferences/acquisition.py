"""Which comparisons to label next.

Rules for a reward that is linear in features, r(x) = w . x, so that a comparison is the difference
d of the features of its two answers, and the first is preferred with p = sigmoid(w . d). A label of
it adds p (1 - p) d d^T to the Fisher information about w.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lmgym.errors import LmgymError, unknown

__all__ = ["RULES", "acquire"]

RULES = ("random", "entropy", "max_difference", "fisher")
"""random; entropy: nearest to a coin toss; max_difference: farthest from one; fisher: greedy
D-optimal design, which maximises the log-determinant of the Fisher information (Shen et al. 2025).
"""

_Floats = NDArray[np.float64]


def acquire(
    rule: str,
    differences: ArrayLike,
    n: int,
    rng: np.random.Generator,
    *,
    weights: ArrayLike | None = None,
    labelled: ArrayLike | None = None,
    ridge: float = 1.0,
) -> NDArray[np.int64]:
    """Choose comparisons to label.

    Args:
        rule: one of `RULES`.
        differences: features of the first answer minus those of the second, shape (m, d).
        n: how many to choose, at most m.
        rng: draws for random, and breaks ties.
        weights: the present estimate of w, shape (d,); by default 0, where nothing is known.
        labelled: differences that have labels already, shape (k, d), for fisher.
        ridge: precision of the prior on w, above 0: what fisher begins with.

    Returns:
        Indices in the order they were chosen, shape (n,).

    Example:
        >>> pool = [[1.0, 0.0], [0.9, 0.0], [0.0, 0.5]]
        >>> acquire("fisher", pool, 2, np.random.default_rng(0), ridge=0.01)
        array([0, 2])
    """
    if rule not in RULES:
        raise unknown("acquisition rule", rule, RULES)
    pool = np.asarray(differences, np.float64)
    if pool.ndim != 2 or not 0 <= n <= len(pool):
        raise LmgymError(
            f"{n} comparisons of differences of shape {pool.shape}; give (m, d) and at most m"
        )
    if not ridge > 0:
        raise LmgymError(f"ridge {ridge} is out of range; give a number above 0")
    w = np.zeros(pool.shape[1]) if weights is None else np.asarray(weights, np.float64)
    order = rng.permutation(len(pool))
    if rule == "random":
        return order[:n]
    if rule == "fisher":
        known = np.empty((0, pool.shape[1])) if labelled is None else np.asarray(labelled)
        return order[_fisher(pool[order], n, w, known, ridge)]
    certainty = np.abs(pool[order] @ w)
    return order[np.argsort(certainty if rule == "entropy" else -certainty, kind="stable")[:n]]


def _fisher(pool: _Floats, n: int, w: _Floats, known: _Floats, ridge: float) -> NDArray[np.int64]:
    """Greedy maximisation of log det(ridge I + sum of u u^T), with u = sqrt(p (1 - p)) d.

    Adding u multiplies the determinant by 1 + u^T A^-1 u. All gains are kept and updated by the
    rank-one formula of Sherman and Morrison (1950), so a choice costs O(m d).
    """
    u, seen = _informed(pool, w), _informed(known, w)
    inverse = np.linalg.inv(ridge * np.eye(pool.shape[1]) + seen.T @ seen)
    gains = np.einsum("md,de,me->m", u, inverse, u, optimize=True)
    chosen = np.empty(n, dtype=np.int64)
    for step in range(n):
        best = int(np.argmax(gains))
        chosen[step] = best
        direction = inverse @ u[best]  # (d,)
        scale = 1 + u[best] @ direction
        gains -= (u @ direction) ** 2 / scale
        inverse -= np.outer(direction, direction) / scale
        gains[chosen[: step + 1]] = -np.inf
    return chosen


def _informed(differences: _Floats, w: _Floats) -> _Floats:
    """Differences scaled by the standard deviation of their labels, sqrt(p (1 - p))."""
    deviations: _Floats = 0.5 / np.cosh(np.clip(differences @ w / 2, -300, 300))
    return differences * deviations[:, None]
