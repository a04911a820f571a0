"""What came of the matches of two players: wins, returns with intervals, forfeits apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lmgym.errors import LmgymError
from lmgym.games.records import MatchRecord
from lmgym.training.uncertainty import MeanInterval, bootstrap_interval, rates_interval

__all__ = ["Standing", "Tally", "pairings", "stand"]

_VALUES = 10**7
"""Values that are drawn for an interval at most."""


@dataclass(frozen=True)
class Tally:
    """How the first player did in some games.

    Attributes:
        n_games: how many.
        wins: games in which it won more than the other.
        draws: games in which both won the same.
        losses: the others.
        own_forfeits: games that it forfeited.
        other_forfeits: games that the other forfeited.
        returns: its mean return, each deal counted once, with a 95 % interval; None without games.
    """

    n_games: int
    wins: int
    draws: int
    losses: int
    own_forfeits: int
    other_forfeits: int
    returns: MeanInterval | None


@dataclass(frozen=True)
class Standing:
    """How two players did against each other, from the first one's side.

    Attributes:
        names: of both.
        seats: in each seat of the first player.
        total: in all games.
        finished: in those that nobody forfeited.
        judge_accuracy: how often the judge was right, with a 95 % interval; None where the game has
            no judge.
    """

    names: tuple[str, str]
    seats: tuple[Tally, Tally]
    total: Tally
    finished: Tally
    judge_accuracy: MeanInterval | None


def stand(records: Sequence[MatchRecord], rng: np.random.Generator) -> Standing:
    """What came of matches of the same two players.

    The games of a deal depend on each other, so intervals are of means over deals: of returns by
    the bootstrap, of the judge's accuracy by Wilson's formula (`lmgym.training.uncertainty`).

    Args:
        records: of one game.
        rng: draws the bootstrap's samples.

    Example:
        >>> from lmgym.games.matches import play_matches
        >>> records = play_matches("lmgym/Nim-v0", "best", "random", 20, seed=0)
        >>> total = stand(records, np.random.default_rng(0)).total
        >>> total.n_games, total.draws, total.wins > 15
        (20, 0, True)
    """
    n_pairs = len(pairings(records))
    if n_pairs != 1:
        raise LmgymError(
            f"{len(records)} records of {n_pairs} pairs of players were given; give those of one"
            " pair in one game"
        )
    seated = [[r for r in records if r.sides[seat] == 0] for seat in (0, 1)]
    return Standing(
        names=_names(records[0]),
        seats=(_tally(seated[0], rng), _tally(seated[1], rng)),
        total=_tally(records, rng),
        finished=_tally([r for r in records if r.forfeit is None], rng),
        judge_accuracy=_accuracy(records),
    )


def pairings(records: Iterable[MatchRecord]) -> list[list[MatchRecord]]:
    """The records of each two players in each game with the same arguments."""
    found: dict[Hashable, list[MatchRecord]] = defaultdict(list)
    for record in records:
        arguments = tuple(sorted(record.args.items()))
        found[record.env, arguments, _names(record)].append(record)
    return list(found.values())


def _names(record: MatchRecord) -> tuple[str, str]:
    if len(record.players) != 2:
        raise LmgymError(f"a match of {len(record.players)} players is not one of two")
    first, second = (record.players[record.sides.index(side)] for side in (0, 1))
    return first, second


def _tally(records: Sequence[MatchRecord], rng: np.random.Generator) -> Tally:
    differences = [_won(record, 0) - _won(record, 1) for record in records]
    forfeits = [r.sides[r.forfeit.seat] for r in records if r.forfeit is not None]
    returns = None
    if records:
        values = _by_deal(records, lambda record: _won(record, 0))
        n_resamples = max(200, min(10_000, _VALUES // len(values)))
        returns = bootstrap_interval(values, rng, n_resamples=n_resamples)
    return Tally(
        n_games=len(records),
        wins=sum(d > 0 for d in differences),
        draws=sum(d == 0 for d in differences),
        losses=sum(d < 0 for d in differences),
        own_forfeits=forfeits.count(0),
        other_forfeits=forfeits.count(1),
        returns=returns,
    )


def _accuracy(records: Sequence[MatchRecord]) -> MeanInterval | None:
    judged = [r for r in records if isinstance(r.facts.get("judge_correct"), bool)]
    if not judged:
        return None
    rates = _by_deal(judged, lambda record: float(record.facts["judge_correct"]))
    return MeanInterval(float(np.mean(rates)), *rates_interval(rates))


def _won(record: MatchRecord, side: int) -> float:
    return record.returns[record.sides.index(side)]


def _by_deal(records: Sequence[MatchRecord], value: Callable[[MatchRecord], float]) -> list[float]:
    """The mean of a value in each deal."""
    found: dict[int, list[float]] = defaultdict(list)
    for record in records:
        found[record.deal].append(value(record))
    return [sum(values) / len(values) for values in found.values()]
