"""A board's folder: seasons, submissions, results, and the tables and the page made from them.

seasons/SEASON.toml     what is asked for
submissions/NAME/       who takes part
results/SEASON.jsonl    what they did, append-only
ratings/SEASON.json     made from these; index.html is the page of the last season, SEASON.html
of one before
cache.sqlite            an index, made anew where it is missing
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lmgym.commands.files import write_text
from lmgym.errors import LmgymError, unknown

from .board import make_board, ratings_of
from .evaluation import Job, evaluate, missing
from .page.page import write_page
from .references import check_reference
from .results.rows import EntryRow, ResultRow, SeasonRow
from .results.store import Results
from .season import MatchTrack, Season, Track, season_path
from .season_files import SHIPPED, read_season, seasons_of, tracks_digest
from .single_play import SingleWorld
from .submissions.checking import Submission, check_submission
from .submissions.copies import copies_of

__all__ = ["BoardFolder", "find_season"]

_REFERENCE_SUMMARIES = {
    "random": "Anything that is allowed, or random characters.",
    "oracle": "What the world itself demonstrates.",
    "embedded": "The policy that comes with the package, untrained.",
    "best": "What the game itself knows to be best.",
}


def find_season(board: Path, season_id: str | None = None) -> Season:
    """A season of a board; a board without any gets those of the package.

    Args:
        board: the folder.
        season_id: which; by default the only one, or the one that opened last.
    """
    if not seasons_of(board):
        (board / "seasons").mkdir(parents=True, exist_ok=True)
        for path in sorted(SHIPPED.glob("*.toml")):
            shutil.copyfile(path, season_path(board, path.stem))
        write_text(board / ".gitignore", "cache.sqlite\nseasons/*.secret\n")
    known = seasons_of(board)
    if season_id is None:
        seasons = [read_season(season_path(board, each)) for each in known]
        return max(seasons, key=lambda season: (season.opens, season.id))
    if season_id not in known:
        raise unknown("season", season_id, known, f"they lie in {board / 'seasons'}")
    return read_season(season_path(board, season_id))


class BoardFolder:
    """A season of a board.

    Args:
        root: the folder.
        season: one of its seasons.
    """

    def __init__(self, root: Path, season: Season) -> None:
        self.root, self.season = root, season
        self.results = Results(root, season.id)
        if self.results.head.n_rows == 0:
            self._append([SeasonRow(season.id, tracks_digest(season))])

    def __enter__(self) -> BoardFolder:
        return self

    def __exit__(self, *error: object) -> None:
        self.results.close()

    @property
    def submissions(self) -> Path:
        """Where the folders of entries lie."""
        return self.root / "submissions"

    def enter(self, submission: Submission) -> EntryRow:
        """Enter a submission that lies in its place; the same one again is no new entry.

        Raises:
            LmgymError: where this name and version were entered with other files.
        """
        manifest = submission.manifest
        known = self.results.entries().get(manifest.entry)
        files = dict(submission.hashes)
        if known is not None:
            if dict(known.files) != files:
                raise LmgymError(
                    f"{manifest.entry} was entered with other files; raise the version in its"
                    " manifest.toml"
                )
            return known
        row = EntryRow(
            entry=manifest.entry,
            source=manifest.kind,
            at=_today(),
            manifest=json.loads(json.dumps(asdict(manifest))),
            files=files,
            flags=tuple(self.copy_flags(submission)),
            curve=submission.curve,
        )
        self._append([row])
        return row

    def enter_submissions(self) -> dict[str, str]:
        """Enter all folders of submissions that take part in the season.

        Returns:
            Why folders could not be entered, by their names; they keep no others from it.
        """
        ids = {track.id for track in self.season.tracks}
        refused: dict[str, str] = {}
        for folder in sorted(path for path in self.submissions.glob("[!.]*") if path.is_dir()):
            try:
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
        wanted: dict[str, list[str]] = {}
        for track in self.season.tracks:
            for name in track.references:
                wanted.setdefault(check_reference(name, track), []).append(track.id)
        rows = [
            EntryRow(
                entry=f"{_reference_name(name)}@1",
                source="reference",
                at=str(self.season.opens),
                manifest=_reference_manifest(name, tracks),
            )
            for name, tracks in wanted.items()
            if f"{_reference_name(name)}@1" not in known
        ]
        self._append(rows)

    def jobs(self, tracks: Iterable[str] | None = None) -> tuple[list[Job], dict[str, str]]:
        """What is still to be played.

        Args:
            tracks: in which; by default in all.

        Returns:
            The jobs, and why some tracks cannot be played here, by id.
        """
        chosen = None if tracks is None else set(tracks)
        jobs = [
            j for j in missing(self.season, self.results) if chosen is None or j.track.id in chosen
        ]
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
        self.ratings_file.parent.mkdir(exist_ok=True)
        write_text(self.ratings_file, ratings_text(board))
        write_page(board, self.page)
        return board

    @property
    def ratings_file(self) -> Path:
        """Where the tables are written."""
        return self.root / "ratings" / f"{self.season.id}.json"

    @property
    def page(self) -> Path:
        """Where the page is written."""
        is_last = find_season(self.root).id == self.season.id
        return self.root / ("index.html" if is_last else f"{self.season.id}.html")

    def _append(self, rows: Sequence[ResultRow]) -> None:
        if rows:
            self.results.append(rows)


def ratings_text(board: Mapping[str, Any]) -> str:
    """The tables of a board as they are written."""
    return json.dumps(ratings_of(board), indent=1, allow_nan=False) + "\n"


def check_track(track: Track) -> None:
    """Raise where a track cannot be played here, for instance because its data are not at hand."""
    if isinstance(track, MatchTrack):
        from lmgym.games.worlds import find_game

        find_game(track.env, track.args)
    else:
        SingleWorld(track)


def _reference_name(name: str) -> str:
    """As an entry's: `mcts:50` is mcts-50."""
    return name.replace(":", "-")


def _reference_manifest(name: str, tracks: Sequence[str]) -> dict[str, Any]:
    return {
        "name": _reference_name(name),
        "version": 1,
        "authors": ["lmgym"],
        "license": "MIT",
        "contact": "",
        "summary": _REFERENCE_SUMMARIES.get(name, f"The player {name} of this package."),
        "kind": "reference",
        "tracks": list(tracks),
        "player": name,
    }


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
