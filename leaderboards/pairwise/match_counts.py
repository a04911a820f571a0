"""How often each player won, drew and lost against each other one: all that ratings need.

Ratings of the Bradley-Terry kind depend on matches through these counts alone, so millions of
matches are read once, and everything else costs what the pairs of players cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lmgym.errors import LmgymError, unknown
from lmgym.games.records import MatchRecord

from ..arrays import Floats, Integers
from .match_codes import MatchCodes, check_names, match_codes

__all__ = ["MatchCounts", "PairCounts", "PlayerTally", "player_index"]

_BLOCK = 1 << 18  # matches counted at a time, so that codes stay in the processor's cache


class PairCounts(NamedTuple):
    """The pairs of players that have met, each once.

    Attributes:
        first: the index of one player, shape (P,).
        second: that of the other, which is greater, shape (P,).
        outcomes: matches that the first won, that were drawn, that the second won, shape (3, P).
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    outcomes: Floats


class PlayerTally(NamedTuple):
    """How a player did in all its matches; `score` is the share won, a draw half of one."""

    name: str
    matches: int
    wins: int
    draws: int
    losses: int
    score: float | None


@dataclass(frozen=True, eq=False)
class MatchCounts:
    """Outcomes of matches between n players.

    Attributes:
        names: of the players, all different.
        outcomes: shape (n, n, 3). `outcomes[a, b]` counts the matches of `a`, named first, against
            `b` that `a` lost, drew and won, in this order. Nobody meets itself.

    Raises:
        LmgymError: where that isn't so.

    Example:
        >>> counts = MatchCounts.from_codes([0, 0, 1], [1, 1, 2], [1, 0, -1], names="abc")
        >>> counts.outcomes[0, 1]
        array([0, 1, 1])
        >>> counts.tallies()[2]
        PlayerTally(name='c', matches=1, wins=1, draws=0, losses=0, score=1.0)
    """

    names: tuple[str, ...]
    outcomes: Integers

    def __post_init__(self) -> None:
        """Raise where these are no counts of matches."""
        n = len(self.names)
        check_names(self.names)
        _check_counts("outcomes", self.outcomes, (n, n, 3))
        met_itself = np.flatnonzero(self.outcomes[np.arange(n), np.arange(n)].any(-1))
        if len(met_itself):
            raise LmgymError(
                f"player {self.names[met_itself[0]]!r} meets itself; a match needs two players"
            )

    @classmethod
    def from_codes(
        cls, first: ArrayLike, second: ArrayLike, outcome: ArrayLike, names: Sequence[str]
    ) -> MatchCounts:
        """Count matches given as whole numbers; fastest as int16, int16 and int8.

        Args:
            first: the index of the player named first in each match, shape (M,).
            second: that of the other, shape (M,).
            outcome: 1 where the first won, 0 for a draw, -1 where it lost, shape (M,).
            names: of the players, by index.

        Raises:
            LmgymError: where a match is none; it says which, counted from 0.
        """
        return cls(tuple(names), _count(match_codes(first, second, outcome, names), len(names)))

    @classmethod
    def from_matches(
        cls, matches: Iterable[tuple[str, str, float]], names: Sequence[str] | None = None
    ) -> MatchCounts:
        """Count matches given by name.

        Args:
            matches: two names, and 1 where the first won, 0 for a draw, -1 where it lost.
            names: the players in order, also those without a match; by default those that appear,
                in alphabetical order.

        Example:
            >>> MatchCounts.from_matches([("ann", "bob", 1), ("bob", "cy", 0)]).names
            ('ann', 'bob', 'cy')
        """
        rows = list(matches)
        players = [(first, second) for first, second, _ in rows]
        known = sorted({name for pair in players for name in pair}) if names is None else names
        places = {name: place for place, name in enumerate(known)}
        for name in (name for pair in players for name in pair):
            if name not in places:
                raise unknown("player", name, known)
        first, second = ([places[pair[side]] for pair in players] for side in (0, 1))
        return cls.from_codes(first, second, [outcome for *_, outcome in rows], known)

    @classmethod
    def from_records(
        cls, records: Iterable[MatchRecord], names: Sequence[str] | None = None
    ) -> MatchCounts:
        """Count recorded matches of two players: who has the greater return has won.

        Games that were forfeited count as they were paid. Matches of a player against itself,
        which are in records of self-play, tell nothing and are refused as everywhere.
        """
        return cls.from_matches(map(_match, records), names)

    @classmethod
    def from_wins(
        cls, wins: ArrayLike, draws: ArrayLike | None = None, names: Sequence[str] | None = None
    ) -> MatchCounts:
        """Counts from tables.

        Args:
            wins: how often the row beat the column, shape (n, n).
            draws: how often they drew, symmetric, shape (n, n); none by default.
            names: of the players; by default "0", "1" and so on.

        Example:
            >>> MatchCounts.from_wins([[0, 3], [1, 0]]).n_matches
            4
        """
        won = np.asarray(wins)
        drawn = np.zeros_like(won) if draws is None else np.asarray(draws)
        n = len(won) if won.ndim else 0
        for what, table in (("wins", won), ("draws", drawn)):
            _check_counts(what, table, (n, n))
        if (drawn != drawn.T).any():
            a, b = np.argwhere(drawn != drawn.T)[0]
            raise LmgymError(f"draws must be symmetric; [{a}, {b}] and [{b}, {a}] differ")
        diagonal = np.diag(np.diag(won))  # kept where it isn't 0, to be refused by name
        upper = np.triu(np.ones_like(won), 1)
        lost, drew = won.T * upper, drawn * np.triu(np.ones_like(won))
        given = tuple(names) if names is not None else tuple(map(str, range(n)))
        return cls(given, np.stack([lost, drew, won * upper + diagonal], -1).astype(np.int64))

    @property
    def n_matches(self) -> int:
        """All matches."""
        return int(self.outcomes.sum())

    @property
    def wins(self) -> Integers:
        """How often the row beat the column, shape (n, n)."""
        won: Integers = self.outcomes[..., 2] + self.outcomes[..., 0].T
        return won

    @property
    def draws(self) -> Integers:
        """How often they drew, symmetric, shape (n, n)."""
        drawn: Integers = self.outcomes[..., 1] + self.outcomes[..., 1].T
        return drawn

    def pairs(self) -> PairCounts:
        """The pairs that have met."""
        wins, draws = self.wins, self.draws
        have_met = np.flatnonzero(np.triu(wins + wins.T + draws, 1))
        counts = np.empty((3, len(have_met)))
        for row, table in zip(counts, (wins, draws, wins.T), strict=True):
            row[:] = table.ravel()[have_met]
        return PairCounts(*np.divmod(have_met, len(self.names)), counts)

    def tallies(self) -> list[PlayerTally]:
        """How each player did, in the order of the names; a player without a match has no score."""
        columns = (self.wins.sum(1), self.draws.sum(1), self.wins.sum(0))
        rows = zip(self.names, *(column.tolist() for column in columns), strict=True)
        return [_tally(*row) for row in rows]

    def win_rates(self) -> Floats:
        """The row's mean score against the column, shape (n, n); nan where they haven't met.

        A draw is half a win, so rates of a pair sum to 1. The diagonal is 1/2: this is what
        `alpha_rank` and `nash_averaging` take.
        """
        scores = self.wins + self.draws / 2
        totals = scores + scores.T
        rates: Floats = np.divide(
            scores, totals, out=np.full(scores.shape, np.nan), where=totals > 0
        )
        np.fill_diagonal(rates, 0.5)
        return rates


def player_index(names: Sequence[str], name: str) -> int:
    """The place of a player's name."""
    if name not in names:
        raise unknown("player", name, names)
    return names.index(name)


def _match(record: MatchRecord) -> tuple[str, str, float]:
    if len(record.players) != 2:
        raise LmgymError(f"a match of {len(record.players)} players is not one of two")
    (a, b), (won, lost) = record.players, record.returns
    return a, b, (won > lost) - (won < lost)


def _tally(name: str, wins: int, draws: int, losses: int) -> PlayerTally:
    matches = wins + draws + losses
    score = (wins + draws / 2) / matches if matches else None
    return PlayerTally(name, matches, wins, draws, losses, score)


def _count(matches: MatchCodes, n: int) -> Integers:
    """Matches by both players and the outcome, shape (n, n, 3)."""
    total = np.zeros(n * n * 3, np.int64)
    size = min(len(matches.first), _BLOCK)
    places = np.empty(size, np.int64)  # as counting takes them; computed in smaller numbers
    wide = np.empty(size, _least_type(n * n * 3))
    narrow = np.empty(size, _least_type(n * 3))
    for start in range(0, len(matches.first), _BLOCK):
        first, second, outcome = (column[start : start + _BLOCK] for column in matches)
        place, code, low = (room[: len(first)] for room in (places, wide, narrow))
        np.multiply(second, 3, out=low, dtype=low.dtype)
        np.add(low, outcome, out=low, dtype=low.dtype)
        np.multiply(first, 3 * n, out=code, dtype=code.dtype)
        np.add(code, low, out=code)
        np.copyto(place, code)
        total[1:] += np.bincount(place, minlength=len(total) - 1)  # an outcome counts from -1
    return total.reshape(n, n, 3)


def _least_type(most: int) -> np.dtype[np.signedinteger[Any]]:
    """The smallest type of whole numbers in which the codes can be computed."""
    return next(
        np.dtype(kind) for kind in (np.int16, np.int32, np.int64) if most <= np.iinfo(kind).max
    )


def _check_counts(what: str, table: NDArray[Any], shape: tuple[int, ...]) -> None:
    if table.shape != shape:
        raise LmgymError(f"{what} must have shape {shape}; given {table.shape}")
    if table.dtype.kind not in "iu":
        raise LmgymError(f"{what} must be whole numbers; given {table.dtype}")
    if table.size and int(table.min()) < 0:
        place = tuple(int(x) for x in np.argwhere(table < 0)[0])
        raise LmgymError(f"{what}{list(place)} is {table[place]}; counts are 0 or more")
