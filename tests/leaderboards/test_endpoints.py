from __future__ import annotations

import http.client
import io
import json
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from lmgym.games.players import PlayerFailure
from lmgym.leaderboards.endpoints import HOST_VARIABLE, KEY_VARIABLE, EndpointSpeaker

MESSAGES = [{"role": "user", "content": "2+2="}]
GOOD = json.dumps({"choices": [{"message": {"content": "4"}}]}).encode()


class Opener:
    """Answers in place of the network, and keeps what was asked."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[urllib.request.Request] = []

    def open(self, request: urllib.request.Request, timeout: float) -> Any:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return io.BytesIO(answer)


def speaker(monkeypatch: pytest.MonkeyPatch, *answers: bytes | Exception) -> tuple[Any, Opener]:
    made = EndpointSpeaker("http://localhost:1/v1/", "m", temperature=0.5, seconds=9, pause=0.0)
    opener = Opener(*answers)
    monkeypatch.setattr(made, "_opener", opener)
    return made, opener


class Dripping(BaseHTTPRequestHandler):
    """Sends a byte of its answer now and then, for ever."""

    def do_POST(self) -> None:
        self.send_response(200)
        self.end_headers()
        with suppress(OSError):
            while True:
                self.wfile.write(b" ")
                time.sleep(0.02)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's
        """Say nothing."""


def http_error(code: int) -> urllib.error.HTTPError:
    return urllib.error.HTTPError("http://localhost:1", code, "no", Message(), None)


def test_it_asks_for_a_chat_completion(monkeypatch: pytest.MonkeyPatch) -> None:
    made, opener = speaker(monkeypatch, GOOD)
    assert made.answer(MESSAGES) == "4"
    (request,) = opener.requests
    assert request.full_url == "http://localhost:1/v1/chat/completions"
    assert isinstance(request.data, bytes)
    body = json.loads(request.data)
    assert (body["model"], body["temperature"], body["messages"]) == ("m", 0.5, MESSAGES)


@pytest.mark.parametrize(("host", "is_sent"), [("localhost", True), ("example.org", False)])
def test_a_key_goes_to_the_host_that_was_named_alone(
    monkeypatch: pytest.MonkeyPatch, host: str, is_sent: bool
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "hush")
    made, opener = speaker(monkeypatch, GOOD)
    made.answer(MESSAGES)
    monkeypatch.setenv(HOST_VARIABLE, host)
    made.answer(MESSAGES)
    first, second = opener.requests
    assert not first.has_header("Authorization")
    assert second.has_header("Authorization") is is_sent


@pytest.mark.parametrize(
    ("answer", "cause", "times"),
    [
        (b"<html>", "protocol", 1),
        (b'{"choices": []}', "protocol", 1),
        (http_error(401), "protocol", 1),
        (http_error(302), "protocol", 1),
        (http_error(500), "crash", 3),
        (http.client.BadStatusLine("x"), "crash", 3),
        (ConnectionRefusedError(), "crash", 3),
        (TimeoutError(), "time", 1),
    ],
)
def test_whatever_goes_wrong_is_a_failure_of_the_entry(
    monkeypatch: pytest.MonkeyPatch, answer: bytes | Exception, cause: str, times: int
) -> None:
    made, opener = speaker(monkeypatch, answer)
    with pytest.raises(PlayerFailure) as caught:
        made.answer(MESSAGES)
    assert caught.value.cause == cause
    assert len(opener.requests) == times


def test_a_passing_error_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = speaker(monkeypatch, http_error(503), GOOD)
    assert made.answer(MESSAGES) == "4"


def test_a_server_that_fails_too_often_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    made, opener = speaker(monkeypatch, http_error(401))
    for _ in range(20):
        with pytest.raises(PlayerFailure):
            made.answer(MESSAGES)
    assert len(opener.requests) == 11


def test_no_redirect_is_followed() -> None:
    made = EndpointSpeaker("http://localhost:1/v1", "m", temperature=0, seconds=9)
    opener: Any = made._opener
    kinds = [type(handler).__name__ for handler in opener.handlers]
    assert "_NoRedirects" in kinds
    assert "HTTPRedirectHandler" not in kinds


@pytest.mark.enable_socket  # a server of its own, on this machine
def test_an_answer_that_drips_for_ever_is_out_of_time() -> None:
    with HTTPServer(("127.0.0.1", 0), Dripping) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v1"
        made = EndpointSpeaker(url, "m", temperature=0.5, seconds=0.2)
        with pytest.raises(PlayerFailure, match=r"no answer in 0\.2 seconds"):
            made.answer(MESSAGES)
        server.shutdown()
