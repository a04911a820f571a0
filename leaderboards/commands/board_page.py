"""`lmgym board build` and `serve`: the page."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from lmgym.commands.arguments import parse_options, split_names
from lmgym.errors import LmgymError

from ..board_folder import BoardFolder, find_season

__all__ = ["BuildArgs", "ServeArgs", "build", "serve"]


@dataclass(frozen=True)
class BuildArgs:
    """Arguments of the page."""

    board: str = "board"
    """The board's folder."""
    season: str | None = None
    """Which season; by default the last one."""


@dataclass(frozen=True)
class ServeArgs(BuildArgs):
    """Arguments of the page's server."""

    port: int = 8000
    """Of this machine's own address; 0 takes any that is free."""


def build(argv: Sequence[str]) -> int:
    """Make the tables and the page."""
    _, options = split_names(argv, 0, "board build [--options]")
    (args,) = parse_options({"board": BuildArgs}, options, "board build", "Make the page.")
    print(f"written to {write_board(args)}")
    return 0


def serve(argv: Sequence[str]) -> int:
    """Make the page, and show it until interrupted."""
    _, options = split_names(argv, 0, "board serve [--options]")
    (args,) = parse_options({"board": ServeArgs}, options, "board serve", "Show the page.")
    page = write_board(args)
    try:
        server = ThreadingHTTPServer(("127.0.0.1", args.port), functools.partial(_OnePage, page))
    except OSError as error:
        raise LmgymError(
            f"--port {args.port} cannot be used: {error.strerror}; choose another"
        ) from None
    with server:
        print(f"http://127.0.0.1:{server.server_port}/ shows {page}; Ctrl-C ends it", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("ended")
    return 0


def write_board(args: BuildArgs) -> Path:
    """Write the page of a season; returns where."""
    root = Path(args.board)
    if not root.is_dir():
        raise LmgymError(
            f"{root} is not there; lmgym board submit DIR makes it, or name another, as --board DIR"
        )
    with BoardFolder(root, find_season(root, args.season)) as folder:
        folder.write()
        return folder.page


class _OnePage(SimpleHTTPRequestHandler):
    """Answers with the page, whatever is asked for."""

    def __init__(self, page: Path, *args: object) -> None:
        self._page = page
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self.wfile.write(self._headed())

    def do_HEAD(self) -> None:
        self._headed()

    def _headed(self) -> bytes:
        """The page, once its headers are sent."""
        body = self._page.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return body

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's
        """Say nothing."""
