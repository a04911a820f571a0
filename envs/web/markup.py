"""Writing HTML: every text and every attribute goes through here and is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

__all__ = ["button", "element", "form", "link", "page", "say"]


def element(tag: str, *children: str, **attributes: str | bool | None) -> str:
    """An element with its attributes escaped; `children` are HTML already.

    Args:
        tag: its name.
        children: HTML of what is inside.
        attributes: by name, a trailing underscore dropped and others read as hyphens; False and
            None leave one out, True gives it no value.

    Example:
        >>> element("a", say("<b>"), href="/?a=1&b=2")
        '<a href="/?a=1&amp;b=2">&lt;b&gt;</a>'
    """
    told = "".join([_attribute(name, value) for name, value in attributes.items()])
    if tag in ("input", "meta"):
        return f"<{tag}{told}>"
    return f"<{tag}{told}>{''.join(children)}</{tag}>"


def say(text: str) -> str:
    """A text as HTML."""
    return escape(text)


def link(href: str, text: str) -> str:
    """A link."""
    return element("a", say(text), href=href)


def button(text: str, *, name: str | None = None, value: str | None = None) -> str:
    """A button that submits its form."""
    return element("button", say(text), type="submit", name=name, value=value)


def form(action: str, *children: str, method: str = "post") -> str:
    """A form whose fields a browser does not fill in again when it comes back."""
    return element("form", *children, action=action, method=method, autocomplete="off")


def page(title: str, navigation: Sequence[str], *body: str) -> str:
    """A whole document.

    Args:
        title: shown as its heading too.
        navigation: links of the menu.
        body: HTML of the main part.
    """
    head = element("head", '<meta charset="utf-8">', element("title", say(title)))
    menu = element("nav", " ".join(navigation))
    main = element("main", element("h1", say(title)), *body)
    return f'<!DOCTYPE html>\n<html lang="en">{head}<body>{menu}{main}</body></html>'


def _attribute(name: str, value: str | bool | None) -> str:
    if value is None or value is False:
        return ""
    spelled = name.rstrip("_").replace("_", "-")
    return f" {spelled}" if value is True else f' {spelled}="{escape(value)}"'
