"""`lmgym reward`: learned rewards, from labels to over-optimisation."""

from __future__ import annotations

from collections.abc import Sequence

from lmgym.commands.subcommands import run_subcommand

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
    return run_subcommand("reward", "COMMAND", "Learn rewards and test them.", _COMMANDS, argv)
