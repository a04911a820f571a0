"""`lmgym reward`: learned rewards, from labels to over-optimisation."""

from __future__ import annotations

from collections.abc import Sequence

from lmgym.errors import LmgymError, unknown
from lmgym.registry import load

__all__ = ["reward"]

_COMMANDS: dict[str, tuple[str, str, str]] = {
    "fit": (
        "lmgym.commands.reward_fit:fit",
        "DATA --out DIR",
        "fit a reward model to preferences or logged trials",
    ),
    "eval": (
        "lmgym.commands.reward_eval:evaluate",
        "DIR DATA",
        "measure how often a reward prefers the better answer",
    ),
    "annotate": (
        "lmgym.commands.reward_annotate:annotate",
        "[DATA] --out FILE",
        "have labelled which of two answers is better",
    ),
    "curve": (
        "lmgym.commands.reward_curve:curve",
        "ENV --proxy rm:DIR",
        "see what best-of-N makes of a reward model",
    ),
}
"""Commands by name: where to find them, what they take, what they do."""


def reward(argv: Sequence[str]) -> int:
    """Run one of the commands about rewards."""
    if not argv or argv[0] in ("-h", "--help"):
        lines = [
            f"  {f'{name} {words}':<24} {does}" for name, (_, words, does) in _COMMANDS.items()
        ]
        print("usage: lmgym reward COMMAND\n\nLearn rewards and test them.\n")
        print("\n".join([*lines, "\nlmgym reward COMMAND --help explains a command's options."]))
        return 0
    name, *rest = argv
    if name.startswith("-"):
        raise LmgymError(f"unexpected {name!r}; name a command first: {', '.join(_COMMANDS)}")
    if name not in _COMMANDS:
        raise unknown("reward command", name, _COMMANDS, "lmgym reward --help explains them")
    code: int = load(_COMMANDS[name][0])(rest)
    return code
