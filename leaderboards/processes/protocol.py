"""One JSON object a line, to a process and back, with a deadline for each and bounded memory.

The process may do anything with its streams: not read, write a gigabyte without a line's end, write
before it is asked, close them, stop. Each of these is a `PlayerFailure` within the deadline.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Iterable, Mapping
from typing import IO, Any

from lmgym.errors import LmgymError
from lmgym.games.messages import tamed
from lmgym.games.players import PlayerFailure
from lmgym.games.strict_json import Row, parse, told
from lmgym.training.progress import visible

__all__ = ["VERSION", "Channel", "action_of", "check_ready"]

VERSION = 1
"""Of the protocol, as hello tells it."""

_CHUNK = 2**16
_MOST_WORDS = 2**12
"""Bytes of the last words on standard error that are kept."""
_MOST_LOOKS = 64
"""Chunks of last words that are read at most, should somebody go on writing them."""
_MOST_SHOWN = 80
_MOST_NUMBER = 2**63
_FIELDS = {"type", "action"}
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False)


class Channel:
    """The streams of a process.

    Args:
        process: whose streams are pipes without buffers.
        most_line: bytes of a line that is read at most.
    """

    def __init__(self, process: subprocess.Popen[bytes], most_line: int) -> None:
        self._most_line = most_line
        self._line = bytearray()
        self._words = b""
        self._is_late = False
        self._stdin, self._stdout, self._stderr = map(
            _unblocked, (process.stdin, process.stdout, process.stderr)
        )
        self._to_read, self._to_write = select.poll(), select.poll()
        self._to_read.register(self._stdout, select.POLLIN)
        self._to_write.register(self._stdin, select.POLLOUT)
        for poll in (self._to_read, self._to_write):
            poll.register(self._stderr, select.POLLIN)

    def tell(self, message: Mapping[str, Any], deadline: float) -> None:
        """Write a message, before a time of the monotonic clock.

        Raises:
            PlayerFailure: where the process has written what nobody asked for, does not read, or
                has closed its input.
        """
        self._is_late = False
        self._check_silence()
        left = memoryview(_ENCODER.encode(message).encode() + b"\n")
        while left:
            try:
                left = left[os.write(self._stdin, left) :]
            except BlockingIOError:
                self._wait(self._to_write, deadline, "it does not read its input")
            except BrokenPipeError:
                raise PlayerFailure("crash", "it has closed its input") from None

    def hear(self, deadline: float) -> Any:
        """The message that the process writes, before a time of the monotonic clock.

        Raises:
            PlayerFailure: where it writes none in time, or anything but one line of JSON.
        """
        self._is_late = False
        while (end := self._line.find(b"\n")) < 0:
            self._check_length(len(self._line))
            self._wait(self._to_read, deadline, "it did not answer")
            self._line += self._read()
        self._check_length(end)
        line, rest = bytes(self._line[:end]), self._line[end + 1 :]
        if rest:
            raise PlayerFailure("protocol", f"it wrote more than one line: {_shown(rest)} followed")
        self._line.clear()
        return _parsed(line)

    def last_words(self) -> str:
        """The end of what the process has written on standard error, on one line."""
        for _ in range(_MOST_LOOKS):
            if not self._listen():
                break
        return tamed(self._words.decode(errors="replace"))

    def _check_silence(self) -> None:
        for file, _ in self._to_read.poll(0):
            if file == self._stdout and (written := self._read()):
                raise PlayerFailure("protocol", f"it wrote {_shown(written)} without being asked")

    def _check_length(self, length: int) -> None:
        if length > self._most_line:
            raise PlayerFailure(
                "protocol", f"its line is longer than the {self._most_line} bytes that are allowed"
            )

    def _read(self) -> bytes:
        """What is there, up to a limit; empty where there is nothing yet."""
        try:
            found = os.read(self._stdout, _CHUNK)
        except BlockingIOError:
            return b""
        if not found:
            raise PlayerFailure("crash", "it has closed its output")
        return found

    def _wait(self, poll: select.poll, deadline: float, reason: str) -> None:
        """Wait until something can be done; what comes on standard error is put aside.

        Once the time is over there is a last look, for we may have been late ourselves.
        """
        left = deadline - time.monotonic()
        ready = [] if self._is_late else poll.poll(max(0.0, left) * 1000)
        if not ready:
            raise PlayerFailure("time", f"{reason} in time")
        self._is_late = left < 0
        for file, _ in ready:
            if file == self._stderr and self._listen() == b"":
                self._to_read.unregister(file)
                self._to_write.unregister(file)

    def _listen(self) -> bytes | None:
        """Put aside what is on standard error; None where nothing is, empty at its end."""
        try:
            found = os.read(self._stderr, _CHUNK)
        except BlockingIOError:
            return None
        self._words = (self._words + found)[-_MOST_WORDS:]
        return found


def check_ready(answer: Any) -> None:
    """Raise a `PlayerFailure` unless this is the answer to hello."""
    try:
        _check(answer, "ready")
    except LmgymError as error:
        raise PlayerFailure("protocol", visible(str(error))) from None


def action_of(answer: Any) -> int | str:
    """The action in an answer: a text, or a whole number.

    Example:
        >>> action_of({"type": "action", "action": "take 1 from heap 2"})
        'take 1 from heap 2'
        >>> action_of({"type": "action", "action": 1.5})
        Traceback (most recent call last):
        ...
        lmgym.games.players.PlayerFailure: the action is 1.5; a text or a whole number is allowed
    """
    try:
        if not isinstance(answer, dict) or answer.keys() != _FIELDS or answer["type"] != "action":
            _check(answer, "action", ("action",))  # says what is wrong, which takes longer
        return _action(answer["action"])
    except LmgymError as error:
        raise PlayerFailure("protocol", visible(str(error))) from None


def _check(answer: Any, kind: str, fields: Iterable[str] = ()) -> None:
    """Raise unless this is an answer of a kind, with these fields and no others."""
    row = Row(answer, "the answer")
    given = row.take("type", told)
    if given != repr(kind):
        raise LmgymError(f"the answer's type is {given}, not {kind!r}")
    for name in fields:
        row.take(name, told)
    row.check_empty()


def _action(value: Any) -> int | str:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise LmgymError("the action has half of a character") from None
        return value
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or abs(value) >= _MOST_NUMBER:
        raise LmgymError(f"the action is {told(value)}; a text or a whole number is allowed")
    return int(value)


def _parsed(line: bytes) -> Any:
    try:
        return parse(line.decode())
    except UnicodeDecodeError:
        raise PlayerFailure("protocol", f"its line {_shown(line)} is no UTF-8") from None
    except LmgymError as error:
        reason = f"its line {_shown(line)} cannot be read: {visible(str(error))}"
        raise PlayerFailure("protocol", reason) from None


def _shown(written: bytes | bytearray) -> str:
    return repr(visible(bytes(written[: 4 * _MOST_SHOWN]).decode(errors="replace"), _MOST_SHOWN))


def _unblocked(stream: IO[bytes] | None) -> int:
    assert stream is not None
    os.set_blocking(stream.fileno(), False)
    return stream.fileno()
