"""What shows the pages: our own DOM, or a real browser."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError, unknown

from .base_site import Site, State
from .browsing import Tab, execute, open_tab
from .commands import Command

__all__ = ["BACKENDS", "Backend", "DomBackend", "make_backend"]

BACKENDS = ("dom", "chromium")


class Backend(Protocol):
    """Shows the pages of a site and carries out commands; equal commands give equal tabs."""

    def open(self, site: Site, state: State | None = None) -> Tab:
        """A site's home, in a state; by default its own start."""
        ...

    def execute(self, tab: Tab, command: Command) -> Tab:
        """The tab after a command.

        Raises:
            Refusal: where it does nothing; it says why.
        """
        ...

    def picture(self, tab: Tab) -> NDArray[np.uint8]:
        """A screenshot, shape (height, width, 3), uint8."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class DomBackend:
    """Pages in this process, without a browser: a tab is a value."""

    def open(self, site: Site, state: State | None = None) -> Tab:
        """A site's home."""
        return open_tab(site, site.start if state is None else state)

    def execute(self, tab: Tab, command: Command) -> Tab:
        """The tab after a command."""
        return execute(tab, command)

    def picture(self, tab: Tab) -> NDArray[np.uint8]:
        """There are none.

        Raises:
            LmgymError: always.
        """
        raise LmgymError(
            f"backend='dom' draws no picture of {tab.url}; use render_mode='ansi', or"
            " backend='chromium'"
        )

    def close(self) -> None:
        """There is nothing to give back."""


def make_backend(name: str, *, headless: bool | None = None) -> Backend:
    """A back end by its name.

    Args:
        name: one of `BACKENDS`.
        headless: whether Chromium shows no window; None: no window where there is no display.
    """
    if name == "dom":
        return DomBackend()
    if name == "chromium":
        from .chromium import ChromiumBackend

        return ChromiumBackend(headless=headless)
    raise unknown("backend", name, BACKENDS)
