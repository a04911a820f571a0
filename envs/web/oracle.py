"""The shortest way to a goal, by breadth-first search over a site's commands."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from functools import lru_cache

from lmgym.errors import LmgymError

from .base_site import Site, State
from .browsing import Tab, execute
from .catalog_view import choices_in
from .commands import Command

__all__ = ["NoWayError", "Planner", "place_of", "planner", "shortest_plan"]

_MOST = 200_000
"""Tabs that a search looks at before it gives up."""


def shortest_plan(tab: Tab, goal: Sequence[int], *, is_full: bool = False) -> tuple[Command, ...]:
    """The fewest commands that make the facts of a site what a goal says, and nothing else.

    Commands that no shortest way needs are left out, see `_Useful`; nothing is lost by it.

    Args:
        tab: where to start.
        goal: shape (D,).
        is_full: try every command everywhere; slow, to check the above.

    Raises:
        NoWayError: where there is none.
    """
    site = tab.site
    target = site.state_of(goal)
    useful = _Useful(tab, goal)
    ways: dict[Hashable, tuple[int, ...]] = {place_of(tab): ()}
    queue = deque([tab])
    while queue and len(ways) < _MOST:
        here = queue.popleft()
        way = ways[place_of(here)]
        if here.state == target:
            return tuple(site.commands[place] for place in way)
        for place in choices_in(here).usable if is_full else useful.places(here):
            there = execute(here, site.commands[place])
            if place_of(there) not in ways:
                ways[place_of(there)] = (*way, place)
                queue.append(there)
    raise NoWayError(f"no commands lead from {tab.url} of {site.family} to the goal {list(goal)}")


class _Useful:
    """What a search tries: of the commands that do something those that a shortest way may need.

    These are the ones that the site names for what is still to be changed. A page whose fields the
    search has changed is left by its buttons alone, because they are changed only to be sent. What
    was changed before the search may be left behind, or be undone.
    """

    def __init__(self, start: Tab, goal: Sequence[int]) -> None:
        self._start, self._goal = start, goal
        self._undo = _undoing(start)
        self._named: dict[tuple[State, str], frozenset[int]] = {}

    def places(self, tab: Tab) -> list[int]:
        """Places of the commands to try in a tab."""
        commands, named = tab.site.commands, self._names(tab)
        if tab.page is self._start.page:
            named = named | self._undo
        kept = [place for place in choices_in(tab).usable if place in named]
        if tab is self._start or tab.values == tab.page.initial:
            return kept
        return [place for place in kept if not _is_link(commands[place])]

    def _names(self, tab: Tab) -> frozenset[int]:
        key = (tab.state, tab.url)
        if key not in self._named:
            facts = tab.site.facts(tab.state)
            self._named[key] = tab.site.useful(facts, self._goal, tab.url)
        return self._named[key]


def _undoing(tab: Tab) -> frozenset[int]:
    """Places of the commands that give the changed fields of a tab what they held at first."""
    page, values = tab.page, tab.values
    setters = choices_in(tab).view.setters
    return frozenset(
        s.place for s in setters if s.value == page.initial[s.field] != values[s.field]
    )


def _is_link(command: Command) -> bool:
    return command.target is not None and command.target.role == "link"


class NoWayError(LmgymError):
    """A goal that cannot be reached any more."""


class Planner:
    """Plans of one goal of a site, remembered from step to step.

    Args:
        goal: shape (D,).
    """

    def __init__(self, goal: Sequence[int]) -> None:
        """Nothing is planned yet."""
        self._goal = tuple(map(int, goal))
        self._rest: dict[Hashable, tuple[Command, ...]] = {}

    def plan(self, tab: Tab) -> tuple[Command, ...]:
        """The fewest commands from here.

        Raises:
            NoWayError: where no commands lead to the goal any more.
        """
        key = place_of(tab)
        if key not in self._rest:
            self._remember(tab, shortest_plan(tab, self._goal))
        return self._rest[key]

    def _remember(self, tab: Tab, plan: tuple[Command, ...]) -> None:
        """Keep what is left of a plan at each of its steps."""
        for step in range(len(plan) + 1):
            self._rest[place_of(tab)] = plan[step:]
            if step < len(plan):
                tab = execute(tab, plan[step])


@lru_cache(maxsize=1024)
def planner(site: Site, goal: tuple[int, ...]) -> Planner:
    """The planner of a goal; the same arguments give the same one."""
    del site
    return Planner(goal)


def place_of(tab: Tab) -> Hashable:
    """What decides what can happen next, but for the history: state, address, fields."""
    return tab.state, tab.url, tab.values
