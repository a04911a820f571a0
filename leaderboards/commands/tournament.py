"""`lmgym tournament`: many players meet in a game, and are rated."""

from __future__ import annotations

from collections.abc import Sequence

from lmgym.commands.subcommands import run_subcommand

__all__ = ["tournament"]

_COMMANDS: dict[str, tuple[str, str, str]] = {
    "run": (
        "lmgym.leaderboards.commands.tournament_run:run",
        "--env ENV --agents A B ...",
        "play a tournament, or go on with one",
    ),
    "show": (
        "lmgym.leaderboards.commands.tournament_show:show",
        "DIR",
        "print the tables of one, also while it is played",
    ),
}
"""Commands by name: where to find them, what they take, what they do."""


def tournament(argv: Sequence[str]) -> int:
    """Run one of the commands about tournaments."""
    return run_subcommand(
        "tournament", "COMMAND", "Let many players meet, and rate them.", _COMMANDS, argv
    )
