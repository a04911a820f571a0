"""What came of the matches of many players: ratings, points, forfeits, and the meta-game."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from lmgym.errors import LmgymError, unknown
from lmgym.games.records import MatchRecord
from lmgym.training.uncertainty import mean_interval

from ..metagame.alpha_rank import alpha_rank
from ..metagame.nash import nash_averaging
from ..pairwise.elo import elo_ratings
from ..pairwise.match_counts import MatchCounts
from ..ratings import RatedPlayer, rate

__all__ = [
    "MatchResult",
    "StandingRow",
    "TournamentStanding",
    "match_result",
    "standing",
    "standings_of",
]


@dataclass(frozen=True)
class StandingRow:
    """A player's standing, with None for what the matches don't tell.

    Attributes:
        name: of the player.
        rating: by Bradley and Terry, on the Elo scale; draws are half wins.
        low: the end of its 95 % interval.
        high: the other end.
        rank_low: the best rank that it may have, in its component.
        rank_high: the worst one.
        component: the part of the players that it can be compared with; 0 is the largest.
        elo: the running rating after the last match.
        alpha_rank: its share of time in evolution's chain.
        nash: its chance in the equilibrium of greatest entropy.
        games: how many it has played.
        wins: games in which it won more than the other.
        draws: games in which both won the same.
        losses: the others.
        forfeits: games that it forfeited.
        causes: how often for which cause.
        first_seat_rate: its mean points in the first seat, a draw half a point.
        second_seat_rate: in the second one.
        rating_without_forfeits: from the games that nobody forfeited.
        mean_return: what it won in a game, in the game's own unit, such as chips.
        return_low: the end of its 95 % interval, Student's over the games.
        return_high: the other end.
    """

    name: str
    rating: float | None
    low: float | None
    high: float | None
    rank_low: int | None
    rank_high: int | None
    component: int
    elo: float
    alpha_rank: float | None
    nash: float | None
    games: int
    wins: int
    draws: int
    losses: int
    forfeits: int
    causes: Mapping[str, int]
    first_seat_rate: float | None
    second_seat_rate: float | None
    rating_without_forfeits: float | None
    mean_return: float | None
    return_low: float | None
    return_high: float | None


@dataclass(frozen=True)
class TournamentStanding:
    """A table of all players.

    Attributes:
        rows: by component, and from the best to the worst.
        without_forfeits: the same of the games that nobody forfeited; empty where nobody did.
        points: mean points of the row's player against the column's, in the order of `rows`; None
            where they haven't met.
        games: how often they have met.
        n_matches: all matches.
        has_stakes: whether games pay other sums than 1, 0 and -1, so that who wins most games need
            not have won most.
    """

    rows: tuple[StandingRow, ...]
    without_forfeits: tuple[StandingRow, ...]
    points: tuple[tuple[float | None, ...], ...]
    games: tuple[tuple[int, ...], ...]
    n_matches: int
    has_stakes: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The players, in the order of `rows`."""
        return tuple(row.name for row in self.rows)

    @property
    def causes(self) -> Counter[str]:
        """How many games were forfeited for which cause."""
        return sum((Counter(row.causes) for row in self.rows), Counter())

    def as_dict(self) -> dict[str, Any]:
        """Plain values: the rows, and the matrix of points."""
        return {
            "n_matches": self.n_matches,
            "has_stakes": self.has_stakes,
            "rows": [asdict(row) for row in self.rows],
            "without_forfeits": [asdict(row) for row in self.without_forfeits],
            "matrix": {"entries": self.names, "points": self.points, "games": self.games},
        }


def standings_of(
    records: Iterable[MatchRecord], names: Sequence[str] | None = None
) -> TournamentStanding:
    """The standing after some matches of two players each, of one game.

    A game that was forfeited counts as the game paid it; `rating_without_forfeits` and
    `without_forfeits` leave such games out. Intervals are of `rate`: they take games to be
    independent. Alpha-Rank and the Nash equilibrium are of mean points, where everybody has met
    everybody. Elo's ratings follow the order of the records.

    Args:
        records: read once.
        names: the players, also those without a match; by default those who appear.

    Raises:
        LmgymError: where a record isn't of two different players, or of other players than named.

    Example:
        >>> from lmgym.games.matches import play_matches
        >>> standing = standings_of(play_matches("lmgym/Nim-v0", "best", "random", 20, seed=0))
        >>> [(row.name, row.wins, row.losses, row.rank_low, row.rank_high) for row in standing.rows]
        [('best', 20, 0, 1, 1), ('random', 0, 20, 2, 2)]
    """
    return standing([match_result(record) for record in records], names)


def standing(
    results: Sequence[MatchResult], names: Sequence[str] | None = None
) -> TournamentStanding:
    """The same from results; arguments and errors as for `standings_of`."""
    known = sorted({name for r in results for name in r.names}) if names is None else list(names)
    if not known:
        raise LmgymError("there are no matches and no players; give records of matches")
    everything = _Games(results, known)
    finished = [result for result in results if not result.cause]
    rest: tuple[StandingRow, ...] = ()
    ratings = {row.name: row.rating for row in everything.rated}
    if len(finished) < len(results):
        others = _Games(finished, known)
        ratings = {row.name: row.rating for row in others.rated}
        rest = others.rows(ratings)
    rows = everything.rows(ratings)
    points, games = everything.matrix([row.name for row in rows])
    has_stakes = any(set(map(abs, result.returns)) - {0, 1} for result in results)
    return TournamentStanding(rows, rest, points, games, len(results), has_stakes)


class MatchResult(NamedTuple):
    """A game, without its moves.

    Attributes:
        names: in the order of the seats.
        returns: what each won.
        loser: who forfeited; empty where nobody did.
        cause: why.
    """

    names: tuple[str, str]
    returns: tuple[float, float]
    loser: str
    cause: str

    @property
    def outcome(self) -> int:
        """1 where the first seat won more, 0 for a draw, else -1."""
        won, lost = self.returns
        return (won > lost) - (won < lost)


class _Games:
    """Games between some players, counted."""

    def __init__(self, results: Sequence[MatchResult], names: Sequence[str]) -> None:
        places = {name: place for place, name in enumerate(names)}
        for name in (name for result in results for name in result.names):
            if name not in places:
                raise unknown("player", name, names)
        first, second, outcome = (
            np.array([[*(places[name] for name in r.names), r.outcome] for r in results], np.int64)
            .reshape(-1, 3)
            .T
        )
        self._counts = MatchCounts.from_codes(first, second, outcome, names)
        self._elo = elo_ratings(first, second, outcome, names)
        self._causes = {name: Counter[str]() for name in names}
        self._returns: dict[str, list[float]] = {name: [] for name in names}
        for result in results:
            for name, won in zip(result.names, result.returns, strict=True):
                self._returns[name].append(won)
            if result.cause:
                self._causes[result.loser][result.cause] += 1
        self.rated = rate(self._counts).rows() if results else _unrated(names)

    def rows(self, without_forfeits: Mapping[str, float | None]) -> tuple[StandingRow, ...]:
        """The players' standings."""
        alpha, nash = self._meta_game()
        names = self._counts.names
        tallies = {tally.name: tally for tally in self._counts.tallies()}
        found = []
        for name, component, best, worst, rating, low, high in self.rated:
            place, tally, causes = names.index(name), tallies[name], self._causes[name]
            first, second = self._seat_rates(place)
            found.append(
                StandingRow(
                    name,
                    rating,
                    low,
                    high,
                    best,
                    worst,
                    component,
                    float(self._elo[place]),
                    alpha[place],
                    nash[place],
                    tally.matches,
                    tally.wins,
                    tally.draws,
                    tally.losses,
                    causes.total(),
                    dict(sorted(causes.items())),
                    first,
                    second,
                    without_forfeits[name],
                    *self._mean_return(name),
                )
            )
        return tuple(found)

    def matrix(
        self, order: Sequence[str]
    ) -> tuple[tuple[tuple[float | None, ...], ...], tuple[tuple[int, ...], ...]]:
        """Mean points and numbers of games, in an order of the players."""
        places = [self._counts.names.index(name) for name in order]
        met = self._counts.wins + self._counts.wins.T + self._counts.draws
        rates, numbers = (table[np.ix_(places, places)] for table in (self._rates(), met))
        points = tuple(
            tuple(float(rate) if number else None for rate, number in zip(*row, strict=True))
            for row in zip(rates, numbers, strict=True)
        )
        return points, tuple(tuple(int(number) for number in row) for row in numbers)

    def _rates(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        return self._counts.win_rates()

    def _meta_game(self) -> tuple[list[float | None], list[float | None]]:
        """Alpha-rank, and the Nash equilibrium, by place."""
        rates, n = self._rates(), len(self._counts.names)
        if n < 2 or np.isnan(rates).any():
            return [None] * n, [None] * n
        return list(map(float, alpha_rank(rates))), list(map(float, nash_averaging(rates).shares))

    def _mean_return(self, name: str) -> tuple[float | None, float | None, float | None]:
        """A player's mean return and its interval, which one game does not give."""
        returns = self._returns[name]
        if len(returns) < 2:
            return (returns[0] if returns else None), None, None
        found = mean_interval(returns)
        return found.mean, found.low, found.high

    def _seat_rates(self, place: int) -> tuple[float | None, float | None]:
        """A player's mean points in both seats."""
        lost, drawn, won = self._counts.outcomes[place].sum(0).tolist()
        first = (won + drawn / 2) / (lost + drawn + won) if lost + drawn + won else None
        won, drawn, lost = self._counts.outcomes[:, place].sum(0).tolist()
        second = (won + drawn / 2) / (lost + drawn + won) if lost + drawn + won else None
        return first, second


def _unrated(names: Sequence[str]) -> list[RatedPlayer]:
    return [RatedPlayer(name, place, *[None] * 5) for place, name in enumerate(names)]


def match_result(record: MatchRecord) -> MatchResult:
    """What came of a match.

    Raises:
        LmgymError: where it is not one of two players.
    """
    if len(record.players) != 2:
        raise LmgymError(f"a match of {len(record.players)} players is not one of two")
    first, second = record.players
    won, lost = map(float, record.returns)
    forfeit = record.forfeit
    loser = "" if forfeit is None else record.players[forfeit.seat]
    cause = "" if forfeit is None else forfeit.cause
    return MatchResult((first, second), (won, lost), loser, cause)
