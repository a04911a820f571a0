"""A season's results checked without trusting whoever wrote them.

Every row is read with its hash, every seed derived again, every episode and every game played again
from the recorded texts and moves, without the agents. A sample of the entries whose weights are at
hand is then evaluated anew and has to write the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from lmgym.errors import LmgymError
from lmgym.games.matches import fixtures
from lmgym.games.players import FailureCause
from lmgym.games.records import MatchRecord
from lmgym.games.replay import replay
from lmgym.games.worlds import GameWorld, find_game

from .asked_again import plays_so, points_of
from .entry_checks import EntryChecks
from .evaluation import Job, PairJob, SeedJob, Worker, is_failure, missing, told_failure
from .results.chain import ChainRow, Head, read_chain
from .results.rows import EntryRow, EpisodesRow, MatchesRow, ResultRow, SeasonRow, result_row
from .results.store import Results
from .season import MatchTrack, Season, SingleTrack
from .season_files import tracks_digest
from .single_play import SingleWorld, Written

__all__ = ["Verification", "verify_season"]

_AGREE = 0.9
_LESS = 0.03  # of an entry's mean score, or points, over all its rows that are evaluated anew
_REPEATABLE = ("weights", "reference")


@dataclass
class Verification:
    """What was checked, and what is wrong.

    Attributes:
        n_rows: rows that were read.
        n_episodes: episodes that were played again.
        n_matches: games that were played again.
        n_repeated: rows whose agents were evaluated anew.
        n_same: episodes and games of these that went to the letter as recorded.
        n_again: all episodes and games of these.
        findings: what is wrong: file, row, field and what should stand there.
        notices: what a reader should know besides, such as what was not played.
        head: where the chain ends.
    """

    n_rows: int = 0
    n_episodes: int = 0
    n_matches: int = 0
    n_repeated: int = 0
    n_same: int = 0
    n_again: int = 0
    findings: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    head: Head = field(default_factory=Head)


def verify_season(
    board: Path,
    season: Season,
    *,
    sample: float = 0.1,
    rng: random.Random | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Verification:
    """Check a season of a board.

    Args:
        board: the folder.
        season: as its file says.
        sample: the share of rows of entries with weights, and of references, that are evaluated
            anew.
        rng: draws them; by default nobody can foresee which.
        on_progress: is called after each row with the number of rows so far.

    Raises:
        OSError: where the season has no results.
    """
    checker = _Checker(board, season)
    try:
        for row in read_chain(board / "results" / f"{season.id}.jsonl"):
            checker.check(row)
            if on_progress is not None:
                on_progress(checker.found.n_rows)
    except LmgymError as error:  # the chain is broken: what follows cannot be told from a forgery
        checker.found.findings.append(str(error))
        return checker.found
    checker.settle()
    checker.repeat(sample, random.SystemRandom() if rng is None else rng)
    checker.finish()
    return checker.found


class _Checker:
    """Checks rows in their order."""

    def __init__(self, board: Path, season: Season) -> None:
        self._board, self._season = board, season
        self._path = board / "results" / f"{season.id}.jsonl"
        self._entries = EntryChecks(board, season)
        self._seen: set[tuple[object, ...]] = set()
        self._worlds: dict[str, SingleWorld] = {}
        self._games: dict[str, GameWorld] = {}
        self._has_open = self._has_final = False
        self._short: dict[tuple[str, str], list[float]] = {}
        self._jobs: list[tuple[int, Job, EpisodesRow | MatchesRow]] = []
        self.found = Verification()

    def check(self, row: ChainRow) -> None:
        """Check a row, and note what is wrong in it."""
        found = self.found
        found.n_rows += 1
        found.head = Head(row.number + 1, row.hash, row.offset + row.size)
        try:
            read = result_row(row)
            if (row.number == 0) != isinstance(read, SeasonRow):
                raise LmgymError("the row of the season comes first, and only there")
            for problem in self._problems(read, row.number):
                self._complain(row.number, problem)
        except LmgymError as error:
            self._complain(row.number, str(error))

    def settle(self) -> None:
        """Once all rows were read: see to entries whose files are no longer at hand."""
        for problem in self._entries.shown_problems():
            self.found.findings.append(f"{self._path}: {problem}")
        for entry, newer in self._entries.replaced.items():
            n = sum(entry in (e.entry for e in job.members) for _, job, _ in self._jobs)
            if n and self._entries.rows[entry].source in _REPEATABLE:
                self.found.notices.append(
                    f"{n:,} rows of {entry} cannot be evaluated anew, since {newer} has taken its"
                    " place"
                )

    def repeat(self, share: float, rng: random.Random) -> None:
        """Evaluate a share of the rows anew, at least one where there are any."""
        jobs = [each for each in self._jobs if any(map(self._is_repeatable, each[1].members))]
        n = min(len(jobs), max(1, round(share * len(jobs)))) if share > 0 else 0
        with Worker(self._board, self._season) as worker:
            for number, job, row in rng.sample(jobs, n):
                try:
                    self._repeat(number, job, row, worker)
                except BaseException as error:
                    if not is_failure(error):
                        raise
                    self._complain(number, f"it cannot be evaluated anew: {told_failure(error)}")

    def _complain(self, number: int, problem: str) -> None:
        self.found.findings.append(f"{self._path}, row {number + 1}: {problem}")

    def _problems(self, row: ResultRow, number: int) -> Iterator[str]:
        if isinstance(row, SeasonRow):
            yield from self._season_problems(row)
        elif isinstance(row, EntryRow):
            is_late = self._has_open and self._has_final
            yield from self._entries.problems(row, is_late=is_late)
        elif isinstance(row, EpisodesRow):
            yield from self._episodes_problems(row, number)
        else:
            yield from self._matches_problems(row, number)

    def _season_problems(self, row: SeasonRow) -> Iterator[str]:
        if row.season != self._season.id:
            yield f"'season': the results are of {row.season!r:.60}, not of {self._season.id!r}"
        if row.tracks != tracks_digest(self._season):
            yield (
                "'tracks': the tracks, or the commitment, of the season's file are not those that"
                " the results began with; a season must not be changed once it has results"
            )

    def _is_repeatable(self, entry: EntryRow) -> bool:
        return entry.source in _REPEATABLE and entry.entry not in self._entries.replaced

    def _known(self, entry: str, track: str) -> EntryRow:
        row = self._entries.rows.get(entry)
        if row is None:
            raise LmgymError(f"{entry!r:.80} was not entered before")
        if track not in row.manifest.get("tracks", ()):
            raise LmgymError(f"{entry} was not entered in track {track!r:.60}")
        return row

    def _check_new(self, *key: object) -> None:
        if key in self._seen:
            raise LmgymError(f"{' '.join(map(str, key))} stands in an earlier row already")
        self._seen.add(key)

    def _check_seed(self, given: int, phase: str, *parts: str | int) -> None:
        self._has_final |= phase == "final"
        self._has_open |= phase == "open"
        seed = self._season.seed(*parts, phase="final" if phase == "final" else "open")
        if seed != given:
            raise LmgymError(
                f"'seed': the season's is {seed}, the row says {given}; it is of another season,"
                " track or entry"
            )

    def _episodes_problems(self, row: EpisodesRow, number: int) -> Iterator[str]:
        entry, track = self._known(row.entry, row.track), self._season.track(row.track)
        if not isinstance(track, SingleTrack) or row.k >= track.seeds:
            raise LmgymError(f"'k': track {track.id} has no seed {row.k}")
        self._check_new(row.phase, row.track, row.entry, row.k)
        self._check_seed(row.seed, row.phase, track.id, row.k)
        if track.id not in self._worlds:
            self._worlds[track.id] = SingleWorld(track)
        written = [Written(e.texts, e.failure) for e in row.episodes]
        for place, (ours, theirs) in enumerate(
            zip(self._worlds[track.id].scored(row.seed, written), row.episodes, strict=True)
        ):
            self.found.n_episodes += 1
            if theirs.failure is not None and entry.source in _REPEATABLE:
                yield f"'episodes[{place}].failure': weights and references do not fail"
            for name in ("task_id", "texts", "score", "verdict"):
                if getattr(ours, name) != getattr(theirs, name):
                    yield (
                        f"'episodes[{place}].{name}': {track.env} gives"
                        f" {getattr(ours, name)!r:.80}, the row says {getattr(theirs, name)!r:.80}"
                    )
        self._jobs.append((number, SeedJob(track, entry, row.k), row))

    def _matches_problems(self, row: MatchesRow, number: int) -> Iterator[str]:
        entries = [self._known(entry, row.track) for entry in row.entries]
        track = self._season.track(row.track)
        if not isinstance(track, MatchTrack):
            raise LmgymError(f"'track': {track.id} is for one player")
        if row.entries[0] >= row.entries[1]:
            raise LmgymError("'entries': the smaller name comes first")
        self._check_new(row.phase, row.track, *row.entries)
        self._check_seed(row.seed, row.phase, track.id, *row.entries)
        planned = fixtures(track.games, row.seed)
        if len(planned) != len(row.records):
            raise LmgymError(f"'records': there are {len(row.records)}, and {track.games} games")
        if track.id not in self._games:
            self._games[track.id] = find_game(track.env, track.args)
        for place, (fixture, record) in enumerate(zip(planned, row.records, strict=True)):
            self.found.n_matches += 1
            seated = tuple(row.entries[side] for side in fixture.sides)
            told = (record.deal, record.seed, record.sides, record.players)
            if told != (*fixture, seated):
                yield f"'records[{place}]': the deal, seed or players are not those of the season"
                continue
            try:
                replay(record, self._games[track.id])
                _check_forfeit(record, [entries[side] for side in fixture.sides])
            except LmgymError as error:
                yield f"'records[{place}]': {error}"
        self._jobs.append((number, PairJob(track, entries[0], entries[1]), row))

    def _repeat(self, number: int, job: Job, row: EpisodesRow | MatchesRow, worker: Worker) -> None:
        """Whether agents do again what is recorded of them."""
        if isinstance(row, EpisodesRow):
            assert isinstance(job, SeedJob)
            self._repeat_episodes(number, job, row, worker)
        else:
            assert isinstance(job, PairJob)
            self._repeat_matches(number, job, row, worker)

    def _repeat_episodes(self, number: int, job: SeedJob, row: EpisodesRow, worker: Worker) -> None:
        again = worker.play(job, row.phase)
        assert isinstance(again, EpisodesRow)
        pairs = list(zip(row.episodes, again.episodes, strict=True))
        gain = sum(a.score - b.score for a, b in pairs) / len(pairs)
        self._short.setdefault((row.entry, "less"), []).append(gain)
        self._note(number, row.entry, [a.texts == b.texts for a, b in pairs])

    def _repeat_matches(self, number: int, job: PairJob, row: MatchesRow, worker: Worker) -> None:
        asked = [side for side in (0, 1) if self._is_repeatable(job.members[side])]
        is_same = True
        for side in asked:
            player, game = worker.player(job.members[side], job.track), self._games[job.track.id]
            same = [plays_so(record, side, player, game) for record in row.records]
            is_same &= all(same)
            self._note(number, row.entries[side], same)
        if len(asked) == 2:
            again = row if is_same else worker.play(job, row.phase)
            assert isinstance(again, MatchesRow)
            for side in asked:
                gain = points_of(row.records, side) - points_of(again.records, side)
                self._short.setdefault((row.entries[side], "points less"), []).append(gain)

    def _note(self, number: int, entry: str, same: Sequence[bool]) -> None:
        """Count what went as recorded, and complain where too little did."""
        self.found.n_repeated += 1
        self.found.n_same += sum(same)
        self.found.n_again += len(same)
        if sum(same) < _AGREE * len(same):
            self._complain(
                number,
                f"{entry} evaluated anew does the same in {sum(same)} of {len(same)} episodes or"
                " games; the record is not of this entry, or of other versions of this package or"
                " torch",
            )

    def finish(self) -> None:
        """Compare means, and tell what was not played."""
        for (entry, less), gains in self._short.items():
            gain = sum(gains) / len(gains)
            if gain > _LESS:
                self.found.findings.append(
                    f"{self._path}: {entry} evaluated anew scores {gain:.3f} {less} than recorded"
                )
        if self.found.findings:
            return
        with Results(self._board, self._season.id, trusts_index=False) as results:
            jobs = missing(self._season, results)
        lacking = self._entries.lacking_references()
        if lacking:
            self.found.notices.append(
                f"references of the season that were not entered: {', '.join(lacking)}; lmgym board"
                " rate enters them"
            )
        if jobs:
            tracks = ", ".join(sorted({job.track.id for job in jobs}))
            self.found.notices.append(
                f"{len(jobs)} rows of the season are missing, in {tracks}; lmgym board rate plays"
                " them"
            )


def _check_forfeit(record: MatchRecord, seated: Sequence[EntryRow]) -> None:
    """Raise where a game ends in a way that only programs and endpoints can bring about."""
    forfeit = record.forfeit
    if forfeit is None or forfeit.cause not in get_args(FailureCause):
        return
    entry = seated[forfeit.seat]
    if entry.source in _REPEATABLE:
        raise LmgymError(
            f"{entry.entry} is said to have forfeited by {forfeit.cause!r}; weights and references"
            " do not"
        )
