"""What runs in a process of `VerifierPool`: a keeper, and the worker that it forks and replaces.

The keeper is started afresh, loads the verifier once and then only waits. What verifies is a fork
of it; when that is killed the next fork takes milliseconds, where a new process would take longer
than most limits. Both are free of threads, so that forking is safe. When the pool's process is
gone, the keeper ends the worker, whatever it is at, and itself.

Messages are JSON behind their length in 8 bytes. The pool sends its settings and then, one after
the other, lists of pairs of a response and a gold. It gets ``{"worker": pid, "died": code}`` when a
worker is there, with the exit code of the one before; ``"taken"`` when the worker has the whole
list, so that nothing of it is left for the next one; and for each pair, in order,
``[correct, extracted, method, reason]`` or ``{"refused": why}`` for a gold that cannot be read.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

from lmgym.errors import LmgymError
from lmgym.verification.verifier import Policy, Verdict, verify

__all__ = ["LENGTH_BYTES", "OUT_OF_MEMORY", "TAKEN", "framed", "main"]

LENGTH_BYTES = 8
TAKEN = "taken"
OUT_OF_MEMORY = 3
"""The exit code of a worker that got no more memory."""
_WATCH_SECONDS = 0.1
"""Between two looks at whether the pool's process is there."""

Judge = Callable[[str, str, Policy], Verdict]


def main(judge: Judge = verify) -> None:
    """Serve the pool at the other ends of standard input and output until input ends.

    Args:
        judge: what verifies; tests hand in one that hangs.
    """
    source = sys.stdin.buffer
    target = os.dup(1)
    os.dup2(2, 1)  # whatever prints must not disturb the messages
    _watch_owner()
    settings = _received(source)
    if settings is None:
        return
    policy, cpu_seconds = Policy(**settings["policy"]), settings["cpu_seconds"]
    _limit(settings["megabytes"])
    verify(r"\boxed{\sqrt{2}+\sqrt{3}}", r"\sqrt{5+2\sqrt{6}}", policy)  # loads mpmath
    died: int | None = None
    while died != 0:  # a worker ends well when input ends
        pid = os.fork()
        if pid == 0:
            with suppress(BrokenPipeError):  # nobody listens any more
                os.write(target, framed({"worker": os.getpid(), "died": died}))
                _serve(source, target, judge, policy, cpu_seconds)
            return
        died = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _watch_owner() -> None:
    """From now on, kill the session that the keeper leads as soon as its parent is gone.

    By a timer: the keeper's one thread waits for the worker. A fork of it has no timer.
    """
    owner = os.getppid()

    def look(*_: object) -> None:
        if os.getppid() != owner:
            os.killpg(os.getpid(), signal.SIGKILL)

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, _WATCH_SECONDS, _WATCH_SECONDS)


def framed(message: Any) -> bytes:
    """A message as it goes through a pipe."""
    data = json.dumps(message).encode("ascii")
    return len(data).to_bytes(LENGTH_BYTES, "big") + data


def _received(source: BinaryIO) -> Any:
    """The next message; None at the end."""
    length = source.read(LENGTH_BYTES)
    return json.loads(source.read(int.from_bytes(length, "big"))) if length else None


def _limit(megabytes: int) -> None:
    """Bound the address space, where the system can, and leave no memory dumps behind."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "darwin":  # it refuses the limit
        _set_soft_limit(resource.RLIMIT_AS, megabytes << 20)


def _set_soft_limit(kind: int, amount: int) -> None:
    import resource

    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(
        kind, (amount if hard == resource.RLIM_INFINITY else min(amount, hard), hard)
    )


def _serve(source: BinaryIO, target: int, judge: Judge, policy: Policy, cpu_seconds: float) -> None:
    """Answer list after list, each answer sent as soon as it is known."""
    try:
        granted = 0
        while (pairs := _received(source)) is not None:
            os.write(target, framed(TAKEN))
            for response, gold in pairs:
                granted = _grant(cpu_seconds, granted)
                os.write(target, framed(_answer(judge, response, gold, policy)))
    except MemoryError:
        os._exit(OUT_OF_MEMORY)


def _grant(cpu_seconds: float, granted: int) -> int:
    """Let the process compute for `cpu_seconds` more; the system counts whole seconds."""
    import resource

    until = math.ceil(time.process_time() + cpu_seconds)
    if until != granted:
        _set_soft_limit(resource.RLIMIT_CPU, until)
    return until


def _answer(judge: Judge, response: str, gold: str, policy: Policy) -> Any:
    try:
        verdict = judge(response, gold, policy)
    except LmgymError as error:
        return {"refused": str(error)}
    return [verdict.correct, verdict.extracted, verdict.method, verdict.reason]
