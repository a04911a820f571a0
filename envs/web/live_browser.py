"""`LiveBrowser`: a running Chromium with one page, and the server of the site that it shows.

Playwright's objects belong to the thread that made them, and one thread can start it only once. So
each browser has a thread of its own, and whoever calls waits for it.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from queue import SimpleQueue
from typing import Any, TypeVar
from urllib.parse import quote

from lmgym.errors import LmgymError

from .base_site import Site, State
from .loopback import VISIT, SiteServer

__all__ = ["VIEWPORT", "LiveBrowser", "find_chromium"]

VIEWPORT = {"width": 640, "height": 480}
"""Size of the page, in pixels."""

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ACTION_MS = 30_000
"""How long an action may take; a machine that is busy takes a while."""
_CALL_SECONDS = 300
"""How long a call may take, which is several actions."""
_CLOSE_SECONDS = 20

T = TypeVar("T")


class LiveBrowser:
    """Chromium with one page, the server of its site, and the thread that both belong to.

    Everything but `run` and `close` is to be called inside of `run`.

    Args:
        headless: whether it shows no window.

    Attributes:
        page: Playwright's.
        server: of the site.
        pid: of the process that started it.

    Raises:
        LmgymError: where Playwright or the browser is missing, or does not start.
    """

    def __init__(self, *, headless: bool) -> None:
        """Start the browser."""
        sync_playwright, path = _playwright_api().sync_playwright, find_chromium()
        self.pid = os.getpid()
        self.server = SiteServer()
        self.page: Any = None
        self._playwright: Any = None
        self._cdp: Any = None
        self._calls: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=_work, args=(self._calls,), daemon=True)
        self._thread.start()
        try:
            self.run(lambda: self._start(sync_playwright, path, headless))
        except LmgymError:
            self.close()
            raise

    def run(self, act: Callable[[], T], seconds: float = _CALL_SECONDS) -> T:
        """Do something in the browser's thread, and return what it returns.

        Raises:
            LmgymError: where the browser has died or does not answer; it is closed then.
        """
        outcome: Future[T] = Future()
        self._calls.put((act, outcome))
        try:
            return outcome.result(seconds)
        except FutureTimeoutError:
            why = f"no answer for {seconds:.0f} seconds"
        except _errors() as error:
            why = str(error).partition("\n")[0]
        self.close()
        raise LmgymError(
            f"the browser failed ({why}); it is closed, and the next command or reset() starts"
            " another. If it happens again, take backend='dom', which shows the same pages"
        )

    @property
    def has_ended(self) -> bool:
        """Whether it is closed, or belongs to another process."""
        return not self._thread.is_alive() or self.pid != os.getpid()

    @property
    def version(self) -> str:
        """Of the browser."""
        version: str = self.page.context.browser.version
        return version

    def close(self) -> None:
        """End it; a browser that is gone already is no harm."""
        if self.has_ended:
            return
        outcome: Future[None] = Future()
        self._calls.put((self._stop, outcome))
        self._calls.put(None)
        with contextlib.suppress(FutureTimeoutError, *_errors()):
            outcome.result(_CLOSE_SECONDS)
        self.server.close()
        self._thread.join(_CLOSE_SECONDS)

    def begin(self, site: Site, state: State, url: str) -> None:
        """Show a page of a site, without a history."""
        self.server.site, self.server.state = site, state
        self.goto(url)
        self._cdp.send("Page.resetNavigationHistory")

    def goto(self, url: str) -> None:
        """Go to an address as a person types it: the same one is loaded again."""
        self.page.goto(self.server.base + url)

    def visit(self, url: str) -> None:
        """Go to an address as a new entry of the history, even where it is the same."""
        self.goto(f"{VISIT}?to={quote(url, safe='')}")

    def history(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Addresses to go back and forward to, the nearest last."""
        told = self._cdp.send("Page.getNavigationHistory")
        urls = [entry["url"].removeprefix(self.server.base) for entry in told["entries"]]
        here = told["currentIndex"]
        return tuple(urls[:here]), tuple(reversed(urls[here + 1 :]))

    def leading_away(self) -> contextlib.AbstractContextManager[Any]:
        """Waits, at its end, for the page that something leads to."""
        waiting: contextlib.AbstractContextManager[Any] = self.page.expect_navigation()
        return waiting

    def protocol(self, method: str, **parameters: Any) -> dict[str, Any]:
        """What Chromium's DevTools protocol answers."""
        answer: dict[str, Any] = self._cdp.send(method, parameters)
        return answer

    def _start(self, sync_playwright: Any, path: str | None, headless: bool) -> None:
        with _told_how_to_install():
            self._playwright = sync_playwright().start()
            browser = self._playwright.chromium.launch(
                headless=headless, executable_path=path, args=["--disable-gpu"]
            )
            context = browser.new_context(viewport=VIEWPORT)
            context.set_default_timeout(_ACTION_MS)
            self.page = context.new_page()
            self._cdp = context.new_cdp_session(self.page)

    def _stop(self) -> None:
        playwright, self._playwright = self._playwright, None
        if playwright is not None:
            playwright.stop()


def _work(calls: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None]) -> None:
    """Do what is asked for, one after the other, until None."""
    while (call := calls.get()) is not None:
        act, outcome = call
        try:
            outcome.set_result(act())
        except BaseException as error:  # noqa: BLE001  (raised where the outcome is waited for)
            outcome.set_exception(error)
        del call, act, outcome  # what was asked for must not be kept alive


def _playwright_api() -> Any:
    try:
        return importlib.import_module("playwright.sync_api")
    except ImportError:
        raise LmgymError(
            "backend='chromium' needs Playwright, which is not installed: pip install"
            " 'lmgym[browser]', or take backend='dom'"
        ) from None


def _errors() -> tuple[type[Exception], ...]:
    """What Playwright raises."""
    if importlib.util.find_spec("playwright") is None:
        return ()
    return (_playwright_api().Error,)


@contextlib.contextmanager
def _told_how_to_install() -> Iterator[None]:
    try:
        yield
    except _errors() as error:
        raise LmgymError(
            f"Chromium cannot be started ({str(error).partition(chr(10))[0]}); install it (apt"
            " install chromium, or playwright install chromium) or name its program in"
            " LMGYM_CHROMIUM, or take backend='dom'"
        ) from None


def find_chromium() -> str | None:
    """The program of Chromium: LMGYM_CHROMIUM, or one on the path; None leaves it to Playwright."""
    named = os.environ.get("LMGYM_CHROMIUM")
    if named is not None and shutil.which(named) is None:
        raise LmgymError(f"LMGYM_CHROMIUM={named!r} is no program; name the one of Chromium")
    found = (shutil.which(name) for name in _NAMES)
    return named or next((path for path in found if path is not None), None)
