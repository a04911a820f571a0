"""`LivePage`: the one page of a browser, brought to whatever state is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, NamedTuple

from lmgym.errors import LmgymError

from .actions import Action
from .browser import Browser
from .page import Page, read_page

__all__ = ["LivePage", "LivePages", "Outcome", "PageState"]

_LOADINGS = count(1)
"""Numbers of the pages that have been loaded, of tasks whose pages cannot be made again."""


@dataclass(frozen=True, slots=True)
class PageState:
    """Where an episode is: what leads there, and what is seen there.

    Attributes:
        seed: of the problem.
        actions: what was done so far.
        page: what is seen.
        loading: which loading of the page the episode lives on; 0 where a page can be loaded and
            brought to the same state again.
        said: the agent's messages so far, those that were no commands among them.
    """

    seed: int
    actions: tuple[Action, ...]
    page: Page
    loading: int = 0
    said: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[int, tuple[Action, ...], int]:
        """What tells states apart."""
        return self.seed, self.actions, self.loading


class Outcome(NamedTuple):
    """What an action led to.

    Attributes:
        state: the next state; its page is the one before where the episode is over.
        error: why the element did not take the action; empty where it did.
        raw_reward: MiniWoB++'s reward before it is scaled by time; None while the episode goes on.
    """

    state: PageState
    error: str
    raw_reward: float | None


class LivePage:
    """A browser's page, which is in one state at a time.

    A state that the page is not in is made again: the page is loaded anew, and what was done is
    done again; the text of the page has to come out the same.

    Args:
        name: of the task.
        start: starts the browser.
        is_exact: whether states can be made again.
        longest: characters that the text of a page may have.
    """

    def __init__(
        self, name: str, start: Callable[[], Browser], *, is_exact: bool, longest: int
    ) -> None:
        """Nothing is started before it is needed."""
        self._name = name
        self._start = start
        self._is_exact = is_exact
        self._longest = longest
        self._browser: Browser | None = None
        self._at: tuple[int, tuple[Action, ...], int] | None = None

    @property
    def is_free(self) -> bool:
        """Whether no episode is under way on it."""
        return self._at is None

    def shows(self, state: PageState) -> bool:
        """Whether the page is in this state."""
        return self._at == state.key

    def open(self, seed: int) -> PageState:
        """Load the page with the problem of `seed`.

        Raises:
            LmgymError: where something that is needed is missing, or the browser has ended.
        """
        self._at = None
        page = read_page(self._running().begin(seed), self._longest)
        state = PageState(seed, (), page, 0 if self._is_exact else next(_LOADINGS))
        self._at = state.key
        return state

    def act(self, state: PageState, action: Action) -> Outcome:
        """Do something in a state.

        Raises:
            LmgymError: where the page is in another state that cannot be made again, or the
                browser has ended.
        """
        if self._at != state.key or self._is_lost():
            self._return_to(state)
        self._at = None  # unknown, should the browser end
        seen = self._running().act(action)
        following = self._following(state, action, seen)
        if seen["done"]:
            return Outcome(following, seen["error"], float(seen["raw_reward"]))
        self._at = following.key
        return Outcome(following, seen["error"], None)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the browser: a copy starts its own."""
        return {**self.__dict__, "_browser": None, "_at": None}

    def close(self) -> None:
        """End the browser; the next use starts another."""
        if self._browser is not None:
            self._browser.close()
        self._browser = self._at = None

    def _running(self) -> Browser:
        if self._browser is None or self._browser.has_ended or self._is_lost():
            self._browser = self._start()
        return self._browser

    def _is_lost(self) -> bool:
        """Whether the browser belongs to the process that this one was forked from."""
        return self._browser is not None and self._browser.pid != os.getpid()

    def _following(self, state: PageState, action: Action, seen: Mapping[str, Any]) -> PageState:
        page = state.page if seen["done"] else read_page(seen, self._longest)
        return replace(state, actions=(*state.actions, action), page=page)

    def _return_to(self, state: PageState) -> None:
        if not self._is_exact:
            raise LmgymError(
                f"the task {self._name!r} is nondeterministic, so the page of an episode cannot be"
                " made again; give each episode an environment of its own, finish it before the"
                " next one starts, and take no snapshots"
            )
        made = self.open(state.seed)
        for action in state.actions:
            made = self._following(made, action, self._running().act(action))
        if (made.page.utterance, made.page.text) != (state.page.utterance, state.page.text):
            raise LmgymError(
                f"the page of {self._name!r} with seed {state.seed} came out different after the"
                f" same {len(state.actions)} actions; give each episode an environment of its own"
            )
        self._at = state.key


class LivePages:
    """Some pages of the same task, for as many episodes side by side.

    Args:
        pages: one or more.
    """

    def __init__(self, pages: Sequence[LivePage]) -> None:
        """Nothing is started before it is needed."""
        self._pages = list(pages)  # the one used last comes last

    def open(self, seed: int) -> PageState:
        """Load the problem of `seed` on a page that is free, else on the one used longest ago."""
        free = next((page for page in self._pages if page.is_free), self._pages[0])
        return self._used(free).open(seed)

    def act(self, state: PageState, action: Action) -> Outcome:
        """Do something in a state, on the page that shows it where there is one."""
        showing = next((page for page in self._pages if page.shows(state)), None)
        free = next((page for page in self._pages if page.is_free), self._pages[0])
        return self._used(showing or free).act(state, action)

    def close(self) -> None:
        """End all browsers; the next use starts others."""
        for page in self._pages:
            page.close()

    def _used(self, page: LivePage) -> LivePage:
        self._pages.remove(page)
        self._pages.append(page)
        return page
