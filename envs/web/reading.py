"""From the nodes of a document to a `Page`: roles, names, forms and lines, found once.

Both back ends hand over the same flat list of nodes in document order, from their own DOM.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import accumulate

from .document import TEXT, Control, Form, Node, Page, Value

__all__ = ["read_nodes"]

_FIELDS = frozenset({"textbox", "searchbox", "checkbox", "radio", "combobox", "hidden"})
_INPUT_ROLES = {
    "checkbox": "checkbox",
    "radio": "radio",
    "search": "searchbox",
    "submit": "button",
    "button": "button",
    "hidden": "hidden",
}
_TAG_ROLES = {"button": "button", "select": "combobox", "textarea": "textbox"}
_BLOCKS = frozenset(
    (
        *("body", "nav", "main", "section", "form", "div", "p", "ul", "ol", "li", "table"),
        *("thead", "tbody", "tr", "h1", "h2", "h3", "fieldset", "legend"),
    )
)
_WHITE_SPACE = re.compile(r"[ \t\n\f\r]+")
_UNSEEN = frozenset({"head", "title", "meta", "style", "script"})
_HEADINGS = frozenset({"h1", "h2", "h3"})


def read_nodes(nodes: Sequence[Node]) -> Page:
    """The page of a document.

    Args:
        nodes: in document order, the root element first.
    """
    return _Reader(nodes).page()


class _Reader:
    """Reads the nodes of a document once."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self.ends = _subtree_ends(nodes)
        self.bids = [n - 1 for n in accumulate([node.tag != TEXT for node in nodes])]
        self.labels, self.label_spans = self._labels()
        self.in_labels = {i for start, end in self.label_spans for i in range(start, end)}
        self.forms: list[Form] = []
        self.form_end = -1
        self.controls: list[Control] = []
        self.initial: list[Value] = []
        self.lines: list[tuple[str | int, ...]] = []
        self.line: list[str | int] = []

    def page(self) -> Page:
        """Read from the first node to the last."""
        index = 0
        block_ends: set[int] = set()
        while index < len(self.nodes):
            node = self.nodes[index]
            is_block = node.tag in _BLOCKS
            if is_block or index in block_ends:
                self._end_line()
            if is_block:
                block_ends.add(self.ends[index])
            index = self._read(index, node)
        self._end_line()
        self._choose_one_radio()
        return Page(
            self.nodes,
            tuple(self.controls),
            tuple(self.forms),
            tuple(self.initial),
            tuple(self.lines),
        )

    def _end_line(self) -> None:
        if self.line:
            self.lines.append(tuple(self.line))
            self.line = []

    def _read(self, index: int, node: Node) -> int:
        """Take a node in; returns the place of the next one."""
        tag = node.tag
        if tag == TEXT:
            self._say(index, node)
            return index + 1
        if tag in _UNSEEN:
            return self.ends[index]
        if tag == "form":
            self.forms.append(_form(node))
            self.form_end = self.ends[index]
        role = _role(node)
        if role is not None:
            self._control(index, role)
            return self.ends[index]
        if tag in ("td", "th") and self.line and self.line[-1] != "|":
            self.line.append("|")
        return index + 1

    def _say(self, index: int, node: Node) -> None:
        """Add a text to the line, that of labels left out: their fields are named so."""
        if index in self.in_labels:
            return
        said = _collapsed(node.text)
        if said:
            parent = self.nodes[index - 1]
            is_heading = parent.tag in _HEADINGS and parent.depth < node.depth
            self.line.append(f"# {said}" if is_heading else said)

    def _labels(self) -> tuple[dict[str, str], list[tuple[int, int]]]:
        """The texts of labels by the id they are for, and where labels stand."""
        texts: dict[str, str] = {}
        spans: list[tuple[int, int]] = []
        for index, node in enumerate(self.nodes):
            if node.tag == "label":
                spans.append((index, self.ends[index]))
                if node.attributes.get("for"):
                    texts[node.attributes["for"]] = self._content(index)
        return texts, spans

    def _content(self, index: int) -> str:
        """The text inside an element, that of fields left out."""
        said: list[str] = []
        place = index + 1
        while place < self.ends[index]:
            node = self.nodes[place]
            if node.tag in ("select", "textarea"):
                place = self.ends[place]
                continue
            said += [node.text] if node.tag == TEXT else []
            place += 1
        return _collapsed("".join(said))

    def _control(self, index: int, role: str) -> None:
        """Add the control that an element is."""
        node = self.nodes[index]
        attributes = node.attributes
        if role != "hidden":
            self.line.append(len(self.controls))
        options, value = self._options(index) if node.tag == "select" else ((), None)
        is_field = role in _FIELDS
        if is_field:
            self.initial.append(self._initial(index, role) if value is None else value)
        control = Control(
            self.bids[index],
            role,
            self._name(index, role),
            len(self.initial) - 1 if is_field else -1,
            len(self.forms) - 1 if index < self.form_end else -1,
            attributes.get("name") or "",
            _own_value(attributes, role),
            options,
            attributes.get("href") if role == "link" else None,
            node.tag == "textarea",
            "disabled" in attributes,
            "required" in attributes,
        )
        self.controls.append(control)

    def _name(self, index: int, role: str) -> str:
        """The accessible name (accname 1.2, for what our pages use)."""
        node = self.nodes[index]
        attributes = node.attributes
        given = _collapsed(attributes.get("aria-label") or "")
        if given or role == "hidden":
            return given
        if role in ("link", "button"):
            own = attributes.get("value") if node.tag == "input" else None
            return self._content(index) or _collapsed(own or "")
        told = self.labels.get(attributes.get("id") or "", "") or self._label_around(index)
        spare = attributes.get("title") or attributes.get("placeholder") or ""
        return told or _collapsed(spare)

    def _label_around(self, index: int) -> str:
        around = [start for start, end in self.label_spans if start < index < end]
        return self._content(around[-1]) if around else ""

    def _options(self, index: int) -> tuple[tuple[tuple[str, str], ...], int]:
        """The options of a select element, and which of them is chosen."""
        options: list[tuple[str, str]] = []
        chosen = 0
        for place in range(index + 1, self.ends[index]):
            node = self.nodes[place]
            if node.tag == "option":
                text = self._content(place)
                value = node.attributes.get("value")
                chosen = len(options) if "selected" in node.attributes else chosen
                options.append((text if value is None else value, text))
        return tuple(options), chosen

    def _initial(self, index: int, role: str) -> Value:
        attributes = self.nodes[index].attributes
        if role in ("checkbox", "radio"):
            return "checked" in attributes
        if self.nodes[index].tag == "textarea":
            inside = self.nodes[index + 1 : self.ends[index]]
            return "".join(node.text for node in inside).replace("\r\n", "\n")
        return attributes.get("value") or ""

    def _choose_one_radio(self) -> None:
        """Of radio buttons of one group that are all checked, the last one is."""
        last: dict[tuple[int, str], int] = {}
        for control in self.controls:
            if control.role == "radio" and self.initial[control.field]:
                before = last.get((control.form, control.key))
                if before is not None:
                    self.initial[before] = False
                last[control.form, control.key] = control.field


def _role(node: Node) -> str | None:
    tag = node.tag
    if tag == "a":
        return "link" if "href" in node.attributes else None
    if tag == "input":
        return _INPUT_ROLES.get((node.attributes.get("type") or "text").lower(), "textbox")
    return _TAG_ROLES.get(tag)


def _own_value(attributes: Mapping[str, str], role: str) -> str:
    value = attributes.get("value")
    if value is None:
        return "on" if role in ("checkbox", "radio") else ""
    return value


def _form(node: Node) -> Form:
    method = (node.attributes.get("method") or "get").lower()
    return Form(node.attributes.get("action") or "", "post" if method == "post" else "get")


def _collapsed(text: str) -> str:
    """As it is shown: white space of HTML, which other spaces are not, is one space or none."""
    if text.isprintable():
        return " ".join(text.split())
    return _WHITE_SPACE.sub(" ", text).strip(" ")


def _subtree_ends(nodes: Sequence[Node]) -> list[int]:
    """For each node, the place behind its last descendant."""
    ends = [len(nodes)] * len(nodes)
    open_: list[int] = []
    for index, node in enumerate(nodes):
        while open_ and nodes[open_[-1]].depth >= node.depth:
            ends[open_.pop()] = index
        open_.append(index)
    return ends
