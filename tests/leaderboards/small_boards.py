"""Small boards for tests: two tracks, played by references within a second."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from lmgym.leaderboards.board_folder import BoardFolder
from lmgym.leaderboards.results.chain import append, read_chain
from lmgym.leaderboards.season import MatchTrack, Season, SingleTrack, commitment_to
from lmgym.leaderboards.season_files import write_season

SEASON = Season(
    id="small",
    title="Small",
    opens=date(2027, 1, 1),
    closes=None,
    commitment=commitment_to("hush"),
    secret="",
    tracks=(
        SingleTrack(
            "sums",
            "Sums",
            "lmgym/Math-v0",
            {"difficulty": 5},
            problems=4,
            seeds=3,
            references=("random", "oracle"),
        ),
        MatchTrack("nim", "Nim", "lmgym/Nim-v0", games=4, references=("random", "best")),
    ),
)


def played(root: Path, season: Season = SEASON) -> Path:
    """A board on which the references have played all tracks; returns its results."""
    write_season(root, season)
    with BoardFolder(root, season) as folder:
        folder.enter_references()
        folder.play(folder.jobs()[0])
        folder.write()
        return folder.results.path


def forge(results: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Change the rows of a file, and make all hashes anew, as a forger would."""
    rows = [json.loads(json.dumps(dict(row.fields))) for row in read_chain(results)]
    change(rows)
    results.unlink()
    append(results, rows)
