"""`lmgym board`: a leaderboard in a folder, that anyone can submit to and everyone can verify."""

from __future__ import annotations

from collections.abc import Sequence

from lmgym.errors import LmgymError, unknown
from lmgym.registry import load

__all__ = ["board"]

_ROOM = "lmgym.leaderboards.commands"
_COMMANDS: dict[str, tuple[str, str, str]] = {
    "submit": (
        f"{_ROOM}.board_submit:submit",
        "DIR",
        "pack, check, evaluate and enter a folder or a run",
    ),
    "check": (f"{_ROOM}.board_submit:check", "DIR", "say what is wrong with a submission"),
    "rate": (f"{_ROOM}.board_rate:rate", "", "play what is missing, and rate"),
    "verify": (f"{_ROOM}.board_verify:verify", "", "play all results again, and check them"),
    "build": (f"{_ROOM}.board_page:build", "", "make the page"),
    "serve": (f"{_ROOM}.board_page:serve", "", "show the page at an address of this machine"),
    "open": (f"{_ROOM}.board_season:open_season", "SEASON", "begin a season with a secret seed"),
    "workflow": (
        f"{_ROOM}.board_season:workflow",
        "",
        "print a workflow by which a repository takes submissions",
    ),
    "reveal": (f"{_ROOM}.board_season:reveal", "SEASON", "end it: the seeds that count are known"),
}
"""Commands by name: where to find them, what they take, what they do."""


def board(argv: Sequence[str]) -> int:
    """Run one of the commands about leaderboards."""
    if not argv or argv[0] in ("-h", "--help"):
        lines = [
            f"  {f'{name} {words}':<16} {does}" for name, (_, words, does) in _COMMANDS.items()
        ]
        print(
            "usage: lmgym board COMMAND [--board DIR] [--season SEASON]\n\n"
            "Leaderboards that anyone can submit to and everyone can verify.\n"
        )
        print("\n".join([*lines, "\nlmgym board COMMAND --help explains a command's options."]))
        return 0
    name, *rest = argv
    if name.startswith("-"):
        raise LmgymError(f"unexpected {name!r}; name a command first: {', '.join(_COMMANDS)}")
    if name not in _COMMANDS:
        raise unknown("board command", name, _COMMANDS, "lmgym board --help explains them")
    code: int = load(_COMMANDS[name][0])(rest)
    return code
