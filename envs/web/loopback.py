"""A site behind HTTP on the loopback interface, for real browsers."""

from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from lmgym.errors import LmgymError

from .base_site import Answer, Query, Site, State, respond

__all__ = ["VISIT", "SiteServer"]

_MOST_BYTES = 1 << 20
VISIT = "/.visit"
"""An address, of no site, that leads to another one by a redirect: a new entry of the history."""


class SiteServer:
    """Serves one site to a browser on this machine, from a thread.

    Attributes:
        site: what is served; None answers nothing.
        state: what the server knows.
        base: the beginning of every address, as http://127.0.0.1:8000.
    """

    def __init__(self) -> None:
        """Take a free port of the loopback interface."""
        self.site: Site | None = None
        self.state: State = ()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.base = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, method: str, url: str, form: Query | None = None) -> Answer:
        """What is answered to a request."""
        if self.site is None:
            raise LmgymError("the server has no site yet; set site and state first")
        self.state, answer = respond(self.site, self.state, method, url, form)
        return answer

    def close(self) -> None:
        """Give the port back."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    """Says nothing when the browser hangs up before it has read the answer."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Other errors are told as ever."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    owner: SiteServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path == "/favicon.ico":
            self._send(Answer(404))
        elif path == VISIT:
            self._send(Answer(303, location=dict(parse_qsl(query))["to"]))
        else:
            self._send(self.owner.answer("get", self.path))

    def do_POST(self) -> None:
        length = min(int(self.headers.get("Content-Length") or 0), _MOST_BYTES)
        body = self.rfile.read(length).decode("utf-8", "replace")
        fields = parse_qsl(body, keep_blank_values=True)
        form = {name: value.replace("\r\n", "\n") for name, value in fields}
        self._send(self.owner.answer("post", self.path, form))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""

    def _send(self, answer: Answer) -> None:
        body = answer.html.encode()
        self.send_response(answer.status)
        if answer.location:
            self.send_header("Location", answer.location)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)
