"""`Browser`: one Chromium with the page of one task, on a clock that only actions move."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lmgym.errors import LmgymError

from .actions import Action
from .serving import serve_folder

__all__ = ["Browser", "Seen", "find_programs"]

Seen = Mapping[str, Any]
"""What is seen on a page: `done`, `raw_reward`, `utterance`, and, as `read_page` takes them, `dom`
and `facts`."""

_PROGRAMS = {
    "MINIWOB_CHROME_BINARY": ("chromium", "chromium-browser", "google-chrome", "chrome"),
    "MINIWOB_CHROMEDRIVER": ("chromedriver", "chromium.chromedriver"),
}
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # containers and root lack it; the pages are those of the package
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--no-first-run",
    "--window-size=800,800",
    "--lang=en-US",
)
_INSTALL = "install the extra with: pip install 'lmgym[miniwob]'"
_READY_SECONDS = 30.0
_POLL_SECONDS = 0.01


class Browser:
    """A browser that shows one task of MiniWoB++.

    The page's clock stands still and moves by `page_ms` with each action, so animations and timers
    of the page run to the same point on any machine; the episode has no time limit.

    Args:
        task: as MiniWoB++ calls it, "click-test".
        data_mode: which problems of the task, "train" or "test"; few tasks tell them apart.
        page_ms: milliseconds that pass on the page with each action.

    Attributes:
        pid: of the process that started it.

    Raises:
        LmgymError: where the package or a program is missing, or the browser does not start.
    """

    def __init__(self, task: str, *, data_mode: str = "train", page_ms: int = 1000) -> None:
        """Start the browser; `begin` starts an episode."""
        self.pid = os.getpid()
        self._task = task
        self._data_mode = data_mode
        self._page_ms = page_ms
        self._url = _url_of(task, _html_folder())
        self._failures = _failures()
        self._driver = self._start()
        self._close = weakref.finalize(self, _quit, self._driver, self._failures, self.pid)

    def begin(self, seed: int) -> Seen:
        """Load the page anew, start the episode of `seed` and say what is seen.

        Raises:
            LmgymError: where the browser has ended.
        """
        with self._watch():
            self._driver.get(self._url)
            return self._settled(self._run("begin", seed, self._data_mode, self._page_ms))

    def act(self, action: Action) -> Seen:
        """Do something, let the page's clock run and say what is seen.

        Returns:
            `done`, `raw_reward`, `utterance`, `error`, which is empty where all went well, and,
            unless the episode is over, `dom` and `facts`, as `read_page` takes them.

        Raises:
            LmgymError: where the browser has ended.
        """
        with self._watch():
            if action.verb not in ("type", "press"):
                return self._settled(self._run("step", *action, self._page_ms))
            hold = "focus" if action.verb == "press" else "select"
            error = self._run("act", hold, action.ref, "")
            if not error:
                self._press(action)
            return {**self._settled(self._run("pass", self._page_ms)), "error": error}

    @property
    def has_ended(self) -> bool:
        """Whether it was closed or has failed."""
        return not self._close.alive

    def close(self) -> None:
        """End the browser; nothing happens where it has ended."""
        self._close()

    def _start(self) -> Any:
        webdriver = importlib.import_module("selenium.webdriver")
        service = importlib.import_module("selenium.webdriver.chrome.service")
        binary, driver = find_programs()
        options = webdriver.ChromeOptions()
        for option in _OPTIONS:
            options.add_argument(option)
        options.binary_location = binary
        options.unhandled_prompt_behavior = "accept"
        try:
            chrome = webdriver.Chrome(service=service.Service(driver), options=options)
            _prepare(chrome)
        except self._failures as error:
            raise LmgymError(
                f"cannot start {binary} with {driver}: {_first_line(error)}; their versions have to"
                " fit, and MINIWOB_CHROME_BINARY and MINIWOB_CHROMEDRIVER name others"
            ) from None
        return chrome

    def _settled(self, seen: Seen) -> Seen:
        """Wait for files, which the page's clock knows nothing of, and say what is seen then."""
        until = time.monotonic() + _READY_SECONDS
        told = {key: seen[key] for key in ("error",) if key in seen}
        while not seen["ready"]:
            if time.monotonic() > until:
                raise LmgymError(f"the page of {self._task} is not loaded after 30 seconds")
            time.sleep(_POLL_SECONDS)
            seen = self._run("pass", 0)
        return {**seen, **told}

    def _run(self, function: str, *given: object) -> Any:
        return self._driver.execute_script(f"return lmgym.{function}(...arguments)", *given)

    def _press(self, action: Action) -> None:
        """Type a text in place of what is selected, or press a key with its modifiers."""
        chains = importlib.import_module("selenium.webdriver.common.action_chains")
        chain = chains.ActionChains(self._driver, duration=0)
        keys = chain.w3c_actions.key_action
        for held, key in _strokes(action):
            for modifier in held:
                keys.key_down(modifier)
            keys.key_down(key)
            keys.key_up(key)
            for modifier in reversed(held):
                keys.key_up(modifier)
        chain.w3c_actions.perform()

    @contextmanager
    def _watch(self) -> Iterator[None]:
        """Tell of a browser that has ended, and end what is left of it."""
        try:
            yield
        except self._failures as error:
            self.close()
            raise LmgymError(
                f"the browser with the page of {self._task} failed: {_first_line(error)}; the"
                " episode is lost, and reset() starts another browser"
            ) from None


def find_programs() -> tuple[str, str]:
    """Where Chromium and its driver are.

    Raises:
        LmgymError: where one is missing; it says what to install.
    """
    found = {}
    for variable, names in _PROGRAMS.items():
        given = os.environ.get(variable)
        path = shutil.which(given) if given else next(filter(None, map(shutil.which, names)), None)
        if path is None:
            tried = f"{variable}={given!r}" if given else " or ".join(names)
            raise LmgymError(
                f"MiniWoB++ needs Chromium and its driver, and {tried} is not there; install them"
                " (Debian: apt-get install chromium chromium-driver), or name the programs with"
                f" {' and '.join(_PROGRAMS)}"
            )
        found[variable] = path
    binary, driver = found.values()
    return binary, driver


def _html_folder() -> Path:
    """The pages that the package brings along; it is found without being imported."""
    spec = importlib.util.find_spec("miniwob")
    if spec is None or spec.origin is None or importlib.util.find_spec("selenium") is None:
        raise LmgymError(f"the package 'miniwob' is not installed; {_INSTALL}")
    return Path(spec.origin).parent / "html"


def _url_of(task: str, folder: Path) -> str:
    if not task.startswith("flight."):
        return f"{(folder / 'miniwob' / task).as_uri()}.html"
    return f"{serve_folder(folder)}{task.replace('.', '/')}/wrapper.html"


def _prepare(chrome: Any) -> None:
    """What makes pages alike on all machines."""
    script = Path(__file__).with_name("page.js").read_text(encoding="utf-8")
    chrome.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
    chrome.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "UTC"})
    chrome.execute_cdp_cmd("Emulation.setLocaleOverride", {"locale": "en-US"})


def _strokes(action: Action) -> Iterator[tuple[list[str], str]]:
    """The keys of an action with the modifiers that are held."""
    keys = importlib.import_module("selenium.webdriver.common.keys").Keys
    text = str(action.value)
    if action.verb == "press":
        *held, key = text.split("+") if len(text) > 1 else [text]
        yield [_key(keys, name) for name in held], _key(keys, key)
        return
    for character in text:
        yield [], keys.ENTER if character == "\n" else character
    if not text:
        yield [], keys.DELETE


def _key(keys: Any, name: str) -> str:
    if len(name) == 1:
        return name
    spelled = name.removeprefix("Arrow") if name.startswith("Arrow") else name
    spelled = {"PageUp": "PAGE_UP", "PageDown": "PAGE_DOWN"}.get(spelled, spelled)
    key: str = getattr(keys, spelled.upper())
    return key


def _failures() -> tuple[type[Exception], ...]:
    """What a browser that has ended, or a page that hangs, is seen by."""
    selenium = importlib.import_module("selenium.common.exceptions")
    urllib3 = importlib.import_module("urllib3.exceptions")
    return (selenium.WebDriverException, urllib3.HTTPError, ConnectionError)


def _quit(driver: Any, failures: tuple[type[Exception], ...], pid: int) -> None:
    if os.getpid() != pid:  # a process that was forked leaves the browser to the one that owns it
        return
    with suppress(*failures):
        driver.quit()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
