"""`lmgym board submit` and `check`: from a folder, or a run of a learner, to an entry."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lmgym.commands.arguments import parse_options, split_names
from lmgym.errors import LmgymError
from lmgym.training.progress import visible

from ..board_folder import BoardFolder, find_season
from ..processes.sandbox import check_sandbox
from ..season import Season
from ..submissions.checking import Submission
from ..submissions.drafting import read_run, world_of
from ..submissions.manifest import MANIFEST_FILE
from ..submissions.packing import pack
from .board_tables import play_jobs, print_tracks

__all__ = ["CheckArgs", "SubmitArgs", "check", "submit"]


@dataclass(frozen=True)
class CheckArgs:
    """Arguments of checks."""

    board: str = "board"
    """The board's folder; it is made where there is none."""
    season: str | None = None
    """Which season; by default the last one."""
    name: str | None = None
    """The entry's name; by default what manifest.toml or the run says."""
    tracks: tuple[str, ...] = ()
    """Where it takes part; by default where manifest.toml says, or the run's world fits."""
    authors: tuple[str, ...] = ()
    """Who made it; by default what manifest.toml or git says."""
    license: str | None = None
    """Of the weights; by default what manifest.toml says, or "unspecified"."""
    summary: str | None = None
    """A sentence about it."""


@dataclass(frozen=True)
class SubmitArgs(CheckArgs):
    """Arguments of submissions."""

    trusted: bool = False
    """Run processes also where no sandbox can be had."""


def submit(argv: Sequence[str]) -> int:
    """Pack, check, evaluate and enter a folder."""
    source, options = _source(argv, "submit")
    about = "Enter a submission's folder, or a run of lmgym train: lmgym board submit DIR."
    (args,) = parse_options({"submission": SubmitArgs}, options, "board submit", about)
    root = Path(args.board)
    season = find_season(root, args.season)
    with tempfile.TemporaryDirectory() as place, BoardFolder(root, season) as folder:
        submission = _packed(args, source, season, Path(place))
        folder.check(submission)
        if submission.manifest.kind == "process" and not args.trusted:
            check_sandbox()
        submission = pack(submission.folder, folder.submissions)
        row = folder.enter(submission)
        folder.enter_references()
        is_played = play_jobs(folder, submission.manifest.tracks, trusted=args.trusted)
        board, page = folder.write(), folder.page
    console = Console(highlight=False)
    print_tracks(board, console, submission.manifest.tracks, mark=row.entry)
    _print_flags(row.flags, console)
    console.print(f"{row.entry} is entered; the page is {page}", soft_wrap=True)
    return 0 if is_played else 1


def check(argv: Sequence[str]) -> int:
    """Say what is wrong with a submission; nothing is entered."""
    source, options = _source(argv, "check")
    about = "Say what is wrong with a submission's folder, or a run: lmgym board check DIR."
    (args,) = parse_options({"submission": CheckArgs}, options, "board check", about)
    with tempfile.TemporaryDirectory() as place:
        root = Path(args.board)
        season = find_season(root, args.season)
        submission = _packed(args, source, season, Path(place))
        with BoardFolder(root, season, reads_only=True) as folder:
            folder.check(submission)
            flags = folder.copy_flags(submission)
    manifest = submission.manifest
    table = Table(box=None, show_header=False)
    for name, value in (
        ("entry", manifest.entry),
        ("kind", manifest.kind),
        ("authors", ", ".join(manifest.authors)),
        ("license", manifest.license),
        ("tracks", ", ".join(manifest.tracks)),
        ("files", ", ".join(submission.hashes)),
    ):
        table.add_row(name, Text(visible(value, 400)))
    console = Console(highlight=False)
    console.print(table)
    _print_flags(flags, console)
    console.print("it can be submitted")
    return 0


def _source(argv: Sequence[str], command: str) -> tuple[str, list[str]]:
    names, options = split_names(argv, 1, f"board {command} DIR")
    if not names and not {"-h", "--help"}.intersection(options):
        raise LmgymError(
            f"name a folder: lmgym board {command} DIR, where DIR is a submission with a"
            " manifest.toml or a run that lmgym train has left"
        )
    if names and not Path(names[0]).is_dir():
        raise LmgymError(f"{names[0]!r} is no folder; give a submission's, or a run's")
    return names[0] if names else "", options


def _packed(args: CheckArgs, source: str, season: Season, into: Path) -> Submission:
    """The submission, copied and checked."""
    has_manifest = (Path(source) / MANIFEST_FILE).exists()
    tracks = None if has_manifest else args.tracks or _suited(Path(source), season)
    words = {"name": args.name, "license_name": args.license, "summary": args.summary}
    if has_manifest and args.tracks:
        tracks = args.tracks  # is refused in words of its own
    made = pack(
        source,
        into,
        tracks=tracks,
        known_tracks=[track.id for track in season.tracks],
        authors=args.authors or None,
        **words,
    )
    is_in_place = Path(source).resolve().parent == (Path(args.board) / "submissions").resolve()
    if is_in_place and Path(source).resolve().name != made.manifest.name:
        raise LmgymError(
            f"{source} holds {made.manifest.name!r}; name the folder as its entry is named"
        )
    return made


def _suited(run: Path, season: Season) -> Sequence[str]:
    """The tracks of the world that a run was trained on; of its arguments where there are some."""
    record = read_run(run)
    alike = [track for track in season.tracks if track.env == record.get("env")]
    world = world_of(record)
    same = [t for t in alike if all(world.get(name) == value for name, value in t.args.items())]
    found = [track.id for track in same or alike]
    if not found:
        known = ", ".join(track.id for track in season.tracks)
        raise LmgymError(
            f"{run} tells no world that season {season.id} has a track of; choose some of {known},"
            " as --tracks ..."
        )
    return found


def _print_flags(flags: Sequence[str], console: Console) -> None:
    for flag in flags:
        console.print(Text(f"flag: {visible(flag)}", style="yellow"), soft_wrap=True)
