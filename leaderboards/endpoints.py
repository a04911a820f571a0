"""Servers with an API in OpenAI's form as agents: nobody can verify what stands behind them."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lmgym.games.players import PlayerFailure

if TYPE_CHECKING:
    from lmgym.episode import Episode

__all__ = ["HOST_VARIABLE", "KEY_VARIABLE", "EndpointSpeaker"]

KEY_VARIABLE, HOST_VARIABLE = "LMGYM_ENDPOINT_KEY", "LMGYM_ENDPOINT_HOST"
"""Environment variables that hold a key, and the only host that it is sent to."""

_MOST_ANSWER = 2**20
_TRIES = 3
_MOST_FAILURES = 10


class EndpointSpeaker:
    """Asks for chat completions.

    Args:
        url: of the API, as http://localhost:8000/v1.
        model: which of its models.
        temperature: of its samples.
        seconds: for an answer.
        pause: seconds before a request is tried again, and twice as many before the next.
    """

    def __init__(
        self, url: str, model: str, *, temperature: float, seconds: float, pause: float = 1.0
    ) -> None:
        self._url = f"{url.rstrip('/')}/chat/completions"
        self._body = {"model": model, "temperature": temperature}
        self._seconds, self._pause = seconds, pause
        self._seed = 0
        self._n_failures = 0
        self._opener = urllib.request.build_opener(_NoRedirects())

    def begin(self, number: int, seed: int) -> None:
        """A new episode starts."""
        self._seed = (seed + number) % 2**31

    def say(self, course: Episode) -> str:
        """A message."""
        return self.answer([message.as_dict() for message in course.seen])

    def end(self, score: float) -> None:
        """The episode is over."""

    def answer(self, messages: list[dict[str, str]]) -> str:
        """The reply to a conversation.

        Raises:
            PlayerFailure: where the server gave none, or has given none too often.
        """
        if self._n_failures > _MOST_FAILURES:
            raise PlayerFailure("crash", f"it failed {self._n_failures} times, so it is left out")
        try:
            return self._answer(messages)
        except PlayerFailure:
            self._n_failures += 1
            raise

    def _answer(self, messages: list[dict[str, str]]) -> str:
        reason = ""
        body = json.dumps({**self._body, "seed": self._seed, "messages": messages}).encode()
        for attempt in range(_TRIES):
            try:
                return _text(self._post(body))
            except urllib.error.HTTPError as error:
                reason = f"the server answered {error.code} {error.reason}"
                if error.code < 500 and error.code != 429:
                    raise PlayerFailure("protocol", reason) from None
            except TimeoutError:
                raise PlayerFailure("time", f"no answer in {self._seconds:g} seconds") from None
            except (OSError, http.client.HTTPException) as error:
                reason = f"the server cannot be reached: {error}"
            if attempt + 1 < _TRIES:
                time.sleep(self._pause * 2**attempt)
        raise PlayerFailure("crash", reason)

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json"}
        key, host = (os.environ.get(name) for name in (KEY_VARIABLE, HOST_VARIABLE))
        if key and host and urlsplit(self._url).hostname == host:
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(self._url, body, headers)
        deadline, found = time.monotonic() + self._seconds, b""
        with self._opener.open(request, timeout=self._seconds) as answer:
            while len(found) <= _MOST_ANSWER and (part := answer.read1(_MOST_ANSWER)):
                found += part
                if time.monotonic() > deadline:  # each part came in time, all of them did not
                    raise TimeoutError
        return found


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows nobody to another server."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        """None, so that the answer is an error."""


def _text(answer: bytes) -> str:
    try:
        value: Any = json.loads(answer)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        value = None
    if not isinstance(value, str) or len(answer) > _MOST_ANSWER:
        raise PlayerFailure("protocol", "the server's answer is no chat completion")
    return value
