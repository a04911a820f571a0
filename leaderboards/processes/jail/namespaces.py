"""Namespaces: a process that sees itself, a few read-only folders, and nothing else.

Two ways lead in. A user of no special rights stays who he is. Root becomes a user that nobody is,
because the kernel does not count the threads of root; of all rights that one keeps a single one, to
read what it is shown whatever its owner allows, as root could.
"""

from __future__ import annotations

import contextlib
import os
import resource
import struct
from collections.abc import Sequence

from .syscalls import MACHINE, Step, StepError, call, prctl, syscall

__all__ = ["HOME", "check_process_limit", "drop_rights", "enter_namespaces", "make_root"]

HOME = "/agent"
"""Where a program finds its own folder."""

_NEW_MOUNTS, _NEW_UTS, _NEW_IPC = 0x20000, 0x4000000, 0x8000000
_NEW_USER, _NEW_PIDS, _NEW_NETWORK, _NEW_CGROUP = 0x10000000, 0x20000000, 0x40000000, 0x2000000
_ALL_NEW = _NEW_MOUNTS | _NEW_UTS | _NEW_IPC | _NEW_USER | _NEW_PIDS | _NEW_NETWORK | _NEW_CGROUP

_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_HERE, _RECURSIVE, _CLONE_TREE = -100, 0x8000, 1
_FROM_EMPTY_PATH = 4
_READ_ONLY, _NO_SETUID = 1, 2
_PRIVATE, _DETACH = 0x4000 | 1 << 18, 2

_DEVICES = ("null", "zero", "full", "random", "urandom")
_BASES = ("/tmp", "/mnt", "/var")
"""Folders of which one is there; the new root is mounted over it."""

_NOBODY = 64_971
"""The user that root becomes, and as whom all others see themselves: an unlikely number, which
containers have as well."""

_READ_SEARCH = 2  # of the capabilities
_KEEP_CAPABILITIES, _DROP_BOUND, _AMBIENT, _RAISE = 8, 24, 47, 2
_CAPABILITY_VERSION = 0x20080522


def enter_namespaces() -> None:
    """Leave all namespaces of this process; its next child is the first process of a new one."""
    user, group = os.geteuid(), os.getegid()
    with Step("read which users there are"):
        maps = {name: _identity(name) for name in ("uid_map", "gid_map")}
    if user == 0 and all(_holds(table, _NOBODY) for table in maps.values()):
        _enter_as_root(maps)
        return
    with Step("make namespaces for users, processes, mounts and the network"):
        call("unshare", _ALL_NEW)
    with Step("map users in the new namespace"):
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{_NOBODY} {user} 1")
        _write("/proc/self/gid_map", f"{_NOBODY} {group} 1")


def make_root(trees: Sequence[tuple[str, str]]) -> None:
    """Make a root folder of these trees, read-only, with a few devices, and move into it.

    Args:
        trees: folders and files, and where they are to be found.
    """
    os.umask(0o022)
    with Step("make mounts private"):
        call("mount", b"none", b"/", None, _PRIVATE, None)
    with Step("read mounts"):
        devices = [(f"/dev/{name}", f"/dev/{name}") for name in _DEVICES]
        opened = [
            (_open_tree(source), os.path.isdir(source), target)
            for source, target in [*trees, *devices]
        ]
    base = next(path for path in _BASES if os.path.isdir(path))
    with Step("mount a new root"):
        call("mount", b"tmpfs", base.encode(), b"tmpfs", 0, b"mode=755,size=1m")
        for tree, is_folder, target in opened:
            _place(tree, f"{base}{target}", is_folder)
            os.close(tree)
        os.mkdir(f"{base}/proc")
        with contextlib.suppress(OSError):  # some containers allow none; programs can do without
            call("mount", b"proc", f"{base}/proc".encode(), b"proc", 0, None)
    with Step("move into the new root"):
        os.chdir(base)
        syscall(_PIVOT_ROOT[MACHINE], b".", b".")
        call("umount2", b".", _DETACH)
        os.chdir("/")
    with Step("make mounts read-only"):
        attributes = struct.pack("=QQQQ", _READ_ONLY | _NO_SETUID, 0, 0, 0)
        syscall(_MOUNT_SETATTR, _HERE, b"/", _RECURSIVE, attributes, len(attributes))
    with Step("name the host"):
        call("sethostname", b"agent", 5)


def drop_rights() -> None:
    """Give up all rights in the new namespaces, for ever; root becomes another user."""
    is_root = os.geteuid() == 0
    with Step("give up rights"):
        for capability in range(_last_capability() + 1):
            if not (is_root and capability == _READ_SEARCH):
                prctl(_DROP_BOUND, capability)
        if is_root:
            prctl(_KEEP_CAPABILITIES, 1)
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
        kept = 1 << _READ_SEARCH if is_root else 0
        header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
        call("capset", header, struct.pack("=IIIIII", kept, kept, kept, 0, 0, 0))
        if is_root:
            prctl(_AMBIENT, _RAISE, _READ_SEARCH)


def check_process_limit() -> None:
    """Raise unless the kernel keeps to the limit of processes and threads, as it need not."""
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    resource.setrlimit(resource.RLIMIT_NPROC, (0, hard))
    try:
        child = os.fork()
    except BlockingIOError:
        resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))
        return
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    raise StepError("limit processes: the kernel does not count those of this user")


def _enter_as_root(maps: dict[str, str]) -> None:
    """Root's way, with all users mapped to themselves; a child must write that from outside."""
    with Step("make namespaces for users, processes, mounts and the network"):
        read, write = os.pipe()
        writer = os.fork()
        if writer == 0:
            os._exit(_write_maps(os.getppid(), read, write, maps))
        os.close(read)
        try:
            call("unshare", _ALL_NEW)
            os.write(write, b"!")
        finally:
            os.close(write)
            _, status = os.waitpid(writer, 0)
    if status:
        raise StepError("map users in the new namespace: it is not permitted")


def _write_maps(process: int, read: int, write: int, maps: dict[str, str]) -> int:
    """Wait for a process to enter its namespaces and map their users; 0 where that worked."""
    os.close(write)
    if os.read(read, 1):
        try:
            for name, table in maps.items():
                _write(f"/proc/{process}/{name}", table)
        except OSError:
            return 1
    return 0


def _identity(name: str) -> str:
    """A map of the users that exist here to themselves."""
    with open(f"/proc/self/{name}") as file:
        rows = [line.split() for line in file]
    return "".join(f"{first} {first} {count}\n" for first, _, count in rows)


def _holds(table: str, user: int) -> bool:
    rows = [tuple(map(int, line.split())) for line in table.splitlines()]
    return any(first <= user < first + count for first, _, count in rows)


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _open_tree(source: str) -> int:
    """A copy of the mounts below a path."""
    flags = _CLONE_TREE | _RECURSIVE | os.O_CLOEXEC
    try:
        return syscall(_OPEN_TREE, _HERE, os.fsencode(source), flags)
    except OSError as error:
        raise OSError(error.errno, error.strerror, source) from None


def _place(tree: int, target: str, is_folder: bool) -> None:
    """Mount a tree where it is to be found."""
    if is_folder:
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    syscall(_MOVE_MOUNT, tree, b"", _HERE, os.fsencode(target), _FROM_EMPTY_PATH)


def _last_capability() -> int:
    with contextlib.suppress(OSError), open("/proc/sys/kernel/cap_last_cap") as file:
        return int(file.read())
    return 40
