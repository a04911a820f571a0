"""The process between us and a program: starts it, waits for it, and ends it when we end.

It gets a plan as JSON in its first argument and writes to a pipe what goes wrong on the way in. The
program inherits its standard streams and nothing else. Once the program runs, the supervisor holds
none of its streams, and exits with its status; 128 and the number of a signal that killed it.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import sys
from typing import Any, NoReturn

from .filter import filter_program, install_filter
from .namespaces import HOME, check_process_limit, drop_rights, enter_namespaces, make_root
from .syscalls import MACHINE, Step, StepError, prctl

__all__ = ["COMMAND_STEP", "main"]

COMMAND_STEP = "run the command"
"""What goes wrong here is the program's own fault."""

_DEATH_SIGNAL = 1  # of prctl
_PATIENCE = 0.25  # seconds between looks at whether the owner still lives


def main() -> int:
    """Carry out the plan; returns the program's status."""
    plan = json.loads(sys.argv[1])
    leash = os.pipe()
    try:
        if plan["is_sandboxed"]:
            with Step("filter calls of the kernel"):
                filter_program(MACHINE)
            enter_namespaces()
        with Step("start a process"):
            child = os.fork()
        if child == 0:
            os.close(leash[1])
            _become(plan, leash[0])
    except StepError as error:
        _tell(plan["report"], error)
        return 1
    os.close(leash[0])
    os.close(plan["report"])
    _let_go_of_streams()
    return _watch(child, plan["owner"])


def _become(plan: dict[str, Any], leash: int) -> NoReturn:
    """In the child: become the program."""
    try:
        os.set_inheritable(plan["report"], False)
        os.setsid()
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and so would it
            signal.signal(number, signal.SIG_DFL)
        folder = plan["folder"]
        if plan["is_sandboxed"]:
            make_root(plan["trees"])
            folder = HOME
            drop_rights()
        with Step("open the folder"):
            os.chdir(folder)
        _limit(plan["limits"], counts_threads=plan["is_sandboxed"])
        _die_with_parent(leash)
        if plan["is_sandboxed"]:
            check_process_limit()
            with Step("filter calls of the kernel"):
                install_filter()
        with Step(COMMAND_STEP):
            os.execvpe(plan["command"][0], plan["command"], plan["environment"])
    except StepError as error:
        _tell(plan["report"], error)
    except BaseException as error:  # noqa: BLE001 - a fork must not go on as its parent
        _tell(plan["report"], StepError(f"start: {error!r}"))
    os._exit(1)


def _limit(limits: dict[str, int], *, counts_threads: bool) -> None:
    """Set limits, which cannot be raised again."""
    with Step("set limits"):
        for name, value in limits.items():
            # Outside of a user namespace those of all other processes of the user would count.
            if name != "NPROC" or counts_threads:
                kind = getattr(resource, f"RLIMIT_{name}")
                hard = resource.getrlimit(kind)[1]
                most = value if hard == resource.RLIM_INFINITY else min(value, hard)
                resource.setrlimit(kind, (most, most))


def _die_with_parent(leash: int) -> None:
    """Let the kernel kill this process when the supervisor ends, however that happens."""
    if sys.platform == "linux":
        prctl(_DEATH_SIGNAL, signal.SIGKILL)
    is_over = select.select([leash], [], [], 0)[0]  # the supervisor has ended before that
    os.close(leash)
    if is_over:
        os._exit(1)


def _let_go_of_streams() -> None:
    """So that the end of the program is the end of its streams."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)


def _watch(child: int, owner: int) -> int:
    """Wait for the program's end; end it at a signal, and when the owner is no more."""
    asked: list[int] = []
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write)
    signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return _exit_status(child, status)
        if asked or os.getppid() != owner:
            _kill(child)
            return _exit_status(child, os.waitpid(child, 0)[1])
        if select.select([read], [], [], _PATIENCE)[0]:
            os.read(read, 64)


def _exit_status(child: int, status: int) -> int:
    """What is left of the program's group is ended, too."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _kill(child: int) -> None:
    """The first process of a namespace takes all others with it; else it leads its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def _tell(report: int, error: StepError) -> None:
    os.write(report, str(error).encode(errors="replace")[:4000])
