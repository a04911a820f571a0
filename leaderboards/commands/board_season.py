"""`lmgym board open` and `reveal`: seasons whose seeds nobody knows before they are used."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

from lmgym.commands.arguments import parse_options, split_names
from lmgym.commands.files import write_text
from lmgym.errors import LmgymError

from ..board_folder import find_season, settle
from ..results.store import Results
from ..season import check_id, commitment_to, season_path
from ..season_files import write_season

__all__ = ["OpenArgs", "RevealArgs", "open_season", "reveal", "workflow"]

_WORKFLOW = Path(__file__).parents[1] / "workflow.yml"


@dataclass(frozen=True)
class OpenArgs:
    """Arguments of a new season."""

    board: str = "board"
    """The board's folder."""
    season: str | None = None
    """The season whose tracks it takes; by default the last one."""
    title: str | None = None
    """On the page; by default its name."""
    closes: str | None = None
    """The last day, as 2027-01-31."""


@dataclass(frozen=True)
class RevealArgs:
    """Arguments of the end of a season."""

    board: str = "board"
    """The board's folder."""
    secret: str | None = None
    """The secret; by default what stands in the file that lmgym board open has left."""


def open_season(argv: Sequence[str]) -> int:
    """Begin a season."""
    names, options = split_names(argv, 1, "board open SEASON")
    (args,) = parse_options({"season": OpenArgs}, options, "board open", "Begin a season.")
    name = check_id("season", _one(names, "open"))
    root = Path(args.board)
    like = find_season(root, args.season)
    path, kept = season_path(root, name), _secret_file(root, name)
    for file in (path, kept):
        if file.exists():
            raise LmgymError(f"{file} is there already; choose another name")
    opens = datetime.now(UTC).date()
    closes = None if args.closes is None else _day(args.closes)
    if closes is not None and closes < opens:
        raise LmgymError(f"--closes {args.closes} is past; give a day from {opens} on")
    secret = secrets.token_hex(32)
    settle(root)
    season = replace(
        like,
        id=name,
        title=args.title or name,
        opens=opens,
        closes=closes,
        commitment=commitment_to(secret),
        secret="",
    )
    write_season(root, season)
    write_text(kept, secret + "\n")
    kept.chmod(0o600)
    print(f"season {name} is open: {path}\ncommitment {season.commitment}")
    print(f"keep {kept} to yourself until lmgym board reveal {name}; never commit it")
    return 0


def reveal(argv: Sequence[str]) -> int:
    """End a season."""
    names, options = split_names(argv, 1, "board reveal SEASON")
    (args,) = parse_options({"season": RevealArgs}, options, "board reveal", "End a season.")
    root = Path(args.board)
    season = find_season(root, _one(names, "reveal"))
    if season.secret:
        raise LmgymError(f"the secret of season {season.id} is revealed already")
    kept = _secret_file(root, season.id)
    if args.secret is None and not kept.exists():
        raise LmgymError(f"{kept} is not there; give the secret, as --secret SECRET")
    secret = args.secret or kept.read_text(encoding="utf-8").strip()
    write_season(root, season.revealed(secret))
    print(f"season {season.id} is final; lmgym board rate plays it with the seeds that count")
    with Results(root, season.id, trusts_index=False) as results:
        if not results.has_phase("open"):
            print("nothing was played before, so it is public: it still takes entries")
    return 0


def workflow(argv: Sequence[str]) -> int:
    """Print the workflow of a repository that takes submissions by pull request."""
    usage = "lmgym board workflow >.github/workflows/board.yml"
    if argv and argv[0] not in ("-h", "--help"):
        raise LmgymError(f"unexpected {argv[0]!r}; usage: {usage}")
    if argv:
        print(f"usage: {usage}\n\nPrint a workflow that takes submissions by pull request.")
        return 0
    print(_WORKFLOW.read_text(encoding="utf-8"), end="")
    return 0


def _one(names: Sequence[str], command: str) -> str:
    if not names:
        raise LmgymError(f"name the season, as lmgym board {command} spring-2027")
    return names[0]


def _secret_file(root: Path, name: str) -> Path:
    return root / "seasons" / f"{name}.secret"


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise LmgymError(f"--closes {text!r} is no day; write it as 2027-01-31") from None
