"""What a program may do wrong with its streams, and that it costs it a game and nothing else."""

from __future__ import annotations

import json
import pickle
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmgym.errors import LmgymError
from lmgym.games.players import PlayerFailure
from lmgym.leaderboards.processes import Limits, ProcessAgent, process_agent, sandbox

Make = Callable[..., ProcessAgent]
Ask = Callable[..., Any]

ENDLESS = "while True: pass"
READY = 'input()\nsay({"type": "ready"})\n'


def failure_of(ask: Ask, agent: ProcessAgent, **words: Any) -> PlayerFailure:
    with pytest.raises(PlayerFailure) as caught:
        ask(agent, **words)
    return caught.value


# Answers


@pytest.mark.parametrize("said", ["take 1 from heap 2", "", "dé\u0000\U0001f600\n", "x" * 60_000])
def test_a_text_comes_as_it_was_said(make_agent: Make, ask: Ask, said: str) -> None:
    assert ask(make_agent(f"for message in asked(): act({said!r})")) == said


def test_a_number_is_the_place_of_an_action(make_agent: Make, ask: Ask) -> None:
    agent = make_agent("for message in asked(): act(len(message['legal']) - 1)")
    assert ask(agent, ["a", "b", "c"]) == 2


@pytest.mark.parametrize(
    ("legal", "said"),
    [(["a", "b"], "number 2, and 2 actions are listed"), (None, "no actions are")],
)
def test_a_number_of_no_action_is_refused(
    make_agent: Make, ask: Ask, legal: list[str] | None, said: str
) -> None:
    failure = failure_of(ask, make_agent("for message in asked(): act(2)"), legal=legal)
    assert failure.cause == "protocol"
    assert said in str(failure)


def test_it_is_told_all_that_the_protocol_says(make_agent: Make) -> None:
    agent = make_agent("""
    told = []
    for line in sys.stdin:
        told.append(json.loads(line))
        if told[-1]["type"] == "hello": say({"type": "ready"})
        if told[-1]["type"] == "act": act(json.dumps(told))
    """)
    agent.start("nim", "lmgym/Nim-v0")
    agent.reset(3, seat=1, seed=7)
    agent.act([{"role": "user", "content": "one"}], ["a"])
    agent.end(0.5)
    agent.reset(4, seat=0, seed=8)
    assert json.loads(str(agent.act([{"role": "user", "content": "two"}]))) == [
        {"type": "hello", "protocol": 1, "track": "nim", "env": "lmgym/Nim-v0"},
        {"type": "reset", "game": 3, "seat": 1, "seed": 7},
        {
            "type": "act",
            "messages": [{"role": "user", "content": "one"}],
            "legal": ["a"],
            "deadline_ms": 20_000,
        },
        {"type": "end", "reward": 0.5},
        {"type": "reset", "game": 4, "seat": 0, "seed": 8},
        {
            "type": "act",
            "messages": [{"role": "user", "content": "two"}],
            "legal": None,
            "deadline_ms": 20_000,
        },
    ]


def test_long_pages_are_written_in_pieces(make_agent: Make, ask: Ask) -> None:
    agent = make_agent("for message in asked(): act(str(len(message['messages'][0]['content'])))")
    assert ask(agent, page="x" * 2_000_000) == "2000000"


# What breaks the protocol (tests/leaderboards/processes/test_protocol.py has all of it)


@pytest.mark.parametrize("written", ["nonsense", '{"type": "action", "action": NaN}'])
def test_an_answer_that_breaks_the_protocol_is_refused(
    make_agent: Make, ask: Ask, written: str
) -> None:
    failure = failure_of(ask, make_agent(f"for message in asked(): print({written!r}, flush=True)"))
    assert failure.cause == "protocol"
    assert "cannot be read" in str(failure)


def test_a_line_of_a_gigabyte_is_not_read(make_agent: Make, ask: Ask) -> None:
    agent = make_agent("""
    for message in asked():
        for _ in range(2**14):
            os.write(1, b"x" * 2**16)
    """)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    failure = failure_of(ask, agent)
    assert failure.cause == "protocol"
    assert "longer than the 65536 bytes" in str(failure)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**16  # KiB


@pytest.mark.parametrize(
    "line", ["print('Loading weights...')", 'say({"type": "action", "action": "a"})']
)
def test_nothing_may_be_written_before_the_answer_to_hello(
    make_agent: Make, ask: Ask, line: str
) -> None:
    failure = failure_of(ask, make_agent(f"{line}\nfor message in asked(): act('yes')"))
    assert failure.cause == "protocol"


def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next(
    make_agent: Make, ask: Ask
) -> None:
    agent = make_agent("""
    for message in asked():
        act("first")
        os.write(2, b"-")  # it may be read now
        act("unasked")
        os.write(2, b"-")
    """)
    agent.start("track", "env")
    agent.reset(0, seat=0, seed=0)
    try:
        agent.act([])
        wait_for_words(agent, 2)
        with pytest.raises(PlayerFailure) as caught:
            agent.act([])
        failure = caught.value
    except PlayerFailure as early:
        failure = early
    assert failure.cause == "protocol"
    assert "unasked" in str(failure)


def wait_for_words(agent: ProcessAgent, n: int) -> None:
    """Wait until a program has written so much on standard error."""
    channel: Any = agent._channel
    deadline = time.monotonic() + 20
    while len(channel.last_words()) < n and time.monotonic() < deadline:
        time.sleep(0.01)


# What takes too long


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (f"for message in asked(): \n    {ENDLESS}", "it did not answer in time"),
        (
            "import time\nfor message in asked():\n"
            "    while True: os.write(1, b' '); time.sleep(0.01)",
            "it did not answer in time",
        ),
        (
            "import time\nfor message in asked():\n"
            "    while True: os.write(2, b' '); time.sleep(0.001)",
            "it did not answer in time",
        ),
    ],
    ids=["computes", "drips", "whispers"],
)
def test_a_move_that_does_not_end_is_cut_off(
    make_agent: Make, ask: Ask, code: str, said: str
) -> None:
    failure = failure_of(ask, make_agent(code, move_seconds=0.2))
    assert failure.cause == "time"
    assert said in str(failure)


def test_a_program_that_does_not_read_is_not_waited_for(make_agent: Make, ask: Ask) -> None:
    agent = make_agent(READY + ENDLESS, move_seconds=0.2)
    failure = failure_of(ask, agent, page="x" * 2_000_000)
    assert failure.cause == "time"
    assert "it does not read its input in time" in str(failure)


def test_a_start_that_does_not_end_is_cut_off(make_agent: Make, ask: Ask) -> None:
    assert failure_of(ask, make_agent(ENDLESS, start_seconds=0.3)).cause == "time"


# What ends


@pytest.mark.parametrize(
    ("act", "said"),
    [
        ("sys.exit(3)", "ended with status 3"),
        ("os._exit(0)", "ended with status 0"),
        ("os.kill(os.getpid(), 9)", "was killed by signal 9"),
        ("import ctypes; ctypes.string_at(0)", "was killed by signal 11"),
        ("os.close(1)\n    while True: pass", "has closed its output, and runs on"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_program_that_ends_has_crashed(make_agent: Make, ask: Ask, act: str, said: str) -> None:
    failure = failure_of(ask, make_agent(f"for message in asked():\n    {act}"))
    assert failure.cause == "crash"
    assert said in str(failure)


def test_a_program_that_closes_its_input_has_crashed(make_agent: Make) -> None:
    agent = make_agent("""
    for message in asked():
        os.close(0)
        act("yes")
        while True: pass
    """)
    agent.start("track", "env")
    agent.reset(0, seat=0, seed=0)
    assert agent.act([]) == "yes"
    with pytest.raises(PlayerFailure, match="it has closed its input, and runs on"):
        agent.act([])


def test_a_program_that_is_not_there_has_crashed(tmp_path: Path) -> None:
    agent = ProcessAgent(["no-such-program"], tmp_path, trusted=True)
    with pytest.raises(PlayerFailure, match="cannot be run: No such file") as caught:
        agent.start("track", "env")
    assert caught.value.cause == "crash"


def test_last_words_are_kept_to_their_end_and_tamed(make_agent: Make, ask: Ask) -> None:
    agent = make_agent("""
    for message in asked():
        sys.stderr.write("begin" + "\\x1b[31m\\u202e" * 10_000 + "the end")
        sys.exit(1)
    """)
    said = str(failure_of(ask, agent))
    assert said.endswith("the end")
    assert "begin" not in said
    assert len(said) < 5000
    assert said.isprintable()


def test_much_on_standard_error_is_no_hindrance(make_agent: Make, ask: Ask) -> None:
    agent = make_agent("""
    for message in asked():
        for _ in range(100): os.write(2, b"x" * 2**16)
        act("yes")
    """)
    assert ask(agent) == "yes"


# Going on


def test_after_a_failure_the_next_game_has_a_new_process(make_agent: Make, ask: Ask) -> None:
    agent = make_agent("""
    for message in asked():
        if message["messages"][0]["content"] == "die": sys.exit(1)
        act(str(os.getpid()))
    """)
    first = ask(agent)
    assert ask(agent) == first
    assert failure_of(ask, agent, page="die").cause == "crash"
    second = ask(agent)
    assert second != first
    assert agent.n_failures == 1


def test_a_game_does_not_go_on_after_a_failure(make_agent: Make, ask: Ask) -> None:
    agent = make_agent("for message in asked(): sys.exit(1)")
    failure_of(ask, agent)
    with pytest.raises(LmgymError, match="does not run; call reset for a new game"):
        agent.act([])


def test_too_many_failures_end_it_for_good(
    make_agent: Make, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[int] = []
    launch = sandbox.launch

    def counted(*args: Any, **words: Any) -> Any:
        starts.append(1)
        return launch(*args, **words)

    monkeypatch.setattr(process_agent, "launch", counted)
    agent = make_agent("for message in asked(): sys.exit(1)", most_failures=2)
    failures = [failure_of(ask, agent) for _ in range(6)]
    assert len(starts) == 3
    assert {failure.cause for failure in failures} == {"crash"}
    assert "it failed 3 times and is not started again" in str(failures[-1])


def test_failures_go_on_where_another_agent_starts_the_program(
    make_agent: Make, ask: Ask, tmp_path: Path
) -> None:
    first = make_agent("for message in asked(): sys.exit(1)", most_failures=1)
    failure_of(ask, first)
    first.close()
    command, folder, limits = first._command, first._folder, first._limits
    words: dict[str, Any] = {"limits": limits, "trusted": True, "failures": first.failures}
    with ProcessAgent(command, folder, **words) as second:
        failure_of(ask, second)
        assert "it failed 2 times and is not started again" in str(failure_of(ask, second))
    assert first.n_failures == 2


def test_who_was_late_once_has_less_time_to_start(
    make_agent: Make, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_agent, "_NEXT_START", 0.1)
    agent = make_agent("import time; time.sleep(1000)", start_seconds=3.0, most_failures=3)
    began = time.monotonic()
    assert failure_of(ask, agent).cause == "time"
    first = time.monotonic() - began
    failures = [failure_of(ask, agent) for _ in range(4)]
    assert {failure.cause for failure in failures} == {"time"}
    assert "it failed 4 times" in str(failures[-1])
    assert time.monotonic() - began < 2 * first


def test_who_crashed_at_the_start_has_as_much_time_again(make_agent: Make, ask: Ask) -> None:
    agent = make_agent("sys.exit(1)")
    assert failure_of(ask, agent).cause == "crash"
    assert not agent.failures.was_late


def test_a_program_that_ignores_quit_is_ended(make_agent: Make, ask: Ask) -> None:
    agent = make_agent("""
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for message in asked(): act("yes")
    while True: pass
    """)
    ask(agent)
    process = agent._process
    agent.close()
    assert process is not None
    assert process.poll() is not None


def test_a_program_may_end_by_itself(make_agent: Make, ask: Ask, tmp_path: Path) -> None:
    agent = make_agent("for message in asked(): act('yes')")
    ask(agent)
    process = agent._process
    agent.close()
    assert process is not None
    assert process.returncode == 0


def test_the_end_of_a_game_fails_nobody(make_agent: Make, ask: Ask) -> None:
    agent = make_agent("for message in asked():\n    act('yes')\n    sys.exit(0)")
    ask(agent)
    process = agent._process
    assert process is not None
    process.wait()
    agent.end(1.0)
    assert agent.n_failures == 1
    assert ask(agent) == "yes"


def test_a_process_is_started_before_it_plays(make_agent: Make) -> None:
    with pytest.raises(LmgymError, match=r"was not started; call start"):
        make_agent("").reset(0, seat=0, seed=0)


@pytest.mark.parametrize("name", ["move_seconds", "memory_bytes", "threads", "line_bytes"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_limits_out_of_range_are_refused(name: str, value: float) -> None:
    given: dict[str, Any] = {name: value}
    with pytest.raises(LmgymError, match=f"the limit {name}={value} is out of range"):
        Limits(**given)


def test_failures_come_home_from_other_processes() -> None:
    failure = pickle.loads(pickle.dumps(PlayerFailure("time", "it slept")))  # noqa: S301 - our own
    assert (failure.cause, str(failure)) == ("time", "it slept")
