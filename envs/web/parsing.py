"""HTML to a `Page`, by lexbor: the tree that browsers build, without a browser."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from selectolax.lexbor import LexborHTMLParser

from .document import TEXT, Node, Page
from .reading import read_nodes

__all__ = ["parse_html"]

_REMEMBERED = 4096
"""Pages that are kept; a page of a site takes about 10 kB."""


@lru_cache(maxsize=_REMEMBERED)
def parse_html(html: str) -> Page:
    """The page of a document; the same text is parsed once.

    Example:
        >>> parse_html("<a href=/x>Go</a>").controls[0].name
        'Go'
    """
    nodes: list[Node] = []
    _collect(LexborHTMLParser(html).root, 0, nodes)
    return read_nodes(tuple(nodes))


def _collect(node: Any, depth: int, nodes: list[Node]) -> None:
    """Add an element or a text, and what is inside it."""
    if node.tag == TEXT:
        nodes.append(Node(depth, TEXT, {}, node.text_content))
    elif node.is_element_node:
        attributes = {name: value or "" for name, value in node.attributes.items()}
        nodes.append(Node(depth, node.tag, attributes))
    child = node.child
    while child is not None:
        _collect(child, depth + 1, nodes)
        child = child.next
