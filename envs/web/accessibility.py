"""Chromium's own accessibility tree, to check our roles and names against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .document import Page
from .live_browser import LiveBrowser

__all__ = ["ROLES", "Named", "our_controls", "their_controls"]

ROLES = frozenset({"link", "button", "textbox", "searchbox", "checkbox", "radio", "combobox"})
"""Roles of what can be acted on."""

Named = tuple[int, str, str]
"""Number, role and name of a control."""

_ELEMENT = 1


def our_controls(page: Page) -> list[Named]:
    """The controls of a page, as commands name them."""
    return [(c.bid, c.role, c.name) for c in page.controls if c.role in ROLES]


def their_controls(live: LiveBrowser) -> list[Named]:
    """The controls of the page that a browser shows, as it tells assistive technology."""
    return live.run(lambda: list(_read(live)))


def _read(live: LiveBrowser) -> Iterator[Named]:
    document = live.protocol("DOM.getDocument", depth=-1)["root"]
    nodes = live.protocol("Accessibility.getFullAXTree")["nodes"]
    shown = {node.get("backendDOMNodeId"): node for node in nodes if not node["ignored"]}
    for bid, backend_id in enumerate(_elements(document)):
        node = shown.get(backend_id)
        if node is not None and node["role"]["value"] in ROLES:
            yield bid, node["role"]["value"], node.get("name", {}).get("value", "")


def _elements(node: Mapping[str, Any]) -> Iterator[int]:
    """The elements in document order."""
    if node["nodeType"] == _ELEMENT:
        yield node["backendNodeId"]
    for child in node.get("children", ()):
        yield from _elements(child)
