"""The command line: `lmgym train`, `compare`, `eval`, `play`, `match`, `verify` and the rest.

A command is a function that takes the words after its name and returns the exit code. Mistakes of
the person at the keyboard end in one sentence and exit code 2; a traceback means a defect.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

from lmgym import __version__
from lmgym.errors import LmgymError, unknown
from lmgym.registry import AGENTS, WORLDS, load

__all__ = ["COMMANDS", "main"]

COMMANDS: dict[str, tuple[str, str, str]] = {
    "train": (
        "lmgym.commands.train:train",
        "[AGENT] [ENV]",
        "train a policy on a world; by default grpo on lmgym/Math-v0",
    ),
    "compare": (
        "lmgym.commands.compare:compare",
        "RUN ...",
        "put runs side by side: curves and test figures over seeds",
    ),
    "eval": (
        "lmgym.commands.evaluate:evaluate_policy",
        "[ENV]",
        "measure how often a policy is right",
    ),
    "play": (
        "lmgym.commands.play:play",
        "[ENV]",
        "be the agent yourself, or watch a policy with --model",
    ),
    "match": (
        "lmgym.commands.match:match",
        "A B",
        "let two players of a game meet, or check records with --replay",
    ),
    "tournament": (
        "lmgym.leaderboards.commands.tournament:tournament",
        "COMMAND",
        "run, show: let many players of a game meet, and rate them",
    ),
    "board": (
        "lmgym.leaderboards.commands.board:board",
        "COMMAND",
        "leaderboards: submit, check, rate, verify, build, serve",
    ),
    "reward": (
        "lmgym.commands.reward:reward",
        "COMMAND",
        "fit, eval, annotate, curve: learn a reward from preferences and test it",
    ),
    "verify": (
        "lmgym.commands.verify:verify_answers",
        "RESPONSE GOLD",
        "judge an answer against its gold, or the rows of a .jsonl file",
    ),
    "envs": ("lmgym.commands.worlds:list_worlds", "", "list the worlds"),
    "card": (
        "lmgym.commands.worlds:show_card",
        "ENV",
        "show a world's card: spaces, reward, arguments, data",
    ),
    "bench": ("lmgym.commands.bench:bench", "[NAME]", "list the benchmarks, or run one"),
}
"""Commands by name: where to find them, the names they take, what they do."""

_OVERVIEW = """\
lmgym {version}: language MDPs as reinforcement-learning environments

Start with one of these:
  lmgym train                  train the embedded policy on arithmetic, in about two minutes
  lmgym play lmgym/Math-v0     solve the same problems yourself
  lmgym play lmgym/Debate-v0   win a debate; lmgym match lets agents meet in it

Commands:
{commands}

Agents:  {agents}
Worlds:  {worlds}
Your own world is MODULE:ID, where importing MODULE registers it.
lmgym COMMAND --help explains a command's options."""

_INTERRUPTED, _BROKEN_PIPE = 130, 141  # as shells report SIGINT and SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code."""
    _spell_out_what_the_terminal_lacks()
    try:
        code = _run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except LmgymError as error:
        return _fail(str(error))
    except BrokenPipeError:
        return _leave_pipe()
    except OSError as error:
        if error.filename is None:
            raise
        return _fail(f"cannot use {str(error.filename)!r}: {error.strerror}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    return code


def _run(argv: Sequence[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    name, *rest = argv
    if name == "--version":
        print(f"lmgym {__version__}")
        return 0
    if name not in COMMANDS:
        raise unknown("command", name, COMMANDS, "lmgym --help explains them")
    code: int = load(COMMANDS[name][0])(rest)
    return code


def _overview() -> str:
    lines = [f"  {f'{name} {names}':<22} {does}" for name, (_, names, does) in COMMANDS.items()]
    return _OVERVIEW.format(
        version=__version__,
        commands="\n".join(lines),
        agents=", ".join(AGENTS),
        worlds=", ".join(WORLDS),
    )


def _fail(message: str) -> int:
    print(f"lmgym: {message}", file=sys.stderr)
    return 2


def _spell_out_what_the_terminal_lacks() -> None:
    """Characters that the encoding cannot hold are written as escapes instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _leave_pipe() -> int:
    """The reader of a pipe has gone: write the rest nowhere, so that closing it fails no more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    return _BROKEN_PIPE


if __name__ == "__main__":
    sys.exit(main())
