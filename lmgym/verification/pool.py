r"""`VerifierPool`: thousands of answers verified in processes of their own, within hard limits."""

from __future__ import annotations

import os
import select
import threading
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from math import ceil, inf
from types import TracebackType

from lmgym.errors import LmgymError
from lmgym.verification.pool_process import (
    COMMAND,
    Answer,
    OverLimitError,
    PoolProcess,
    WorkerDiedError,
)
from lmgym.verification.reasons import Reason
from lmgym.verification.verifier import STRICT, Policy, Verdict

__all__ = ["VerifierPool"]

_BATCH = 256
_BATCH_CHARACTERS = 1 << 20
"""What a worker gets at once, at most."""
_MIN_MEGABYTES = 64
_TIMED_OUT = Verdict(False, None, "nothing", Reason.TIMEOUT)

Pair = tuple[str, str]


class VerifierPool:
    r"""Verifies in child processes, so that no answer can take the caller's time or memory.

    Each verdict is what `verify` gives. A worker that breaks a limit is killed, the answer that it
    was at gets `Reason.TIMEOUT`, and another worker goes on with the rest. A worker that dies from
    want of memory, or by another's hand, has the answer tried once more. Nothing needs signals or
    forks of the caller: any thread may call, several at once, and daemonic processes too. Processes
    start with the first call and end with `close`, with the pool, or with the caller's process; a
    forked or pickled pool starts its own. Unix only.

    Args:
        workers: that verify at once, each in a process of its own.
        seconds: of wall time that an answer may take. On a busy machine more, with a small
            `cpu_seconds`, stops only what computes.
        cpu_seconds: of a processor's time that an answer may take, rounded up by less than two;
            None for one more than `seconds`.
        megabytes: of address space that a worker may have, where the system can limit it.
        policy: what is let pass.

    Raises:
        LmgymError: for settings that are out of range.

    Example:
        >>> with VerifierPool(seconds=10) as pool:
        ...     verdicts = pool.verify_batch(["It is 0.5.", r"\boxed{9^{9^9}}"], ["1/2", "2"])
        >>> [verdict.correct for verdict in verdicts]
        [True, False]
    """

    def __init__(
        self,
        workers: int = 1,
        seconds: float = 0.5,
        cpu_seconds: float | None = None,
        megabytes: int = 512,
        policy: Policy = STRICT,
        *,
        command: Sequence[str] = COMMAND,  # of a process; tests hand in one that hangs
    ) -> None:
        _check(workers, seconds, cpu_seconds, megabytes, policy)
        self._rebuild = partial(
            VerifierPool, workers, seconds, cpu_seconds, megabytes, policy, command=command
        )
        self._workers = workers
        settings = {
            "policy": asdict(policy),
            "cpu_seconds": seconds + 1 if cpu_seconds is None else cpu_seconds,
            "megabytes": megabytes,
        }
        self._new_process = partial(PoolProcess, command, settings, seconds)
        self._processes: set[PoolProcess] = set()
        self._is_closed = False
        self._begin()
        weakref.finalize(self, _end, self._processes)
        _POOLS.add(self)

    def _begin(self) -> None:
        """Have no process yet; a thread for each comes with its first work."""
        self._lock = threading.Lock()
        self._idle: list[PoolProcess] = []
        self._executor = ThreadPoolExecutor(self._workers, "lmgym-verifier")

    def verify(self, response: str, gold: str) -> Verdict:
        """Whether the answer of a response is worth the gold answer; see `verify`.

        Raises:
            LmgymError: where the gold cannot be read, or the pool is closed.
        """
        return self.verify_batch([response], [gold])[0]

    def verify_batch(self, responses: Sequence[str], golds: Sequence[str]) -> list[Verdict]:
        """`verify` for each response and its gold, in their order.

        Raises:
            LmgymError: where there are more of the ones than of the others, where a gold cannot be
                read, or the pool is closed.
        """
        pairs = _paired(responses, golds)
        with self._lock:
            self._check_open()
            futures = [
                self._executor.submit(self._answers, batch)
                for batch in _batches(pairs, ceil(len(pairs) / self._workers))
            ]
        try:
            answers = [answer for future in futures for answer in future.result()]
        except CancelledError:
            raise _closed() from None
        finally:
            for future in futures:
                future.cancel()
        return [_or_raised(answer) for answer in answers]

    def close(self) -> None:
        """End all processes, also those at work; again does nothing."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            for process in self._processes:
                process.kill()
        self._executor.shutdown(cancel_futures=True)
        _end(self._processes)

    def __enter__(self) -> VerifierPool:
        self._check_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[partial[VerifierPool], tuple[()]]:
        return self._rebuild, ()

    def _check_open(self) -> None:
        if self._is_closed:
            raise _closed()

    def _answers(self, pairs: Sequence[Pair]) -> list[Answer]:
        """What one worker says, or others after it, where answers break it."""
        answers: list[Answer] = []
        died_at = -1
        while len(answers) < len(pairs):
            process = self._taken()
            try:
                for answer in process.answers(pairs[len(answers) :]):
                    answers.append(answer)
            except OverLimitError:
                answers.append(_TIMED_OUT)
            except WorkerDiedError:
                self._check_open()
                if died_at == len(answers):
                    answers.append(_TIMED_OUT)
                else:
                    died_at = len(answers)
            except BaseException:
                process.end()  # what it would say next belongs to no question
                self._check_open()
                raise
            finally:
                self._give_back(process)
        return answers

    def _taken(self) -> PoolProcess:
        with self._lock:
            self._check_open()
            while self._idle:
                process = self._idle.pop()
                if not process.has_ended:
                    return process
                self._drop(process)
            process = self._new_process()
            self._processes.add(process)
            return process

    def _give_back(self, process: PoolProcess) -> None:
        with self._lock:
            if process.has_ended:
                self._drop(process)
            else:
                self._idle.append(process)

    def _drop(self, process: PoolProcess) -> None:
        process.end()
        self._processes.discard(process)

    def _forget(self) -> None:
        """In a process that was forked: leave the parent's processes alone."""
        for process in self._processes:
            process.forget()
        self._processes.clear()
        self._begin()


_POOLS: weakref.WeakSet[VerifierPool] = weakref.WeakSet()


def _forget_all() -> None:
    for pool in list(_POOLS):
        pool._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def _end(processes: set[PoolProcess]) -> None:
    while processes:
        processes.pop().end()


def _check(
    workers: int, seconds: float, cpu_seconds: float | None, megabytes: int, policy: Policy
) -> None:
    if not hasattr(select, "poll"):
        raise LmgymError("a VerifierPool needs a Unix system; call verify_batch here")
    if not isinstance(workers, int) or workers < 1:
        raise LmgymError(f"workers={workers}: give a whole number, 1 or more")
    for name, amount in (("seconds", seconds), ("cpu_seconds", cpu_seconds)):
        if amount is not None and not 0 < amount < inf:
            raise LmgymError(f"{name}={amount} is no time to verify in; give a positive number")
    if not isinstance(megabytes, int) or megabytes < _MIN_MEGABYTES:
        raise LmgymError(f"megabytes={megabytes}: give a whole number, {_MIN_MEGABYTES} or more")
    if not isinstance(policy, Policy):
        raise LmgymError(f"policy={policy!r} is none; give a lmgym.verification.Policy")


def _paired(responses: Sequence[str], golds: Sequence[str]) -> list[Pair]:
    for name, texts in (("responses", responses), ("golds", golds)):
        if isinstance(texts, str):
            raise LmgymError(f"{name} is one text; give a list of them, or call verify")
        for text in texts:
            if not isinstance(text, str):
                raise LmgymError(f"{name} holds {text!r:.60}, which is no text")
    if len(responses) != len(golds):
        raise LmgymError(f"{len(responses)} responses and {len(golds)} golds; each needs its own")
    return list(zip(responses, golds, strict=True))


def _batches(pairs: Sequence[Pair], share: int) -> Iterator[list[Pair]]:
    """Runs of at most `share` pairs, none too large to be sent at once."""
    batch: list[Pair] = []
    characters = 0
    for pair in pairs:
        length = len(pair[0]) + len(pair[1])
        if batch and (len(batch) >= min(share, _BATCH) or characters + length > _BATCH_CHARACTERS):
            yield batch
            batch, characters = [], 0
        batch.append(pair)
        characters += length
    if batch:
        yield batch


def _or_raised(answer: Answer) -> Verdict:
    if isinstance(answer, LmgymError):
        raise answer
    return answer


def _closed() -> LmgymError:
    return LmgymError("the pool is closed; make another")
