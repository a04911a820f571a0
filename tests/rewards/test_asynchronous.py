import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from lmgym.errors import LmgymError
from lmgym.factory import make_env
from lmgym.rewards import asynchronous
from lmgym.rewards.asynchronous import AsyncReward, is_asynchronous
from lmgym.rewards.source import RewardSource
from lmgym.transcript import Transcript


def answers(*texts: str) -> list[Transcript]:
    return [Transcript.from_strings("1+1=", text, task_id=f"task/{text}") for text in texts]


async def length(transcript: Transcript) -> float:
    return len(transcript.completion_text)


def test_a_function_of_a_transcript_becomes_a_source() -> None:
    source = AsyncReward(length)
    assert isinstance(source, RewardSource)
    scored = source.score(answers("a", "bbb"))
    assert scored.outcome.tolist() == [1.0, 3.0]
    assert scored.parts["length"] is scored.outcome


def test_no_transcripts_cost_no_call() -> None:
    assert AsyncReward(length).score([]).outcome.shape == (0,)


def test_results_stand_in_the_order_of_the_transcripts() -> None:
    async def slow_first(transcript: Transcript) -> float:
        delay = int(transcript.completion_text)
        await asyncio.sleep(0.01 * (5 - delay))
        return delay

    scored = AsyncReward(slow_first).score(answers("0", "3", "1", "4"))
    assert scored.outcome.tolist() == [0.0, 3.0, 1.0, 4.0]


def test_a_function_of_columns_is_awaited_once_a_batch() -> None:
    seen: list[Any] = []

    async def exact(completions: list[str], gold: list[str]) -> list[float]:
        seen.append((completions, gold))
        return [float(c == g) for c, g in zip(completions, gold, strict=True)]

    batch = [Transcript.from_strings("1+1=", text, gold="2") for text in ("2", "3")]
    assert AsyncReward(exact).score(batch).outcome.tolist() == [1.0, 0.0]
    assert seen == [(["2", "3"], ["2", "2"])]


def test_no_more_calls_are_under_way_than_allowed() -> None:
    running, most = 0, 0

    async def count(transcript: Transcript) -> float:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running -= 1
        return 0.0

    AsyncReward(count, concurrency=3).score(answers(*"abcdefghij"))
    assert most == 3


def test_calls_wait_together() -> None:
    async def wait(transcript: Transcript) -> float:
        await asyncio.sleep(0.1)
        return 1.0

    start = time.perf_counter()
    AsyncReward(wait).score(answers(*"abcdefgh"))
    assert time.perf_counter() - start < 0.6  # one after the other: 0.8


def test_a_timeout_leaves_only_its_episode_unscored_and_is_counted() -> None:
    async def hang(transcript: Transcript) -> float:
        await asyncio.sleep(60 if transcript.completion_text == "b" else 0)
        return 1.0

    source = AsyncReward(hang, timeout=0.05)
    scored = source.score(answers("a", "b", "c"))
    assert scored.unscored is not None
    assert scored.unscored.tolist() == [False, True, False]
    assert scored.outcome.tolist() == [1.0, 0.0, 1.0]
    assert source.calls.n_timeouts == 1


def test_a_batch_that_runs_out_of_time_is_unscored() -> None:
    async def hang(prompts: list[str], completions: list[str]) -> list[float]:
        await asyncio.sleep(60)
        return []

    scored = AsyncReward(hang, timeout=0.05).score(answers("a", "b"))
    assert scored.unscored is not None
    assert scored.unscored.all()


def test_an_error_names_the_transcript_and_cancels_the_others() -> None:
    cancelled: list[str] = []

    async def fail(transcript: Transcript) -> float:
        if transcript.completion_text == "b":
            await asyncio.sleep(0.01)
            raise ConnectionError("refused")
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            cancelled.append(transcript.completion_text)
            raise
        return 0.0

    with pytest.raises(ConnectionError, match="refused") as caught:
        AsyncReward(fail).score(answers("a", "b", "c"))
    assert caught.value.__notes__ == ["while scoring the transcript of 'task/b'"]
    assert sorted(cancelled) == ["a", "c"]


def test_a_timeout_of_the_function_itself_is_an_error() -> None:
    async def own(transcript: Transcript) -> float:
        raise TimeoutError("the endpoint gave up")

    with pytest.raises(TimeoutError, match="gave up"):
        AsyncReward(own).score(answers("a"))


def flaky(failures: int, error: Exception) -> tuple[Callable[..., Awaitable[float]], list[float]]:
    attempts: list[float] = []

    async def function(transcript: Transcript) -> float:
        attempts.append(time.perf_counter())
        if len(attempts) <= failures:
            raise error
        return 1.0

    return function, attempts


def test_errors_of_a_given_type_are_tried_again_after_waits_that_double(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    function, attempts = flaky(3, ConnectionError())
    source = AsyncReward(function, retry_on=(ConnectionError,), retries=3, backoff=0.5)
    assert source.score(answers("a")).outcome.tolist() == [1.0]
    assert len(attempts) == 4
    assert waits == [0.5, 1.0, 2.0]


@pytest.mark.parametrize(
    ("error", "n_attempts"), [(ConnectionError("down"), 3), (KeyError("down"), 1)]
)
def test_the_last_attempt_and_other_errors_are_raised(error: Exception, n_attempts: int) -> None:
    function, attempts = flaky(9, error)
    source = AsyncReward(function, retry_on=(ConnectionError,), retries=2, backoff=0.0)
    with pytest.raises(type(error), match="down"):
        source.score(answers("a"))
    assert len(attempts) == n_attempts


def test_none_leaves_an_episode_unscored() -> None:
    async def unsure(transcript: Transcript) -> float | None:
        return None if transcript.completion_text == "?" else 1.0

    scored = AsyncReward(unsure).score(answers("?", "2"))
    assert scored.unscored is not None
    assert scored.unscored.tolist() == [True, False]


def test_a_reward_that_is_no_number_is_refused() -> None:
    async def words(transcript: Transcript) -> str:
        return "good"

    with pytest.raises(LmgymError, match="'words' returned"):
        AsyncReward(words).score(answers("a"))


def test_it_works_inside_a_running_loop() -> None:
    async def cell() -> list[float]:
        return [float(reward) for reward in AsyncReward(length).score(answers("aa")).outcome]

    assert asyncio.run(cell()) == [2.0]


def test_threads_score_at_the_same_time() -> None:
    found: dict[int, list[float]] = {}

    def score(size: int) -> None:
        found[size] = AsyncReward(length).score(answers("x" * size)).outcome.tolist()

    threads = [threading.Thread(target=score, args=(size,)) for size in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {size: [float(size)] for size in range(1, 5)}


def loops_running() -> int:
    return sum(thread.name.startswith("lmgym-rewards") for thread in threading.enumerate())


def test_threads_that_come_first_at_once_share_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    loops: dict[int, asyncio.AbstractEventLoop] = {}
    monkeypatch.setattr(asynchronous, "_LOOPS", loops)
    together = threading.Barrier(8)
    make = asyncio.new_event_loop

    def make_slowly() -> asyncio.AbstractEventLoop:
        together.wait(10)  # all threads have seen that there is no loop yet
        return make()

    monkeypatch.setattr(asyncio, "new_event_loop", make_slowly)
    before = loops_running()
    found: list[float] = []

    def score() -> None:
        found.append(float(AsyncReward(length).score(answers("aa")).outcome[0]))

    threads = [threading.Thread(target=score) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [2.0] * 8
    assert len(loops) == 1
    assert loops_running() == before + 1
    (loop,) = loops.values()
    loop.call_soon_threadsafe(loop.stop)
    while loop.is_running():
        time.sleep(0.001)
    loop.close()


FORK = """
import os
from lmgym.rewards.asynchronous import AsyncReward
from lmgym.transcript import Transcript

async def length(transcript):
    return len(transcript.completion_text)

def score():
    return AsyncReward(length).score([Transcript.from_strings("q", "four")]).outcome[0]

assert score() == 4.0
child = os.fork()
if child == 0:
    os._exit(int(score()))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_process_that_was_forked_has_a_loop_of_its_own() -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORK]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert said.strip() == "4"


@pytest.mark.parametrize("ending", [SystemExit, KeyboardInterrupt])
def test_a_function_that_ends_its_process_ends_no_later_rewards(
    ending: type[BaseException],
) -> None:
    async def leave(transcript: Transcript) -> float:
        raise ending

    with pytest.raises(RuntimeError, match="raised while scoring the transcript of 'task/a'"):
        AsyncReward(leave).score(answers("a"))
    assert AsyncReward(length).score(answers("a")).outcome.tolist() == [1.0]


def test_scoring_inside_a_reward_is_refused_and_does_not_hang() -> None:
    async def nested(transcript: Transcript) -> float:
        return float(AsyncReward(length).score([transcript]).outcome[0])

    with pytest.raises(LmgymError, match="inside another one"):
        AsyncReward(nested, timeout=5).score(answers("a"))


async def lengths(prompts: list[str], completions: list[str]) -> list[float]:
    return [float(len(text)) for text in completions]


@pytest.mark.parametrize("reward", [AsyncReward(length), lengths])
def test_environments_pay_it(reward: Any) -> None:
    env = make_env("lmgym/Math-v0", level="message", reward=reward)
    env.reset(seed=0)
    assert env.step("four")[1] == 4.0


def test_objects_that_are_called_asynchronously_are_recognised() -> None:
    class Judge:
        async def __call__(self, transcript: Transcript) -> float:
            return 1.0

    assert is_asynchronous(Judge())
    assert AsyncReward(Judge()).score(answers("a")).outcome.tolist() == [1.0]
    assert not is_asynchronous(len)


def test_an_ordinary_function_is_refused() -> None:
    with pytest.raises(LmgymError, match="no `async def` function"):
        AsyncReward(len)  # type: ignore[arg-type]


async def nothing() -> float:
    return 0.0


async def two(first: Transcript, second: Transcript) -> float:
    return 0.0


async def keyword(*, transcript: Transcript) -> float:
    return 0.0


@pytest.mark.parametrize("function", [nothing, two, keyword])
def test_functions_that_cannot_be_called_with_a_transcript_are_refused(function: Any) -> None:
    with pytest.raises(LmgymError, match=r"cannot be called with a transcript .* write f\(trans"):
        AsyncReward(function)


@pytest.mark.parametrize(
    "arguments", [{"concurrency": 0}, {"timeout": 0.0}, {"retries": -1}, {"backoff": -1.0}]
)
def test_numbers_out_of_range_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(LmgymError, match=next(iter(arguments))):
        AsyncReward(length, **arguments)
