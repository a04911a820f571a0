"""Where work is done: here, in processes of this machine, or on Ray's machines.

All give results in the order of what they are of, whatever is ready first, and hold only a few at a
time. What is applied must not depend on the process, so that all give the same.
"""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from lmgym.errors import LmgymError

__all__ = [
    "Executor",
    "SerialExecutor",
    "Window",
    "apply_timed",
    "default_workers",
    "pick_executor",
]

S = TypeVar("S")
R = TypeVar("R")
Handle = TypeVar("Handle")

_CHUNK_SECONDS = 0.25
"""That a chunk should take."""
_MOST_IN_CHUNK = 256
_IN_HAND = 4  # chunks for each worker


class Executor(Protocol):
    """Applies functions to many things; a context manager."""

    def map(
        self, function: Callable[[S], R], specs: Sequence[S], chunksize: int | None = None
    ) -> Iterator[R]:
        """Results, in the order of the specs.

        Args:
            function: is sent to where it is applied.
            specs: what it is applied to.
            chunksize: how many are sent at a time; by default what takes about a quarter of a
                second.
        """
        ...

    def close(self) -> None:
        """End what was started."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class SerialExecutor:
    """Here, one after the other.

    Example:
        >>> with SerialExecutor() as executor:
        ...     list(executor.map(abs, [1, -2]))
        [1, 2]
    """

    def map(
        self, function: Callable[[S], R], specs: Sequence[S], chunksize: int | None = None
    ) -> Iterator[R]:
        """Results, in the order of the specs."""
        del chunksize
        return map(function, specs)

    def close(self) -> None:
        """Nothing was started."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Window(Generic[S, R, Handle]):
    """Chunks of work that are in hand, in order.

    Args:
        specs: all the work.
        n_workers: that share it.
        chunksize: of all chunks; None makes them as large as the time of those before suggests.
        submit: hands a chunk over.

    Attributes:
        waiting: chunks that were handed over and not yet taken back.
    """

    def __init__(
        self,
        specs: Sequence[S],
        n_workers: int,
        chunksize: int | None,
        submit: Callable[[Sequence[S]], Handle],
    ) -> None:
        if chunksize is not None and chunksize < 1:
            raise LmgymError(f"chunksize={chunksize}: give 1 or more")
        self.waiting: deque[tuple[Sequence[S], Handle]] = deque()
        self._specs, self._next = specs, 0
        self._n_workers, self._chunksize, self._submit = n_workers, chunksize, submit
        self._seconds: float | None = None

    def fill(self) -> bool:
        """Hand over as much as suits; False where nothing is waiting then."""
        while len(self.waiting) < _IN_HAND * self._n_workers and self._next < len(self._specs):
            chunk = self._specs[self._next : self._next + self._size()]
            self._next += len(chunk)
            self.waiting.append((chunk, self._submit(chunk)))
        return bool(self.waiting)

    def note(self, seconds: float, n_specs: int) -> None:
        """Remember how long a chunk took."""
        self._seconds = seconds / n_specs

    def _size(self) -> int:
        if self._chunksize is not None:
            return self._chunksize
        if self._seconds is None:
            return 1
        suitable = int(_CHUNK_SECONDS / max(self._seconds, 1e-9))
        share = math.ceil((len(self._specs) - self._next) / (2 * self._n_workers))
        return max(1, min(suitable, share, _MOST_IN_CHUNK))


def apply_timed(function: Callable[[S], R], specs: Sequence[S]) -> tuple[float, list[R]]:
    """Results, and the seconds that they took."""
    start = time.monotonic()
    results = [function(spec) for spec in specs]
    return time.monotonic() - start, results


def default_workers() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def pick_executor(workers: int | None = None, *, on_ray: bool = False) -> Executor:
    """The executor for so many workers: for one, this process itself.

    Args:
        workers: by default as many as there are cores, on Ray all that it has.
        on_ray: use Ray, which is an extra of this package.
    """
    if workers is not None and workers < 1:
        raise LmgymError(f"{workers} workers: give 1 or more")
    if on_ray:
        from .ray_executor import RayExecutor

        return RayExecutor(workers)
    n_workers = default_workers() if workers is None else workers
    if n_workers == 1:
        return SerialExecutor()
    from .process_executor import ProcessExecutor

    return ProcessExecutor(n_workers)
