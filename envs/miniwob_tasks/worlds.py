"""A class for each task of MiniWoB++, made when it is asked for: `worlds.click_test`."""

from __future__ import annotations

from collections.abc import Iterator

from lmgym.families import MINIWOB

from .task import MiniWoBTask

__all__ = ["task_classes"]

_NOTE = """A page of this task loads its files while the episode runs, so it cannot be promised to
        come out the same again. An episode cannot be gone back to: each needs an environment of its
        own and is finished before the next one starts.
"""

_MEMBERS = {
    "".join(c if c.isalnum() else "_" for c in member): member for member in MINIWOB.members
}


def __getattr__(attribute: str) -> type[MiniWoBTask]:
    if attribute not in _MEMBERS:
        raise AttributeError(f"module {__name__!r} has no attribute {attribute!r}")
    made = _make(attribute, _MEMBERS[attribute])
    globals()[attribute] = made
    return made


def task_classes() -> Iterator[type[MiniWoBTask]]:
    """The classes of all tasks.

    Example:
        >>> next(task_classes()).name
        'ascending-numbers'
    """
    return (globals().get(name) or __getattr__(name) for name in _MEMBERS)


def _make(attribute: str, member: str) -> type[MiniWoBTask]:
    is_exact = member not in MINIWOB.nondeterministic
    doc = (MiniWoBTask.__doc__ or "").replace("click-test/7", f"{member}/7")
    if not is_exact:
        doc = doc.replace("    Action space:", f"        {_NOTE}\n    Action space:", 1)
    fields = {"name": member, "is_exact": is_exact, "__doc__": doc, "__module__": __name__}
    return type(attribute, (MiniWoBTask,), fields)
