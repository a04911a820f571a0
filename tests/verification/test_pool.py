"""The pool: what `verify` says, whatever an answer does to the process that reads it."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep
from typing import Any

import pytest

from lmgym.errors import LmgymError
from lmgym.verification import Policy, Reason, Verdict, verify, verify_batch
from lmgym.verification.pool import VerifierPool
from lmgym.verification.pool_process import COMMAND

RESPONSES = [
    r"So it is \boxed{\frac{\sqrt{2}}{2}}.",
    "The answer is 5 or 6.",
    "",
    "12 km",
    "a lone surrogate \ud800, \x00 and \u221a2: the answer is 7",
    "x" * 100_000 + " = 3",
    r"\boxed{(1, 2)}",
]
GOLDS = ["1/sqrt(2)", "5", "0", "12 m", "7", "3", "(1,2)"]
TIMED_OUT = Verdict(False, None, "nothing", Reason.TIMEOUT)
BAD_WORKER = """
import os, signal, time
from lmgym.verification.pool_worker import main
from lmgym.verification.verifier import verify

def judge(response, gold, policy):
    match response:
        case "hang":
            time.sleep(3600)
        case "compute":
            while True: pass
        case "eat":
            return bytearray(1 << 40)
        case "fail":
            raise TypeError("a mistake in the verifier")
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "crash once" if not os.path.exists(gold):
            open(gold, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        case "print":
            print("this is no message", flush=True)
    return verify(response, "4", policy)

main(judge)
"""
LIGHT = COMMAND[3].partition("from lmgym")[0]
"""Code that keeps `import lmgym.verification` from importing the rest."""
BAD_COMMAND = (*COMMAND[:3], LIGHT + BAD_WORKER, COMMAND[4])


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    with VerifierPool(workers=2, seconds=60) as pool:
        yield pool


@pytest.fixture(scope="module")
def bad_pool() -> Iterator[VerifierPool]:
    """Its worker does what an answer says, and compares what is left with 4."""
    with VerifierPool(seconds=1, megabytes=256, command=BAD_COMMAND) as pool:
        yield pool


def pids(pool: VerifierPool) -> list[int]:
    """Of the workers that are idle."""
    return [process._worker for process in pool._idle if process._worker is not None]


def run_script(folder: Path, code: str) -> str:
    """What a program prints; waits for all processes that hold its stderr, as workers do."""
    path = folder / "program.py"
    path.write_text(code, encoding="utf-8")
    command = [sys.executable, "-W", "ignore::DeprecationWarning", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert not done.stderr
    return done.stdout


def test_says_what_verify_says(pool: VerifierPool) -> None:
    assert pool.verify_batch(RESPONSES, GOLDS) == verify_batch(RESPONSES, GOLDS)


def test_one_answer_is_a_batch_of_one(pool: VerifierPool) -> None:
    assert pool.verify(RESPONSES[0], GOLDS[0]) == verify(RESPONSES[0], GOLDS[0])


def test_no_answers_are_no_verdicts(pool: VerifierPool) -> None:
    assert pool.verify_batch([], []) == []


def test_keeps_the_order_over_many_batches(pool: VerifierPool) -> None:
    responses = [str(number) for number in range(1500)]
    golds = [str(number - number % 2) for number in range(1500)]
    assert [v.extracted for v in pool.verify_batch(responses, golds)] == responses
    assert [v.correct for v in pool.verify_batch(responses, golds)] == [True, False] * 750


def test_takes_answers_that_are_too_long_for_one_message(pool: VerifierPool) -> None:
    responses = [" " * 1_500_000 + "The answer is 4."] * 3
    verdicts = pool.verify_batch(responses, ["4"] * 3)
    assert verdicts == verify_batch(responses, ["4"] * 3)


def test_the_policy_reaches_the_workers() -> None:
    with VerifierPool(seconds=60, policy=Policy(tolerance=0.1)) as pool:
        assert pool.verify("103", "100").correct


def test_a_gold_that_cannot_be_read_is_an_error_and_no_verdict(pool: VerifierPool) -> None:
    with pytest.raises(LmgymError, match="is empty"):
        pool.verify_batch(["4", "4", "4"], ["4", "", "4"])
    assert pool.verify("4", "4").correct


def test_hung_answers_time_out_and_the_others_are_right(bad_pool: VerifierPool) -> None:
    verdicts = bad_pool.verify_batch(["4", "hang", "hang", "5", "4"], ["4"] * 5)
    assert verdicts[1:3] == [TIMED_OUT, TIMED_OUT]
    assert [verdict.correct for verdict in verdicts] == [True, False, False, False, True]


def test_an_answer_that_kills_its_worker_again_times_out(bad_pool: VerifierPool) -> None:
    verdicts = bad_pool.verify_batch(["4", "crash", "4"], ["4"] * 3)
    assert verdicts == [verify("4", "4"), TIMED_OUT, verify("4", "4")]


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS limits no address space")
def test_an_answer_that_takes_too_much_memory_times_out(bad_pool: VerifierPool) -> None:
    verdicts = bad_pool.verify_batch(["4", "eat", "4"], ["4"] * 3)
    assert verdicts == [verify("4", "4"), TIMED_OUT, verify("4", "4")]


def test_an_answer_whose_worker_died_once_is_tried_again(
    bad_pool: VerifierPool, tmp_path: Path
) -> None:
    verdict = bad_pool.verify("crash once", str(tmp_path / "there"))
    assert (tmp_path / "there").exists()
    assert verdict.reason is not Reason.TIMEOUT


@pytest.mark.slow
def test_an_answer_that_computes_too_long_times_out() -> None:
    with VerifierPool(seconds=60, cpu_seconds=0.5, command=BAD_COMMAND) as pool:
        verdicts = pool.verify_batch(["compute", "4"], ["4", "4"])
    assert verdicts == [TIMED_OUT, verify("4", "4")]


def test_a_mistake_in_the_verifier_is_told_and_the_pool_goes_on(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with VerifierPool(seconds=60, command=BAD_COMMAND) as pool:
        with pytest.raises(RuntimeError, match="stderr"):
            pool.verify_batch(["4", "fail", "4"], ["4"] * 3)
        assert pool.verify("4", "4").correct
    assert "a mistake in the verifier" in capfd.readouterr().err


def test_what_a_worker_prints_disturbs_no_message(capfd: pytest.CaptureFixture[str]) -> None:
    with VerifierPool(seconds=60, command=BAD_COMMAND) as pool:
        pool.verify("print", "4")
        assert pool.verify("4", "4").correct
    assert capfd.readouterr().err == "this is no message\n"


@pytest.mark.parametrize("victim", ["worker", "process"])
def test_survives_a_kill_from_outside(victim: str) -> None:
    with VerifierPool(seconds=60) as pool:
        pool.verify("4", "4")
        (process,) = pool._processes
        (worker,) = pids(pool)
        os.kill(worker if victim == "worker" else process.pid, signal.SIGKILL)
        verdicts = pool.verify_batch(RESPONSES, GOLDS)
    assert verdicts == verify_batch(RESPONSES, GOLDS)


def test_one_process_serves_call_after_call() -> None:
    with VerifierPool(seconds=60) as pool:
        pool.verify("4", "4")
        before = pids(pool)
        pool.verify("5", "4")
        assert pids(pool) == before


def test_no_process_starts_before_the_first_call() -> None:
    with VerifierPool() as pool:
        assert not pool._processes


def test_threads_get_their_own_answers(pool: VerifierPool) -> None:
    def extracted(number: int) -> str | None:
        return pool.verify(str(number), "4").extracted

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(extracted, range(100))) == [str(number) for number in range(100)]


@pytest.mark.slow
def test_works_in_a_forked_daemonic_process_and_beside_it(tmp_path: Path) -> None:
    code = """
import multiprocessing
from lmgym.verification.pool import VerifierPool

def work(pool, queue):
    with pool:
        queue.put(pool.verify("4", "4").correct)

if __name__ == "__main__":
    with VerifierPool(seconds=60) as pool:
        pool.verify("4", "4")
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        process = context.Process(target=work, args=(pool, queue), daemon=True)
        process.start()
        print(queue.get(timeout=60))
        process.join()
        print(pool.verify("4", "4").correct)
"""
    assert run_script(tmp_path, code).split() == ["True"] * 2


@pytest.mark.slow
def test_processes_end_with_the_caller_s(tmp_path: Path) -> None:
    code = """
import os
from lmgym.verification.pool import VerifierPool

pool = VerifierPool(seconds=60)
print(pool.verify("4", "4").correct, flush=True)
os._exit(0)
"""
    assert run_script(tmp_path, code) == "True\n"


@pytest.mark.slow
def test_processes_at_work_end_with_a_caller_that_is_killed(tmp_path: Path) -> None:
    code = f"""
import os
import signal
import threading
from lmgym.verification.pool import VerifierPool

pool = VerifierPool(seconds=3600, command={BAD_COMMAND!r})
print(pool.verify("4", "4").correct, flush=True)
threading.Timer(1, os.kill, (os.getpid(), signal.SIGKILL)).start()
pool.verify("hang", "4")
"""
    assert run_script(tmp_path, code) == "True\n"


@pytest.mark.slow
def test_a_pool_that_nobody_closed_ends_quietly(tmp_path: Path) -> None:
    code = """
import warnings
from lmgym.verification.pool import VerifierPool

warnings.simplefilter("error")
for _ in range(2):
    pool = VerifierPool(seconds=60)
    print(pool.verify("4", "4").correct)
"""
    assert run_script(tmp_path, code) == "True\nTrue\n"


def test_a_pickled_pool_starts_its_own_processes(pool: VerifierPool) -> None:
    pool.verify("4", "4")
    with pickle.loads(pickle.dumps(pool)) as copy:  # noqa: S301 -- made here
        assert not copy._processes
        assert copy.verify("4", "4").correct


def test_closing_ends_the_processes_and_closing_again_does_nothing() -> None:
    pool = VerifierPool(seconds=60)
    pool.verify("4", "4")
    (process,) = pool._processes
    pool.close()
    pool.close()
    assert process.has_ended


def test_closing_stops_what_is_being_verified() -> None:
    pool = VerifierPool(seconds=60, command=BAD_COMMAND)
    pool.verify("4", "4")
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(pool.verify_batch, ["hang"] * 1000, ["4"] * 1000)
        while pool._idle:
            sleep(0.01)
        pool.close()
        with pytest.raises(LmgymError, match="the pool is closed"):
            call.result(timeout=60)


def test_a_closed_pool_says_so() -> None:
    pool = VerifierPool()
    pool.close()
    with pytest.raises(LmgymError, match="the pool is closed; make another"):
        pool.verify("4", "4")
    with pytest.raises(LmgymError, match="the pool is closed"), pool:
        pass


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"workers": 0}, "workers=0"),
        ({"workers": 1.5}, r"workers=1\.5"),
        ({"seconds": 0}, "seconds=0 is no time"),
        ({"seconds": float("nan")}, "seconds=nan"),
        ({"seconds": float("inf")}, "seconds=inf"),
        ({"cpu_seconds": -1}, "cpu_seconds=-1"),
        ({"megabytes": 1}, "megabytes=1: give a whole number"),
        ({"policy": "strict"}, "policy='strict'"),
    ],
)
def test_refuses_silly_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(LmgymError, match=message):
        VerifierPool(**settings)


@pytest.mark.parametrize(
    ("responses", "golds", "message"),
    [
        (["4"], ["4", "5"], "1 responses and 2 golds"),
        ("4", ["4"], "responses is one text"),
        (["4"], [4], "golds holds 4"),
        ([None], ["4"], "responses holds None"),
    ],
)
def test_refuses_what_are_no_pairs(
    pool: VerifierPool, responses: Any, golds: Any, message: str
) -> None:
    with pytest.raises(LmgymError, match=message):
        pool.verify_batch(responses, golds)


def test_a_process_that_cannot_start_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-S", "-c", "raise SystemExit(5)"]
    message = r"ended before it was ready \(exit code 5\)"
    with VerifierPool(command=command) as pool, pytest.raises(LmgymError, match=message):
        pool.verify("4", "4")
    assert not capfd.readouterr().err


def test_workers_load_nothing_heavy() -> None:
    code = COMMAND[3].replace("main()", "print(*sys.modules, file=sys.stderr)")
    done = subprocess.run(
        [*COMMAND[:3], code, COMMAND[4]], capture_output=True, text=True, check=True
    )
    heavy = {"torch", "transformers", "sympy", "numpy", "gymnasium", "multiprocessing"}
    assert "lmgym.verification.verifier" in done.stderr.split()
    assert not heavy & set(done.stderr.split())
