"""`lmgym tournament`: many players meet in a game, and are rated."""

from __future__ import annotations

from collections.abc import Sequence

from lmgym.errors import LmgymError, unknown
from lmgym.registry import load

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
    if not argv or argv[0] in ("-h", "--help"):
        lines = [
            f"  {f'{name} {words}':<32} {does}" for name, (_, words, does) in _COMMANDS.items()
        ]
        print("usage: lmgym tournament COMMAND\n\nLet many players meet, and rate them.\n")
        print(
            "\n".join([*lines, "\nlmgym tournament COMMAND --help explains a command's options."])
        )
        return 0
    name, *rest = argv
    if name.startswith("-"):
        raise LmgymError(f"unexpected {name!r}; name a command first: {', '.join(_COMMANDS)}")
    if name not in _COMMANDS:
        hint = "lmgym tournament --help explains them"
        raise unknown("tournament command", name, _COMMANDS, hint)
    code: int = load(_COMMANDS[name][0])(rest)
    return code
