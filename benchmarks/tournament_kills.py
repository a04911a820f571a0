"""Kill a tournament again and again, go on with it, and compare it with one in one go.

The process of `lmgym tournament run` is sent SIGKILL at random moments: while it starts, between
matches, in the middle of some. Its workers have to end by themselves. What comes of it in the end
must be, byte for byte, what comes of the same command in one process and without any of this.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import lmgym
from lmgym.commands.arguments import parse_options
from lmgym.commands.files import check_file
from lmgym.errors import LmgymError
from lmgym.games.records import MatchRecord
from measuring import Claim, claimed

FILES = ("plan.json", "matches.jsonl", "standings.json")
MARK = "LMGYM_TOURNAMENT_KILLS"
"""A variable of the environment by which the processes of a tournament are found."""
PATIENCE = 60.0
"""Seconds that workers may take to end."""


@dataclass(frozen=True)
class KillArgs:
    """Arguments of the benchmark."""

    env: str = "lmgym/Debate-v0"
    """The game's world."""
    agents: tuple[str, ...] = ("a=random", "b=random", "c=best", "d=random", "e=best")
    """The players."""
    schedule: str = "swiss"
    """Who meets whom."""
    rounds: int = 4
    """Rounds of the schedule."""
    games: int = 2_000
    """Games of a pairing."""
    workers: int = 2
    """Processes that play."""
    kills: int = 10
    """How often the tournament is killed."""
    longest: float = 1.5
    """Seconds that it plays at most before it is killed; three times that when it starts."""
    seed: int = 20_717
    """Of the tournament, and of the moments."""
    out: str | None = None
    """Write the results to this .json file as well."""

    def __post_init__(self) -> None:
        """Raise where there would be nothing to do, or nowhere to write."""
        if self.kills < 1 or not self.longest > 0:
            raise LmgymError("give --kills of 1 or more, and a --longest above 0")
        if self.out is not None:
            check_file(self.out)


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill.

    Attributes:
        phase: what the process was doing: starting or playing.
        delay: seconds until the signal, from the beginning of the phase.
        processes: of the tournament, besides the one that was killed.
        matches: in the journal.
        cut: bytes of a line that was cut off.
        left: processes that did not end by themselves.
    """

    phase: str
    delay: float
    processes: int
    matches: int
    cut: int
    left: int


def main(argv: Sequence[str]) -> int:
    """Kill, go on, compare; 1 where anything differs."""
    description = __doc__ or ""
    (args,) = parse_options({"kills": KillArgs}, argv, "bench tournament-kills", description)
    with TemporaryDirectory() as temporary:
        killed, whole = Path(temporary) / "killed", Path(temporary) / "whole"
        kills = kill_and_resume(args, killed)
        run(args, whole, workers=1)
        lines = (killed / "matches.jsonl").read_text(encoding="utf-8").splitlines()
        differences = [
            name for name in FILES if (killed / name).read_bytes() != (whole / name).read_bytes()
        ]
        n_whole = len((whole / "matches.jsonl").read_bytes().splitlines())
    show(kills, differences)
    found = claims(args, kills, differences, lines, n_whole)
    return claimed(found, args, kills=[asdict(kill) for kill in kills], matches=len(lines))


def claims(
    args: KillArgs, kills: Sequence[Kill], differences: Sequence[str], lines: Sequence[str], n: int
) -> list[Claim]:
    """What is measured beside what should come of it."""
    games = [MatchRecord.from_line(line) for line in lines]
    distinct = {(*game.players, game.deal, game.seed) for game in games}
    return [
        Claim("kills", [len(kills)], "kills", least=args.kills),
        Claim("matches lost", [n - len(lines)], "matches", most=0),
        Claim("matches counted twice", [len(lines) - len(distinct)], "matches", most=0),
        Claim("files that differ from one go", [len(differences)], "files", most=0),
        Claim("processes left over", [max(kill.left for kill in kills)], "processes", most=0),
    ]


def kill_and_resume(args: KillArgs, folder: Path) -> list[Kill]:
    """Run the command, killed so many times on the way; returns how."""
    moments, found = random.Random(args.seed), list[Kill]()
    while len(found) < args.kills:
        phase = "starting" if found and moments.random() < 0.3 else "playing"
        mark = uuid4().hex
        process = start(args, folder, args.workers, mark)
        if phase == "playing":
            wait_until_underway(process, folder, whole_lines(folder)[0])
        delay = moments.uniform(0, args.longest * (1 if phase == "playing" else 3))
        time.sleep(delay)
        if process.poll() is not None:
            raise LmgymError(
                f"the tournament was at its end after {len(found)} kills; give more --games or a"
                " smaller --longest"
            )
        others = len(marked(mark)) - 1
        process.kill()
        process.wait()
        found.append(Kill(phase, delay, others, *whole_lines(folder), left_over(mark)))
        print(f"kill {len(found)}: {found[-1]}", flush=True)
    run(args, folder, args.workers)
    return found


def start(args: KillArgs, folder: Path, workers: int, mark: str = "") -> subprocess.Popen[bytes]:
    """`lmgym tournament run` in a process of its own."""
    root = str(Path(lmgym.__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "lmgym.cli", "tournament", "run", "--env", args.env]
    command += ["--agents", *args.agents, "--schedule", args.schedule, "--rounds", str(args.rounds)]
    command += ["--games", str(args.games), "--seed", str(args.seed), "--out", str(folder)]
    environment = {**os.environ, "PYTHONPATH": path, MARK: mark}
    return subprocess.Popen(
        [*command, "--workers", str(workers)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def run(args: KillArgs, folder: Path, workers: int) -> None:
    """Play to the end."""
    if start(args, folder, workers).wait() != 0:
        raise LmgymError("lmgym tournament run failed")


def wait_until_underway(process: subprocess.Popen[bytes], folder: Path, n_lines: int) -> None:
    """Until there are more matches, or the process has ended."""
    while process.poll() is None and whole_lines(folder)[0] <= n_lines:
        time.sleep(0.01)


def whole_lines(folder: Path) -> tuple[int, int]:
    """How many matches the journal has, and how long the rest of it is."""
    file = folder / "matches.jsonl"
    *lines, rest = file.read_bytes().split(b"\n") if file.is_file() else [b""]
    return len(lines), len(rest)


def left_over(mark: str) -> int:
    """How many processes have not ended after a while."""
    begin = time.monotonic()
    while marked(mark) and time.monotonic() - begin < PATIENCE:
        time.sleep(0.02)
    return len(marked(mark))


def marked(mark: str) -> list[int]:
    """The processes whose environment has the mark."""
    wanted, found = f"{MARK}={mark}".encode(), []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            variables = (place / "environ").read_bytes().split(b"\0")
        except OSError:  # it has ended, or is somebody else's
            continue
        if wanted in variables:
            found.append(int(place.name))
    return found


def show(kills: Sequence[Kill], differences: Sequence[str]) -> None:
    """Print a line for each kill."""
    table = Table(
        "kill", "while", "after s", "processes", "matches", "cut", "left", box=SIMPLE_HEAD
    )
    for number, kill in enumerate(kills, start=1):
        cells = (kill.phase, f"{kill.delay:.2f}", kill.processes, kill.matches, kill.cut, kill.left)
        table.add_row(*map(str, (number, *cells)))
    console = Console()
    console.print(table)
    told = ", ".join(differences) if differences else "nothing"
    console.print(f"what differs from the tournament in one go: {told}", highlight=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
