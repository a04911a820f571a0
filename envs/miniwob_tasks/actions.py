"""Commands as what a browser does with an element of a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from lmgym.envs.web.commands import Command, CommandError, Target, quoted

from .page import Element, Page

__all__ = ["WAIT", "Action", "find_action"]

_MOST_NAMES = 12
_TYPED = frozenset(
    f"input_{kind}" for kind in ("text", "password", "search", "email", "tel", "url", "number")
)
_SET = frozenset(f"input_{kind}" for kind in ("date", "time", "range", "color", "month", "week"))
_MODIFIERS = ("Control", "Shift", "Alt", "Meta")
_NAMED_KEYS = """
    Enter Tab Escape Space Backspace Delete Insert Home End PageUp PageDown
    ArrowUp ArrowDown ArrowLeft ArrowRight
"""
_KEYS = frozenset([*_NAMED_KEYS.split(), *_MODIFIERS, *(f"F{number}" for number in range(1, 13))])


class Action(NamedTuple):
    """What a browser does.

    Attributes:
        verb: "click", "type" (in place of what a field holds), "set" (a field's value), "choose"
            (an option of a list, by its place), "press" (a key), or "" to let time pass.
        ref: the element's number on the page.
        value: the text, value, place or key.
    """

    verb: str
    ref: int = 0
    value: str | int = ""


WAIT = Action("")
"""Lets time pass."""


def find_action(command: Command, page: Page) -> Action:
    """What to do on `page`.

    Raises:
        CommandError: where there is no such element, or it does not take the command.

    Example:
        >>> from lmgym.envs.web.commands import parse_command
        >>> from .page import read_page
        >>> dom = {"ref": 4, "tag": "BUTTON", "text": "Go", "children": []}
        >>> page = read_page({"utterance": "Press it.", "dom": dom, "facts": {}})
        >>> find_action(parse_command("click(button 'Go')"), page)
        Action(verb='click', ref=4, value='')
    """
    if command.verb == "noop":
        return WAIT
    if command.target is None:
        raise CommandError(f"{command.verb} does nothing here: a task has one page and no address")
    element = _find(command.target, page)
    if element.is_disabled:
        raise CommandError(f"{_named(element)} is disabled")
    return _ACTIONS[command.verb](element, command.value or "")


def _find(target: Target, page: Page) -> Element:
    if target.bid:
        element = page.elements.get(int(target.bid))
        if element is None:
            raise CommandError(f"no element [{target.bid}] on the page; take a number in brackets")
        return element
    found = page.by_name.get((target.role, target.name), ())
    if not found:
        raise CommandError(f"no {target} on the page")
    if len(found) > 1:
        refs = ", ".join([f"[{element.ref}]" for element in found[:_MOST_NAMES]])
        raise CommandError(f"{len(found)} elements are {target}: {refs}; give the number of one")
    return found[0]


def _named(element: Element) -> str:
    return f"[{element.ref}] {element.role} {quoted(element.name)}"


def _click(element: Element, value: str) -> Action:
    del value
    return Action("click", element.ref)


def _fill(element: Element, text: str) -> Action:
    if element.tag in _SET:
        return Action("set", element.ref, text)
    if not (element.tag in _TYPED or element.tag == "textarea" or element.is_editable):
        raise CommandError(f"{_named(element)} takes no text")
    if "\n" in text and element.tag != "textarea" and not element.is_editable:
        raise CommandError(f"{_named(element)} takes one line")
    untyped = next((character for character in text if not _is_typed(character)), None)
    if untyped is not None:
        raise CommandError(f"the character {untyped!r} cannot be typed")
    return Action("type", element.ref, text)


def _is_typed(character: str) -> bool:
    """Whether a keyboard writes the character; WebDriver reads U+E000 to U+E05D as keys."""
    return character == "\n" or (character >= " " and not "\ue000" <= character <= "\ue05d")


def _clear(element: Element, value: str) -> Action:
    return _fill(element, value)


def _select_option(element: Element, option: str) -> Action:
    if element.tag != "select":
        raise CommandError(f"{_named(element)} has no options to select")
    if option not in element.options:
        known = " | ".join([quoted(known) for known in element.options[:_MOST_NAMES]])
        raise CommandError(f"no option {quoted(option)} in {_named(element)}; options: {known}")
    return Action("choose", element.ref, element.options.index(option))


def _check(element: Element, value: str) -> Action:
    del value
    if element.tag not in ("input_checkbox", "input_radio"):
        raise CommandError(f"{_named(element)} cannot be checked")
    return WAIT if element.value else Action("click", element.ref)


def _uncheck(element: Element, value: str) -> Action:
    del value
    if element.tag != "input_checkbox":
        raise CommandError(f"{_named(element)} cannot be unchecked")
    return Action("click", element.ref) if element.value else WAIT


def _press(element: Element, key: str) -> Action:
    *modifiers, last = key.split("+") if len(key) > 1 else [key]
    is_known = last in _KEYS or (len(last) == 1 and _is_typed(last) and last != "\n")
    if not is_known or any(name not in _MODIFIERS for name in modifiers):
        raise CommandError(
            f"unknown key {quoted(key)}; give a character, a name such as Enter, Tab, Backspace or"
            " ArrowDown, or both with a modifier, as Control+a"
        )
    return Action("press", element.ref, key)


_ACTIONS: Mapping[str, Callable[[Element, str], Action]] = {
    "click": _click,
    "fill": _fill,
    "clear": _clear,
    "select_option": _select_option,
    "check": _check,
    "uncheck": _uncheck,
    "press": _press,
}
