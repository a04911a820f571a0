"""Calls of Linux that Python has no functions for."""

from __future__ import annotations

import ctypes
import os
from typing import Any

__all__ = ["MACHINE", "Step", "StepError", "call", "prctl", "syscall"]

MACHINE = os.uname().machine

_LIBC = ctypes.CDLL(None, use_errno=True)


class StepError(Exception):
    """A step of the way into the sandbox that this machine refuses."""


class Step:
    """Names what is being done: an `OSError` in it is told as an error of this step.

    Example:
        >>> with Step("open a door"):
        ...     raise PermissionError(1, "Operation not permitted")
        Traceback (most recent call last):
        ...
        lmgym.leaderboards.processes.jail.syscalls.StepError: open a door: Operation not permitted
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        """Nothing is done here."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Tell an error of the system's as one of this step."""
        if isinstance(error, OSError):
            where = f" ({error.filename})" if error.filename else ""
            raise StepError(f"{self._name}: {error.strerror}{where}") from None


def call(name: str, *arguments: Any) -> int:
    """A function of the C library that returns -1 where it fails; then an `OSError` is raised."""
    ctypes.set_errno(0)
    found = int(getattr(_LIBC, name)(*(_passed(argument) for argument in arguments)))
    if found == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return found


def syscall(number: int, *arguments: Any) -> int:
    """A call of the kernel by its number."""
    return call("syscall", number, *arguments)


def prctl(option: int, *arguments: Any) -> int:
    """An operation on this process."""
    given = [*arguments, *[0] * (4 - len(arguments))]
    return call("prctl", option, *given)


def _passed(argument: Any) -> Any:
    """Numbers as long as a register, since these functions take what C does not convert."""
    return ctypes.c_long(argument) if isinstance(argument, int) else argument
