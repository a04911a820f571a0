"""A board's folder: seasons, submissions, results, and the tables and the page made from them.

seasons/SEASON.toml     what is asked for
submissions/NAME/       who takes part
results/SEASON.jsonl    what they did, append-only
ratings/SEASON.json     made from these; index.html is the page of the last season, SEASON.html
of one before
cache.sqlite            an index, made anew where it is missing
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from lmgym.commands.files import write_text
from lmgym.errors import LmgymError, unknown

from .board import make_board, ratings_of
from .entry_checks import author_flags
from .evaluation import Job, evaluate, missing
from .page.page import write_page
from .references import reference_rows
from .results.rows import EntryRow, ResultRow, SeasonRow
from .results.store import Results
from .season import MatchTrack, Season, SingleTrack, Track, season_path
from .season_files import SHIPPED, read_season, seasons_of, tracks_digest
from .single_play import SingleWorld
from .submissions.architectures import GAME_POLICY
from .submissions.checking import Submission, check_submission
from .submissions.copies import copies_of
from .tryout import try_out

__all__ = [
    "BoardFolder",
    "check_track",
    "find_season",
    "page_path",
    "ratings_path",
    "ratings_text",
    "settle",
]

_IGNORED = (".lock", "cache.sqlite", "seasons/*.secret", "submissions/.new-*")


def find_season(board: Path, season_id: str | None = None) -> Season:
    """A season of a board; where there is none, one of the package.

    Args:
        board: the folder.
        season_id: which; by default the only one, or the one that opened last.
    """
    place = board if seasons_of(board) else SHIPPED.parent
    known = seasons_of(place)
    if season_id is None:
        seasons = [read_season(season_path(place, each)) for each in known]
        return max(seasons, key=lambda season: (season.opens, season.id))
    if season_id not in known:
        raise unknown("season", season_id, known, f"they lie in {board / 'seasons'}")
    return read_season(season_path(place, season_id))


def settle(board: Path) -> None:
    """Give a board what it lacks: the seasons of the package, and what git is to leave out."""
    (board / "seasons").mkdir(parents=True, exist_ok=True)
    if not seasons_of(board):
        for path in sorted(SHIPPED.glob("*.toml")):
            shutil.copyfile(path, season_path(board, path.stem))
    file = board / ".gitignore"
    there = file.read_text(encoding="utf-8") if file.exists() else ""
    missing = [line for line in _IGNORED if line not in there.splitlines()]
    if missing:
        write_text(file, "\n".join([*there.splitlines(), *missing]) + "\n")


class BoardFolder:
    """A season of a board.

    Args:
        root: the folder.
        season: one of its seasons.
        reads_only: whether nothing is to be written, not even what a new board has.
    """

    def __init__(self, root: Path, season: Season, *, reads_only: bool = False) -> None:
        self.root, self.season = root, season
        self._lock = None if reads_only else _locked(root)
        self.results = Results(root, season.id, trusts_index=not reads_only)
        self._begin(reads_only)

    def __enter__(self) -> BoardFolder:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let other commands work on the board."""
        self.results.close()
        if self._lock is not None:
            self._lock.close()

    def _begin(self, reads_only: bool) -> None:
        """Write the row of the season, or compare it with the season's file."""
        digest, first = tracks_digest(self.season), self.results.season_row()
        if first is None and reads_only:
            return
        if first is None:
            self._append([SeasonRow(self.season.id, digest)])
        elif first.tracks != digest:
            self.close()
            raise LmgymError(
                f"{season_path(self.root, self.season.id)} is not what its results began with; a"
                " season must not be changed once it has results, so begin another one"
            )

    @property
    def submissions(self) -> Path:
        """Where the folders of entries lie."""
        return self.root / "submissions"

    def enter(self, submission: Submission) -> EntryRow:
        """Enter a submission that lies in its place; the same one again is no new entry.

        Raises:
            LmgymError: as `check`.
        """
        known = self.check(submission)
        if known is not None:
            return known
        manifest = submission.manifest
        row = EntryRow(
            entry=manifest.entry,
            source=manifest.kind,
            at=_today(),
            manifest=json.loads(json.dumps(asdict(manifest))),
            files=dict(submission.hashes),
            flags=(
                *self.copy_flags(submission),
                *author_flags(manifest.name, manifest.authors, self.results.entries().values()),
            ),
            curve=submission.curve,
        )
        self._append([row])
        return row

    def check(self, submission: Submission) -> EntryRow | None:
        """The row of a submission that was entered before; None for a new one.

        Raises:
            LmgymError: where it cannot be entered: this name and version were entered with other
                files, the season takes no entries any more, or it cannot play its tracks.
        """
        name = submission.manifest.name
        if any(row.manifest["name"] == name for row in reference_rows(self.season)):
            raise LmgymError(f"{name!r} is the name of a reference of the season; choose another")
        known = self.results.entries().get(submission.manifest.entry)
        if known is None:
            self._check_time()
            self._check_tracks(submission)
            try_out(submission, self.season)
        elif dict(known.files) != dict(submission.hashes):
            raise LmgymError(
                f"{known.entry} was entered with other files; raise the version in its"
                " manifest.toml"
            )
        return known

    def _check_tracks(self, submission: Submission) -> None:
        """Raise where an entry cannot play its tracks, whatever its weights are."""
        manifest = submission.manifest
        is_game_policy = manifest.weights is not None and manifest.weights.arch == GAME_POLICY
        known = {track.id: track for track in self.season.tracks}
        for name in manifest.tracks:
            if is_game_policy and isinstance(known.get(name), SingleTrack):
                raise LmgymError(
                    f"{manifest.entry}: a policy of games cannot write, as track {name} needs; take"
                    " the track out"
                )

    def _check_time(self) -> None:
        """Raise where a season takes no entries any more: it is closed, or its seeds are known."""
        season = self.season
        if season.closes is not None and _today() > season.closes.isoformat():
            raise LmgymError(f"season {season.id} has closed on {season.closes}; take another one")
        if season.secret and self.results.has_phase("open"):
            raise LmgymError(
                f"the seeds of season {season.id} are revealed, so it takes no new entries; take"
                " another one"
            )

    def enter_submissions(self) -> dict[str, str]:
        """Enter all folders of submissions that take part in the season.

        Returns:
            Why folders could not be entered, by their names; they keep no others from it.
        """
        ids = {track.id for track in self.season.tracks}
        refused: dict[str, str] = {}
        for folder in sorted(path for path in self.submissions.glob("[!.]*") if path.is_dir()):
            try:
                if folder.is_symlink():
                    raise LmgymError(f"{folder} is a link; put the folder itself there")
                submission = check_submission(folder, name=folder.name)
                if ids.intersection(submission.manifest.tracks):
                    self.enter(submission)
            except LmgymError as error:
                refused[folder.name] = str(error)
        return refused

    def copy_flags(self, submission: Submission) -> list[str]:
        """Earlier entries, of other names, that the weights seem to be a copy of."""
        others = {
            row.entry: self.submissions / row.entry.rpartition("@")[0]
            for row in self.results.entries().values()
            if row.source == "weights" and row.manifest["name"] != submission.manifest.name
        }
        return [f"copy of {each.name}" for each in copies_of(submission.folder, others)]

    def enter_references(self) -> None:
        """Enter what the season's tracks compare with."""
        known = self.results.entries()
        self._append([row for row in reference_rows(self.season) if row.entry not in known])

    def jobs(
        self, tracks: Iterable[str] | None = None, *, has_endpoints: bool = True
    ) -> tuple[list[Job], dict[str, str]]:
        """What is still to be played.

        Args:
            tracks: in which; by default in all.
            has_endpoints: whether servers may be asked.

        Returns:
            The jobs, and why some tracks cannot be played here, by id.
        """
        chosen = None if tracks is None else set(tracks)
        jobs = [
            j for j in missing(self.season, self.results) if chosen is None or j.track.id in chosen
        ]
        if not has_endpoints:
            jobs = [job for job in jobs if not any(e.source == "endpoint" for e in job.members)]
        lacking = {}
        for track in {job.track.id: job.track for job in jobs}.values():
            try:
                check_track(track)
            except LmgymError as error:
                lacking[track.id] = str(error)
        return [job for job in jobs if job.track.id not in lacking], lacking

    def play(
        self,
        jobs: Sequence[Job],
        *,
        trusted: bool = False,
        on_progress: Callable[[Job], None] | None = None,
    ) -> dict[str, str]:
        """Play jobs and write down what came of them; returns why some could not be played."""
        return evaluate(
            self.root, self.season, self.results, jobs, trusted=trusted, on_progress=on_progress
        )

    def write(self) -> dict[str, Any]:
        """Make the tables and the page; returns the board."""
        board = make_board(self.season, self.results)
        path = ratings_path(self.root, self.season)
        path.parent.mkdir(exist_ok=True)
        write_text(path, ratings_text(board))
        write_page(board, self.page)
        return board

    @property
    def page(self) -> Path:
        """Where the page is written."""
        return page_path(self.root, self.season)

    def _append(self, rows: Sequence[ResultRow]) -> None:
        if rows:
            self.results.append(rows)


def _locked(root: Path) -> TextIO:
    """The lock of a board, which is made where there is none."""
    settle(root)
    lock = (root / ".lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise LmgymError(f"another command is at work in {root}; wait until it is done") from None
    return lock


def ratings_path(root: Path, season: Season) -> Path:
    """Where the tables of a season are written."""
    return root / "ratings" / f"{season.id}.json"


def page_path(root: Path, season: Season) -> Path:
    """Where the page of a season is written."""
    is_last = find_season(root).id == season.id
    return root / ("index.html" if is_last else f"{season.id}.html")


def ratings_text(board: Mapping[str, Any]) -> str:
    """The tables of a board as they are written."""
    return json.dumps(_rounded(ratings_of(board)), indent=1, allow_nan=False) + "\n"


def _rounded(value: Any) -> Any:
    """The same value with numbers of as many digits as all processors agree on."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, Mapping):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return value


def check_track(track: Track) -> None:
    """Raise where a track cannot be played here, for instance because its data are not at hand."""
    if isinstance(track, MatchTrack):
        from lmgym.games.worlds import find_game

        find_game(track.env, track.args)
    else:
        SingleWorld(track)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
