"""Tournaments: all matches of a plan, played wherever, kept in a journal, in the plan's order.

What is played next follows from the plan and the results so far; a match from its spec. So the
records are the same on one process and on many, with and without interruptions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from lmgym.errors import LmgymError
from lmgym.games.records import MatchRecord

from .executors import Executor, SerialExecutor
from .journal import MatchJournal
from .lineup import AnyPlayer, Lineup, MatchSpec, pair_fixtures
from .plan import TournamentPlan
from .schedules import Pair, Played

__all__ = ["Progress", "play_tournament"]


class Progress(NamedTuple):
    """How far a tournament is.

    Attributes:
        done: matches that were played, those of the journal included.
        total: of the plan.
        record: the last one.
    """

    done: int
    total: int
    record: MatchRecord


def play_tournament(
    plan: TournamentPlan,
    players: Mapping[str, AnyPlayer] | None = None,
    journal: MatchJournal | None = None,
    executor: Executor | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> list[MatchRecord]:
    """Play what is missing of a tournament.

    Whatever a player does wrong costs it the game, by the game's forfeit (`play_match`), and the
    tournament goes on.

    Args:
        plan: of the tournament.
        players: by the plan's names; by default what the plan says that they are.
        journal: has what was played and keeps what is played; by default nothing is kept.
        executor: plays the matches; by default this process does.
        on_progress: is called after each match, and once with the last one of the journal.

    Returns:
        All records, in the order of the plan's matches.

    Raises:
        LmgymError: before the first match, where a player cannot play, and where the journal has
            matches of something else.

    Example:
        >>> from lmgym.leaderboards.tournaments.plan import PlannedPlayer
        >>> players = [PlannedPlayer("ann", "best"), PlannedPlayer("bob", "random")]
        >>> plan = TournamentPlan("lmgym/Nim-v0", players=players, games=4)
        >>> [record.players for record in play_tournament(plan)]
        [('ann', 'bob'), ('bob', 'ann'), ('ann', 'bob'), ('bob', 'ann')]
    """
    given = {p.name: p.player for p in plan.players} if players is None else players
    if sorted(given) != list(plan.names):
        raise LmgymError(
            f"players {', '.join(given)!r:.200} were given, and the plan's are"
            f" {', '.join(plan.names)!r:.200}"
        )
    with ExitStack() as stack:
        lineup = Lineup(plan.env, plan.args, given)
        stack.callback(lineup.close)
        table = _Table(plan, lineup, journal, executor or SerialExecutor(), on_progress)
        return table.play()


class _Table:
    """A tournament as it is played."""

    def __init__(
        self,
        plan: TournamentPlan,
        lineup: Lineup,
        journal: MatchJournal | None,
        executor: Executor,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self._plan, self._lineup, self._journal = plan, lineup, journal
        self._executor, self._on_progress = executor, on_progress
        self._total = plan.n_matches
        self._kept = [] if journal is None else list(journal.records)
        self._records: list[MatchRecord] = []
        self._met: Counter[Pair] = Counter()
        self._has_begun = False

    def play(self) -> list[MatchRecord]:
        """Play to the end."""
        self._check_kept()
        schedule = self._plan.make_schedule()
        rounds: list[list[Played]] = []
        for _ in range(schedule.n_rounds):
            pairs = schedule.pairs(rounds)
            specs = [spec for pair in pairs for spec in self._specs(pair)]
            records = self._play_round(specs)
            games = self._plan.games
            starts = range(0, len(specs), games)
            rounds.append(
                [
                    _result(pair, records[start : start + games])
                    for pair, start in zip(pairs, starts, strict=True)
                ]
            )
        return self._records

    def _check_kept(self) -> None:
        if len(self._kept) > self._total:
            raise LmgymError(
                f"the journal has {len(self._kept)} matches, and the plan {self._total}; it is of"
                " something else"
            )
        if self._kept and self._on_progress is not None:
            self._on_progress(Progress(len(self._kept), self._total, self._kept[-1]))

    def _specs(self, pair: Pair) -> list[MatchSpec]:
        """The next games of a pair."""
        plan, names = self._plan, (self._plan.names[pair[0]], self._plan.names[pair[1]])
        fixtures = pair_fixtures(plan.seed, names, self._met[pair], plan.games, plan.split)
        self._met[pair] += plan.games
        return [MatchSpec(names, fixture) for fixture in fixtures]

    def _play_round(self, specs: Sequence[MatchSpec]) -> list[MatchRecord]:
        """The records of a round: those of the journal, and the rest."""
        begin = len(self._records)
        kept = self._kept[begin : begin + len(specs)]
        for number, (spec, record) in enumerate(zip(specs, kept, strict=False), begin + 1):
            if not spec.fits(record):
                raise LmgymError(
                    f"match {number} of the journal is deal {record.deal} of"
                    f" {' and '.join(record.players)!r:.200}, and the plan has deal"
                    f" {spec.fixture.deal} of {' and '.join(spec.players)!r:.200} there; start"
                    " again in another folder"
                )
        self._records += kept
        left = specs[len(kept) :]
        if left:
            self._begin()
        for record in self._executor.map(self._lineup, left):
            self._keep(record)
        return self._records[begin:]

    def _begin(self) -> None:
        """Check the players, once, before the first match."""
        if self._has_begun:
            return
        self._lineup.check()
        if self._journal is not None:
            self._journal.begin()
        self._has_begun = True

    def _keep(self, record: MatchRecord) -> None:
        self._records.append(record)
        if self._journal is not None:
            self._journal.append(record)
        if self._on_progress is not None:
            self._on_progress(Progress(len(self._records), self._total, record))


def _result(pair: Pair, records: Sequence[MatchRecord]) -> Played:
    """What came of a pairing, from the first player's side."""
    leads = [r.returns[r.sides.index(0)] - r.returns[r.sides.index(1)] for r in records]
    wins, losses = (sum(sign * lead > 0 for lead in leads) for sign in (1, -1))
    return Played(*pair, wins, len(leads) - wins - losses, losses)
