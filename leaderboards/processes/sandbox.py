"""Starts programs of strangers where they can do no harm.

A program in the sandbox is a single process, with threads up to a limit. It sees the folder it came
in, the Python that runs us and the system's libraries, all of it read-only, and no other process;
it has no network, no environment variables of ours and no open files but its standard streams. It
dies with us. `jail/` is how that is done; docs/process-agents.md says what it holds off.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from lmgym.errors import LmgymError

from .jail.namespaces import HOME
from .jail.supervisor import COMMAND_STEP

__all__ = ["CommandError", "Limits", "check_sandbox", "end", "launch", "sandbox_problem", "stop"]

_HERE = Path(__file__).resolve().parent
_SUPERVISOR = (
    f"import sys; sys.path.append({str(_HERE)!r});"
    " from jail.supervisor import main; sys.exit(main())"
)
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/alternatives")
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": HOME,
    "USER": "agent",
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",  # of libraries that compute; a program that wants more can say so
}
_PYTHONS = ("python", "python3")
_MOST_REPORT = 4000
_PATIENCE = 5.0  # seconds that the supervisor, which is ours, has to end


@dataclass(frozen=True)
class Limits:
    """What a process may use.

    Example:
        >>> Limits(move_seconds=0)
        Traceback (most recent call last):
        ...
        lmgym.errors.LmgymError: the limit move_seconds=0 is out of range; give more than 0
    """

    start_seconds: float = 30.0
    """From the start of the process to its answer to hello."""
    move_seconds: float = 1.0
    """From a question to its answer."""
    cpu_seconds: int = 3600
    """Of a process over all its games."""
    memory_bytes: int = 4 * 2**30
    """Of its address space, libraries and the stacks of threads included."""
    threads: int = 64
    """At most."""
    open_files: int = 64
    """At most."""
    line_bytes: int = 2**16
    """Of an answer."""
    most_failures: int = 10
    """After so many failures and one, it is not started again, and loses what is left to play."""

    def __post_init__(self) -> None:
        """Raise where a limit lets nothing through."""
        for name, value in vars(self).items():
            if name == "most_failures" and value == 0:
                continue
            if not 0 < value < 2**62:
                raise LmgymError(f"the limit {name}={value} is out of range; give more than 0")


class CommandError(Exception):
    """A command that cannot be run, which is its author's fault."""


def launch(
    command: Sequence[str], folder: Path, limits: Limits, *, trusted: bool = False
) -> subprocess.Popen[bytes]:
    """Start a program; its streams are pipes, and its supervisor is what is returned.

    Args:
        command: the program and its arguments; "python" stands for the Python that runs us, without
            what the user or the environment add to it.
        folder: where it runs, and what it may read.
        limits: what it may use.
        trusted: do without the sandbox: limits of resources, and a process group, are all there is.

    Raises:
        LmgymError: where there is no sandbox.
        CommandError: where there is no such program.
    """
    if not trusted and not sys.platform.startswith("linux"):
        raise LmgymError(_refusal(f"it needs Linux, and this is {sys.platform}"))
    report, told = os.pipe()
    plan = json.dumps(
        {
            "owner": os.getpid(),
            "report": told,
            "is_sandboxed": not trusted,
            "command": _with_python(command),
            "folder": str(folder),
            "environment": _ENVIRONMENT | ({"HOME": str(folder)} if trusted else {}),
            "limits": _resources(limits),
            "trees": [] if trusted else _trees(folder),
        }
    )
    words = [sys.executable, "-I", "-S", "-c", _SUPERVISOR, plan]
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={},
            cwd="/",
            pass_fds=(told,),
            start_new_session=True,
        )
    except OSError:
        os.close(report)
        raise
    finally:
        os.close(told)
    problem = _reported(report, process)
    if problem:
        end(process)
        if problem.startswith(COMMAND_STEP):
            raise CommandError(problem.removeprefix(f"{COMMAND_STEP}: "))
        raise LmgymError(
            f"the process cannot be started: {problem}" if trusted else _refusal(problem)
        )
    return process


def stop(process: subprocess.Popen[bytes], patience: float = 0.0) -> int | None:
    """Stop a program; its streams stay, with what it has written.

    Args:
        process: its supervisor.
        patience: seconds that the program has to end by itself.

    Returns:
        The status, as `jail.supervisor` tells it; None where the program had to be killed.
    """
    try:
        return process.wait(patience)
    except subprocess.TimeoutExpired:
        process.terminate()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:  # the program dies with its supervisor
        process.kill()
        process.wait()
    return None


def end(process: subprocess.Popen[bytes], patience: float = 0.0) -> int | None:
    """Close a program's input, stop it and close the rest; takes and returns what `stop` does."""
    streams = (process.stdin, process.stdout, process.stderr)
    _close(streams[:1])
    status = stop(process, patience)
    _close(streams[1:])
    return status


@cache
def sandbox_problem() -> str:
    """Why there is no sandbox here; empty where there is one. It is tried once, with a program."""
    try:
        process = launch(["python", "-S", "-c", ""], _HERE, Limits())
    except (LmgymError, CommandError) as error:
        return str(error)
    status = end(process, patience=Limits().start_seconds)
    return "" if status == 0 else _refusal(f"a program that does nothing ended with {status}")


def check_sandbox() -> None:
    """Raise an `LmgymError` that says why, where there is no sandbox."""
    problem = sandbox_problem()
    if problem:
        raise LmgymError(problem)


def _refusal(problem: str) -> str:
    return (
        f"there is no sandbox for programs of others here: {problem}. It needs Linux 5.14 or newer"
        " on x86_64 or aarch64, and user namespaces, which containers and some systems forbid;"
        " if you trust the program as you trust your own, say so: --trusted"
    )


def _reported(report: int, process: subprocess.Popen[bytes]) -> str:
    """What went wrong on the way into the program; empty where it runs."""
    deadline = time.monotonic() + Limits().start_seconds
    parts: list[bytes] = []
    poll = select.poll()
    poll.register(report, select.POLLIN)
    try:
        while poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            part = os.read(report, _MOST_REPORT)
            if not part:
                return b"".join(parts).decode(errors="replace")
            parts.append(part)
    finally:
        os.close(report)
    return f"process {process.pid} takes too long to start"


def _with_python(command: Sequence[str]) -> list[str]:
    name, *rest = command
    return [sys.executable, "-I", "-B", *rest] if name in _PYTHONS else [name, *rest]


def _resources(limits: Limits) -> dict[str, int]:
    """The limits as the system calls them."""
    return {
        "AS": limits.memory_bytes,
        "CPU": limits.cpu_seconds,
        "NPROC": limits.threads,
        "NOFILE": limits.open_files,
        "FSIZE": 0,
        "MEMLOCK": 0,
        "CORE": 1,  # less than a core has; at 0 a system that pipes cores to a program still would
    }


def _trees(folder: Path) -> list[tuple[str, str]]:
    """What a program sees, and where: its folder, Python, and the system's libraries."""
    prefixes = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}
    places = sorted({*_SYSTEM, *_SYSTEM_FILES, *prefixes}, key=lambda place: place.count("/"))
    seen: list[str] = []
    for place in places:
        if os.path.exists(place) and not any(place.startswith(f"{above}/") for above in seen):
            seen.append(place)
    return [*((place, place) for place in seen), (str(folder), HOME)]


def _close(streams: Iterable[IO[bytes] | None]) -> None:
    for stream in streams:
        if stream is not None:
            stream.close()
