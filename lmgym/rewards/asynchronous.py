"""Rewards that are awaited: remote judges and models, many requests at a time.

Coroutines run on one event loop in a background thread, so that they work wherever a source is
scored, a notebook's running loop included, and a client that is bound to its loop stays usable.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial, wraps
from typing import Any, TypeVar

from lmgym.errors import LmgymError
from lmgym.rewards.rules import FunctionReward
from lmgym.rewards.source import RewardBatch, RewardLevel
from lmgym.transcript import Transcript

__all__ = ["AsyncCalls", "AsyncReward", "is_asynchronous"]

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True)
class AsyncCalls:
    """How many calls are made at a time, how long each may take, and which are tried again.

    Attributes:
        concurrency: calls at a time.
        timeout: seconds for one attempt of a call.
        retries: further attempts after an error of a type in `retry_on`.
        retry_on: these errors are worth another attempt; all others are raised at once.
        backoff: seconds before the second attempt; each later wait is twice as long.
        n_timeouts: calls that ran out of time so far.
    """

    concurrency: int = 16
    timeout: float = 60.0
    retries: int = 3
    retry_on: tuple[type[Exception], ...] = ()
    backoff: float = 0.5
    n_timeouts: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.concurrency < 1 or self.retries < 0:
            raise LmgymError(
                f"concurrency={self.concurrency}, retries={self.retries}: concurrency starts at 1,"
                " retries at 0"
            )
        if not self.timeout > 0 or not self.backoff >= 0:
            raise LmgymError(
                f"timeout={self.timeout}, backoff={self.backoff}: give seconds, a timeout above 0"
            )

    def map(
        self,
        function: Callable[[T], Awaitable[R]],
        items: Sequence[T],
        name: Callable[[T], str],
    ) -> list[R | None]:
        """What `function` returns for each item, in their order; None where the time ran out.

        The first error cancels the calls that are still under way and is raised, with a note that
        names the item.
        """
        return run_in_background(self._map(function, items, name))

    async def _map(
        self,
        function: Callable[[T], Awaitable[R]],
        items: Sequence[T],
        name: Callable[[T], str],
    ) -> list[R | None]:
        slots = asyncio.Semaphore(self.concurrency)

        async def call(item: T) -> R | None:
            async with slots:
                return await self._attempts(partial(function, item), partial(name, item))

        tasks = [asyncio.create_task(call(item)) for item in items]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _attempts(
        self, call: Callable[[], Awaitable[R]], name: Callable[[], str]
    ) -> R | None:
        left = self.retries
        while True:
            limit = asyncio.timeout(self.timeout)
            try:
                async with limit:
                    return await call()
            except (KeyboardInterrupt, SystemExit) as error:  # they would end the loop of rewards
                raise RuntimeError(f"{error!r} was raised while scoring {name()}") from error
            except Exception as error:
                if isinstance(error, TimeoutError) and limit.expired():
                    self.n_timeouts += 1
                    return None
                if left == 0 or not isinstance(error, self.retry_on):
                    error.add_note(f"while scoring {name()}")
                    raise
            await asyncio.sleep(self.backoff * 2 ** (self.retries - left))
            left -= 1


class AsyncReward:
    """An `async def` function as a source.

    It is either `f(transcript) -> float | None`, called for each episode, or
    `f(prompts, completions, **columns) -> list[float | None]`, called once a batch with what a
    `FunctionReward` hands its function. An episode is `unscored` where the function returns None
    or its time runs out; `calls.n_timeouts` counts the latter. Errors are raised.

    Args:
        function: the coroutine function.
        concurrency: episodes under way at a time.
        timeout: seconds for one call.
        retry_on: errors that are worth another attempt, such as a client's rate limit.
        retries: how many of them.
        backoff: seconds before the second attempt; each later wait is twice as long.

    Example:
        >>> async def brevity(transcript: Transcript) -> float:
        ...     return -len(transcript.completion_text)
        >>> AsyncReward(brevity).score([Transcript.from_strings("1+1=", "two")]).outcome
        array([-3.])
    """

    level = RewardLevel.OUTCOME
    is_causal = True

    def __init__(
        self,
        function: Callable[..., Awaitable[Any]],
        *,
        concurrency: int = 16,
        timeout: float = 60.0,
        retry_on: tuple[type[Exception], ...] = (),
        retries: int = 3,
        backoff: float = 0.5,
    ) -> None:
        """Find out what the function takes."""
        if not is_asynchronous(function):
            raise LmgymError(
                f"{function!r} is no `async def` function; pass it as reward= as it is, or to"
                " FunctionReward"
            )
        self._function = function
        self._takes_columns = "completions" in inspect.signature(function).parameters
        self.name = getattr(function, "__name__", type(function).__name__)
        if not self._takes_columns:
            _check_takes_one(function, self.name)
        self.calls = AsyncCalls(concurrency, timeout, retries, retry_on, backoff)

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """Await the rewards of all transcripts."""
        if self._takes_columns:
            return FunctionReward(self._awaited()).score(transcripts)
        rewards = self.calls.map(self._function, transcripts, _name)

        def known(prompts: Sequence[str], completions: Sequence[str]) -> list[Any]:
            del prompts, completions
            return rewards

        known.__name__ = self.name
        return FunctionReward(known).score(transcripts)

    def _awaited(self) -> Callable[..., Any]:
        """The function over columns as an ordinary one."""

        @wraps(self._function)
        def function(**columns: Any) -> Any:
            n = len(columns["completions"])
            (rewards,) = self.calls.map(
                lambda _: self._function(**columns), [n], lambda _: f"a batch of {n} episodes"
            )
            return [None] * n if rewards is None else rewards

        return function


def _check_takes_one(function: Callable[..., Any], name: str) -> None:
    try:
        inspect.signature(function).bind(None)
    except TypeError as error:
        raise LmgymError(
            f"the reward function {name!r} cannot be called with a transcript ({error}); write"
            " f(transcript), or f(prompts, completions, **columns)"
        ) from error


def is_asynchronous(function: Any) -> bool:
    """Whether calling it makes a coroutine."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object with `async def __call__`
    )


def run_in_background(coroutine: Coroutine[Any, Any, R]) -> R:
    """Wait for a coroutine that runs on the loop of rewards.

    Raises:
        LmgymError: when called from that loop, which would wait for itself.
    """
    loop = _loop(os.getpid())
    if _is_running_in(loop):
        coroutine.close()
        raise LmgymError(
            "an asynchronous reward was scored inside another one; await its function instead"
        )
    waiting = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        return waiting.result()
    except BaseException:  # an interrupt of the waiting thread among them
        waiting.cancel()
        raise


def _is_running_in(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:  # this thread has none
        return False


_LOOPS: dict[int, asyncio.AbstractEventLoop] = {}
"""The loops of rewards by process; one that came with a fork has no thread."""


def _loop(pid: int) -> asyncio.AbstractEventLoop:
    """The loop of this process, started when it is first needed."""
    if pid in _LOOPS:
        return _LOOPS[pid]
    fresh = asyncio.new_event_loop()
    loop = _LOOPS.setdefault(pid, fresh)  # one thread wins, without a lock that a fork could hold
    if loop is fresh:
        threading.Thread(target=loop.run_forever, name=f"lmgym-rewards-{pid}", daemon=True).start()
    else:
        fresh.close()
    return loop


def _name(transcript: Transcript) -> str:
    return f"the transcript of {transcript.task_id or transcript.prompt_text!r}"
