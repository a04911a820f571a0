"""`Tab`: a browser's tab as a value, and what each command does to it.

A command is a pure function of a tab, so a clone is a reference, every episode replays exactly,
and a search can try things out. Links, history, fields and forms behave as in a real browser.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from urllib.parse import quote_plus, urlsplit

from .base_site import Site, State, digest, respond
from .commands import Command, Target, quoted
from .document import Control, Page, Value
from .parsing import parse_html

__all__ = ["Refusal", "Tab", "act_on", "execute", "find_control", "open_tab"]

_REMEMBERED = 16_384
"""States with addresses whose pages are remembered."""
_ALLOWED = "*"
"""What forms do not escape, besides what Python does not."""
_ADDRESS = re.compile(r"/(?:[\w-]+(?:/[\w-]+)*/?)?(?:\?[\w=&%+*.-]*)?", re.ASCII)
"""Addresses that every browser takes as they are spelled."""
_HISTORY = 49
"""Pages that Chromium remembers besides the one it shows."""


class Refusal(Exception):  # noqa: N818  (it is an answer, not a defect)
    """Why a command does nothing here."""


@dataclass(frozen=True, slots=True)
class Tab:
    """What a browser's tab shows, and what its server knows.

    Attributes:
        site: the site.
        state: of the server.
        url: path and query of the page that is shown.
        page: the page.
        values: what its fields hold.
        back: addresses to go back to, the nearest last.
        forward: addresses to go forward to, the nearest last.
    """

    site: Site
    state: State
    url: str
    page: Page = field(compare=False)
    values: tuple[Value, ...]
    back: tuple[str, ...] = ()
    forward: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The address and the page as text."""
        return f"{self.url}\n{self.page.text(self.values)}"

    def __repr__(self) -> str:
        """What tells it from others, without the page."""
        return f"Tab({self.site!r}, {self.url!r}, {self.state}, {self.values})"

    @property
    def digest(self) -> str:
        """Stands for the server's state."""
        return digest(self.state)


def open_tab(site: Site, state: State) -> Tab:
    """A tab at the site's home."""
    return _load(site, state, site.home, (), ())


def execute(tab: Tab, command: Command) -> Tab:
    """The tab after a command.

    Raises:
        Refusal: where it does nothing; it says why.
    """
    if command.target is None:
        return _WITHOUT_ELEMENT[command.verb](tab, command.value or "")
    return act_on(tab, find_control(tab.page, command.target), command)


def act_on(tab: Tab, control: Control, command: Command) -> Tab:
    """The tab after a command, whose element is known.

    Raises:
        Refusal: where it does nothing; it says why.
    """
    if control.is_disabled:
        raise Refusal(f"{control.role} {quoted(control.name)} is disabled")
    return _ON_ELEMENT[command.verb](tab, control, command.value or "")


def find_control(page: Page, target: Target) -> Control:
    """The control that a command names.

    Raises:
        Refusal: where there is none, or more than one.
    """
    if target.bid:
        found = page.by_bid.get(target.bid)
        if found is not None:
            return found
        if int(target.bid) < page.n_elements:
            raise Refusal(f"element {target.shown} is nothing that can be acted on")
        raise Refusal(f"there is no element {target.shown} on this page")
    named = page.by_name.get((target.role, target.name), ())
    if len(named) == 1:
        return named[0]
    if named:
        ids = ", ".join(str(control.bid) for control in named)
        raise Refusal(f"{target.shown} is not one element; give a number: {ids}")
    raise Refusal(f"there is no {target.shown} on this page")


def _load(
    site: Site, state: State, url: str, back: tuple[str, ...], forward: tuple[str, ...]
) -> Tab:
    page = _page_at(site, state, url)
    return Tab(site, state, url, page, page.initial, back, forward)


@lru_cache(maxsize=_REMEMBERED)
def _page_at(site: Site, state: State, url: str) -> Page:
    """The page at an address; sites are pure functions, so each page is asked for once."""
    return parse_html(respond(site, state, "get", url)[1].html)


def _go(tab: Tab, url: str) -> Tab:
    """Follow a link; the same address is loaded again, in its place."""
    if url == tab.url:
        return _load(tab.site, tab.state, url, tab.back, tab.forward)
    return _load(tab.site, tab.state, url, _left(tab), ())


def _left(tab: Tab) -> tuple[str, ...]:
    """What there is to go back to, once the page is left; browsers forget the oldest."""
    return (*tab.back, tab.url)[-_HISTORY:]


def _click(tab: Tab, control: Control, value: str) -> Tab:
    del value
    if control.role == "link":
        return _follow(tab, control.href or "")
    if control.role == "button":
        return _submit(tab, control)
    if control.role == "checkbox":
        return _with_value(tab, control, not tab.values[control.field])
    if control.role == "radio":
        return _choose_radio(tab, control)
    return tab


def _follow(tab: Tab, href: str) -> Tab:
    if not href.startswith("/"):
        raise Refusal(f"the link leads away from this site, to {href[:60]!r}")
    return _go(tab, href)


def _fill(tab: Tab, control: Control, value: str) -> Tab:
    if control.role not in ("textbox", "searchbox"):
        raise Refusal(f"a {control.role} takes no text; fill a textbox")
    return _with_value(tab, control, _typed(value, is_area=control.is_area))


def _typed(value: str, *, is_area: bool) -> str:
    """What a text becomes in a field: line breaks are spaces where there is only one line."""
    if "\n" not in value and "\r" not in value:
        return value
    lines = value.replace("\r\n", "\n").replace("\r", "\n")
    return lines if is_area else lines.rstrip("\n").replace("\n", " ")


def _clear(tab: Tab, control: Control, value: str) -> Tab:
    return _fill(tab, control, value)


def _select(tab: Tab, control: Control, value: str) -> Tab:
    if control.role != "combobox":
        raise Refusal(f"a {control.role} has no options; select in a combobox")
    for place, option in enumerate(control.options):
        if value in option:
            return _with_value(tab, control, place)
    known = ", ".join(text for _, text in control.options)
    raise Refusal(f"there is no option {value[:60]!r}; there are {known}")


def _check(tab: Tab, control: Control, value: str) -> Tab:
    del value
    if control.role == "radio":
        return _choose_radio(tab, control)
    if control.role != "checkbox":
        raise Refusal(f"a {control.role} cannot be checked")
    return _with_value(tab, control, True)


def _uncheck(tab: Tab, control: Control, value: str) -> Tab:
    del value
    if control.role != "checkbox":
        raise Refusal(f"a {control.role} cannot be unchecked; only a checkbox can")
    return _with_value(tab, control, False)


def _press(tab: Tab, control: Control, value: str) -> Tab:
    if value != "Enter":
        raise Refusal(f"the key {value[:60]!r} does nothing here; press 'Enter'")
    if control.role in ("link", "button"):
        return _click(tab, control, "")
    if control.form < 0 or control.is_area or control.role == "combobox":
        raise Refusal(f"Enter does nothing in this {control.role}")
    return _submit(tab, _default_button(tab.page, control.form))


def _default_button(page: Page, form: int) -> Control:
    """What Enter presses: the first button of the form."""
    for control in page.controls:
        if control.role == "button" and control.form == form:
            if control.is_disabled:
                raise Refusal("the button of this form is disabled")
            return control
    raise Refusal("this form has no button")


def _goto(tab: Tab, value: str) -> Tab:
    if not _ADDRESS.fullmatch(value):
        raise Refusal(f"{value[:60]!r} is no address of this site, such as /cart or /list?page=2")
    return _go(tab, value)


def _go_back(tab: Tab, value: str) -> Tab:
    del value
    if not tab.back:
        raise Refusal("there is no page to go back to")
    *back, url = tab.back
    return _load(tab.site, tab.state, url, tuple(back), (*tab.forward, tab.url))


def _go_forward(tab: Tab, value: str) -> Tab:
    del value
    if not tab.forward:
        raise Refusal("there is no page to go forward to")
    *forward, url = tab.forward
    return _load(tab.site, tab.state, url, (*tab.back, tab.url), tuple(forward))


def _noop(tab: Tab, value: str) -> Tab:
    del value
    return tab


_WITHOUT_ELEMENT: dict[str, Callable[[Tab, str], Tab]] = {
    "goto": _goto,
    "go_back": _go_back,
    "go_forward": _go_forward,
    "noop": _noop,
}
_ON_ELEMENT: dict[str, Callable[[Tab, Control, str], Tab]] = {
    "click": _click,
    "fill": _fill,
    "clear": _clear,
    "select_option": _select,
    "check": _check,
    "uncheck": _uncheck,
    "press": _press,
}


def _with_value(tab: Tab, control: Control, value: Value) -> Tab:
    if tab.values[control.field] == value:
        return tab
    values = (*tab.values[: control.field], value, *tab.values[control.field + 1 :])
    return replace(tab, values=values)


def _choose_radio(tab: Tab, control: Control) -> Tab:
    """Check a radio button; the others of its group no longer are."""
    values = list(tab.values)
    for other in tab.page.controls:
        if (other.role, other.form, other.key) == ("radio", control.form, control.key):
            values[other.field] = other is control
    return replace(tab, values=tuple(values))


def _submit(tab: Tab, button: Control) -> Tab:
    """Send a form; what it lacks keeps it from being sent."""
    if button.form < 0:
        return tab
    form = tab.page.forms[button.form]
    _require_filled(tab, button.form)
    fields = list(_fields(tab, button))
    if form.method == "get":
        query = "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in fields)
        url = f"{urlsplit(form.action).path}?{query}"
        return _load(tab.site, tab.state, url, _left(tab), ())
    sent = {name: value.replace("\r\n", "\n") for name, value in fields}
    state, answer = respond(tab.site, tab.state, "post", form.action, sent)
    if answer.status != 303:
        page = parse_html(answer.html)
        return Tab(tab.site, state, form.action, page, page.initial, _left(tab))
    return _load(tab.site, state, answer.location, _left(tab), ())


def _require_filled(tab: Tab, form: int) -> None:
    for control in tab.page.controls:
        if control.form == form and control.is_required and not tab.values[control.field]:
            raise Refusal(f"{control.role} {quoted(control.name)} must be filled in first")


def _fields(tab: Tab, button: Control) -> Iterator[tuple[str, str]]:
    """What a form sends: the names and values of its fields, line breaks as CR LF."""
    for control in tab.page.controls:
        if control.form != button.form or not control.key or control.is_disabled:
            continue
        text = _sent(control, tab.values, button)
        if text is not None:
            yield control.key, text.replace("\n", "\r\n")


def _sent(control: Control, values: Sequence[Value], button: Control) -> str | None:
    """What a control adds to a form that is sent, if anything."""
    if control.role == "button":
        return control.value if control is button else None
    value = values[control.field]
    if isinstance(value, bool):
        return control.value if value else None
    if isinstance(value, int):
        return control.options[value][0] if control.options else None
    return value


def _encoded(text: str) -> str:
    """As application/x-www-form-urlencoded."""
    return quote_plus(text, safe=_ALLOWED).replace("~", "%7E")
