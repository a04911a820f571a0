"""`Site`: a web site as pure functions over its state.

Pages are rendered on the server, forms are ordinary HTML forms, there is no script. The state is a
tuple of numbers and texts, one for each fact that can be changed, and JSON can write it; a GET
reads it, a POST returns the next one. A digest stands for it in records.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from hashlib import blake2b
from typing import Any, ClassVar, NamedTuple
from urllib.parse import parse_qsl

import numpy as np

from lmgym.goals import Fact, GoalSchema

from .commands import Command, Target
from .markup import element, link, page, say
from .wording import Wording

__all__ = ["Answer", "Query", "Site", "State", "digest", "respond"]

State = tuple[int | str, ...]
"""What the server knows: for each fact the place of its value, or a text."""

Query = Mapping[str, str]
"""Fields of a form, or the query of an address; of fields of one name the last."""

_OTHER = "(something else)"
_START = 7
"""Keeps the generator of a start apart from that of words."""


class Answer(NamedTuple):
    """What a server answers.

    Attributes:
        status: 200, 303 or 404.
        html: the document, with 200 and 404.
        location: where to go, with 303.
    """

    status: int
    html: str = ""
    location: str = ""


class Site(ABC):
    """One site: a family's pages in the words and the layout of a seed.

    Args:
        wording: its words, and the generator of its layout.

    Attributes:
        family: the name of the family.
        keys: of the facts, the same for all sites of the family.
        sizes: how many values of each fact a goal can ask for.
        texts: places of the facts whose value is a text that is typed.
        dependent: places of the facts that change only where others allow it.
        home: the address where an episode starts.
        kinds: the kinds of pages, for `kind_of`.
        labels: what each fact is called.
        values: the values of each fact in this site's words.
        commands: what can be done, the same for all sites of the family but for the words.
    """

    family: ClassVar[str]
    keys: ClassVar[tuple[str, ...]]
    sizes: ClassVar[tuple[int, ...]]
    texts: ClassVar[frozenset[int]] = frozenset()
    dependent: ClassVar[frozenset[int]] = frozenset()
    kinds: ClassVar[tuple[str, ...]]
    home: ClassVar[str] = "/"

    labels: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    commands: tuple[Command, ...]

    def __init__(self, wording: Wording) -> None:
        """Choose words and layout."""
        self.wording = wording

    @property
    def start_facts(self) -> tuple[int, ...]:
        """What the facts of a fresh site are, shape (D,)."""
        return self.start_of(self.wording.seed)

    @lru_cache(maxsize=4096)  # noqa: B019  (sites are few, and kept)
    def start_of(self, seed: int) -> tuple[int, ...]:
        """What the facts are at first in an episode of this seed, shape (D,)."""
        rng = np.random.default_rng((seed, _START))
        drawn = (int(rng.integers(size)) for size in self.sizes)
        return tuple(self.startable(list(drawn)))

    def startable(self, facts: list[int]) -> list[int]:
        """The facts that a site may start with, from any; families keep back what they must."""
        return facts

    @property
    def start(self) -> State:
        """The state of a fresh site."""
        return self.state_of(self.start_facts)

    def state_of(self, goal: Sequence[int]) -> State:
        """The state in which the facts are as a goal says."""
        return tuple([self._value(i, int(value)) for i, value in enumerate(goal)])

    def state_after(self, state: State, goal: Sequence[int]) -> State:
        """A state once its facts are as a goal says; what has the right place already is kept."""
        pairs = enumerate(zip(self.facts(state), goal, strict=True))
        return tuple(
            state[i] if now == wanted else self._value(i, wanted) for i, (now, wanted) in pairs
        )

    def facts(self, state: State) -> tuple[int, ...]:
        """The place of each fact's value, shape (D,); of a text that is none the place behind."""
        if not self.texts:
            return state  # type: ignore[return-value]  # numbers all
        return tuple([self._place(i, value) for i, value in enumerate(state)])

    def value_name(self, fact: int, value: int) -> str:
        """A value in the site's words."""
        known = self.values[fact]
        return known[value] if value < len(known) else _OTHER

    def _value(self, fact: int, place: int) -> int | str:
        return self.values[fact][place] if fact in self.texts else place

    def _place(self, fact: int, value: int | str) -> int:
        if isinstance(value, int):
            return value
        known = self.values[fact]
        return known.index(value) if value in known else len(known)

    @classmethod
    def schema(cls) -> GoalSchema:
        """The goals of the family: every fact with its values, by number."""
        facts = []
        for place, (key, size) in enumerate(zip(cls.keys, cls.sizes, strict=True)):
            values = tuple(map(str, range(size)))
            facts.append(Fact(key, (*values, _OTHER) if place in cls.texts else values))
        return GoalSchema(facts)

    def why_unreachable(self, start: Sequence[int], goal: Sequence[int]) -> str | None:
        """Why no commands lead from one goal vector to another; None where some do."""
        del start
        for place, value in enumerate(goal):
            if value >= self.sizes[place]:
                return f"{self.keys[place]} would have to be {_OTHER}, which no goal can ask for"
        return None

    @abstractmethod
    def get(self, state: State, path: str, query: Query) -> str | None:
        """The document at an address; None where there is none."""

    @abstractmethod
    def post(self, state: State, path: str, form: Query) -> tuple[State, str] | None:
        """The state after a form was sent, and where to go; None where nothing takes it."""

    @abstractmethod
    def kind_of(self, url: str) -> str:
        """Which of `kinds` a page is."""

    @abstractmethod
    def useful(self, start: Sequence[int], goal: Sequence[int], url: str) -> frozenset[int]:
        """Places of the commands that a shortest way from start to goal may take on a page."""

    def __eq__(self, other: object) -> bool:
        """Whether it is the same site."""
        return isinstance(other, Site) and self._key == other._key

    def __hash__(self) -> int:
        """Of its family and seed."""
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as the seed: hashes differ between processes, and words are chosen again."""
        return _remade, (type(self), self.wording.seed, self.wording.is_held_out)

    def __repr__(self) -> str:
        """Family, seed, and whether its words are held out."""
        return f"Site{self._key}"

    @cached_property
    def command_texts(self) -> tuple[str, ...]:
        """The commands as text."""
        return tuple(map(str, self.commands))

    @cached_property
    def _key(self) -> tuple[str, int, bool]:
        return self.family, self.wording.seed, self.wording.is_held_out

    @cached_property
    def _hash(self) -> int:
        return hash(self._key)

    def set_command(self, role: str, name: str, value: str) -> Command:
        """Fill in a text, or choose an option."""
        verb = "select_option" if role == "combobox" else "fill"
        return Command(verb, Target(role=role, name=name), value)

    def page(self, title: str, navigation: Sequence[tuple[str, str]], *body: str) -> str:
        """A document with the site's menu: (address, text) of each link."""
        return page(title, [link(href, text) for href, text in navigation], *body)

    def missing(self) -> str:
        """What is shown where there is no page."""
        body = element("p", say("There is nothing here."))
        return self.page("Not found", [(self.home, "Start")], body)


def _remade(kind: type[Site], seed: int, is_held_out: bool) -> Site:
    return kind(Wording(seed, is_held_out=is_held_out))


def respond(
    site: Site, state: State, method: str, url: str, form: Query | None = None
) -> tuple[State, Answer]:
    """What a server does with a request: the next state, and what it answers.

    Args:
        site: whose.
        state: before.
        method: "get" or "post".
        url: path and query.
        form: the fields that were sent.
    """
    path, _, asked = url.partition("?")
    if method == "post":
        done = site.post(state, path, form or {})
        if done is None:
            return state, Answer(404, site.missing())
        return done[0], Answer(303, location=done[1])
    html = site.get(state, path, dict(parse_qsl(asked, keep_blank_values=True)))
    return state, Answer(404, site.missing()) if html is None else Answer(200, html)


def digest(state: State) -> str:
    """16 hexadecimal digits that stand for a state, the same in every process."""
    written = json.dumps(state, separators=(",", ":"))
    return blake2b(written.encode(), digest_size=8).hexdigest()
