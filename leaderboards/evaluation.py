"""What a season still lacks: episodes of entries, and games between them. Played and written down.

Each cell, an entry's episodes of one seed or the games of two entries, is a row of its own, so that
what is interrupted goes on where it was.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeAlias

from lmgym.errors import LmgymError
from lmgym.games.matches import play_matches
from lmgym.games.players import Player
from lmgym.games.worlds import find_game

from .participants import contestant, player
from .processes.process_agent import Failures
from .results.rows import EntryRow, EpisodesRow, MatchesRow
from .results.store import Results
from .season import MatchTrack, Phase, Season, SingleTrack, Track
from .single_play import SingleWorld
from .submissions.weights import is_panic

__all__ = [
    "Job",
    "PairJob",
    "SeedJob",
    "Worker",
    "current_entries",
    "evaluate",
    "is_failure",
    "missing",
    "told_failure",
]


_MOST_OPEN = 4
_MOST_REASON = 300


class SeedJob(NamedTuple):
    """An entry's episodes of one seed."""

    track: SingleTrack
    entry: EntryRow
    k: int

    @property
    def members(self) -> tuple[EntryRow, ...]:
        """Who plays."""
        return (self.entry,)

    @property
    def told(self) -> str:
        """For people."""
        return f"{self.entry.entry} in {self.track.id}, seed {self.k + 1} of {self.track.seeds}"


class PairJob(NamedTuple):
    """The games of two entries; the first has the smaller name."""

    track: MatchTrack
    a: EntryRow
    b: EntryRow

    @property
    def members(self) -> tuple[EntryRow, ...]:
        """Who plays."""
        return (self.a, self.b)

    @property
    def told(self) -> str:
        """For people."""
        return f"{self.a.entry} against {self.b.entry} in {self.track.id}"


Job: TypeAlias = SeedJob | PairJob


def missing(season: Season, results: Results) -> list[Job]:
    """What has not been played in the season's phase, in a fixed order."""
    entries = results.entries()
    jobs: list[Job] = []
    for track in season.tracks:
        members = current_entries(entries, track.id)
        if isinstance(track, SingleTrack):
            done = {(c.entry, c.k) for c in results.cells(track.id, season.phase)}
            pairs = ((entry, k) for entry in members for k in range(track.seeds))
            jobs += [SeedJob(track, e, k) for e, k in pairs if (e.entry, k) not in done]
        else:
            met = {(p.a, p.b) for p in results.pairs(track.id, season.phase)}
            ordered = sorted(members, key=lambda entry: entry.entry)
            jobs += [
                PairJob(track, a, b)
                for i, a in enumerate(ordered)
                for b in ordered[i + 1 :]
                if (a.entry, b.entry) not in met
            ]
    return jobs


def current_entries(entries: Mapping[str, EntryRow], track: str) -> list[EntryRow]:
    """The entries of a track, of each name the highest version; references are their own names."""
    newest: dict[tuple[str, bool], tuple[int, EntryRow]] = {}
    for row in entries.values():
        name, _, version = row.entry.rpartition("@")
        key = name, row.source == "reference"
        if int(version) > newest.get(key, (0, row))[0]:
            newest[key] = int(version), row
    return [row for _, row in newest.values() if track in row.manifest["tracks"]]


def evaluate(
    board: Path,
    season: Season,
    results: Results,
    jobs: Iterable[Job],
    *,
    trusted: bool = False,
    on_progress: Callable[[Job], None] | None = None,
) -> dict[str, str]:
    """Play jobs and append what came of them, a row each.

    An entry that cannot play, as one whose context is too short for a page, keeps no other from
    playing.

    Args:
        board: holds the submissions.
        season: says the seeds.
        results: is appended to.
        jobs: what to play.
        trusted: whether processes may run where no sandbox can be had.
        on_progress: is called before each job.

    Returns:
        Why jobs could not be played, by what they were.
    """
    failed: dict[str, str] = {}
    with Worker(board, season, trusted=trusted) as worker:
        for job in jobs:
            if on_progress is not None:
                on_progress(job)
            try:
                row = worker.play(job)
            except BaseException as error:
                if not is_failure(error):
                    raise
                failed[job.told] = told_failure(error)
            else:
                results.append([row])
    return failed


def is_failure(error: BaseException) -> bool:
    """Whether an entry has failed, and nobody wants to stop."""
    return isinstance(error, Exception) or is_panic(error)


def told_failure(error: BaseException) -> str:
    """Why an entry cannot play, with the error's type where it is none of ours."""
    if isinstance(error, LmgymError):
        return str(error)
    return f"{type(error).__name__}: {str(error)[:_MOST_REASON]!a}"


class Worker:
    """Plays jobs of a season; agents stay open until others need their place.

    A program's failures in a track count on when it is closed and opened again.

    Args:
        board: holds the submissions.
        season: says the seeds.
        trusted: whether processes may run where no sandbox can be had.
    """

    def __init__(self, board: Path, season: Season, *, trusted: bool = False) -> None:
        self._board, self._season, self._trusted = board, season, trusted
        self._open: dict[tuple[str, str], tuple[ExitStack, Any]] = {}
        self._failures: defaultdict[tuple[str, str], Failures] = defaultdict(Failures)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        while self._open:
            self._close(next(iter(self._open)))

    def play(self, job: Job, phase: Phase | None = None) -> EpisodesRow | MatchesRow:
        """The row that comes of a job, with the seeds of a phase, by default of the present one."""
        phase = phase or self._season.phase
        return self._seed(job, phase) if isinstance(job, SeedJob) else self._pair(job, phase)

    def player(self, entry: EntryRow, track: MatchTrack) -> Player:
        """An entry as a player."""
        found: Player = self._agent(player, entry, track)
        return found

    def _seed(self, job: SeedJob, phase: Phase) -> EpisodesRow:
        track = job.track
        seed = self._season.seed(track.id, job.k, phase=phase)
        world = SingleWorld(track)
        written = self._agent(contestant, job.entry, track).play(world, seed)
        episodes = tuple(world.scored(seed, written))
        return EpisodesRow(job.entry.entry, track.id, phase, job.k, seed, episodes)

    def _pair(self, job: PairJob, phase: Phase) -> MatchesRow:
        track, names = job.track, (job.a.entry, job.b.entry)
        seed = self._season.seed(track.id, *names, phase=phase)
        players = (self._agent(player, job.a, track), self._agent(player, job.b, track))
        world = find_game(track.env, track.args)
        records = play_matches(world, *players, track.games, seed, names=names)
        return MatchesRow(names, track.id, phase, seed, tuple(records))

    def _agent(self, opener: Any, entry: EntryRow, track: Track) -> Any:
        """An entry at work, the last to be closed of all that are open."""
        key = entry.entry, track.id
        if key not in self._open:
            while len(self._open) >= _MOST_OPEN:
                self._close(next(iter(self._open)))
            stack = ExitStack()
            words = {"trusted": self._trusted, "failures": self._failures[key]}
            agent = stack.enter_context(opener(self._board, entry, track, **words))
            self._open[key] = stack, agent
        self._open[key] = self._open.pop(key)
        return self._open[key][1]

    def _close(self, key: tuple[str, str]) -> None:
        self._open.pop(key)[0].close()
