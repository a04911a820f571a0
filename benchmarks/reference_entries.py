"""A board of references: what each learner comes to in the tracks of the practice season.

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


def _for(updates: int, *words: str) -> Words:
    """Words of `lmgym train` that stop after so many updates, however fast the machine is."""
    options = ("--updates", str(updates), "--validate-updates", str(updates // 16))
    return (*words, *options, "--seconds", "7200")


def _games(games: int, *words: str) -> Words:
    return ("self-play", *words, "--games", str(games))


_MATH, _PREFERENCE = "lmgym/Math-v0", ("lmgym/Preference-v0", "--reward", "gold")
_FOUR = (_MATH, "--problems", "four", "--lr", "0.002", "--batch-size", "64")
ENTRIES: Mapping[str, tuple[Words, str]] = {
    "grpo": (_for(800, "grpo", _MATH), "math-addition"),
    "ppo": (_for(400, "ppo", _MATH), "math-addition"),
    "reinforce": (_for(800, "reinforce", _MATH), "math-addition"),
    "best-of-n": (_for(640, "best-of-n", _MATH), "math-addition"),
    "sft": (_for(480, "sft", _MATH), "math-addition"),
    "sb3-ppo": (_for(160, "sb3-ppo", _MATH), "math-addition"),
    "sft-four": (_for(1600, "sft", *_FOUR), "math-four"),
    "sft-tools": (_for(640, "sft", "lmgym/ToolMath-v0"), "tool-math"),
    "grpo-preference": (_for(240, "grpo", *_PREFERENCE), "preference"),
    "ppo-preference": (_for(160, "ppo", *_PREFERENCE), "preference"),
    "sft-prompts": (_for(320, "sft", "lmgym/PromptSelect-v0"), "prompt-select"),
    "self-play-grpo-kuhn": (_for(400, "self-play-grpo", "lmgym/KuhnPoker-v0"), "kuhn-poker"),
    "self-play-grpo-nim": (_for(400, "self-play-grpo", "lmgym/Nim-v0"), "nim"),
    "self-play-debate": (_games(12_800, "lmgym/Debate-v0", "--batch-size", "64"), "debate"),
    "self-play-kuhn": (_games(512_000, "lmgym/KuhnPoker-v0"), "kuhn-poker"),
    "self-play-nim": (_games(512_000, "lmgym/Nim-v0", "--policy", "tabular"), "nim"),
    "self-play-tic-tac-toe": (_games(512_000, "lmgym/TicTacToe-v0"), "tic-tac-toe"),
}
"""The words after `lmgym train`, and the track."""


@dataclass(frozen=True)
class ReferenceArgs:
    """Arguments of the entries."""

    board: str = "board"
    """The board's folder."""
    runs: str = "runs/references"
    """Folder of the runs; finished ones are kept and not run again."""
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
        run_train((*words, "--seed", str(args.seed), "--out", str(out)))
    told = ("--name", name, "--tracks", track, "--authors", "lmgym", "--license", "MIT")
    summary = ("--summary", f"lmgym train {' '.join(words)}")
    if run_command(["board", "submit", str(out), "--board", args.board, *told, *summary]):
        raise LmgymError(f"{name} could not be entered; what was wrong stands above")
