"""A season's results checked without trusting whoever wrote them.

Every row is read with its hash, every seed derived again, every episode and every game played again
from the recorded texts and moves, without the agents. A sample of the entries whose weights are at
hand is then evaluated anew and has to write the same.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lmgym.errors import LmgymError
from lmgym.games.matches import fixtures, player_rng
from lmgym.games.players import Player
from lmgym.games.records import Forfeit, MatchRecord, RecordedMove
from lmgym.games.replay import replay, steps
from lmgym.games.worlds import GameWorld, find_game

from .evaluation import Job, PairJob, SeedJob, Worker, missing
from .references import reference_rows
from .results.chain import ChainRow, Head, read_chain
from .results.rows import EntryRow, EpisodesRow, MatchesRow, ResultRow, SeasonRow, result_row
from .results.store import Results
from .season import MatchTrack, Season, SingleTrack
from .season_files import tracks_digest
from .single_play import SingleWorld, Written
from .submissions.checking import CURVE_FILE, read_curve
from .submissions.copies import copies_of
from .submissions.files import hash_files
from .submissions.manifest import MANIFEST_FILE, read_manifest

__all__ = ["Verification", "verify_season"]

_AGREE = 0.9
_LESS = 0.03  # of an entry's mean score, over all its rows that are evaluated anew
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
    checker.repeat(sample, random.SystemRandom() if rng is None else rng)
    checker.finish()
    return checker.found


class _Checker:
    """Checks rows in their order."""

    def __init__(self, board: Path, season: Season) -> None:
        self._board, self._season = board, season
        self._path = board / "results" / f"{season.id}.jsonl"
        self._entries: dict[str, EntryRow] = {}
        self._seen: set[tuple[object, ...]] = set()
        self._replaced: set[str] = set()
        self._worlds: dict[str, SingleWorld] = {}
        self._games: dict[str, GameWorld] = {}
        self._has_open = self._has_final = False
        self._short: dict[str, list[float]] = {}
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
                    self._repeat(number, job, row, worker)
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
        if row.source == "reference":
            if row not in reference_rows(self._season):
                yield f"{row.entry} is no reference of season {self._season.id}"
            return
        if self._has_final and self._has_open:
            yield f"{row.entry} was entered after the seeds were revealed"
        yield from self._file_problems(row)

    def _told_problems(self, row: EntryRow, folder: Path) -> Iterator[str]:
        """Differences between what the row says of an entry and what its folder says."""
        manifest = read_manifest(folder)
        curve = read_curve(folder) if CURVE_FILE in row.files else None
        told: tuple[tuple[str, object, object], ...] = (
            ("entry", row.entry, manifest.entry),
            ("source", row.source, manifest.kind),
            ("manifest", row.manifest, json.loads(json.dumps(asdict(manifest)))),
            ("curve", row.curve, curve),
        )
        for name, theirs, ours in told:
            if theirs != ours:
                yield f"{name!r} of {row.entry} is not what {folder} says"
        yield from self._flag_problems(row, folder)

    def _flag_problems(self, row: EntryRow, folder: Path) -> Iterator[str]:
        """Flags that are missing, and such as nothing speaks for."""
        others = {
            other.entry: self._board / "submissions" / other.entry.rpartition("@")[0]
            for other in self._entries.values()
            if other.source == "weights" and other.manifest["name"] != row.manifest["name"]
        }
        present = {
            name: path
            for name, path in others.items()
            if (path / MANIFEST_FILE).is_file() and read_manifest(path).entry == name
        }
        found = {f"copy of {each.name}" for each in copies_of(folder, present)}
        gone = {f"copy of {name}" for name in others.keys() - present.keys()}
        for flag in sorted(found - set(row.flags)):
            yield f"'flags' of {row.entry} lack {flag!r}"
        for flag in sorted(set(row.flags) - found - gone):
            if not flag.endswith(" was by others"):
                yield f"'flags' of {row.entry} say {flag!r:.80}, and nothing is found of it"

    def _file_problems(self, row: EntryRow) -> Iterator[str]:
        """Differences between a submission's folder and what was entered."""
        name, _, version = row.entry.rpartition("@")
        folder = self._board / "submissions" / name
        if not folder.is_dir():
            yield f"{folder} is not there, so {row.entry} cannot be evaluated anew"
            return
        present = hash_files(folder)
        is_other = present.get(MANIFEST_FILE) != row.files.get(MANIFEST_FILE)
        if is_other and read_manifest(folder).version > int(version):
            self._replaced.add(row.entry)
            return
        for file in sorted({*present, *row.files}):
            if present.get(file) != row.files.get(file):
                yield f"{folder / file} is not the file that {row.entry} was entered with"
        if present == dict(row.files):
            yield from self._told_problems(row, folder)

    def _is_repeatable(self, entry: EntryRow) -> bool:
        return entry.source in _REPEATABLE and entry.entry not in self._replaced

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
        if self._is_repeatable(entry):
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
        if any(self._is_repeatable(entry) for entry in entries):
            self._jobs.append((number, PairJob(track, entries[0], entries[1]), row))

    def _repeat(self, number: int, job: Job, row: EpisodesRow | MatchesRow, worker: Worker) -> None:
        """Whether agents do again what is recorded of them."""
        if isinstance(row, EpisodesRow):
            assert isinstance(job, SeedJob)
            again = worker.play(job, row.phase)
            assert isinstance(again, EpisodesRow)
            pairs = list(zip(row.episodes, again.episodes, strict=True))
            same = [a.texts == b.texts for a, b in pairs]
            gain = sum(a.score - b.score for a, b in pairs) / len(pairs)
            self._short.setdefault(row.entry, []).append(gain)
            self._note(number, row.entry, same)
            return
        assert isinstance(job, PairJob)
        for side, entry in enumerate((job.a, job.b)):
            if self._is_repeatable(entry):
                agent = worker.player(entry, job.track)
                game = self._games[job.track.id]
                same = [_plays_so(record, side, agent, game) for record in row.records]
                self._note(number, entry.entry, same)

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
        for entry, gains in self._short.items():
            gain = sum(gains) / len(gains)
            if gain > _LESS:
                self.found.findings.append(
                    f"{self._path}: {entry} evaluated anew scores {gain:.3f} less than recorded"
                )
        if self.found.findings:
            return
        with Results(self._board, self._season.id, trusts_index=False) as results:
            jobs = missing(self._season, results)
        if jobs:
            tracks = ", ".join(sorted({job.track.id for job in jobs}))
            self.found.notices.append(
                f"{len(jobs)} rows of the season are missing, in {tracks}; lmgym board rate plays"
                " them"
            )


def _plays_so(record: MatchRecord, side: int, agent: Player, world: GameWorld) -> bool:
    """Whether a player makes the recorded moves where it is asked as it was in the match."""
    seat = record.sides.index(side)
    rng = player_rng(record.seed, record.deal, seat)
    try:
        for shown in steps(record, world):
            if shown.turn.seat == seat and not _is_same(agent.act(shown.turn, rng), shown.move):
                return False
    except LmgymError:  # it cannot move where the record says that it did
        return False
    return record.forfeit is None or record.forfeit.seat != seat or _is_own(record.forfeit)


def _is_same(said: int | str, move: RecordedMove) -> bool:
    """Whether a move is the recorded one, of which a long message is cut."""
    if isinstance(said, str) and isinstance(move.said, str) and move.length:
        return len(said) == move.length and said.startswith(move.said)
    return said == move.said


def _is_own(forfeit: Forfeit) -> bool:
    """Whether what ended the game is something that weights and references can do."""
    return forfeit.cause in ("illegal", "error", "no move")
