"""Calls of the kernel that a program in the sandbox is refused, as a filter of seccomp.

A program is one process, which may have threads: so the limit of its memory is the limit of all it
has. It gets no socket, no memory outside of its own address space, no look into other processes,
and none of the doors by which the kernel was most often broken.
"""

from __future__ import annotations

import ctypes
import struct

from .syscalls import MACHINE, prctl

__all__ = ["filter_program", "install_filter"]

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""As the kernel's audit calls them."""

_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435  # its flags lie in memory, which no filter sees; C libraries fall back to clone
_CLONE_THREAD = 0x10000
_X32 = 0x40000000

_EVERYWHERE = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_open": 434,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
    "memfd_secret": 447,
}
_REFUSED = {
    "x86_64": {
        "shmget": 29,
        "shmat": 30,
        "socket": 41,
        "connect": 42,
        "socketpair": 53,
        "fork": 57,
        "vfork": 58,
        "semget": 64,
        "msgget": 68,
        "ptrace": 101,
        "pivot_root": 155,
        "chroot": 161,
        "mount": 165,
        "umount2": 166,
        "mq_open": 240,
        "add_key": 248,
        "request_key": 249,
        "keyctl": 250,
        "unshare": 272,
        "perf_event_open": 298,
        "name_to_handle_at": 303,
        "open_by_handle_at": 304,
        "setns": 308,
        "process_vm_readv": 310,
        "process_vm_writev": 311,
        "kcmp": 312,
        "memfd_create": 319,
        "bpf": 321,
        "userfaultfd": 323,
    },
    "aarch64": {
        "umount2": 39,
        "mount": 40,
        "pivot_root": 41,
        "chroot": 51,
        "unshare": 97,
        "ptrace": 117,
        "mq_open": 180,
        "msgget": 186,
        "semget": 190,
        "shmget": 194,
        "shmat": 196,
        "socket": 198,
        "socketpair": 199,
        "connect": 203,
        "add_key": 217,
        "request_key": 218,
        "keyctl": 219,
        "perf_event_open": 241,
        "name_to_handle_at": 264,
        "open_by_handle_at": 265,
        "setns": 268,
        "process_vm_readv": 270,
        "process_vm_writev": 271,
        "kcmp": 272,
        "memfd_create": 279,
        "bpf": 280,
        "userfaultfd": 282,
    },
}

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # places in what a filter is shown
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_NOT_PERMITTED, _NO_SUCH_CALL = 0x50000 | 1, 0x50000 | 38

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _SECCOMP_MODE_FILTER = 22, 38, 2


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def filter_program(machine: str) -> bytes:
    """Instructions of 8 bytes: code, two relative jumps, and a number.

    Raises:
        OSError: for a kind of processor whose numbers of calls are not written down here.

    Example:
        >>> len(filter_program("x86_64")) // 8
        98
    """
    if machine not in _REFUSED:
        known = " and ".join(_REFUSED)
        raise OSError(0, f"the filter knows the calls of {known}, and not of {machine}")
    refused = sorted({*_EVERYWHERE.values(), *_REFUSED[machine].values()})
    return b"".join(
        [
            _instruction(_LOAD, _ARCHITECTURE),
            _instruction(_EQUAL, _ARCHITECTURES[machine], 1, 0),
            _instruction(_RETURN, _KILL),
            _instruction(_LOAD, _NUMBER),
            _instruction(_AT_LEAST, _X32, 0, 1),
            _instruction(_RETURN, _NOT_PERMITTED),
            *_unless_equal(_CLONE3, _NO_SUCH_CALL),
            *(part for number in refused for part in _unless_equal(number, _NOT_PERMITTED)),
            _instruction(_EQUAL, _CLONE[machine], 1, 0),
            _instruction(_RETURN, _ALLOW),
            _instruction(_LOAD, _FIRST_ARGUMENT),
            _instruction(_ANY_BIT, _CLONE_THREAD, 0, 1),
            _instruction(_RETURN, _ALLOW),
            _instruction(_RETURN, _NOT_PERMITTED),
        ]
    )


def install_filter() -> None:
    """Refuse these calls from now on, to this process and whatever it becomes."""
    program = filter_program(MACHINE)
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    given = _Program(len(program) // 8, program)
    prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(given))


def _instruction(code: int, number: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, number)


def _unless_equal(number: int, answer: int) -> tuple[bytes, bytes]:
    return _instruction(_EQUAL, number, 0, 1), _instruction(_RETURN, answer)
