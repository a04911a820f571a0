"""Settings: three pages of fields, each with a button that saves it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from lmgym.envs.web.base_site import Query, Site, State
from lmgym.envs.web.commands import Command, Target
from lmgym.envs.web.fields import FactField
from lmgym.envs.web.markup import button, element, form, say
from lmgym.envs.web.wording import Wording

__all__ = ["FormsSite"]

_PAGES = {"profile": (0, 1, 2), "notices": (3, 4, 5), "privacy": (6, 7)}
"""Which facts stand on which page."""


class FormsSite(Site):
    """Settings of a person, on three pages.

    Example:
        >>> site = FormsSite(Wording(0))
        >>> [size for size in site.sizes]
        [4, 4, 3, 2, 3, 3, 3, 2]
    """

    family = "forms"
    keys = (
        "display name",
        "language",
        "bio",
        "newsletter",
        "frequency",
        "channel",
        "visibility",
        "two factor",
    )
    sizes = (4, 4, 3, 2, 3, 3, 3, 2)
    texts = frozenset({0, 2})
    kinds = (*_PAGES, "help")
    home = "/profile"

    _pools: ClassVar[dict[str, str]] = {
        "display name": "people",
        "language": "languages",
        "bio": "bios",
        "frequency": "frequencies",
        "channel": "channels",
        "visibility": "audiences",
    }

    def __init__(self, wording: Wording) -> None:
        """Choose words and layout."""
        super().__init__(wording)
        word = wording.word
        self.labels = tuple(word(key) for key in self.keys)
        self.values = tuple(
            wording.words(self._pools[key], size) if key in self._pools else ("off", "on")
            for key, size in zip(self.keys, self.sizes, strict=True)
        )
        self._names = {page: word(page) for page in _PAGES}
        self._save, self._help = word("save"), word("help")
        self._remark = word("remarks")
        self._menu = wording.shuffled(tuple(_PAGES))
        self._order = {page: wording.shuffled(facts) for page, facts in _PAGES.items()}
        self._fields = tuple(self._field(place) for place in range(len(self.keys)))
        links = [Command("click", Target(role="link", name=self._names[p])) for p in _PAGES]
        save = Command("click", Target(role="button", name=self._save))
        sets = [command for field in self._fields for command in field.commands]
        self.commands = (*links, save, *sets)

    def get(self, state: State, path: str, query: Query) -> str | None:
        """A page of settings, or the page that helps nobody."""
        name = path.removeprefix("/")
        if name == "help":
            return self._page(self._help, element("p", say(self._remark)))
        if name not in _PAGES:
            return None
        fields = [self._fields[place].html(state[place]) for place in self._order[name]]
        said = element("p", say("Saved.")) if query.get("saved") == "1" else ""
        body = form(f"/save/{name}", *fields, button(self._save))
        return self._page(self._names[name], said, body)

    def post(self, state: State, path: str, form: Query) -> tuple[State, str] | None:
        """Save a page."""
        name = path.removeprefix("/save/")
        if name not in _PAGES:
            return None
        held = list(state)
        for place in _PAGES[name]:
            held[place] = self._fields[place].read(form)
        return tuple(held), f"/{name}?saved=1"

    def kind_of(self, url: str) -> str:
        """The name of the page."""
        return url.partition("?")[0].removeprefix("/")

    def useful(self, start: Sequence[int], goal: Sequence[int], url: str) -> frozenset[int]:
        """The menu, the button, and what sets the facts that differ."""
        del url
        places = set(range(len(_PAGES) + 1))
        first = len(_PAGES) + 1
        for fact, size in enumerate(self.sizes):
            if start[fact] != goal[fact]:
                places.add(first + int(goal[fact]))
            first += size
        return frozenset(places)

    def _field(self, place: int) -> FactField:
        key, label, values = self.keys[place], self.labels[place], self.values[place]
        draw = FactField.drawn
        if key == "bio":
            return draw(self.wording, "bio", label, ["text", "area"], values)
        if place in self.texts:
            return draw(self.wording, f"f{place}", label, ["text"], values)
        if key in self._pools:
            return draw(self.wording, f"f{place}", label, ["select", "radio"], values)
        return draw(self.wording, f"f{place}", label, ["checkbox"], values)

    def _page(self, title: str, *body: str) -> str:
        menu = [(f"/{page}", self._names[page]) for page in self._menu]
        return self.page(title, [*menu, ("/help", self._help)], *body)
