"""Alpha-Rank (Omidshafiei et al. 2019): how long evolution stays with each agent.

A population of m equal agents now and then has one mutant, who copies or is copied by chance and
payoff until the population is equal again. With selection of intensity alpha, a mutant r takes over
a population of s with the chance (1 - exp(-u)) / (1 - exp(-m u)), u = alpha (M[r, s] - M[s, r]).
The rank of an agent is its share of the time in the resulting Markov chain, where each agent is as
likely to be the mutant. It rewards agents that are hard to displace, also in cycles, where ratings
on a line mean little.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lmgym.errors import LmgymError

from ..arrays import Floats, Integers
from .payoffs import square_payoffs

__all__ = ["alpha_rank", "stationary_distribution"]

Exponents: TypeAlias = NDArray[Any]
"""Whole numbers, in 32 bits where these are enough."""

_LEAST_LOG = math.log(np.finfo(np.float64).tiny) + 50  # products that vanish change no rate then
_LEAST_POWER = -900  # of 2, lost in a sum with 1
_LOG_2 = math.log(2)


def alpha_rank(payoffs: ArrayLike, *, alpha: float = 100.0, population: int = 50) -> Floats:
    """The shares of the agents, shape (n,), which sum to 1.

    Equal to OpenSpiel's alpharank of one population with its local selection; that of a
    constant-sum game with global selection is the same at alpha m / (2 (m - 1)). Chances too
    small for a float, as at large alpha, are no less exact.

    Args:
        payoffs: of the row against the column, shape (n, n), for instance win rates.
        alpha: intensity of selection.
        population: its size m.

    Example:
        >>> alpha_rank([[0.5, 0.9, 0.1], [0.1, 0.5, 0.9], [0.9, 0.1, 0.5]]).round(3)
        array([0.333, 0.333, 0.333])
        >>> alpha_rank([[0.5, 0.6], [0.4, 0.5]], alpha=1, population=10).round(3)
        array([0.858, 0.142])
    """
    table = square_payoffs(payoffs)
    if not (math.isfinite(alpha) and alpha > 0):
        raise LmgymError(f"alpha is {alpha}; give a number above 0, as 100")
    if population < 2:
        raise LmgymError(f"population is {population}; give 2 agents or more, as 50")
    return stationary_distribution(_log_fixation(alpha * (table - table.T), population))


def stationary_distribution(log_rates: Floats) -> Floats:
    """The shares of time of a Markov chain by its rates from the row to the column.

    States are taken out one by one, only by sums and products of positive numbers, so small shares
    are as exact as large ones (Grassmann, Taksar and Heyman 1985).

    Args:
        log_rates: logarithms, finite and at most about 0 off the diagonal, shape (n, n).
    """
    others = ~np.eye(len(log_rates), dtype=bool)
    if log_rates[others].min(initial=0.0) > _LEAST_LOG:
        return _normalized(_eliminated(np.exp(log_rates)))
    return _normalized(_scaled_eliminated(log_rates))


def _log_fixation(advantage: Floats, m: int) -> Floats:
    """Log chances that the column takes over a population of the row, shape (n, n).

    Both signs share the factor (1 - exp(-|u|)) / (1 - exp(-m |u|)), which is 1 / m at 0.

    Args:
        advantage: alpha times what the row earns against the column less what that earns.
        m: size of the population.
    """
    u = -advantage  # of the mutant, which is the column
    size = np.abs(u)
    shared = np.full(u.shape, -math.log(m))
    apart = size > 0
    shared[apart] = np.log(np.expm1(-size[apart]) / np.expm1(-m * size[apart]))
    chances: Floats = shared - (m - 1) * np.maximum(-u, 0)
    return chances


def _normalized(shares: Floats) -> Floats:
    normalized: Floats = shares / shares.sum()
    return normalized


def _eliminated(rates: Floats) -> Floats:
    """Shares, up to a factor; `rates` is used up."""
    n, room = len(rates), np.empty_like(rates)
    for k in range(n - 1, 0, -1):
        rates[:k, k] /= rates[k, :k].sum()
        rates[:k, :k] += np.multiply(rates[:k, k, None], rates[k, :k], out=room[:k, :k])
    shares = np.ones(n)
    for k in range(1, n):
        shares[k] = shares[:k] @ rates[:k, k]
    return shares


def _scaled_eliminated(log_rates: Floats) -> Floats:
    """The same by numbers m 2**e, whose exponents are whole numbers without a limit."""
    n = len(log_rates)
    whole = np.floor(log_rates / _LOG_2)
    is_small = n * float(np.abs(whole).max()) < 2**30  # a rate is at least that of one path
    m, e = np.exp(log_rates - whole * _LOG_2), whole.astype(np.int32 if is_small else np.int64)
    products, bits = np.empty(n * n), np.empty(n * n, np.int64)
    rooms = np.empty((2, n * n), e.dtype)
    for k in range(n - 1, 0, -1):
        row, row_e = _rescaled(m[k, :k], e[k, :k])
        total, total_e = _sum(row, row_e)
        column, column_e = _rescaled(m[:k, k] / total, e[:k, k] - total_e)
        m[:k, k], e[:k, k] = column, column_e
        product = products[: k * k].reshape(k, k)
        product_e, top = rooms[:, : k * k].reshape(2, k, k)
        np.multiply(column[:, None], row, out=product)
        np.add(column_e[:, None], row_e, out=product_e)
        _add(m[:k, :k], e[:k, :k], product, product_e, top, bits[: k * k].reshape(k, k))
    shares, shares_e = np.ones(n), np.zeros(n, e.dtype)
    for k in range(1, n):
        shares[k], shares_e[k] = _sum(shares[:k] * m[:k, k], shares_e[:k] + e[:k, k])
    scaled: Floats = shares * np.exp2(shares_e - shares_e.max())
    return scaled


def _rescaled(m: Floats, e: Exponents) -> tuple[Floats, Exponents]:
    """The same numbers, m between 1/2 and 1."""
    fractions, powers = np.frexp(m)
    return fractions, e + powers


def _sum(m: Floats, e: Exponents) -> tuple[float, int]:
    top = e.max()
    total, power = np.frexp((m * np.exp2(e - top)).sum())
    return total, top + power


def _add(
    m: Floats, e: Exponents, others: Floats, others_e: Exponents, top: Exponents, bits: Integers
) -> None:
    """Add numbers in place; all else is used up."""
    np.maximum(e, others_e, out=top)
    e -= top
    others_e -= top
    _shrink(m, e, bits)
    _shrink(others, others_e, bits)
    m += others
    e[...] = top


def _shrink(numbers: Floats, powers: Exponents, bits: Integers) -> None:
    """Multiply by 2**powers, which are 0 or less, on the bits of the exponents; all in place."""
    np.maximum(powers, _LEAST_POWER, out=powers)
    bits[...] = powers
    bits <<= np.finfo(np.float64).nmant
    own = numbers.view(np.int64)
    own += bits
