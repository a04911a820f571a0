"""Servers with an API in OpenAI's form as agents: nobody can verify what stands behind them."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from lmgym.games.players import PlayerFailure

if TYPE_CHECKING:
    from lmgym.episode import Episode

__all__ = ["KEY_VARIABLE", "EndpointSpeaker"]

KEY_VARIABLE = "LMGYM_ENDPOINT_KEY"
"""The environment variable that holds the server's key; it is never written anywhere."""

_MOST_ANSWER = 2**20
_TRIES = 3


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
            PlayerFailure: where the server gave none.
        """
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
            except OSError as error:
                reason = f"the server cannot be reached: {error}"
            if attempt + 1 < _TRIES:
                time.sleep(self._pause * 2**attempt)
        raise PlayerFailure("crash", reason)

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(KEY_VARIABLE):
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(self._url, body, headers)
        with urllib.request.urlopen(request, timeout=self._seconds) as answer:
            found: bytes = answer.read(_MOST_ANSWER + 1)
        return found


def _text(answer: bytes) -> str:
    try:
        value: Any = json.loads(answer)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        value = None
    if not isinstance(value, str) or len(answer) > _MOST_ANSWER:
        raise PlayerFailure("protocol", "the server's answer is no chat completion")
    return value
