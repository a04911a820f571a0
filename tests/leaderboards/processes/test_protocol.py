"""Answers of programs: what is one, and what breaks the protocol."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from lmgym.games.players import PlayerFailure
from lmgym.leaderboards.processes.protocol import Channel, action_of, check_ready

MOST_LINE = 4000


class Pipes(NamedTuple):
    """Our ends of the streams of a program that is not there."""

    stdin: Any
    stdout: Any
    stderr: Any


@pytest.fixture
def hear() -> Iterator[Callable[[bytes], Any]]:
    """What we hear of a program that writes something."""
    ends = [os.pipe() for _ in range(3)]
    (told, stdin), (stdout, said), (stderr, words) = ends
    with (
        os.fdopen(stdin, "wb", 0) as a,
        os.fdopen(stdout, "rb", 0) as b,
        os.fdopen(stderr, "rb", 0) as c,
        os.fdopen(said, "wb", 0) as writer,
    ):
        streams: Any = Pipes(a, b, c)
        channel = Channel(streams, MOST_LINE)

        def hear_answer(written: bytes, seconds: float = 0.05) -> Any:
            writer.write(written)
            return channel.hear(time.monotonic() + seconds)

        yield hear_answer
    os.close(told)
    os.close(words)


BROKEN = {
    "no JSON": ("nonsense", "cannot be read: it is no JSON"),
    "an empty line": ("", "cannot be read"),
    "NaN": ('{"type": "action", "action": NaN}', "NaN is no number that JSON knows"),
    "infinity": ('{"type": "action", "action": 1e999}', "too large a number"),
    "a large number": ('{"type": "action", "action": 18446744073709551616}', "whole number"),
    "a larger one": ('{"type": "action", "action": ' + "9" * 3900 + "}", "too large"),
    "a fraction": ('{"type": "action", "action": 1.0}', "a text or a whole number is allowed"),
    "a truth value": ('{"type": "action", "action": true}', "a text or a whole number is allowed"),
    "nothing": ('{"type": "action", "action": null}', "a text or a whole number is allowed"),
    "a list": ('{"type": "action", "action": [1]}', "a text or a whole number is allowed"),
    "half a character": ('{"type": "action", "action": "\\ud800"}', "half of a character"),
    "the same field twice": ('{"type": "action", "action": 1, "action": 2}', "twice"),
    "another field": ('{"type": "action", "action": "a", "reward": 1}', "'reward', which is unkn"),
    "no action": ('{"type": "action"}', "lacks 'action'"),
    "no type": ('{"action": "a"}', "lacks 'type'"),
    "another type": ('{"type": "ready"}', "type is 'ready', not 'action'"),
    "no object": ("[1, 2]", "a list of 2; it must be an object"),
    "a deep list": ("[" * 3900, "nested too deeply"),
    "two answers": ('{"type": "action", "action": "a"}\n' * 2, "more than one line"),
    "escapes": ("\x1b[2J\x1b[31m", r"its line '\\x1b[2J\\x1b[31m' cannot be read"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_answer_that_breaks_the_protocol_is_refused(
    hear: Callable[[bytes], Any], name: str
) -> None:
    written, said = BROKEN[name]
    with pytest.raises(PlayerFailure) as caught:
        action_of(hear(written.encode() + b"\n"))
    assert caught.value.cause == "protocol"
    assert said in str(caught.value)
    assert str(caught.value).isprintable()


def test_what_is_no_utf8_is_refused(hear: Callable[[bytes], Any]) -> None:
    with pytest.raises(PlayerFailure, match="is no UTF-8") as caught:
        hear(b"\xff\xfe\n")
    assert caught.value.cause == "protocol"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b" \t\n"])
def test_blanks_at_the_end_of_a_line_do_no_harm(hear: Callable[[bytes], Any], end: bytes) -> None:
    assert action_of(hear(b'{"action": 3, "type": "action"}' + end)) == 3


@pytest.mark.parametrize(("length", "is_read"), [(MOST_LINE, True), (MOST_LINE + 1, False)])
def test_a_line_may_have_so_many_bytes(
    hear: Callable[[bytes], Any], length: int, is_read: bool
) -> None:
    line = b'{"type": "action", "action": "'
    line += b"x" * (length - len(line) - 2) + b'"}'
    if is_read:
        assert len(str(action_of(hear(line + b"\n")))) > MOST_LINE - 100
    else:
        with pytest.raises(PlayerFailure, match="longer than the 4000 bytes"):
            hear(line + b"\n")


def test_a_line_without_an_end_is_no_answer(hear: Callable[[bytes], Any]) -> None:
    with pytest.raises(PlayerFailure) as caught:
        hear(b'{"type": "action", "action": 1}')
    assert caught.value.cause == "time"


def test_what_came_while_we_were_away_is_heard(hear: Callable[..., Any]) -> None:
    assert action_of(hear(b'{"type": "action", "action": 1}\n', seconds=-5.0)) == 1


@pytest.mark.parametrize("answer", [{"type": "action"}, {}, [], {"type": "ready", "name": "x"}])
def test_hello_has_one_answer(answer: Any) -> None:
    check_ready({"type": "ready"})
    with pytest.raises(PlayerFailure) as caught:
        check_ready(answer)
    assert caught.value.cause == "protocol"
