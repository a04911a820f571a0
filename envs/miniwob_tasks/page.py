"""`Page`: what the agent sees of a MiniWoB++ page, from the DOM that the page reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from lmgym.envs.web.commands import quoted

__all__ = ["Element", "Page", "read_page"]

_ROLES = {
    "a": "link",
    "button": "button",
    "textarea": "textbox",
    "option": "option",
    "label": "label",
    "p": "paragraph",
    "li": "listitem",
    "tr": "row",
    "td": "cell",
    "th": "columnheader",
    "table": "table",
    "img": "img",
    "text": "text",
    "tspan": "text",
    "canvas": "canvas",
    **{f"h{level}": "heading" for level in range(1, 7)},
    **{f"input_{kind}": kind for kind in ("checkbox", "radio", "date", "time", "file", "color")},
    **{f"input_{kind}": "button" for kind in ("button", "submit", "reset", "image")},
    "input_range": "slider",
    "input_number": "spinbutton",
    "input_search": "searchbox",
}
_SHAPES = frozenset({"circle", "rect", "path", "polygon", "polyline", "line", "ellipse"})
_QUIET = frozenset(
    {"generic", "row", "cell", "columnheader", "table", "listitem", "paragraph", "label"}
)
"""Roles whose elements are told of only where they hold text or nothing else does."""
_CLEAR = ("rgba(0, 0, 0, 0)", "transparent", "none", None)


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a page.

    Attributes:
        ref: its number on the page.
        tag: in lower case; of inputs with their type, as "input_text".
        role: what commands call it: button, textbox, generic, ...
        name: its text or label.
        value: of a field: its text, or whether it is checked.
        options: of a select element.
        chosen: places of the options that are chosen.
        is_disabled: whether nothing can be done with it.
        is_editable: whether text can be typed into it although it is no field.
        looks: what tells apart elements without a name: class, id, colour, place.
    """

    ref: int
    tag: str
    role: str
    name: str
    value: str | bool | None = None
    options: tuple[str, ...] = ()
    chosen: tuple[int, ...] = ()
    is_disabled: bool = False
    is_editable: bool = False
    looks: str = ""

    def __str__(self) -> str:
        """Its line in the text of the page."""
        words = [f"[{self.ref}]", self.role]
        words += [quoted(self.name)] if self.name else []
        words += [self.looks] if self.looks else []
        if isinstance(self.value, bool):
            words += ["checked"] if self.value else []
        elif self.value is not None:
            words.append(f"value={quoted(self.value)}")
        if self.tag == "select":
            chosen = ", ".join([quoted(self.options[place]) for place in self.chosen])
            words.append(f"value={chosen or quoted('')}")
            words.append(f"options: {' | '.join([quoted(option) for option in self.options])}")
        return " ".join([*words, *(["disabled"] if self.is_disabled else [])])


@dataclass(frozen=True)
class Page:
    """A page as an agent sees it.

    Attributes:
        utterance: what to do.
        elements: all of them by number, in document order.
        text: a line for each element that is told of.

    Example:
        >>> dom = {"ref": 1, "tag": "BUTTON", "text": "Go", "children": []}
        >>> page = read_page({"utterance": "Press it.", "dom": dom, "facts": {}})
        >>> page.text
        "[1] button 'Go'"
    """

    utterance: str
    elements: Mapping[int, Element] = field(repr=False)
    text: str

    @cached_property
    def by_name(self) -> Mapping[tuple[str, str], Sequence[Element]]:
        """Elements by role and name."""
        found: dict[tuple[str, str], list[Element]] = {}
        for element in self.elements.values():
            found.setdefault((element.role, element.name), []).append(element)
        return found


def read_page(seen: Mapping[str, Any], longest: int | None = None) -> Page:
    """The page that a browser has seen.

    Args:
        seen: `utterance`; `dom`, as MiniWoB++'s `getDOMInfo` gives it; and `facts`, by number,
            what it does not tell: labels, options, whether an element is disabled.
        longest: characters that the text may have; lines that exceed them are left out and
            counted.
    """
    elements: dict[int, Element] = {}
    lines: list[str] = []
    for node in _walk(seen["dom"]):
        element = _element(node, seen["facts"].get(str(node["ref"]), {}))
        elements[element.ref] = element
        if _is_told(element, node):
            lines.append(str(element))
    return Page(seen["utterance"], elements, _joined(lines, longest))


def _walk(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The elements in document order, without pieces of text."""
    yield node
    for child in node["children"]:
        if child["tag"] != "t":
            yield from _walk(child)


def _element(node: Mapping[str, Any], facts: Mapping[str, Any]) -> Element:
    tag = node["tag"].lower()
    role = _role(tag, facts)
    value = node.get("value")
    is_button = role == "button"
    name = _name(node, facts, value if is_button else None)
    options = tuple(facts.get("options", ()))
    return Element(
        node["ref"],
        tag,
        role,
        name,
        True if facts.get("selected") else None if is_button else value,
        options,
        tuple(place for place in facts.get("chosen", ()) if place < len(options)),
        bool(facts.get("disabled")),
        bool(facts.get("editable")),
        _looks(node, facts, name),
    )


def _role(tag: str, facts: Mapping[str, Any]) -> str:
    given = facts.get("role", "")
    if given.isascii() and given.isalpha() and given not in ("presentation", "none"):
        return str(given.lower())
    if tag == "select":
        return "combobox"
    if tag in _SHAPES:
        return tag
    return _ROLES.get(tag, "textbox" if tag.startswith("input_") else "generic")


def _name(node: Mapping[str, Any], facts: Mapping[str, Any], value: object) -> str:
    """A label, the text inside that is no element's, or what else describes the element."""
    pieces = [child["text"] for child in node["children"] if child["tag"] == "t"]
    inside = " ".join(" ".join([node.get("text") or "", *pieces]).split())
    spare = next((facts[key] for key in ("alt", "title", "placeholder") if facts.get(key)), "")
    return str(facts.get("label") or inside or value or spare)


def _looks(node: Mapping[str, Any], facts: Mapping[str, Any], name: str) -> str:
    """What tells an element without a name apart; the colour of a text in a picture."""
    if name or node["children"]:
        fill = facts.get("fill")
        return f"color={quoted(fill)}" if name and fill else ""
    if "value" in node or "options" in facts:
        return f"id={quoted(node['id'])}" if node.get("id") else ""
    classes = node.get("classes") or ""
    if isinstance(classes, Mapping):  # SVG's
        classes = classes.get("baseVal", "")
    words = [f"class={quoted(classes)}"] if classes else []
    words += [f"id={quoted(node['id'])}"] if node.get("id") else []
    colour = facts.get("fill") or node.get("bgColor")
    is_shape = node["tag"].lower() in (*_SHAPES, "canvas")
    if colour not in _CLEAR:
        words.append(f"color={quoted(colour)}")
    if is_shape or colour not in _CLEAR:
        left, top, width, height = (round(node[k]) for k in ("left", "top", "width", "height"))
        words.append(f"at {left},{top} size {width}x{height}")
    return " ".join(words)


def _is_told(element: Element, node: Mapping[str, Any]) -> bool:
    if element.role not in _QUIET:
        return bool(element.name or element.role != "text")
    if element.name:
        is_wrapper = element.role == "label" and any(c["tag"] != "t" for c in node["children"])
        return not is_wrapper
    return not node["children"] and bool(element.looks or element.value is not None)


def _joined(lines: Sequence[str], longest: int | None) -> str:
    text = "\n".join(lines)
    if longest is None or len(text) <= longest:
        return text
    kept, length = 0, 0
    while length + len(lines[kept]) + 40 <= longest:
        length += len(lines[kept]) + 1
        kept += 1
    return "\n".join([*lines[:kept], f"({len(lines) - kept} more elements)"])
