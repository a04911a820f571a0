"""A season's results checked without trusting whoever wrote them.

Every row is read with its hash, every seed derived again, every episode and every game played again
from the recorded texts and moves, without the agents. A sample of the entries whose weights are at
hand is then evaluated anew and has to write the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lmgym.errors import LmgymError
from lmgym.games.matches import fixtures
from lmgym.games.records import MatchRecord
from lmgym.games.replay import replay
from lmgym.games.worlds import GameWorld, find_game

from .evaluation import Job, PairJob, SeedJob, Worker
from .results.chain import ChainRow, Head, read_chain
from .results.rows import EntryRow, EpisodesRow, MatchesRow, ResultRow, SeasonRow, result_row
from .season import MatchTrack, Season, SingleTrack
from .season_files import tracks_digest
from .single_play import SingleWorld, Written
from .submissions.files import hash_files

__all__ = ["Verification", "verify_season"]

_AGREE = 0.9
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
        head: where the chain ends.
    """

    n_rows: int = 0
    n_episodes: int = 0
    n_matches: int = 0
    n_repeated: int = 0
    n_same: int = 0
    n_again: int = 0
    findings: list[str] = field(default_factory=list)
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
    """
    checker = _Checker(board, season)
    path = board / "results" / f"{season.id}.jsonl"
    if not path.exists():
        return checker.found
    try:
        for row in read_chain(path):
            checker.check(row)
            if on_progress is not None:
                on_progress(checker.found.n_rows)
    except LmgymError as error:  # the chain is broken: what follows cannot be told from a forgery
        checker.found.findings.append(str(error))
        return checker.found
    checker.repeat(sample, random.SystemRandom() if rng is None else rng)
    return checker.found


class _Checker:
    """Checks rows in their order."""

    def __init__(self, board: Path, season: Season) -> None:
        self._board, self._season = board, season
        self._path = board / "results" / f"{season.id}.jsonl"
        self._entries: dict[str, EntryRow] = {}
        self._seen: set[tuple[object, ...]] = set()
        self._worlds: dict[str, SingleWorld] = {}
        self._games: dict[str, GameWorld] = {}
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

    def repeat(self, share: float, rng: random.Random) -> None:
        """Evaluate a share of the rows anew, at least one where there are any."""
        n = min(len(self._jobs), max(1, round(share * len(self._jobs)))) if share > 0 else 0
        with Worker(self._board, self._season) as worker:
            for number, job, row in rng.sample(self._jobs, n):
                try:
                    self._compare(number, row, worker.play(job, row.phase))
                except LmgymError as error:
                    self._complain(number, f"it cannot be evaluated anew: {error}")

    def _complain(self, number: int, problem: str) -> None:
        self.found.findings.append(f"{self._path}, row {number + 1}: {problem}")

    def _problems(self, row: ResultRow, number: int) -> Iterator[str]:
        if isinstance(row, SeasonRow):
            yield from self._season_problems(row)
        elif isinstance(row, EntryRow):
            yield from self._entry_problems(row)
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

    def _entry_problems(self, row: EntryRow) -> Iterator[str]:
        if row.entry in self._entries:
            yield f"'entry': {row.entry} was entered before"
        self._entries[row.entry] = row
        if row.source != "reference":
            yield from self._file_problems(row)

    def _file_problems(self, row: EntryRow) -> Iterator[str]:
        """Differences between a submission's folder and what was entered."""
        name, _, version = row.entry.rpartition("@")
        folder = self._board / "submissions" / name
        if not folder.is_dir():
            yield f"{folder} is not there, so {row.entry} cannot be evaluated anew"
            return
        present = hash_files(folder)
        if present.get("manifest.toml") != row.files.get("manifest.toml"):
            from .submissions.manifest import read_manifest

            if read_manifest(folder).version > int(version):
                return  # a later version has taken its place
        for file in sorted({*present, *row.files}):
            if present.get(file) != row.files.get(file):
                yield f"{folder / file} is not the file that {row.entry} was entered with"

    def _known(self, entry: str, track: str) -> EntryRow:
        if entry not in self._entries:
            raise LmgymError(f"{entry!r:.80} was not entered before")
        row = self._entries[entry]
        if track not in row.manifest.get("tracks", ()):
            raise LmgymError(f"{entry} was not entered in track {track!r:.60}")
        return row

    def _check_new(self, *key: object) -> None:
        if key in self._seen:
            raise LmgymError(f"{' '.join(map(str, key))} stands in an earlier row already")
        self._seen.add(key)

    def _check_seed(self, given: int, phase: str, *parts: str | int) -> None:
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
            for name in ("task_id", "texts", "score", "verdict"):
                if getattr(ours, name) != getattr(theirs, name):
                    yield (
                        f"'episodes[{place}].{name}': {track.env} gives"
                        f" {getattr(ours, name)!r:.80}, the row says {getattr(theirs, name)!r:.80}"
                    )
        if entry.source in _REPEATABLE:
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
            except LmgymError as error:
                yield f"'records[{place}]': {error}"
        if all(entry.source in _REPEATABLE for entry in entries):
            self._jobs.append((number, PairJob(track, entries[0], entries[1]), row))

    def _compare(
        self, number: int, told: EpisodesRow | MatchesRow, ours: EpisodesRow | MatchesRow
    ) -> None:
        """Whether an agent does again what is recorded of it."""
        pairs = list(zip(_acts(told), _acts(ours), strict=False))
        same = sum(a == b for a, b in pairs)
        self.found.n_repeated += 1
        self.found.n_same += same
        self.found.n_again += len(pairs)
        if same < _AGREE * len(pairs):
            who = told.entry if isinstance(told, EpisodesRow) else " and ".join(told.entries)
            self._complain(
                number,
                f"{who} evaluated anew writes the same in {same} of {len(pairs)} episodes; the"
                " record is not of these weights, or of other versions of this package or torch",
            )


def _acts(row: EpisodesRow | MatchesRow) -> list[object]:
    """What the agents did, an entry an episode or a game."""
    if isinstance(row, EpisodesRow):
        return [episode.texts for episode in row.episodes]
    return [_moves(record) for record in row.records]


def _moves(record: MatchRecord) -> tuple[object, ...]:
    return tuple(move.said for move in record.moves)
