"""Walks over sites, as awkward as can be: for checks that back ends show the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple, TypeVar

import numpy as np

from .backends import Backend
from .base_site import Site
from .browsing import Refusal, Tab
from .catalog_view import choices_in
from .commands import Command, Target, parse_command
from .document import Control
from .oracle import NoWayError, planner

__all__ = ["AWKWARD", "Step", "Walk", "oracle_goal", "play", "random_command", "walk"]

AWKWARD = (
    "",
    " ",
    "  two  spaces at both ends  ",
    "<b>bold</b> & <script>alert(1)</script>",
    "\"double\" and 'single' \\ back",
    "&amp; &lt; &#65; &copy &nosuch;",
    "a&b=c+d~e%41f%zz;g#h?i/j*k-l_m.n@o:p,q$r!s(t)",
    "two\nlines",
    "\n\nthree\n\n",
    "tab\there",
    "return\rhere\r\nand here\n",
    "\n",
    "nul\x00 vt\x0b us\x1f del\x7f nel\x85 bom\ufeff fff\uffff",
    "größer, naïve, Ωμέγα, 日本語, עברית",
    "e\u0301 and \u00e9, \u212b",
    "🙂 👩‍👩‍👧 🇳🇴",
    "no\u00a0break, thin\u2009space, zero\u200bwidth, line\u2028separator",
    "\u3000wide\u2003",
    "\u00a0firm\u00a0",
    "--><!-- ]]> </textarea></option></p>",
    "0",
    "x" * 300,
)
"""Texts that have broken forms before."""

T = TypeVar("T")

Steer = Callable[[Tab, np.random.Generator], Command | None]
"""Chooses the next command; None ends the walk."""


class Step(NamedTuple):
    """A command and what it led to.

    Attributes:
        command: as text; empty where the walk begins.
        error: why it did nothing; empty where it did something.
        tab: afterwards.
    """

    command: str
    error: str
    tab: Tab

    @property
    def facts(self) -> tuple[int, ...]:
        """The facts, shape (D,)."""
        return tuple(map(int, self.tab.site.facts(self.tab.state)))

    @property
    def record(self) -> dict[str, Any]:
        """All that can be seen, for JSON; 16 hexadecimal digits stand for the text."""
        shown = blake2b(self.tab.text.encode(), digest_size=8).hexdigest()
        told = {"command": self.command, "error": self.error, "url": self.tab.url}
        return {**told, "digest": self.tab.digest, "facts": list(self.facts), "shown": shown}


class Walk(NamedTuple):
    """What to do on a site.

    Attributes:
        commands: as text.
        site: where.
    """

    site: Site
    commands: tuple[str, ...]


def play(backend: Backend, walk: Walk) -> Iterator[Step]:
    """The steps of a walk, its beginning first.

    Example:
        >>> from .backends import DomBackend
        >>> from .families import make_site
        >>> walk = Walk(make_site("forms", 0), ("goto('/privacy')", "go_forward()"))
        >>> [step.error or step.tab.url for step in play(DomBackend(), walk)]
        ['/profile', '/privacy', 'there is no page to go forward to']
    """
    step = Step("", "", backend.open(walk.site))
    yield step
    for command in walk.commands:
        step = carried_out(backend, step.tab, command)
        yield step


def carried_out(backend: Backend, tab: Tab, command: str) -> Step:
    """A step; what cannot be done leaves the tab as it is."""
    try:
        return Step(command, "", backend.execute(tab, parse_command(command)))
    except Refusal as refusal:
        return Step(command, str(refusal), tab)


def walk(backend: Backend, site: Site, steer: Steer, n: int, rng: np.random.Generator) -> Walk:
    """A walk of at most n commands that follows what a back end shows."""
    tab, commands = backend.open(site), list[str]()
    for _ in range(n):
        command = steer(tab, rng)
        if command is None:
            break
        commands.append(str(command))
        tab = carried_out(backend, tab, commands[-1]).tab
    return Walk(site, tuple(commands))


def oracle_goal(site: Site, rng: np.random.Generator, n_changes: int = 2) -> tuple[int, ...]:
    """A goal that can be reached from a site's start."""
    while True:
        goal = list(site.start_facts)
        for fact in rng.permutation(len(goal))[:n_changes].tolist():
            goal[fact] = int(rng.integers(site.sizes[fact]))
        if tuple(goal) != site.start_facts and not site.why_unreachable(site.start_facts, goal):
            return tuple(goal)


def follow_plan(goal: Sequence[int]) -> Steer:
    """Takes the shortest way to a goal."""

    def steer(tab: Tab, rng: np.random.Generator) -> Command | None:
        del rng
        try:
            return next(iter(planner(tab.site, tuple(goal)).plan(tab)), None)
        except NoWayError:
            return None

    return steer


def random_command(tab: Tab, rng: np.random.Generator) -> Command:
    """Anything: what is of use here, what is possible, and what is not."""
    kinds = (_useful, _on_control, _nonsense, _in_history, _to_address)
    kind = kinds[int(rng.choice(len(kinds), p=(0.3, 0.37, 0.05, 0.16, 0.12)))]
    return kind(tab, rng)


def _one_of(rng: np.random.Generator, items: Sequence[T]) -> T:
    return items[int(rng.integers(len(items)))]


def _useful(tab: Tab, rng: np.random.Generator) -> Command:
    usable = choices_in(tab).usable
    return tab.site.commands[_one_of(rng, usable)] if usable else Command("noop")


def _on_control(tab: Tab, rng: np.random.Generator) -> Command:
    """Something that fits a control, by its number."""
    control = _one_of(rng, [c for c in tab.page.controls if c.role != "hidden"])
    verb = _one_of(rng, _FITTING[control.role])
    return Command(verb, Target(bid=str(control.bid)), _value(control, verb, rng))


def _nonsense(tab: Tab, rng: np.random.Generator) -> Command:
    """Any verb on any element, whether or not there is one."""
    target = Target(bid=str(int(rng.integers(tab.page.n_elements + 2))))
    verb = _one_of(rng, ("click", "fill", "clear", "select_option", "check", "uncheck", "press"))
    values = {"fill": "x", "select_option": "1", "press": "Enter"}
    return Command(verb, target, values.get(verb))


def _in_history(tab: Tab, rng: np.random.Generator) -> Command:
    del tab
    return Command(_one_of(rng, ("go_back", "go_back", "go_forward", "noop")))


def _to_address(tab: Tab, rng: np.random.Generator) -> Command:
    links = [control.href or "" for control in tab.page.controls if control.role == "link"]
    strange = ("/nowhere", "/", "/help?", "/search?q=%zz&q=a+b%20c&=&q2", "/rows?page=2&sort=name")
    known = (*tab.back, *tab.forward, tab.url, *links, *strange)
    return Command("goto", value=_one_of(rng, known))


def _value(control: Control, verb: str, rng: np.random.Generator) -> str | None:
    if verb == "fill":
        return _one_of(rng, AWKWARD)
    if verb == "select_option":
        return _one_of(rng, _one_of(rng, control.options)) if control.options else "1"
    return "Enter" if verb == "press" else None


_FITTING: dict[str, tuple[str, ...]] = {
    "link": ("click", "press"),
    "button": ("click", "click", "press"),
    "textbox": ("fill", "fill", "fill", "clear", "press", "click"),
    "searchbox": ("fill", "fill", "clear", "press", "click"),
    "checkbox": ("click", "check", "uncheck", "press"),
    "radio": ("click", "check", "press"),
    "combobox": ("select_option", "select_option", "click", "press"),
}
