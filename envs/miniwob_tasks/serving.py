"""A silent server of a folder on this machine, for pages that need an address of their own."""

from __future__ import annotations

import functools
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

__all__ = ["serve_folder"]


class _SilentHandler(SimpleHTTPRequestHandler):
    """Says nothing of the requests it answers."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its parent's name)
        """Write no log."""


@functools.cache
def serve_folder(folder: Path) -> str:
    """The address of a server of `folder`, one a process, that ends with the process."""
    handler = functools.partial(_SilentHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"
