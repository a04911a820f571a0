"""`FactField`: a fact as the field of a form, in the layout that a site's seed chose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .base_site import Query
from .commands import Command, Target
from .markup import element, say
from .wording import Wording

__all__ = ["FactField", "Kind"]

Kind = Literal["text", "area", "select", "radio", "checkbox"]


@dataclass(frozen=True, slots=True)
class FactField:
    """A fact that a form shows and takes.

    Attributes:
        key: name of the field in the form.
        label: its accessible name; of radio buttons that of the group, which only people read.
        kind: what it looks like.
        values: what it can hold; of a checkbox two, off and on.
        form_of_label: 0 a label beside it, 1 a label around it, 2 `aria-label`.
    """

    key: str
    label: str
    kind: Kind
    values: tuple[str, ...]
    form_of_label: int = 0

    @classmethod
    def drawn(
        cls, wording: Wording, key: str, label: str, kinds: Sequence[Kind], values: Sequence[str]
    ) -> FactField:
        """A field whose looks the site's seed decides."""
        kind = wording.shuffled(kinds)[0]
        return cls(key, label, kind, tuple(values), wording.shuffled((0, 1, 2))[0])

    def html(self, value: int | str) -> str:
        """The field, holding a value: its place, or its text."""
        if self.kind == "radio":
            buttons = [self._radio(place, value == place) for place in range(len(self.values))]
            return element("fieldset", element("legend", say(self.label)), *buttons)
        return element("p", self._labelled(self._field(value)))

    def read(self, form: Query) -> int | str:
        """The value that a form was sent with; the first one where it makes no sense."""
        sent = form.get(self.key, "")
        if self.kind in ("text", "area"):
            return sent
        if self.kind == "checkbox":
            return int(sent == "on")
        return int(sent) if sent in map(str, range(len(self.values))) else 0

    @property
    def commands(self) -> tuple[Command, ...]:
        """A command that sets each value, in their order."""
        if self.kind == "checkbox":
            box = Target(role="checkbox", name=self.label)
            return Command("uncheck", box), Command("check", box)
        if self.kind == "radio":
            return tuple(Command("check", Target(role="radio", name=v)) for v in self.values)
        if self.kind == "select":
            chooser = Target(role="combobox", name=self.label)
            return tuple(Command("select_option", chooser, value) for value in self.values)
        box = Target(role="textbox", name=self.label)
        return tuple(Command("fill", box, value) for value in self.values)

    def _field(self, value: int | str) -> str:
        naming = {"id": self.key, "name": self.key}
        if self.form_of_label == 2:
            naming["aria_label"] = self.label
        if self.kind == "checkbox":
            return element("input", type="checkbox", checked=value == 1, **naming)
        if self.kind == "text":
            return element("input", type="text", value=str(value), required=True, **naming)
        if self.kind == "area":
            return element("textarea", "\n" + say(str(value)), **naming)
        options = [
            element("option", say(text), value=str(place), selected=value == place)
            for place, text in enumerate(self.values)
        ]
        return element("select", *options, **naming)

    def _radio(self, place: int, is_checked: bool) -> str:
        name = f"{self.key}-{place}"
        radio = element(
            "input",
            type="radio",
            id=name,
            name=self.key,
            value=str(place),
            checked=is_checked,
        )
        text = say(self.values[place])
        if self.form_of_label == 1:
            return element("label", radio, " ", text)
        return radio + element("label", text, for_=name)

    def _labelled(self, field: str) -> str:
        label = say(self.label)
        if self.form_of_label == 0:
            return element("label", label, for_=self.key) + " " + field
        return field if self.form_of_label == 2 else element("label", label, " ", field)
