"""Work on the machines of Ray, which is an extra of this package: `lmgym[ray]`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from types import TracebackType
from typing import Any, Self, TypeVar

from lmgym.errors import LmgymError

from .executors import Window, apply_timed

__all__ = ["RayExecutor"]

S = TypeVar("S")
R = TypeVar("R")


class RayExecutor:
    """Tasks of Ray, in chunks. lmgym must be installed alike wherever they run.

    A cluster that this process is connected to, or that RAY_ADDRESS names, is used as it is;
    otherwise one is started here, without a dashboard, and ended with `close`. Ray listens on many
    ports and runs what it is sent: for networks of trusted machines alone.

    Args:
        workers: that are busy at once; by default as many as the cluster has CPUs.

    Raises:
        LmgymError: where Ray isn't installed.
    """

    def __init__(self, workers: int | None = None) -> None:
        try:
            ray: Any = import_module("ray")  # type checkers needn't have it
        except ImportError:
            raise LmgymError(
                "Ray is not installed; run: pip install 'lmgym[ray]', or leave out ray"
            ) from None
        self._ray = ray
        self._is_ours = not ray.is_initialized()
        if self._is_ours:
            is_there = bool(os.environ.get("RAY_ADDRESS"))
            own = {} if is_there else {"num_cpus": workers, "include_dashboard": False}
            ray.init(log_to_driver=False, **own)
        self.workers = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._task = ray.remote(apply_timed)

    def map(
        self, function: Callable[[S], R], specs: Sequence[S], chunksize: int | None = None
    ) -> Iterator[R]:
        """Results, in the order of the specs."""
        sent = self._ray.put(function)
        window: Window[S, R, Any] = Window(
            specs, self.workers, chunksize, lambda chunk: self._task.remote(sent, chunk)
        )
        try:
            while window.fill():
                chunk, reference = window.waiting[0]
                seconds, results = self._ray.get(reference)
                window.waiting.popleft()
                window.note(seconds, len(chunk))
                yield from results
        finally:
            for _, reference in window.waiting:
                self._ray.cancel(reference)

    def close(self) -> None:
        """End the cluster, if it was started here."""
        if self._is_ours:
            self._ray.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
