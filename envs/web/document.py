"""`Page`: what an agent sees of an HTML document, and what it can act on.

A page is made of a flat list of nodes by `lmgym.envs.web.reading`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from .commands import quoted

__all__ = ["TEXT", "Control", "Form", "Node", "Page", "Value"]

TEXT = "-text"
"""The tag of a node that is text."""

Value = str | bool | int
"""What a field holds: a text, whether it is checked, or the place of the chosen option."""


class Node(NamedTuple):
    """An element or a text of a document.

    Attributes:
        depth: of the root element 0.
        tag: in lower case, or `TEXT`.
        attributes: of an element; one without a value is empty.
        text: of a text.
    """

    depth: int
    tag: str
    attributes: Mapping[str, str]
    text: str = ""


class Form(NamedTuple):
    """A form: where and how it is sent."""

    action: str
    method: str


class Control(NamedTuple):
    """An element that can be acted on.

    Attributes:
        bid: its number among the elements of the document, from 0.
        role: link, button, textbox, searchbox, checkbox, radio or combobox.
        name: its accessible name.
        field: its place among the fields of the page; -1 for links and buttons.
        form: its place among the forms of the page; -1 outside.
        key: its `name` attribute.
        value: its `value` attribute: of a radio button, checkbox or button.
        options: (value, text) of each option.
        href: where a link leads.
        is_area: whether the text may have several lines.
        is_disabled: whether nothing can be done with it.
        is_required: whether the form is not sent while it is empty.
    """

    bid: int
    role: str
    name: str
    field: int = -1
    form: int = -1
    key: str = ""
    value: str = ""
    options: tuple[tuple[str, str], ...] = ()
    href: str | None = None
    is_area: bool = False
    is_disabled: bool = False
    is_required: bool = False


_REMEMBERED = 8_192
"""Texts of pages that are kept."""


@dataclass(frozen=True, eq=False)
class Page:
    """A document as an agent sees it.

    Attributes:
        nodes: in document order.
        controls: what can be acted on, in document order, hidden fields among them.
        forms: in document order.
        initial: what the fields hold when the page is loaded.
        lines: what stands on each line, texts and places of controls.

    Example:
        >>> from .parsing import parse_html
        >>> page = parse_html("<label>City <input name=c value=Oslo></label><button>Go</button>")
        >>> print(page.text(page.initial))
        [4] textbox 'City' value='Oslo' [5] button 'Go'
    """

    nodes: Sequence[Node]
    controls: tuple[Control, ...]
    forms: tuple[Form, ...]
    initial: tuple[Value, ...]
    lines: tuple[tuple[str | int, ...], ...] = field(repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is found again when it is asked for."""
        return {name: vars(self)[name] for name in self.__dataclass_fields__}

    @cached_property
    def by_bid(self) -> Mapping[str, Control]:
        """Controls by their number, hidden ones left out."""
        return {str(c.bid): c for c in self.controls if c.role != "hidden"}

    @cached_property
    def by_name(self) -> Mapping[tuple[str, str], tuple[Control, ...]]:
        """Controls by role and name, hidden ones left out."""
        found: dict[tuple[str, str], tuple[Control, ...]] = {}
        for control in self.controls:
            key = (control.role, control.name)
            if control.role != "hidden":
                found[key] = (*found.get(key, ()), control)
        return found

    @cached_property
    def n_elements(self) -> int:
        """How many elements the document has."""
        return sum(node.tag != TEXT for node in self.nodes)

    @cached_property
    def pieces(self) -> tuple[list[str], list[tuple[int, Control]]]:
        """The text of the page in pieces, and which of them are fields."""
        pieces: list[str] = []
        fields: list[tuple[int, Control]] = []
        controls = self.controls
        for number, line in enumerate(self.lines):
            pieces += [] if number == 0 else ["\n"]
            for place, part in enumerate(line):
                pieces += [] if place == 0 else [" "]
                if isinstance(part, str):
                    pieces.append(part)
                    continue
                control = controls[part]
                if control.field >= 0:
                    fields.append((len(pieces), control))
                pieces.append(_head(control))
        return pieces, fields

    def text(self, values: Sequence[Value]) -> str:
        """The page as text: a line for each block, controls with their number, role and name.

        Args:
            values: what the fields hold.
        """
        return _text(self, tuple(values))


@lru_cache(maxsize=_REMEMBERED)
def _text(page: Page, values: tuple[Value, ...]) -> str:
    pieces, fields = page.pieces
    if not fields:
        return "".join(pieces)
    written = pieces.copy()
    for place, control in fields:
        value = values[control.field]
        is_changed = value != page.initial[control.field]
        written[place] += _held(control, value) + _CHANGED * is_changed
    return "".join(written)


def _head(control: Control) -> str:
    off = " disabled" if control.is_disabled else ""
    return f"[{control.bid}] {control.role} {quoted(control.name)}{off}"


_CHANGED = " (changed)"
"""Stands behind a field that does not hold any more what the page was loaded with."""


def _held(control: Control, value: Value) -> str:
    """What is told of a field's value."""
    if isinstance(value, bool):
        return " checked" if value else ""
    if isinstance(value, int):
        chosen = control.options[value][1] if control.options else ""
        others = " | ".join([quoted(text) for _, text in control.options])
        return f" value={quoted(chosen)} options: {others}"
    return f" value={quoted(value)}"
