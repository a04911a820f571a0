"""`lmgym board`: a leaderboard in a folder, that anyone can submit to and everyone can verify."""

from __future__ import annotations

from collections.abc import Sequence

from lmgym.commands.subcommands import run_subcommand

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
    return run_subcommand(
        "board",
        "COMMAND [--board DIR] [--season SEASON]",
        "Leaderboards that anyone can submit to and everyone can verify.",
        _COMMANDS,
        argv,
    )
