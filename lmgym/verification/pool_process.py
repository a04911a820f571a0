"""The pool's end of the pipes to one of its processes: batches in, answers out, limits watched."""

from __future__ import annotations

import json
import math
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from lmgym.errors import LmgymError
from lmgym.verification.pool_worker import LENGTH_BYTES, TAKEN, framed
from lmgym.verification.reasons import Reason
from lmgym.verification.verifier import Verdict

__all__ = ["Answer", "OverLimitError", "PoolProcess", "WorkerDiedError"]

START_SECONDS = 60.0
"""What a process may take until it is there, and until it has taken a batch."""
_CRASHED = 1
"""Exit code of Python behind an exception."""
_BOOT = """
import sys, types
lmgym = sys.modules["lmgym"] = types.ModuleType("lmgym")
lmgym.__path__ = [sys.argv[1]]
from lmgym.verification.pool_worker import main
main()
"""
# `-m lmgym...` would import gymnasium and numpy first, which take seconds and reserve more address
# space than a worker gets. -P keeps the working directory out of what is imported.
COMMAND = (sys.executable, "-P", "-c", _BOOT, str(Path(__file__).resolve().parents[1]))

Answer = Verdict | LmgymError
"""A verdict, or why the gold could not be read."""


class OverLimitError(Exception):
    """The answer in hand took too much time; its worker is gone."""


class WorkerDiedError(Exception):
    """The worker ended by itself, from want of memory or by another's hand."""


class PoolProcess:
    """A keeper with its worker, for one caller at a time.

    Args:
        command: that starts it.
        settings: of the worker; see `pool_worker`.
        seconds: that an answer may take.

    Example:
        >>> settings = {"policy": {}, "cpu_seconds": 2, "megabytes": 512}
        >>> process = PoolProcess(COMMAND, settings, seconds=10)
        >>> [answer.reason.value for answer in process.answers([("It is 4.", "4")])]
        ['equal']
        >>> process.end()
    """

    def __init__(self, command: Sequence[str], settings: dict[str, Any], seconds: float) -> None:
        self._popen = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # Ctrl-C in the terminal is the pool's business
        )
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._in, self._out = self._popen.stdin.fileno(), self._popen.stdout.fileno()
        os.set_blocking(self._in, False)
        self._seconds, self._megabytes = seconds, settings["megabytes"]
        self._buffer = bytearray()
        self._worker: int | None = None
        self._has_started = False
        self._unsent = framed(settings)

    @property
    def pid(self) -> int:
        """Of the keeper, and of the session that it leads."""
        return self._popen.pid

    @property
    def has_ended(self) -> bool:
        """Whether it can't be used any more."""
        return self._popen.poll() is not None

    def answers(self, pairs: Sequence[tuple[str, str]]) -> Iterator[Answer]:
        """The answer for each response and gold, in order.

        Raises:
            OverLimitError: where the next answer took longer than it may.
            WorkerDiedError: where the worker died on it; again, it may be well.
            LmgymError: where no process can be started.
            RuntimeError: where the verifier failed.
        """
        self._await_worker()
        self._send(framed(pairs))
        if self._received(START_SECONDS) != TAKEN:  # who has the batch is not known
            self._break_off("lost its worker")
        for _ in pairs:
            message = self._received(self._seconds)
            if message is None:
                self._kill_worker()
                raise OverLimitError
            if isinstance(message, dict) and "worker" in message:
                self._replaced(message)
            yield _as_answer(message)

    def kill(self) -> None:
        """Kill the keeper and the worker; whoever uses them meets `WorkerDiedError`."""
        if not self.has_ended:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def end(self) -> None:
        """Kill, and give back what the system holds for it."""
        self.kill()
        self._popen.wait()
        self._close()

    def forget(self) -> None:
        """Let go, in a process that was forked: keeper and worker are another's."""
        self._popen.returncode = 0  # not to be waited for here, nor warned of
        self._close()

    def _close(self) -> None:
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                pipe.close()

    def _await_worker(self) -> None:
        if self._unsent:
            self._send(self._unsent)
            self._unsent = b""
        while self._worker is None:
            message = self._received(START_SECONDS)
            if message is None:
                self._break_off(f"did not answer for {START_SECONDS:.0f} seconds")
            elif isinstance(message, dict) and "worker" in message:
                self._worker = message["worker"]
                self._has_started = True
            # else it is an answer that came when it had just been given up

    def _kill_worker(self) -> None:
        assert self._worker is not None
        with suppress(ProcessLookupError):  # it may just have ended by itself
            os.kill(self._worker, signal.SIGKILL)
        self._worker = None

    def _replaced(self, message: dict[str, Any]) -> None:
        """The worker ended while it was verifying, and the keeper made another."""
        self._worker = message["worker"]
        if message["died"] == _CRASHED:
            raise RuntimeError("the verifier failed on an answer; stderr tells where")
        raise OverLimitError if message["died"] == -signal.SIGXCPU else WorkerDiedError

    def _send(self, data: bytes) -> None:
        left = memoryview(data)
        deadline = monotonic() + START_SECONDS
        while left:
            if not _is_ready(self._in, select.POLLOUT, deadline):
                self._break_off(f"took nothing for {START_SECONDS:.0f} seconds")
            try:
                left = left[os.write(self._in, left) :]
            except BrokenPipeError:
                self._break_off("ended")

    def _received(self, seconds: float) -> Any:
        """The next message; None where none came in time."""
        deadline = monotonic() + seconds
        while (message := self._unpacked()) is None:
            if not _is_ready(self._out, select.POLLIN, deadline):
                return None
            data = os.read(self._out, 1 << 16)
            if not data:
                self._break_off("ended")
            self._buffer += data
        return message

    def _unpacked(self) -> Any:
        """The first message of what was read; None where it isn't complete."""
        end = LENGTH_BYTES + int.from_bytes(self._buffer[:LENGTH_BYTES], "big")
        if len(self._buffer) < max(end, LENGTH_BYTES + 1):
            return None
        message = json.loads(self._buffer[LENGTH_BYTES:end])
        del self._buffer[:end]
        return message

    def _break_off(self, what: str) -> None:
        self.end()
        if self._has_started:
            raise WorkerDiedError
        raise LmgymError(
            f"a verifying process {what} before it was ready (exit code "
            f"{self._popen.returncode}); stderr may tell why, and more than "
            f"megabytes={self._megabytes} may help"
        )


def _is_ready(file: int, event: int, deadline: float) -> bool:
    """Whether a pipe can be read or written before `deadline`; poll knows no limit of files."""
    poller = select.poll()
    poller.register(file, event)
    return bool(poller.poll(max(0, math.ceil(1000 * (deadline - monotonic())))))


def _as_answer(message: Any) -> Answer:
    if isinstance(message, dict):
        return LmgymError(message["refused"])
    correct, extracted, method, reason = message
    return Verdict(correct, extracted, method, Reason(reason))
