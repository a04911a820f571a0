"""`ChromiumBackend`: the same pages in a real browser, driven by Playwright.

Only what a browser decides is taken from it: the tree of the document, where a link or a form
leads, what the fields hold, the history, the address. Roles, names and texts are read from that
tree by the code that reads our own DOM's, so equal texts mean equal browsers.
"""

from __future__ import annotations

import io
import os
import weakref
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError

from .base_site import Site, State
from .browsing import Tab, execute, find_control
from .commands import Command
from .document import Control, Node, Page, Value
from .live_browser import LiveBrowser
from .reading import read_nodes

__all__ = ["ChromiumBackend", "look_at"]

_FIND = "place => document.querySelectorAll('*')[place]"
_READ = """() => {
  const nodes = [], values = [];
  const visit = (node, depth) => {
    if (node.nodeType === Node.TEXT_NODE) nodes.push([depth, '-text', [], node.nodeValue]);
    if (node.nodeType === Node.ELEMENT_NODE) {
      const attributes = [...node.attributes].map(a => [a.name, a.value]);
      const tag = node.localName, type = node.type;
      nodes.push([depth, tag, attributes, '']);
      if (tag === 'select') values.push(node.selectedIndex);
      else if (tag === 'textarea') values.push(node.value);
      else if (tag === 'input' && (type === 'checkbox' || type === 'radio'))
        values.push(node.checked);
      else if (tag === 'input' && type !== 'submit' && type !== 'button')
        values.push(node.value);
    }
    for (const child of node.childNodes) visit(child, depth + 1);
  };
  visit(document.documentElement, 0);
  return [location.href.slice(location.origin.length), nodes, values];
}"""


class ChromiumBackend:
    """Shows sites in Chromium, over HTTP on the loopback interface.

    A tab stays a value: when a command is given for another tab than the one the browser shows, the
    browser is first brought there. The browser starts with the first site.

    Args:
        headless: whether it shows no window; None: no window where there is no display.
    """

    def __init__(self, *, headless: bool | None = None) -> None:
        """Start nothing yet."""
        has_display = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
        self.headless = not has_display if headless is None else headless
        self._live: LiveBrowser | None = None
        self._shown: Tab | None = None

    def open(self, site: Site, state: State | None = None) -> Tab:
        """A site's home, without a history."""
        live = self.started()

        def opened() -> Tab:
            self._shown = None
            live.begin(site, site.start if state is None else state, site.home)
            return self._look(live)

        return live.run(opened)

    def execute(self, tab: Tab, command: Command) -> Tab:
        """The tab after a command, carried out by the browser."""
        control = None if command.target is None else find_control(tab.page, command.target)
        execute(tab, command)  # refuses what cannot be done
        live = self.started()

        def executed() -> Tab:
            self._show(live, tab)
            self._shown = None  # whatever happens now
            _act(live, tab, control, command)
            return self._look(live)

        return live.run(executed)

    def picture(self, tab: Tab) -> NDArray[np.uint8]:
        """A screenshot, shape (480, 640, 3), uint8."""
        from PIL import Image

        live = self.started()

        def taken() -> bytes:
            self._show(live, tab)
            png: bytes = live.page.screenshot()
            return png

        image = Image.open(io.BytesIO(live.run(taken)))
        return np.asarray(image.convert("RGB"), np.uint8).copy()

    def close(self) -> None:
        """Close the browser and its server."""
        if self._live is not None:
            self._live.close()
        self._live = self._shown = None

    def __getstate__(self) -> dict[str, Any]:
        """A copy starts a browser of its own."""
        return {"headless": self.headless, "_live": None, "_shown": None}

    def started(self) -> LiveBrowser:
        """The browser; one is started where none runs."""
        if self._live is None or self._live.has_ended:
            self._shown = None
            self._live = LiveBrowser(headless=self.headless)
            weakref.finalize(self, self._live.close)
        return self._live

    def _look(self, live: LiveBrowser) -> Tab:
        """The tab as the browser shows it."""
        url, page, values = look_at(live.page)
        back, forward = live.history()
        assert live.server.site is not None
        self._shown = Tab(live.server.site, live.server.state, url, page, values, back, forward)
        return self._shown

    def _show(self, live: LiveBrowser, tab: Tab) -> None:
        """Bring the browser to a tab, if it is not there."""
        if tab is self._shown:
            return
        urls = (*tab.back, tab.url, *reversed(tab.forward))
        live.begin(tab.site, tab.state, urls[0])
        for url in urls[1:]:
            live.visit(url)
        for _ in tab.forward:
            live.page.go_back()
        for control in tab.page.controls:
            if control.field >= 0 and tab.values[control.field] != tab.page.initial[control.field]:
                _set(live, control, tab.values[control.field])
        if self._look(live) != tab:
            raise LmgymError(f"the browser shows {self._shown}, where {tab} was to be shown again")
        self._shown = tab


def look_at(page: Any) -> tuple[str, Page, tuple[Value, ...]]:
    """Address, document, and what the fields hold, of Playwright's page."""
    url, nodes, values = page.evaluate(_READ)
    read = _page(tuple((d, tag, tuple(map(tuple, a)), text) for d, tag, a, text in nodes))
    return url, read, tuple(values)


def _act(live: LiveBrowser, tab: Tab, control: Control | None, command: Command) -> None:
    """Let the browser do what has been found to be possible."""
    verb, value = command.verb, command.value or ""
    if control is None:
        _act_without_element(live, verb, value)
    elif verb == "fill" or verb == "clear":  # a line break alone would send the form
        _element(live, control).fill(value if control.is_area else value.rstrip("\r\n"))
    elif verb == "select_option":
        _element(live, control).select_option(value)
    elif verb == "check" or verb == "uncheck":
        _element(live, control).set_checked(verb == "check")
    elif _leads_away(control, verb):
        with live.leading_away():
            _press(live, control, command)
    else:
        _press(live, control, command)


def _act_without_element(live: LiveBrowser, verb: str, value: str) -> None:
    if verb == "goto":
        live.goto(value)
    elif verb == "go_back":
        live.page.go_back()
    elif verb == "go_forward":
        live.page.go_forward()


def _press(live: LiveBrowser, control: Control, command: Command) -> None:
    """Click, or press a key."""
    element = _element(live, control)
    if command.verb == "click":
        element.click()
    else:
        element.press(command.value)


def _set(live: LiveBrowser, control: Control, value: Value) -> None:
    """Give a field a value."""
    element = _element(live, control)
    if isinstance(value, bool):
        if value or control.role == "checkbox":
            element.set_checked(value)
    elif isinstance(value, int):
        element.select_option(index=value)
    else:
        element.fill(value)


def _element(live: LiveBrowser, control: Control) -> Any:
    return live.page.evaluate_handle(_FIND, control.bid).as_element()


def _leads_away(control: Control, verb: str) -> bool:
    """Whether a click or a key loads a page."""
    if control.role == "link":
        return True
    return (control.role == "button" or verb == "press") and control.form >= 0


@lru_cache(maxsize=4096)
def _page(nodes: tuple[tuple[int, str, tuple[tuple[str, str], ...], str], ...]) -> Page:
    return read_nodes(tuple(Node(d, tag, dict(a), text) for d, tag, a, text in nodes))
