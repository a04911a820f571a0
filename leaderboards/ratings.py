"""Ratings of players on the Elo scale, with intervals, ranges of ranks, and what cannot be told.

`rate` fits the Bradley-Terry model to counts of matches. Players who are not joined by matches are
rated apart and never compared. Where somebody never lost or never won against the others, the
likelihood has no maximum: ratings of that part come from a likelihood with half a pseudo-win for
each player against everyone it has met, and intervals are open on the sides where the matches set
no bound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError, unknown
from lmgym.training.uncertainty import MeanInterval

from .arrays import Bools, Floats, Integers
from .pairwise.bradley_terry import BradleyTerryFit, Ties, fit_connected
from .pairwise.comparison_graph import components, unbounded_leads
from .pairwise.match_counts import MatchCounts, PairCounts, player_index
from .pairwise.rating_bootstrap import bootstrap_strengths
from .pairwise.rating_spread import NormalSpread, SampledSpread, Spread
from .pairwise.sandwich import only_drew, sandwich_covariance

__all__ = ["ELO_PER_NAT", "Intervals", "Part", "RatedPlayer", "Ratings", "rate"]

ELO_PER_NAT = 400 / math.log(10)
"""A lead of 400 is odds of ten to one (Elo 1978)."""

Intervals: TypeAlias = Literal["sandwich", "bootstrap"]
"""From White's covariance, or percentiles of resampled matches."""


class RatedPlayer(NamedTuple):
    """A row of a leaderboard, with None for what the matches don't tell.

    Attributes:
        name: of the player.
        component: the part of the players that it can be compared with; 0 is the largest.
        best_rank: in its component, if all that is open turns out well; 1 is best.
        worst_rank: if it turns out badly.
        rating: on the Elo scale.
        low: the end of its interval; None where there is none, as for a player without a win.
        high: the other end.
    """

    name: str
    component: int
    best_rank: int | None
    worst_rank: int | None
    rating: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, eq=False)
class Part:
    """Players who can be compared, in natural units.

    Attributes:
        members: their indices, ascending.
        strengths: log strengths θ of mean 0.
        spread: around these.
        unbounded: whether the row's lead over the column has no upper bound.
        draw_strength: Davidson's nu; None where draws are half wins.
        is_regularized: whether pseudo-wins had to be added.
        is_ahead: whether the row is ahead of the column with confidence.
    """

    members: NDArray[np.intp]
    strengths: Floats
    spread: Spread
    unbounded: Bools
    draw_strength: float | None
    is_regularized: bool
    is_ahead: Bools


@dataclass(frozen=True, eq=False)
class Ratings:
    """Ratings of n players; arrays are in the order of `names`.

    Attributes:
        names: of the players.
        ratings: on the Elo scale, shape (n,); nan for a player without a match.
        low: the lower ends of the intervals; -inf where the matches set no bound.
        high: the upper ends, or inf.
        best_ranks: within the component: 1, and one more for each player surely ahead; 0 without
            a rating.
        worst_ranks: likewise, players surely behind left out.
        components: the part of the players that each can be compared with; 0 is the largest.
        is_regularized: whose component has needed pseudo-wins.
        parts: each component that has a match.
    """

    names: tuple[str, ...]
    ratings: Floats
    low: Floats
    high: Floats
    best_ranks: Integers
    worst_ranks: Integers
    components: Integers
    is_regularized: Bools
    parts: tuple[Part, ...]

    def lead(self, first: str, second: str) -> MeanInterval:
        """By how much one player's rating is above another's, with its interval.

        Raises:
            LmgymError: where no chain of matches joins them.
        """
        i, j = (player_index(self.names, name) for name in (first, second))
        part = next((part for part in self.parts if {i, j} <= set(part.members.tolist())), None)
        if part is None:
            raise LmgymError(
                f"{first!r} and {second!r} cannot be compared: no chain of matches joins them"
            )
        a, b = np.searchsorted(part.members, [i, j])
        low, high = _bounded(part, int(b))
        mean = part.strengths[a] - part.strengths[b]
        return MeanInterval(*(float(ELO_PER_NAT * value) for value in (mean, low[a], high[a])))

    def rows(self) -> list[RatedPlayer]:
        """The players, by component and from the best to the worst; equals in their order."""
        places = range(len(self.names))
        order = sorted(places, key=lambda i: (self.components[i], -self.ratings[i].round(6)))
        return [self._row(place) for place in order]

    def _row(self, place: int) -> RatedPlayer:
        values = (self.ratings[place], self.low[place], self.high[place])
        rating, low, high = (float(x) if np.isfinite(x) else None for x in values)
        best, worst = (int(rank[place]) or None for rank in (self.best_ranks, self.worst_ranks))
        component = int(self.components[place])
        return RatedPlayer(self.names[place], component, best, worst, rating, low, high)


def rate(
    counts: MatchCounts,
    *,
    ties: Ties = "half",
    intervals: Intervals = "sandwich",
    confidence: float = 0.95,
    anchor: str | None = None,
    anchor_rating: float = 1500.0,
    pseudo_wins: float = 0.5,
    rng: np.random.Generator | None = None,
    n_resamples: int = 200,
) -> Ratings:
    """Rate players by maximum likelihood.

    Intervals take matches to be independent, and n² numbers are held for n players. A rank is
    confident in single comparisons, not in all at once.

    Args:
        counts: of their matches.
        ties: "half" counts a draw as half a win for each; "davidson" fits how often players of
            equal strength draw (Davidson 1970), a number for each component.
        intervals: "sandwich" holds also where the model isn't right (White 1982); "bootstrap"
            resamples matches, and sets no bounds to a player who only drew, as no resample differs.
        confidence: of intervals, and of a player being ahead of another.
        anchor: the player whose rating is given and certain; by default the mean of each component.
            Components without the anchor keep their mean.
        anchor_rating: its rating, or the mean.
        pseudo_wins: for each player against each that it has met, in components where the
            likelihood has no maximum.
        rng: draws resamples; for "bootstrap" alone.
        n_resamples: how many.

    Raises:
        LmgymError: where the anchor has no match, where the likelihood has no maximum and
            `pseudo_wins` is 0, or where the maximum is not found.

    Example:
        >>> counts = MatchCounts.from_wins([[0, 30], [10, 0]], names=["ann", "bob"])
        >>> ratings = rate(counts)
        >>> ratings.ratings.round(1), ratings.best_ranks, ratings.worst_ranks
        (array([1595.4, 1404.6]), array([1, 2]), array([1, 2]))
        >>> lead = ratings.lead("ann", "bob")
        >>> round(lead.low, 1), round(lead.mean, 1), round(lead.high, 1)
        (66.5, 190.8, 315.2)
    """
    for name, given, known in (("ties", ties, Ties), ("intervals", intervals, Intervals)):
        if given not in get_args(known):
            raise unknown(name, given, get_args(known))
    if not 0 < confidence < 1:
        raise LmgymError(f"confidence must lie between 0 and 1, as 0.95; given {confidence}")
    if not (math.isfinite(pseudo_wins) and pseudo_wins >= 0):
        raise LmgymError(f"pseudo_wins is {pseudo_wins}; give 0 or more, as 0.5")
    if not math.isfinite(anchor_rating):
        raise LmgymError(f"anchor_rating is {anchor_rating}; give a finite number, as 1500")
    if (intervals == "bootstrap") != (rng is not None):
        raise LmgymError(
            'intervals="bootstrap" needs rng, a numpy Generator, and nothing else does'
        )
    n, pairs = len(counts.names), counts.pairs()
    labels = components(n, pairs)
    fitter = _Fitter(ties, confidence, pseudo_wins, rng, n_resamples)
    parts = [
        fitter.part(*_within(labels, label, pairs)) for label in np.unique(labels[pairs.first])
    ]
    place = None if anchor is None else player_index(counts.names, anchor)
    if place is not None and not any(place in part.members for part in parts):
        raise LmgymError(f"the anchor {anchor!r} has no match; choose another one")
    return _assembled(counts.names, labels, parts, place, anchor_rating)


@dataclass(frozen=True)
class _Fitter:
    """Fits components."""

    ties: Ties
    confidence: float
    pseudo_wins: float
    rng: np.random.Generator | None
    n_resamples: int

    def part(self, members: NDArray[np.intp], pairs: PairCounts) -> Part:
        """One component."""
        n, drawn = len(members), pairs.outcomes[1].sum()
        if self.ties == "davidson" and drawn == pairs.outcomes.sum():
            return _all_drawn(members, self.confidence)
        has_draw_strength = self.ties == "davidson" and drawn > 0
        fit = fit_connected(
            n, pairs, has_draw_strength=has_draw_strength, pseudo_wins=self.pseudo_wins
        )
        unbounded = np.zeros((n, n), bool)
        if fit.is_regularized:
            unbounded = unbounded_leads(n, pairs, has_draw_strength=has_draw_strength)
        if self.rng is not None:
            silent = only_drew(n, pairs)
            unbounded |= (silent[:, None] | silent) & ~np.eye(n, dtype=bool)
        spread = self._spread(fit, pairs)
        is_ahead = spread.is_ahead() & ~unbounded.T  # never where the lead has no lower bound
        nu = fit.draw_strength if has_draw_strength else 0.0
        draw_strength = nu if self.ties == "davidson" else None
        return Part(
            members, fit.strengths, spread, unbounded, draw_strength, fit.is_regularized, is_ahead
        )

    def _spread(self, fit: BradleyTerryFit, pairs: PairCounts) -> Spread:
        if self.rng is None:
            return NormalSpread(fit.strengths, sandwich_covariance(fit), self.confidence)
        samples = bootstrap_strengths(fit, pairs, self.rng, self.n_resamples, self.pseudo_wins)
        return SampledSpread(samples, self.confidence)


def _all_drawn(members: NDArray[np.intp], confidence: float) -> Part:
    """Davidson's limit where every match is drawn: nu is infinite, and leads may be anything."""
    n = len(members)
    spread = NormalSpread(np.zeros(n), np.zeros((n, n)), confidence)
    open_leads = ~np.eye(n, dtype=bool)
    return Part(members, np.zeros(n), spread, open_leads, math.inf, False, spread.is_ahead())


def _within(labels: Integers, label: int, pairs: PairCounts) -> tuple[NDArray[np.intp], PairCounts]:
    """The members of a component, and its pairs with their places among these."""
    members = np.flatnonzero(labels == label)
    chosen = labels[pairs.first] == label
    first, second = (np.searchsorted(members, side[chosen]) for side in pairs[:2])
    return members, PairCounts(first, second, pairs.outcomes[:, chosen])


def _bounded(part: Part, anchor: int | None) -> tuple[Floats, Floats]:
    """Intervals of leads over one of a part, or over the mean; open where nothing bounds them.

    Over the mean, they are open where the lead over the largest group of players is that bound each
    other's leads; of groups as large, over any of them.
    """
    low, high = part.spread.intervals(anchor)
    if anchor is None:
        sizes = (~(part.unbounded | part.unbounded.T)).sum(1)
        reference: Sequence[int] | NDArray[np.intp] = np.flatnonzero(sizes == sizes.max())
    else:
        reference = [anchor]
    low = np.where(part.unbounded[reference].any(0), -np.inf, low)
    return low, np.where(part.unbounded[:, reference].any(1), np.inf, high)


def _assembled(
    names: tuple[str, ...],
    labels: Integers,
    parts: Sequence[Part],
    anchor: int | None,
    anchor_rating: float,
) -> Ratings:
    """The parts together, on the Elo scale."""
    n = len(names)
    columns = np.array([[np.nan], [-np.inf], [np.inf]]).repeat(n, axis=1)
    ranks = np.zeros((2, n), np.int64)
    is_regularized = np.zeros(n, bool)
    for part in parts:
        (places,) = np.nonzero(part.members == anchor)
        own = int(places[0]) if len(places) else None
        zero = 0.0 if own is None else part.strengths[own]
        natural = np.stack([part.strengths - zero, *_bounded(part, own)])
        columns[:, part.members] = anchor_rating + ELO_PER_NAT * natural
        ahead, behind = part.is_ahead.sum(0), part.is_ahead.sum(1)
        ranks[:, part.members] = 1 + ahead, len(part.members) - behind
        is_regularized[part.members] = part.is_regularized
    (ratings, low, high), (best_ranks, worst_ranks) = columns, ranks
    return Ratings(
        names, ratings, low, high, best_ranks, worst_ranks, labels, is_regularized, tuple(parts)
    )
