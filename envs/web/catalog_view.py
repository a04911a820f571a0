"""Which of a site's commands do something on a page, and what its fields hold of their values."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .base_site import Site
from .browsing import Refusal, Tab, find_control
from .commands import Command
from .document import Control, Page, Value

__all__ = ["CatalogView", "Choices", "choices_in"]

_REMEMBERED = 8192


class _Setter(NamedTuple):
    """A command that gives a field a value.

    Attributes:
        place: among the site's commands.
        field: among the fields of the page.
        value: that the field is given.
    """

    place: int
    field: int
    value: Value


class CatalogView:
    """The commands of a site on one of its pages.

    Args:
        site: whose commands.
        page: where.

    Attributes:
        present: 1 for each command whose element is on the page, shape (C,).
        setters: the commands that give a field a value.
        controls: the element of each command that is on the page, by the command's place.
    """

    def __init__(self, site: Site, page: Page) -> None:
        """Look every command's element up."""
        n = len(site.commands)
        self.present: NDArray[np.float32] = np.zeros(n, np.float32)
        self.setters: list[_Setter] = []
        self.controls: dict[int, Control] = {}
        self._presses: list[tuple[int, tuple[int, ...]]] = []
        for place, command in enumerate(site.commands):
            control = _control(page, command)
            if control is None:
                continue
            self.present[place] = 1
            self.controls[place] = control
            if control.field >= 0:
                self.setters.append(_Setter(place, control.field, _wanted(control, command)))
            else:
                self._presses.append((place, _needed(page, control)))

    def usable(self, values: Sequence[Value]) -> list[int]:
        """The places of the commands that do something while the fields hold `values`."""
        found = [place for place, field, value in self.setters if values[field] != value]
        for place, needed in self._presses:
            if all(values[field] for field in needed):
                found.append(place)
        return found

    def current(self, values: Sequence[Value]) -> list[int]:
        """The places of the commands whose field holds what they would give it."""
        return [place for place, field, value in self.setters if values[field] == value]


class Choices(NamedTuple):
    """What can be done in a tab.

    Attributes:
        view: the commands on the page.
        usable: places of the commands that do something.
        mask: 1 for each of them, shape (C,), read-only.
        current: 1 for each command whose field holds what it would give it, shape (C,), read-only.
    """

    view: CatalogView
    usable: tuple[int, ...]
    mask: NDArray[np.bool_]
    current: NDArray[np.float32]


def choices_in(tab: Tab) -> Choices:
    """What can be done in a tab; the same page with the same fields is looked at once.

    Example:
        >>> from .browsing import open_tab
        >>> from .families import make_site
        >>> site = make_site("forms", 0)
        >>> int(choices_in(open_tab(site, site.start)).view.present.sum())
        15
    """
    return _choices(tab.site, tab.page, tab.values)


@lru_cache(maxsize=_REMEMBERED)
def _choices(site: Site, page: Page, values: tuple[Value, ...]) -> Choices:
    view = _view(site, page)
    usable = view.usable(values)
    n = len(site.commands)
    mask, current = np.zeros(n, np.bool_), np.zeros(n, np.float32)
    mask[usable] = True
    current[view.current(values)] = 1
    mask.flags.writeable = current.flags.writeable = False
    return Choices(view, tuple(usable), mask, current)


@lru_cache(maxsize=_REMEMBERED)
def _view(site: Site, page: Page) -> CatalogView:
    return CatalogView(site, page)


def _control(page: Page, command: Command) -> Control | None:
    assert command.target is not None
    try:
        control = find_control(page, command.target)
    except Refusal:
        return None
    known = [text for _, text in control.options]
    is_missing = command.verb == "select_option" and command.value not in known
    return None if control.is_disabled or is_missing else control


def _wanted(control: Control, command: Command) -> Value:
    """What a command gives a field."""
    if command.verb == "select_option":
        return [text for _, text in control.options].index(command.value or "")
    return command.value or "" if command.verb == "fill" else command.verb == "check"


def _needed(page: Page, control: Control) -> tuple[int, ...]:
    """The fields without which a button sends nothing."""
    if control.role != "button":
        return ()
    return tuple(
        other.field for other in page.controls if other.form == control.form and other.is_required
    )
