"""`WebState`: an episode on a site, as a value, and how both worlds begin and go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from lmgym.errors import LmgymError
from lmgym.task import Message, Opening, Role

from .arguments import Problems, SiteArgs, split_name
from .backends import Backend
from .base_site import Site, State
from .browsing import Tab
from .instructions import write_progress
from .oracle import NoWayError, planner
from .problems import Problem

__all__ = ["Episodes", "WebState", "message_text", "next_command"]

_REMEMBERED = 8_192
"""Tellings of progress that are kept."""


@dataclass(frozen=True, slots=True)
class WebState:
    """Where an episode is.

    Attributes:
        problem: what is asked for.
        tab: what the browser shows, and what the server knows.
        target: what the server is to know.
        error: why the last command did nothing; empty where it did something.
    """

    problem: Problem
    tab: Tab
    target: State = field(repr=False)
    error: str = ""

    @property
    def is_reached(self) -> bool:
        """Whether everything is as it was asked for, and nothing else has changed."""
        return self.tab.state == self.target

    @property
    def text(self) -> str:
        """What the agent reads: what is asked for, what has changed, what went wrong, the page."""
        return message_text(self.problem.instruction, self.problem.start, self.tab, self.error)

    @property
    def facts(self) -> tuple[int, ...]:
        """What the facts are, shape (D,)."""
        return self.tab.site.facts(self.tab.state)

    def after(self, tab: Tab) -> WebState:
        """The state once a command has done something."""
        return WebState(self.problem, tab, self.target)

    def refused(self, error: str) -> WebState:
        """The state once a command has done nothing."""
        return replace(self, error=error)


def message_text(instruction: str, start: Sequence[int], tab: Tab, error: str = "") -> str:
    """A message to the agent.

    Args:
        instruction: what is asked for.
        start: what the facts were when it was asked for, shape (D,); what has changed is told.
        tab: what is shown.
        error: why the last command did nothing.
    """
    done = _progress(tab.site, tuple(start), tab.state)
    mistake = f"Error: {error}\n" if error else ""
    return f"Task: {instruction}\nDone: {done}.\n{mistake}{tab.text}"


@lru_cache(maxsize=_REMEMBERED)
def _progress(site: Site, start: tuple[int, ...], state: State) -> str:
    return write_progress(site, start, site.facts(state)) or "nothing yet"


class Episodes:
    """How episodes of a web world begin.

    Args:
        args: of the world.
        backend: shows the pages.
    """

    def __init__(self, args: SiteArgs, backend: Backend) -> None:
        """Keep what is needed."""
        self.problems = Problems(args)
        self.backend = backend

    def start(
        self,
        rng: np.random.Generator,
        split: str,
        task_id: str | None,
        goal: Sequence[int] | None = None,
    ) -> WebState:
        """An episode of a split, or the one at an address, with its goal or another.

        Raises:
            LmgymError: where the goal cannot be reached, or is reached already.
            KeyError: where there is no problem at the address.
        """
        found = self.problems.at(task_id) if task_id is not None else None
        if task_id is not None and found is None:
            raise KeyError(task_id)
        problem = found or self.problems.draw(rng, split_name(split))
        if goal is not None:
            problem = _with_goal(problem, goal)
        site = problem.site
        tab = self.backend.open(site, site.state_of(problem.start))
        return WebState(problem, tab, site.state_of(problem.goal))

    def opening(
        self, state: WebState, messages: Sequence[Message] | None = None
    ) -> Opening[WebState]:
        """The opening of an episode that starts in a state."""
        problem = state.problem
        columns = {
            "family": problem.family,
            "n_changes": len(problem.changes),
            "web_split": problem.split,
        }
        said = tuple(messages or (Message(Role.USER, state.text),))
        return Opening(state, said, problem.address, None, columns)


def next_command(state: WebState) -> str | None:
    """The next command of a shortest way, as text; None where there is no way any more."""
    try:
        plan = planner(state.tab.site, state.problem.goal).plan(state.tab)
    except NoWayError:
        return None
    return str(plan[0]) if plan else "noop()"


def _with_goal(problem: Problem, goal: Sequence[int]) -> Problem:
    """The problem with another goal.

    Raises:
        LmgymError: where it is no goal, cannot be reached, or is reached already.
    """
    site = problem.site
    wanted = tuple(site.schema().check(goal).tolist())
    why = site.why_unreachable(problem.start, wanted)
    if why is not None:
        raise LmgymError(f"goal {list(wanted)} cannot be reached: {why}")
    if wanted == problem.start:
        raise LmgymError(
            f"goal {list(wanted)} is reached already: the site starts like this; change a fact"
        )
    return replace(problem, goal=wanted)
