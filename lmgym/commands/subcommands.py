"""Commands of several words, as `lmgym reward fit`: which there are, and the one asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lmgym.errors import LmgymError, unknown
from lmgym.registry import load

__all__ = ["run_subcommand"]


def run_subcommand(
    group: str,
    usage: str,
    about: str,
    commands: Mapping[str, tuple[str, str, str]],
    argv: Sequence[str],
) -> int:
    """Run one of the commands of a group, or list them; returns the exit code.

    Args:
        group: its name, as "reward".
        usage: what stands behind it, as "COMMAND".
        about: what they are for, in a sentence.
        commands: by name: where to find them, what they take, what they do.
        argv: the words after the group's name.

    Raises:
        LmgymError: where the first word is no command.
    """
    if not argv or argv[0] in ("-h", "--help"):
        print(f"usage: lmgym {group} {usage}\n\n{about}\n")
        width = 1 + max(len(f"{name} {words}") for name, (_, words, _) in commands.items())
        for name, (_, words, does) in commands.items():
            print(f"  {f'{name} {words}':<{width}} {does}")
        print(f"\nlmgym {group} COMMAND --help explains a command's options.")
        return 0
    name, *rest = argv
    if name.startswith("-"):
        raise LmgymError(f"unexpected {name!r}; name a command first: {', '.join(commands)}")
    if name not in commands:
        hint = f"lmgym {group} --help explains them"
        raise unknown(f"{group} command", name, commands, hint)
    code: int = load(commands[name][0])(rest)
    return code
