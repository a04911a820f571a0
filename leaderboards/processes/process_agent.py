"""`ProcessAgent`: a program in the sandbox, asked line by line, started again after a failure."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from lmgym.errors import LmgymError
from lmgym.games.players import PlayerFailure

from .protocol import VERSION, Channel, action_of, check_ready
from .sandbox import CommandError, Limits, check_sandbox, end, launch, stop

__all__ = ["Failures", "ProcessAgent"]

_GRACE = 0.5
"""Seconds that a program has to end, once it was told to quit, or has closed its streams."""

_NEXT_START = 5.0
"""Seconds that a program has to get ready at most, once it was not ready in time."""


@dataclass
class Failures:
    """What a program did wrong so far; all agents that start it may share it.

    Attributes:
        n: how often it failed.
        last: the last failure.
        was_late: whether a start took too long.
    """

    n: int = 0
    last: PlayerFailure | None = None
    was_late: bool = False


class ProcessAgent:
    """A program that is asked for actions.

    Whatever it does wrong is a `PlayerFailure` of the game that is played: the program is killed,
    and started again for the next game.

    Args:
        command: the program and its arguments; "python" stands for the Python that runs us.
        folder: where it runs, and all of its own that it can read.
        limits: what it may use.
        trusted: run it without the sandbox, with limits of resources alone.
        failures: of the program before; by default it has none.

    Attributes:
        failures: of the program.

    Raises:
        LmgymError: where the sandbox cannot be had, and the program is not trusted.

    Example:
        >>> code = '''
        ... import json, sys
        ... answers = {"hello": {"type": "ready"}, "act": {"type": "action", "action": "b2"}}
        ... for line in sys.stdin:
        ...     kind = json.loads(line)["type"]
        ...     if kind in answers:
        ...         print(json.dumps(answers[kind]), flush=True)
        ... '''
        >>> with ProcessAgent(["python", "-c", code], ".", trusted=True) as agent:
        ...     agent.start("tic-tac-toe", "lmgym/TicTacToe-v0")
        ...     agent.reset(0, seat=0, seed=0)
        ...     agent.act([{"role": "user", "content": "Your turn."}])
        'b2'
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: str | Path,
        *,
        limits: Limits | None = None,
        trusted: bool = False,
        failures: Failures | None = None,
    ) -> None:
        if not command or not all(isinstance(word, str) and "\0" not in word for word in command):
            raise LmgymError(f"command {list(command)!r:.80} must be a program and its arguments")
        if not Path(folder).is_dir():
            raise LmgymError(f"{str(folder)!r} is no folder; give the one the program lies in")
        if not trusted:
            check_sandbox()
        self.failures = failures or Failures()
        self._command = tuple(command)
        self._folder = Path(folder).resolve()
        self._limits = limits or Limits()
        self._trusted = trusted
        self._hello: dict[str, Any] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None

    @property
    def n_failures(self) -> int:
        """How often it failed."""
        return self.failures.n

    @property
    def is_started(self) -> bool:
        """Whether it was told what is played; it may have failed since."""
        return self._hello is not None

    def start(self, track: str, env: str) -> None:
        """Start the program and tell it what will be played.

        Raises:
            PlayerFailure: where it does not get ready; `reset` tries again.
        """
        self.close()
        self._hello = {"type": "hello", "protocol": VERSION, "track": track, "env": env}
        self._begin()

    def reset(self, game: int, seat: int, seed: int) -> None:
        """Tell it of a new game; it is started again where it failed.

        Raises:
            PlayerFailure: where it does not get ready, or has failed too often.
        """
        if self._hello is None:
            raise LmgymError("the process was not started; call start(track, env) first")
        if self._channel is None:
            self._begin()
        self._tell({"type": "reset", "game": int(game), "seat": int(seat), "seed": int(seed)})

    def act(
        self, messages: Sequence[Mapping[str, str]], legal: Sequence[str] | None = None
    ) -> int | str:
        """Its action: a text, or the place of one in `legal`.

        Args:
            messages: what it knows, each with `role` and `content`.
            legal: texts of the actions that are allowed, where they are known.

        Raises:
            PlayerFailure: where there is no such answer in time.
        """
        channel, limits = self._open_channel(), self._limits
        question = {
            "type": "act",
            "messages": messages,
            "legal": legal,
            "deadline_ms": round(limits.move_seconds * 1000),
        }
        deadline = time.monotonic() + limits.move_seconds
        try:
            channel.tell(question, deadline)
            action = action_of(channel.hear(deadline))
            if isinstance(action, int) and not 0 <= action < len(legal or ()):
                known = f"{len(legal)} actions are" if legal else "no actions are"
                raise PlayerFailure("protocol", f"it chose number {action}, and {known} listed")
        except PlayerFailure as failure:
            raise self._failed(failure) from None
        return action

    def end(self, reward: float) -> None:
        """Tell it what it has won; a failure here counts, but costs no game."""
        if self._channel is not None:
            with contextlib.suppress(PlayerFailure):
                self._tell({"type": "end", "reward": float(reward)})

    def close(self) -> None:
        """End the program: it is told to quit, and killed if it does not."""
        patience = 0.0
        if self._channel is not None:
            with contextlib.suppress(PlayerFailure):
                self._channel.tell({"type": "quit"}, time.monotonic())
                patience = _GRACE
        self._end(patience)

    def __enter__(self) -> ProcessAgent:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the program."""
        self.close()

    def _begin(self) -> None:
        """A new process, which is ready."""
        known, limits = self.failures, self._limits
        if known.n > limits.most_failures and known.last is not None:
            raise PlayerFailure(
                known.last.cause, f"it failed {known.n} times and is not started again"
            )
        seconds = limits.start_seconds
        deadline = time.monotonic() + (min(seconds, _NEXT_START) if known.was_late else seconds)
        try:
            words = {"trusted": self._trusted}
            self._process = launch(self._command, self._folder, self._limits, **words)
        except CommandError as error:
            raise self._failed(PlayerFailure("crash", f"it cannot be run: {error}")) from None
        self._channel = Channel(self._process, self._limits.line_bytes)
        try:
            self._channel.tell(self._hello or {}, deadline)
            check_ready(self._channel.hear(deadline))
        except PlayerFailure as failure:
            known.was_late = known.was_late or failure.cause == "time"
            raise self._failed(failure) from None

    def _tell(self, message: Mapping[str, Any]) -> None:
        try:
            self._open_channel().tell(message, self._deadline())
        except PlayerFailure as failure:
            raise self._failed(failure) from None

    def _open_channel(self) -> Channel:
        if self._channel is None:
            raise LmgymError("the process does not run; call reset for a new game first")
        return self._channel

    def _failed(self, failure: PlayerFailure) -> PlayerFailure:
        """Stop the program; returns the failure with all that is known of it."""
        reason, words = str(failure), ""
        if self._process is not None and self._channel is not None:
            status = stop(self._process, _GRACE if failure.cause == "crash" else 0.0)
            words = self._channel.last_words()
            if failure.cause == "crash":
                reason += f", and {_told(status)}"
            self._end(0.0)
        self.failures.n += 1
        self.failures.last = failure
        return PlayerFailure(
            failure.cause, f"{reason}; its last words: {words}" if words else reason
        )

    def _end(self, patience: float) -> None:
        if self._process is not None:
            end(self._process, patience)
        self._process = self._channel = None

    def _deadline(self) -> float:
        return time.monotonic() + self._limits.move_seconds


def _told(status: int | None) -> str:
    if status is None:
        return "runs on"
    return f"was killed by signal {status - 128}" if status > 128 else f"ended with status {status}"
