"""Files of a submission's folder: walked, copied and hashed without leaving it.

Every file is opened once, relative to its folder's descriptor and without following links, and what
is looked at, copied or hashed is read from that descriptor. A folder that its owner can still
change proves nothing: copy it first, then check and hash the copy.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from lmgym.errors import LmgymError

__all__ = ["Opened", "copy_files", "each_file", "hash_files", "read_small"]

MOST_FILES, MOST_DEPTH, MOST_BYTES = 200, 5, 2 * 2**30
"""Of a folder: files and folders, levels of folders, bytes of all files."""

WEIGHT_SUFFIXES = (".safetensors", ".gguf", ".npz", ".onnx")
_FILE_BYTES, _TOKENIZER_BYTES = 16 * 2**20, 32 * 2**20
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,99}")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_CHUNK = 2**20


class Opened(NamedTuple):
    """A file that is open for reading.

    Attributes:
        path: within the folder, with / between the parts.
        size: in bytes, when it was opened.
        mode: its permissions.
        descriptor: closed by whoever has opened it.
    """

    path: str
    size: int
    mode: int
    descriptor: int

    def chunks(self) -> Iterator[bytes]:
        """Its bytes, from the start; no more than it had when it was opened."""
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        left = self.size
        while left and (chunk := os.read(self.descriptor, min(_CHUNK, left))):
            left -= len(chunk)
            yield chunk
        if left:
            raise LmgymError(f"{self.path}: was shortened while it was read")

    def sha256(self) -> str:
        """Of its bytes."""
        digest = hashlib.sha256()
        for chunk in self.chunks():
            digest.update(chunk)
        return digest.hexdigest()


def each_file(
    folder: str | Path, problems: list[str], names: Collection[str] | None = None
) -> Iterator[Opened]:
    """The regular files of a folder in the order of their paths, each open while it is looked at.

    Args:
        folder: whose path may hold links; nothing below it may be one.
        problems: what is refused is added to it and left out.
        names: what to look at directly in the folder; by default everything.
    """
    walk = _Walk(problems, names)
    with _opened_folder(Path(folder)) as descriptor:
        yield from walk.below(descriptor, "", 1)


def hash_files(folder: str | Path) -> dict[str, str]:
    """SHA-256 of each file by its path.

    Raises:
        LmgymError: for links, devices and whatever else a submission must not hold.
    """
    problems: list[str] = []
    found = {file.path: file.sha256() for file in each_file(folder, problems)}
    if problems:
        raise LmgymError("\n".join(problems))
    return found


def copy_files(folder: str | Path, target: Path, names: Collection[str] | None = None) -> None:
    """Copy the files of a folder into a new one.

    Args:
        folder: to copy from.
        target: is there, and empty.
        names: what to copy of what lies directly in the folder; by default everything.

    Raises:
        LmgymError: as `hash_files`, and where a file is shortened meanwhile.
    """
    problems: list[str] = []
    for file in each_file(folder, problems, names):
        _copy(file, target / file.path)
    if problems:
        raise LmgymError("\n".join(problems))


def read_small(folder: Path, name: str, most: int) -> bytes:
    """The bytes of a file that lies directly in a folder.

    Raises:
        LmgymError: where it is missing, a link, no regular file, or has more bytes than `most`.
    """
    with _opened_folder(folder) as descriptor:
        try:
            file = os.open(name, os.O_RDONLY | os.O_NONBLOCK | _NOFOLLOW, dir_fd=descriptor)
        except FileNotFoundError:
            raise LmgymError(f"{name}: is missing") from None
        except OSError as error:
            raise LmgymError(f"{name}: cannot be opened, or is a link ({error.strerror})") from None
        try:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode):
                raise LmgymError(f"{name}: is no regular file")
            if found.st_size > most:
                raise LmgymError(f"{name}: has {found.st_size} bytes; {most} at most are allowed")
            return b"".join(Opened(name, found.st_size, found.st_mode, file).chunks())
        finally:
            os.close(file)


class _Walk:
    """A walk that counts what it meets, and stops where there is too much."""

    def __init__(self, problems: list[str], names: Collection[str] | None) -> None:
        self._problems, self._wanted = problems, names
        self._n_entries = self._n_bytes = 0

    def below(self, folder: int, prefix: str, depth: int) -> Iterator[Opened]:
        """The files below a folder that is open."""
        seen: dict[str, str] = {}
        for name in self._names(folder, prefix):
            path = prefix + name
            problem = _problem_of_name(name)
            clash = seen.setdefault(name.casefold(), name)
            if not problem and clash != name:
                problem = f"clashes with {clash}, which is the same where letter case is ignored"
            if problem:
                self._refuse(path, problem)
                continue
            yield from self._entry(folder, name, path, depth)

    def _names(self, folder: int, prefix: str) -> list[str]:
        names: list[str] = []
        with os.scandir(folder) as entries:
            for entry in entries:
                if not prefix and self._wanted is not None and entry.name not in self._wanted:
                    continue
                self._n_entries += 1
                if self._n_entries > MOST_FILES:
                    self._refuse(prefix or ".", f"more than {MOST_FILES} files and folders")
                    return []
                names.append(entry.name)
        return sorted(names)

    def _entry(self, folder: int, name: str, path: str, depth: int) -> Iterator[Opened]:
        try:
            # Without blocking: what looks like a file may be a pipe that nobody writes to.
            flags = os.O_RDONLY | os.O_NONBLOCK | _NOFOLLOW
            descriptor = os.open(name, flags, dir_fd=folder)
        except OSError as error:
            self._refuse(path, _why_not_opened(folder, name, error))
            return
        try:
            found = os.fstat(descriptor)
            if stat.S_ISDIR(found.st_mode) and depth < MOST_DEPTH:
                yield from self.below(descriptor, f"{path}/", depth + 1)
            elif problem := self._problem_of(path, found):
                self._refuse(path, problem)
            else:
                yield Opened(path, found.st_size, found.st_mode, descriptor)
        finally:
            os.close(descriptor)

    def _problem_of(self, path: str, found: os.stat_result) -> str:
        """Why an entry is refused; empty where it is not."""
        most = _most_bytes(path)
        self._n_bytes += found.st_size
        if stat.S_ISDIR(found.st_mode):
            return f"lies too deep; {MOST_DEPTH} levels of folders are allowed"
        if not stat.S_ISREG(found.st_mode):
            return "is no regular file"
        if found.st_nlink > 1:
            return "is a hard link, with another name elsewhere; put a copy in its place"
        if found.st_size > most:
            return f"has {found.st_size} bytes; {most} at most are allowed"
        if self._n_bytes > MOST_BYTES:
            return f"brings all files above {MOST_BYTES} bytes, which are allowed together"
        return ""

    def _refuse(self, path: str, problem: str) -> None:
        shown = path if path.isascii() and path.isprintable() else ascii(path)
        self._problems.append(f"{shown[:200]}: {problem}")


def _problem_of_name(name: str) -> str:
    if not _NAME.fullmatch(name) or name.endswith(".") or _RESERVED.fullmatch(name):
        return (
            "the name of a file is made of letters, digits and ._+- (no . at the start or the end,"
            " no name that Windows keeps), 100 at most"
        )
    return ""


def _most_bytes(path: str) -> int:
    if path.lower().endswith(WEIGHT_SUFFIXES):
        return MOST_BYTES
    return _TOKENIZER_BYTES if path == "tokenizer.json" else _FILE_BYTES


def _why_not_opened(folder: int, name: str, error: OSError) -> str:
    try:
        is_link = stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        is_link = False
    if is_link:
        return "is a symbolic link; put what it points to in its place"
    return f"cannot be opened ({error.strerror})"


def _copy(file: Opened, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    mode = 0o755 if file.mode & stat.S_IXUSR else 0o644
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW
    with os.fdopen(os.open(target, flags, mode), "wb") as stream:
        for chunk in file.chunks():
            stream.write(chunk)


@contextmanager
def _opened_folder(folder: Path) -> Iterator[int]:
    try:
        descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except OSError as error:
        raise LmgymError(
            f"{str(folder)!r} is no folder that can be read: {error.strerror}"
        ) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)
