"""The board of this repository: what each learner comes to in the tracks of the practice season.

Each entry is a run of `lmgym train` in a process of its own, entered with `lmgym board submit`: its
weights lie on the board, so anybody can evaluate them anew (`lmgym board verify`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lmgym.cli import main as run_command
from lmgym.commands.arguments import parse_options
from lmgym.commands.running import run_train
from lmgym.errors import LmgymError, unknown

Words = tuple[str, ...]
_MATH, _FOUR = "lmgym/Math-v0", ("lmgym/Math-v0", "--problems", "four")
_PREFERENCE, _TOOLS = "lmgym/Preference-v0", "lmgym/ToolMath-v0"
_CHOICE = "lmgym/PromptSelect-v0"
ENTRIES: Mapping[str, tuple[Words, str]] = {
    "grpo": (("grpo", _MATH), "math-addition"),
    "ppo": (("ppo", _MATH), "math-addition"),
    "reinforce": (("reinforce", _MATH), "math-addition"),
    "best-of-n": (("best-of-n", _MATH), "math-addition"),
    "sft": (("sft", _MATH), "math-addition"),
    "sb3-ppo": (("sb3-ppo", _MATH), "math-addition"),
    "sft-four": (("sft", *_FOUR, "--lr", "0.002", "--batch-size", "64"), "math-four"),
    "sft-tools": (("sft", _TOOLS), "tool-math"),
    "grpo-preference": (("grpo", _PREFERENCE, "--reward", "gold"), "preference"),
    "ppo-preference": (("ppo", _PREFERENCE, "--reward", "gold"), "preference"),
    "grpo-prompts": (("grpo", _CHOICE), "prompt-select"),
    "self-play-debate": (("self-play", "lmgym/Debate-v0"), "debate"),
    "self-play-kuhn": (("self-play", "lmgym/KuhnPoker-v0"), "kuhn-poker"),
    "self-play-nim": (("self-play", "lmgym/Nim-v0"), "nim"),
    "self-play-tic-tac-toe": (("self-play", "lmgym/TicTacToe-v0"), "tic-tac-toe"),
    "grpo-kuhn": (("self-play-grpo", "lmgym/KuhnPoker-v0"), "kuhn-poker"),
}
"""The words after `lmgym train`, and the track."""


@dataclass(frozen=True)
class ReferenceArgs:
    """Arguments of the entries."""

    board: str = "board"
    """The board's folder."""
    runs: str = "runs/references"
    """Folder of the runs; finished ones are kept and not run again."""
    seconds: float = 90.0
    """Of each learner's training."""
    seed: int = 0
    """Of all runs."""
    only: str = ""
    """Entries, separated by commas; by default all."""


def main(argv: Sequence[str]) -> int:
    """Train and enter what is missing."""
    (args,) = parse_options(
        {"references": ReferenceArgs}, argv, "bench reference-entries", __doc__ or ""
    )
    names = args.only.split(",") if args.only else list(ENTRIES)
    for name in names:
        if name not in ENTRIES:
            raise unknown("entry", name, ENTRIES)
    for name in names:
        _enter(args, name, *ENTRIES[name])
    return run_command(["board", "rate", "--board", args.board])


def _enter(args: ReferenceArgs, name: str, words: Words, track: str) -> None:
    out = Path(args.runs) / name
    if not (out / "lmgym.json").exists():
        options = ("--seconds", str(args.seconds), "--seed", str(args.seed), "--out", str(out))
        run_train((*words, *options))
    told = ("--name", name, "--tracks", track, "--authors", "lmgym", "--license", "MIT")
    summary = ("--summary", f"lmgym train {' '.join(words)}, {args.seconds:g} seconds")
    if run_command(["board", "submit", str(out), "--board", args.board, *told, *summary]):
        raise LmgymError(f"{name} could not be entered; what was wrong stands above")
