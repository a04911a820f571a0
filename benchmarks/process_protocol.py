"""CPU time of a move over the line protocol of process agents, both sides together.

The page that is read has 600 characters, the answer is a legal move. What a process costs that
makes no move is taken off, and told apart: a new one is started only after a failure. Beside it the
same program is asked over plain pipes, without limits, deadlines or checks.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lmgym.commands.arguments import parse_options
from lmgym.leaderboards.processes import Limits, ProcessAgent, sandbox_problem
from measuring import Claim, Measure, MeasuringArgs, claimed, in_turn

AGENT = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "hello":
        print(json.dumps({"type": "ready"}), flush=True)
    if message["type"] == "act":
        print(json.dumps({"type": "action", "action": message["legal"][0]}), flush=True)
"""
LEGAL = [f"take {count} from heap {heap}" for heap in (1, 2, 3) for count in (1, 2)]
SANDBOXED, TRUSTED, PLAIN = "in the sandbox", "trusted", "plain pipes"
MOST = 100
"""Microseconds of a move."""


@dataclass(frozen=True)
class ProcessProtocolArgs(MeasuringArgs):
    """Arguments of the benchmark."""

    moves: int = 10_000
    """Moves of each kind a repetition."""
    characters: int = 600
    """Of the page that is read."""


def main(argv: Sequence[str]) -> int:
    """Measure, print, write; 1 where a bar is missed."""
    options = {"process-protocol": ProcessProtocolArgs}
    (args,) = parse_options(options, argv, "bench process-protocol", __doc__ or "")
    page = ("Heaps: 1 has 5, 2 has 6. " * args.characters)[: args.characters]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "agent.py").write_text(AGENT)
        ways: dict[str, Callable[[int], None]] = {
            TRUSTED: partial(_ask, folder, page, True),
            PLAIN: partial(_ask_plainly, folder, page),
        }
        if not sandbox_problem():
            ways = {SANDBOXED: partial(_ask, folder, page, False)} | ways
        kinds: dict[str, Measure] = {}
        for way, ask in ways.items():
            kinds[f"process, {way}"] = partial(_cost, ask, 0)
            kinds[f"moves, {way}"] = partial(_cost, ask, args.moves)
        costs = in_turn(kinds, args.repetitions)
    claims = []
    for way in ways:
        starts, moves = costs[f"process, {way}"], costs[f"moves, {way}"]
        each = [1e6 * (b - a) / args.moves for a, b in zip(starts, moves, strict=True)]
        claims.append(Claim(f"a move, {way}", each, "µs", most=None if way == PLAIN else MOST))
        claims.append(Claim(f"a process, {way}", [1e3 * cost for cost in starts], "ms"))
    return claimed(claims, args, costs=costs)


def _cost(ask: Callable[[int], None], n_moves: int) -> float:
    """CPU seconds of ours and of a process, from its start to its end."""
    before = _used()
    ask(n_moves)
    return _used() - before


def _ask(folder: Path, page: str, trusted: bool, n_moves: int) -> None:
    limits = Limits(move_seconds=10)
    command = ["python", "agent.py"]
    with ProcessAgent(command, folder, limits=limits, trusted=trusted) as agent:
        agent.start("nim", "lmgym/Nim-v0")
        agent.reset(0, seat=0, seed=0)
        for _ in range(n_moves):
            agent.act([{"role": "user", "content": page}], LEGAL)


def _ask_plainly(folder: Path, page: str, n_moves: int) -> None:
    words = [sys.executable, "-I", "agent.py"]
    with subprocess.Popen(
        words, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(n_moves):
            messages = [{"role": "user", "content": page}]
            question = {"type": "act", "messages": messages, "legal": LEGAL, "deadline_ms": 1}
            process.stdin.write(json.dumps(question).encode() + b"\n")
            process.stdin.flush()
            json.loads(process.stdout.readline())


def _used() -> float:
    """CPU seconds of this process and of its children that have ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)
