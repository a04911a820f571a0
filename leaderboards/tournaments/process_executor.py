"""Work in processes of this machine, which end with the one that started them."""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from types import TracebackType
from typing import Any, Self, TypeVar

from lmgym.errors import LmgymError

from .executors import Window, apply_timed
from .lineup import close_casts

__all__ = ["ProcessExecutor"]

S = TypeVar("S")
R = TypeVar("R")
Chunk = tuple[Sequence[S], "Future[tuple[float, list[R]]]"]


class ProcessExecutor:
    """A pool of processes, started afresh and not forked, so threads and locks are of no matter.

    A process that dies is replaced, and what was in hand is done again, one by one; what kills
    another one is named. The processes end with `close`, with an error in the `with` block, or when
    this process is gone, even by SIGKILL.

    Args:
        workers: how many processes.

    Raises:
        LmgymError: in `map`, where the same spec has killed two processes.
    """

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise LmgymError(f"{workers} workers: give 1 or more")
        self.workers = workers
        self._start()

    def map(
        self, function: Callable[[S], R], specs: Sequence[S], chunksize: int | None = None
    ) -> Iterator[R]:
        """Results, in the order of the specs."""
        _check_sendable(function)
        window: Window[S, R, Future[tuple[float, list[R]]]] = Window(
            specs, self.workers, chunksize, lambda chunk: self._submit(function, chunk)
        )
        try:
            while window.fill():
                chunk, future = window.waiting[0]
                try:
                    seconds, results = future.result()
                except BrokenProcessPool:
                    yield from self._again(function, window.waiting)
                    window.waiting.clear()
                    continue
                window.waiting.popleft()
                window.note(seconds, len(chunk))
                yield from results
        finally:
            for _, future in window.waiting:
                future.cancel()

    def close(self) -> None:
        """Let the processes end."""
        self._pool.shutdown()
        self._lifeline.close()

    def abort(self) -> None:
        """End the processes, whatever they are at."""
        self._lifeline.close()
        self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        end, self._lifeline = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(self.workers, context, _begin, (end,))

    def _submit(
        self, function: Callable[[S], R], specs: Sequence[S]
    ) -> Future[tuple[float, list[R]]]:
        try:
            return self._pool.submit(apply_timed, function, specs)
        except BrokenProcessPool as error:  # told with the results, as if it had broken then
            failed: Future[tuple[float, list[R]]] = Future()
            failed.set_exception(error)
            return failed

    def _again(self, function: Callable[[S], R], chunks: Iterable[Chunk[S, R]]) -> Iterator[R]:
        """What was in hand as a process died: what is done, and the rest one by one."""
        self.abort()
        self._start()
        for specs, future in chunks:
            if future.exception() is None:
                yield from future.result()[1]
                continue
            for spec in specs:
                try:
                    yield from self._submit(function, [spec]).result()[1]
                except BrokenProcessPool:
                    self.abort()
                    self._start()
                    raise LmgymError(
                        f"a process died at {spec!r:.300}, and another one when it was tried again;"
                        " run it with one worker to see why. A script that starts a tournament"
                        ' needs `if __name__ == "__main__":` around that'
                    ) from None


def _check_sendable(function: object) -> None:
    try:
        ForkingPickler.dumps(function)
    except Exception as error:
        raise LmgymError(
            f"{function!r:.100} cannot be sent to other processes ({error}); take one worker, or"
            " give players by name, or as what makes them"
        ) from error


def _begin(end: Connection[Any, Any]) -> None:
    """Prepare a process: it leaves interruptions to its owner, and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    multiprocessing.util.Finalize(None, close_casts, exitpriority=10)
    threading.Thread(target=_end_with_owner, args=(end,), daemon=True).start()


def _end_with_owner(end: Connection[Any, Any]) -> None:
    """Wait for the other end of a pipe to be closed, by the owner or as it's gone."""
    try:
        end.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)
