"""Forgetting what is kept only to be faster."""

from __future__ import annotations

import sys

from .base_site import Site

__all__ = ["forget"]


def forget() -> None:
    """Empty all caches of this package: pages, problems, plans."""
    package = __name__.rpartition(".")[0]
    modules = [m for name, m in sys.modules.items() if name.startswith(package)]
    kept = [thing for module in modules for thing in vars(module).values()]
    for thing in [*kept, Site.start_of]:
        clear = getattr(thing, "cache_clear", None)
        if clear is not None:
            clear()
