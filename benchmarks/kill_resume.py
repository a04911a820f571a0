"""Kill a run of `lmgym train` again and again, resume it, and compare it with one in one go.

Each process of the run is sent SIGKILL at a random moment: while it starts, between updates, in the
middle of one, while it writes. What comes of it in the end must be what comes of the same command
without any of this: the same weights, the same metrics but for times, the same test figures.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import lmgym
from lmgym.commands.arguments import parse_options
from lmgym.commands.files import check_file
from lmgym.errors import LmgymError
from lmgym.policies.loading import load_policy
from lmgym.training.checkpoints import Checkpoints
from lmgym.training.runs import METRICS_FILE, RECORD_FILE, STATE_FILE, read_metrics, read_record
from measuring import Claim, claimed

TIMES = ("seconds", "tokens_per_second")
"""What the names of metrics begin with that measure time."""
SAVES = 20


@dataclass(frozen=True)
class KillArgs:
    """Arguments of the benchmark."""

    agent: str = "grpo"
    """The learner."""
    env: str = "lmgym/Math-v0"
    """Its world."""
    updates: int = 300
    """Updates of the run."""
    kills: int = 20
    """How often it is killed."""
    longest: float = 1.2
    """Seconds that a process trains at most before it is killed."""
    seed: int = 20_717
    """Of the run, and of the moments."""
    runs: str | None = None
    """Keep the two run folders in this new folder."""
    out: str | None = None
    """Write the results to this .json file as well."""

    def __post_init__(self) -> None:
        """Raise where there would be nothing to do, or nowhere to write."""
        if min(self.kills, self.updates) < 1 or not self.longest > 0:
            raise LmgymError("give --kills and --updates of 1 or more, and a --longest above 0")
        if self.out is not None:
            check_file(self.out)


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill.

    Attributes:
        phase: what the process was doing: starting or training.
        delay: seconds until the signal, from the beginning of the phase.
        logged: updates that were in the metrics.
        resumed: updates after which the run goes on, by its checkpoint.
    """

    phase: str
    delay: float
    logged: int
    resumed: int

    @property
    def lost(self) -> int:
        """Updates that were done and had to be done again, besides the one in hand."""
        return self.logged - self.resumed


def main(argv: Sequence[str]) -> int:
    """Kill, resume, compare; 1 where anything differs."""
    (args,) = parse_options({"kill-resume": KillArgs}, argv, "bench kill-resume", __doc__ or "")
    with TemporaryDirectory() as temporary:
        place = Path(args.runs or temporary)
        place.mkdir(parents=True, exist_ok=True)
        killed, whole = place / "killed", place / "whole"
        kills = kill_and_resume(args, killed)
        run(words_of(args, whole))
        differences = differing(killed, whole)
    show(kills, differences)
    return claimed(claims(args, kills, differences), args, kills=[asdict(k) for k in kills])


def claims(args: KillArgs, kills: Sequence[Kill], differences: Sequence[str]) -> list[Claim]:
    """What is measured beside what should come of it."""
    return [
        Claim("kills", [len(kills)], "kills", least=args.kills),
        Claim("lost updates, each kill", [k.lost for k in kills], "updates", most=1),
        Claim("most lost updates", [max(k.lost for k in kills)], "updates", most=1),
        Claim("differences from one go", [len(differences)], "differences", most=0),
        Claim("a checkpoint of the embedded policy", saving_times(), "ms"),
    ]


def words_of(args: KillArgs, folder: Path) -> list[str]:
    """The command of the run."""
    budget = ["--updates", str(args.updates), "--seconds", "100000", "--validate-updates", "25"]
    options = [*budget, "--checkpoint-every", "0", "--seed", str(args.seed), "--out", str(folder)]
    return [args.agent, args.env, *options]


def kill_and_resume(args: KillArgs, folder: Path) -> list[Kill]:
    """Run the command, killed so many times on the way; returns how."""
    moments = random.Random(args.seed)
    words, found = words_of(args, folder), list[Kill]()
    while len(found) < args.kills:
        is_first = not found
        phase = "starting" if not is_first and moments.random() < 0.2 else "training"
        process = start(words if is_first else ["--resume", str(folder)])
        if phase == "training":
            wait_until_underway(process, folder, len(found))
        delay = moments.uniform(0, args.longest)
        time.sleep(delay)
        if process.poll() is not None:
            raise LmgymError(
                f"the run was at its end after {len(found)} kills; give more --updates or a smaller"
                " --longest"
            )
        process.kill()
        process.wait()
        stands = Checkpoints(folder / STATE_FILE).read().facts["counters"]["_n_updates"]
        found.append(Kill(phase, delay, updates_logged(folder), stands))
        print(f"kill {len(found)}: {found[-1]}", flush=True)
    run(["--resume", str(folder)])
    return found


def start(words: Sequence[str]) -> subprocess.Popen[bytes]:
    """`lmgym train` in a process of its own."""
    root = str(Path(lmgym.__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "lmgym.cli", "train", *words]
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def run(words: Sequence[str]) -> None:
    """Train to the end."""
    if start(words).wait() != 0:
        raise LmgymError(f"lmgym train {' '.join(words)} failed")


def wait_until_underway(process: subprocess.Popen[bytes], folder: Path, n_kills: int) -> None:
    """Until there is a checkpoint that is newer than the process, or it has ended."""
    file = folder / STATE_FILE
    before = n_resumes(folder)
    while process.poll() is None:
        is_resumed = n_kills == 0 or n_resumes(folder) > before
        if is_resumed and file.is_file():
            return
        time.sleep(0.01)


def n_resumes(folder: Path) -> int:
    """How often the record says that the run went on."""
    if not (folder / RECORD_FILE).is_file():
        return 0
    return len(read_record(folder).get("resumes", []))


def updates_logged(folder: Path) -> int:
    """Updates whose line of metrics is whole."""
    told = [
        int(row["step"]) + 1
        for row in (read_metrics(folder) if (folder / METRICS_FILE).is_file() else [])
        if any(not name.startswith(("step", "seconds", "validation/")) for name in row)
    ]
    return max(told, default=0)


def differing(killed: Path, whole: Path) -> list[str]:
    """What is not the same in two runs."""
    found = []
    for kind in ("best", "last"):
        files = [folder / kind / "model.safetensors" for folder in (killed, whole)]
        if files[0].read_bytes() != files[1].read_bytes():
            found.append(f"the weights in {kind}/")
    if untimed(killed) != untimed(whole):
        found.append("the metrics")
    records = [read_record(folder) for folder in (killed, whole)]
    for name in ("before", "best", "after", "updates", "stopped"):
        if records[0][name] != records[1][name]:
            found.append(f"{name} in lmgym.json")
    return found


def untimed(folder: Path) -> list[str]:
    """The metrics but for times, NaN equal to NaN."""
    rows = read_metrics(folder)
    kept = [{k: v for k, v in row.items() if not k.startswith(TIMES)} for row in rows]
    return [json.dumps(row, sort_keys=True) for row in kept]


def saving_times() -> list[float]:
    """Milliseconds of each checkpoint of the embedded policy with AdamW."""
    policy = load_policy("embedded")
    optimizer = torch.optim.AdamW(policy.model.parameters())
    for parameter in policy.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    state: dict[str, Any] = {
        "weights": dict(policy.model.named_parameters()),
        "optimizer": optimizer.state_dict(),
        "rng": np.random.default_rng(0).bit_generator.state,
        "generator": torch.Generator().get_state(),
    }
    times = []
    with TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder) / STATE_FILE)
        for _ in range(SAVES):
            begin = time.perf_counter()
            checkpoints.save({}, state)
            times.append(1e3 * (time.perf_counter() - begin))
    return times


def show(kills: Sequence[Kill], differences: Sequence[str]) -> None:
    """Print a line for each kill."""
    table = Table(
        "kill", "while", "after s", "updates logged", "went on after", "lost", box=SIMPLE_HEAD
    )
    for number, kill in enumerate(kills, start=1):
        cells = (number, kill.phase, f"{kill.delay:.2f}", kill.logged, kill.resumed, kill.lost)
        table.add_row(*map(str, cells))
    console = Console()
    console.print(table)
    told = ", ".join(differences) if differences else "nothing"
    console.print(f"what differs from the run in one go: {told}", highlight=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
