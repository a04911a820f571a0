"""Strengths of players from their matches by maximum likelihood, with draws of two kinds.

Bradley and Terry (1952): player i beats j with probability p = s_i / (s_i + s_j); here θ = log s is
estimated. A draw is either half a win for each, or an outcome of its own as in Davidson (1970):
wins, draws and losses have chances in the ratio s_i : nu √(s_i s_j) : s_j, and nu is estimated too.
Both log-likelihoods are concave. Newton's method finds the maximum, each step shortened so that it
converges from anywhere (Sun and Tran-Dinh 2019); that takes a handful of steps where
minorization-maximization (Hunter 2004) takes hundreds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from lmgym.errors import LmgymError

from ..arrays import Floats
from .comparison_graph import is_bounded
from .match_counts import PairCounts

__all__ = [
    "BradleyTerryFit",
    "Chances",
    "Likelihood",
    "Moments",
    "Ties",
    "fit_connected",
    "maximize",
    "with_pseudo_wins",
]

Ties: TypeAlias = Literal["half", "davidson"]
"""A draw as half a win for each, or as an outcome of its own (Davidson 1970)."""

_MOST_STEPS = 200
_SURE = 0.5  # a full step this long gains
_CLOSE = 1e-6  # after a step this short the error is about its square


class Chances(NamedTuple):
    """What a match of each pair comes to, shape (P,) each; draws have no chance as half wins."""

    win: Floats
    draw: Floats
    loss: Floats


class Moments(NamedTuple):
    """What is expected of a match of each pair, shape (P,) each.

    Attributes:
        score: the mean score of the first: 1 for a win, 1/2 for a draw.
        variance: of the score.
        draw: the chance of a draw.
        covariance: of the score and whether it is drawn.
        draw_variance: of whether it is drawn.
    """

    score: Floats
    variance: Floats
    draw: Floats
    covariance: Floats
    draw_variance: Floats


@dataclass(frozen=True, eq=False)
class Likelihood:
    """The log-likelihood of some matches as a function of x: θ and, where draws have one, log nu.

    Attributes:
        n_players: how many there are.
        pairs: who met, with what outcomes.
        has_draw_strength: whether the model is Davidson's; x has one more entry then.
    """

    n_players: int
    pairs: PairCounts
    has_draw_strength: bool = False

    @cached_property
    def n_matches(self) -> Floats:
        """Of each pair, shape (P,)."""
        won, drawn, lost = self.pairs.outcomes
        total: Floats = won + drawn + lost
        return total

    @cached_property
    def points(self) -> Floats:
        """The summed scores of the first of each pair, shape (P,)."""
        points: Floats = self.pairs.outcomes[0] + self.pairs.outcomes[1] / 2
        return points

    @cached_property
    def conceded(self) -> Floats:
        """Those of the second."""
        return self.n_matches - self.points

    def leads(self, x: Floats) -> Floats:
        """By how much the first is stronger than the second, θ_i - θ_j, shape (P,)."""
        lead: Floats = x[self.pairs.first] - x[self.pairs.second]
        return lead

    def chances(self, x: Floats) -> Chances:
        """What a match of each pair comes to."""
        lead = self.leads(x)
        if self.has_draw_strength:
            return _davidson(lead, x[-1])
        odds = np.exp(-np.abs(lead))
        ahead = 1 / (1 + odds)
        behind = odds * ahead
        is_ahead = lead >= 0
        win, loss = np.where(is_ahead, ahead, behind), np.where(is_ahead, behind, ahead)
        return Chances(win, np.zeros(1), loss)

    def gradient(self, chances: Chances) -> Floats:
        """The first derivatives where matches come to this."""
        win, draw, loss = chances
        residuals = self.points * (loss + draw / 2) - self.conceded * (win + draw / 2)
        slopes = self.sums_by_player(residuals, -residuals)
        if not self.has_draw_strength:
            return slopes
        return np.append(slopes, self.pairs.outcomes[1].sum() - self.n_matches @ draw)

    def information(self, chances: Chances) -> Floats:
        """Minus the second derivatives (Fisher's information)."""
        n, moments = self.n_matches, self.moments(chances)
        return self.assemble(
            n * moments.variance, n * moments.covariance, n * moments.draw_variance
        )

    def moments(self, chances: Chances) -> Moments:
        """What is expected of a match of each pair."""
        win, draw, loss = chances
        if not self.has_draw_strength:
            return Moments(win, win * loss, draw, draw, draw)
        variance = win * loss + draw * (win + loss) / 4
        mixed = draw * (loss - win) / 2
        return Moments(win + draw / 2, variance, draw, mixed, draw * (win + loss))

    def assemble(self, scores: Floats, mixed: Floats, draws: Floats) -> Floats:
        """The matrix of a quadratic form that is a sum over pairs.

        Args:
            scores: the weight of (v_i - v_j)² for each pair, shape (P,).
            mixed: that of 2 (v_i - v_j) v_nu; without effect where draws have no strength.
            draws: that of v_nu², likewise.
        """
        n, (first, second, _) = self.n_players, self.pairs
        size = n + int(self.has_draw_strength)
        matrix = np.zeros((size, size))
        matrix.ravel()[first * size + second] = -scores
        matrix += matrix.T
        matrix.ravel()[: n * size : size + 1] = -matrix[:n].sum(1)
        if self.has_draw_strength:
            matrix[-1, :n] = matrix[:n, -1] = self.sums_by_player(mixed, -mixed)
            matrix[-1, -1] = draws.sum()
        return matrix

    def value(self, x: Floats) -> float:
        """The log-likelihood, without the constant that counts orders of matches."""
        lead = self.leads(x)
        if not self.has_draw_strength:
            logs = np.minimum(lead, 0) - np.log1p(np.exp(-np.abs(lead)))
            return float(self.points @ logs + self.conceded @ (logs - lead))
        logs = np.stack([lead / 2, np.full(len(lead), x[-1]), -lead / 2])
        logs -= np.logaddexp.reduce(logs)
        return float((self.pairs.outcomes * logs).sum())

    def sums_by_player(self, of_first: Floats, of_second: Floats) -> Floats:
        """What both sides of the pairs add up to for each player, shape (n,)."""
        first, second, _ = self.pairs
        n = self.n_players
        sums = (np.bincount(first, of_first, n), np.bincount(second, of_second, n))
        total: Floats = np.add(*sums, dtype=np.float64)
        return total


@dataclass(frozen=True, eq=False)
class BradleyTerryFit:
    """The maximum of the likelihood of connected players.

    Attributes:
        likelihood: of the matches, pseudo-wins included where some were needed.
        x: where it is greatest; the mean of θ is 0.
        is_regularized: whether pseudo-wins had to be added.
        n_steps: of Newton's method.
    """

    likelihood: Likelihood
    x: Floats
    is_regularized: bool
    n_steps: int

    @cached_property
    def covariance(self) -> Floats:
        """The inverse of the information, where the mean of θ stays; of the size of x."""
        information = self.likelihood.information(self.likelihood.chances(self.x))
        return _inverse(information, self.likelihood.n_players)

    @property
    def strengths(self) -> Floats:
        """The log strengths θ, shape (n,)."""
        return self.x[: self.likelihood.n_players]

    @property
    def draw_strength(self) -> float | None:
        """Davidson's nu; None where draws are half wins."""
        return float(np.exp(self.x[-1])) if self.likelihood.has_draw_strength else None


def fit_connected(
    n_players: int, pairs: PairCounts, *, has_draw_strength: bool = False, pseudo_wins: float = 0.5
) -> BradleyTerryFit:
    """Fit players who are joined by matches.

    Where the likelihood has no maximum, as with a player who never lost, each player is given some
    pseudo-wins against everyone it has met, and all strengths come from that one likelihood.

    Args:
        n_players: how many there are, at least 2.
        pairs: who met, with what outcomes.
        has_draw_strength: whether draws are outcomes of their own; some matches must be drawn, and
            some not.
        pseudo_wins: how many.

    Raises:
        LmgymError: where there is no maximum and `pseudo_wins` is 0.

    Example:
        >>> pairs = PairCounts(np.array([0]), np.array([1]), np.array([[3.0], [0.0], [1.0]]))
        >>> fit_connected(2, pairs).strengths  # log 3 apart
        array([ 0.54930614, -0.54930614])
    """
    is_regularized = not is_bounded(n_players, pairs, has_draw_strength=has_draw_strength)
    if is_regularized:
        pairs = with_pseudo_wins(pairs, pseudo_wins)
    likelihood = Likelihood(n_players, pairs, has_draw_strength)
    x, n_steps = maximize(likelihood)
    return BradleyTerryFit(likelihood, x, is_regularized, n_steps)


def maximize(likelihood: Likelihood, start: Floats | None = None) -> tuple[Floats, int]:
    """Where a likelihood is greatest, and the steps that it took.

    Args:
        likelihood: to maximize.
        start: a guess; where it leads nowhere, as steps end in the far and flat, all are equal.

    Raises:
        LmgymError: where the maximum is not found, as where there is none.
    """
    equal = np.zeros(likelihood.n_players + likelihood.has_draw_strength)
    for guess in (_first_guess(likelihood) if start is None else start, equal):
        found = _climbed(likelihood, guess)
        if found is not None:
            return found
    raise LmgymError(
        f"the strengths of {likelihood.n_players} players were not found: the matches hardly say"
        " how some of them compare, so give those more matches or leave them out"
    )


def _climbed(likelihood: Likelihood, x: Floats) -> tuple[Floats, int] | None:
    """The maximum by Newton's method from a start, and the steps."""
    n, chances = likelihood.n_players, likelihood.chances(x)
    for n_steps in range(1, _MOST_STEPS + 1):
        step = _newton_step(likelihood, chances)
        length = float(np.ptp(step[:n])) + float(np.abs(step[n:]).sum())
        if not np.isfinite(length):
            return None
        before, x = x, x + step
        if length <= _CLOSE:
            return x, n_steps
        chances = likelihood.chances(x)
        if length > _SURE and _has_lost(likelihood, before, step, chances):
            # this much of a step always gains: generalized self-concordance of order 2
            x = before + step * math.log1p(length) / length
            chances = likelihood.chances(x)
    return None


def _first_guess(likelihood: Likelihood) -> Floats:
    """Log-odds of scores, and draws as frequent as between equals; saves a step or two."""
    won, drawn, lost = likelihood.pairs.outcomes
    points = likelihood.sums_by_player(likelihood.points, likelihood.conceded) + 0.5
    missed = likelihood.sums_by_player(likelihood.conceded, likelihood.points) + 0.5
    strengths: Floats = np.log(points / missed)
    strengths -= strengths.mean()
    if not likelihood.has_draw_strength:
        return strengths
    return np.append(strengths, np.log((2 * drawn.sum() + 1) / ((won + lost).sum() + 1)))


def _has_lost(likelihood: Likelihood, x: Floats, step: Floats, chances: Chances) -> bool:
    """Whether the likelihood after a step is less; surely not where it is still rising there."""
    if likelihood.gradient(chances) @ step >= 0:
        return False
    return likelihood.value(x + step) < likelihood.value(x)


def with_pseudo_wins(pairs: PairCounts, pseudo_wins: float) -> PairCounts:
    """Pairs in which each has won some more matches of the other.

    Raises:
        LmgymError: where those are none.
    """
    if not pseudo_wins > 0:
        raise LmgymError(
            "the likelihood of the matches, or of a resample, has no maximum, as somebody never"
            " lost or never won against others; give pseudo_wins, as 0.5"
        )
    return pairs._replace(outcomes=pairs.outcomes + pseudo_wins * np.array([[1.0], [0.0], [1.0]]))


def _newton_step(likelihood: Likelihood, chances: Chances) -> Floats:
    """The full step, which leaves the mean of θ as it is; nan where there is none."""
    n, matrix = likelihood.n_players, likelihood.information(chances)
    try:
        solution = np.linalg.solve(_grounded(matrix, n), likelihood.gradient(chances))
    except np.linalg.LinAlgError:
        return np.full(len(matrix), np.nan)
    step: Floats = solution.astype(np.float64)
    step[:n] -= step[:n].mean()
    return step


def _grounded(matrix: Floats, n: int) -> Floats:
    """The matrix with weight on the mean of θ, which matches say nothing of."""
    grounded = matrix.copy()
    grounded[:n, :n] += np.trace(matrix[:n, :n]) / n**2
    return grounded


def _inverse(matrix: Floats, n: int) -> Floats:
    """The inverse on parameters whose θ has mean 0."""
    weight = np.trace(matrix[:n, :n]) / n**2
    inverse: Floats = np.linalg.inv(_grounded(matrix, n)).astype(np.float64)
    inverse[:n, :n] -= 1 / (weight * n**2)
    return inverse


def _davidson(lead: Floats, log_strength: float) -> Chances:
    distance = np.abs(lead)
    level = log_strength - distance / 2  # of a draw, where a win of the stronger has 0
    top = np.maximum(level, 0)
    ahead, tie, behind = np.exp(-top), np.exp(level - top), np.exp(-distance - top)
    total = ahead + tie + behind
    is_ahead = lead >= 0
    win, loss = np.where(is_ahead, ahead, behind), np.where(is_ahead, behind, ahead)
    return Chances(win / total, tie / total, loss / total)
