"""`RecordSite`: what sites of lists and records have in common.

A record has a page of its own with one form or more, each of which saves some of its facts. Where
records are listed is up to the family.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from .base_site import Query, Site, State
from .commands import Command, Target
from .fields import FactField, Kind
from .markup import button, element, form, link, say
from .wording import Wording

__all__ = ["Part", "RecordSite"]


class Part(NamedTuple):
    """A fact that every record has.

    Attributes:
        concept: of its label.
        kinds: looks that its field may have.
        size: how many values it has.
        values: concept of its values; empty for off and on.
        button: concept of the button of its form; parts of one button are neighbours.
    """

    concept: str
    kinds: tuple[Kind, ...]
    size: int
    values: str = ""
    button: str = "save"


class RecordSite(Site):
    """A site of records; its facts are the parts of the first record, then of the second, ...

    Attributes:
        n_records: how many.
        names: concept of their names.
        parts: what can be changed of each.
        records: what each is called.
    """

    n_records: ClassVar[int]
    names: ClassVar[str]
    parts: ClassVar[tuple[Part, ...]]
    records: tuple[str, ...]

    def __init_subclass__(cls) -> None:
        """Derive the facts from the parts."""
        cls.keys = tuple(f"{part.concept} {i}" for i in range(cls.n_records) for part in cls.parts)
        cls.sizes = tuple(part.size for part in cls.parts) * cls.n_records

    def __init__(self, wording: Wording) -> None:
        """Choose words and layout."""
        super().__init__(wording)
        word = wording.word
        self.records = wording.words(self.names, self.n_records)
        labels = [word(part.concept) for part in self.parts]
        self.labels = tuple(f"{name} of {record}" for record in self.records for name in labels)
        lists = [self._values_of(part) for part in self.parts]
        self.values = tuple(lists) * self.n_records
        self._labels = labels
        self._fields = tuple(
            FactField.drawn(wording, f"p{i}", label, part.kinds, values)
            for i, (part, label, values) in enumerate(zip(self.parts, labels, lists, strict=True))
        )
        self._buttons = {part.button: word(part.button) for part in self.parts}
        self._help, self._remark = word("help"), word("remarks")
        self._shuffled = wording.shuffled(range(self.n_records))
        self.choose_words()
        self._navigation = self.navigation()
        self.commands = (
            *self._navigation,
            *(Command("click", Target(role="link", name=name)) for name in self.record_links()),
            *(Command("click", Target(role="button", name=b)) for b in self._buttons.values()),
            *(command for field in self._fields for command in field.commands),
        )

    @abstractmethod
    def choose_words(self) -> None:
        """Choose what a family adds."""

    @abstractmethod
    def navigation(self) -> tuple[Command, ...]:
        """Commands that lead to the lists and through them."""

    @abstractmethod
    def menu(self) -> list[tuple[str, str]]:
        """Address and text of the links on every page."""

    @abstractmethod
    def list_page(self, state: State, path: str, query: Query) -> str | None:
        """A list of records; None where there is none at this address."""

    def record_links(self) -> tuple[str, ...]:
        """Texts of the links to the records."""
        return self.records

    def record_name(self, state: State, record: int) -> str:
        """What a record is called now."""
        del state
        return self.records[record]

    def value(self, state: State, record: int, part: int) -> int | str:
        """A fact of a record."""
        return state[record * len(self.parts) + part]

    def row(self, state: State, record: int, *cells: str) -> str:
        """A line of a list: a link to a record, and what else is told of it."""
        name = link(f"/item/{record}", self.record_name(state, record))
        return element("tr", element("td", name), *(element("td", say(c)) for c in cells))

    def told(self, state: State, record: int, part: int) -> str:
        """The value of a fact in words."""
        value = self.value(state, record, part)
        return value if isinstance(value, str) else self.values[part][value]

    def get(self, state: State, path: str, query: Query) -> str | None:
        """A list, a record, or the page that helps nobody."""
        if path == "/help":
            return self.page(self._help, self.menu(), element("p", say(self._remark)))
        record = _record(path, "/item/", self.n_records)
        if record is None:
            return self.list_page(state, path, query)
        said = [element("p", say("Saved."))] if query.get("saved") == "1" else []
        forms = [self._form(state, record, name) for name in self._buttons]
        return self.page(self.record_name(state, record), self.menu(), *said, *forms)

    def post(self, state: State, path: str, form: Query) -> tuple[State, str] | None:
        """Save the parts of one form of a record."""
        prefix, _, name = path.rpartition("/")
        record = _record(prefix, "/save/", self.n_records)
        if record is None or name not in self._buttons:
            return None
        held = list(state)
        for i, part in enumerate(self.parts):
            if part.button == name:
                held[record * len(self.parts) + i] = self._fields[i].read(form)
        return tuple(held), f"/item/{record}?saved=1"

    def kind_of(self, url: str) -> str:
        """The kind of list, or which record."""
        return url.partition("?")[0].removeprefix("/").replace("/", "") or "home"

    def useful(self, start: Sequence[int], goal: Sequence[int], url: str) -> frozenset[int]:
        """The lists, the records that differ, and on a record's page what sets what differs."""
        here = _record(url.partition("?")[0], "/item/", self.n_records)
        first_link = len(self._navigation)
        first_button = first_link + len(self.record_links())
        places = set(range(first_link)) | {*range(first_button, first_button + len(self._buttons))}
        for fact, (before, after) in enumerate(zip(start, goal, strict=True)):
            if before != after:
                record, part = divmod(fact, len(self.parts))
                places |= self._links_of(record, first_link)
                if record == here:
                    offset = first_button + len(self._buttons) + self._first_of(part)
                    places.add(offset + self._command_of(record, part, int(after)))
        return frozenset(places)

    def _links_of(self, record: int, first: int) -> set[int]:
        """Places of the commands that open a record."""
        return {first + record}

    def _first_of(self, part: int) -> int:
        """Where the commands of a part's field begin."""
        return sum(len(field.commands) for field in self._fields[:part])

    def _command_of(self, record: int, part: int, value: int) -> int:
        """Which of the commands of a part's field sets a value."""
        del record, part
        return value

    def _values_of(self, part: Part) -> tuple[str, ...]:
        return self.wording.words(part.values, part.size) if part.values else ("off", "on")

    def _form(self, state: State, record: int, name: str) -> str:
        fields = [
            field.html(self.value(state, record, i))
            for i, (part, field) in enumerate(zip(self.parts, self._fields, strict=True))
            if part.button == name
        ]
        return form(f"/save/{record}/{name}", *fields, button(self._buttons[name]))


def _record(path: str, prefix: str, n_records: int) -> int | None:
    number = path.removeprefix(prefix) if path.startswith(prefix) else ""
    return int(number) if number in map(str, range(n_records)) else None
