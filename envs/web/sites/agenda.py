"""A calendar: a week of events, each with a day, an hour and a reminder."""

from __future__ import annotations

from lmgym.envs.web.base_site import Query, State
from lmgym.envs.web.commands import Command, Target
from lmgym.envs.web.markup import element, say
from lmgym.envs.web.records import Part, RecordSite

__all__ = ["CalendarSite"]

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
_HOURS = ("9:00", "13:00", "16:00")
_DAY, _HOUR = 0, 1


class CalendarSite(RecordSite):
    """Four events of a week."""

    family = "calendar"
    n_records = 4
    names = "events"
    parts = (
        Part("day", ("select",), len(_DAYS)),
        Part("hour", ("select", "radio"), len(_HOURS)),
        Part("remind", ("checkbox",), 2),
    )
    kinds = ("week", *(f"item{i}" for i in range(4)))
    home = "/week"

    def choose_words(self) -> None:
        """How the week is called."""
        self._week = self.wording.word("home")

    def navigation(self) -> tuple[Command, ...]:
        """A link to the week."""
        return (Command("click", Target(role="link", name=self._week)),)

    def menu(self) -> list[tuple[str, str]]:
        """The week."""
        return [("/week", self._week), ("/help", self._help)]

    def list_page(self, state: State, path: str, query: Query) -> str | None:
        """The week, a block for each day that has an event."""
        del query
        if path != "/week":
            return None
        blocks: list[str] = []
        for day, name in enumerate(_DAYS):
            events = [i for i in self._shuffled if self.value(state, i, _DAY) == day]
            rows = [self.row(state, i, self.told(state, i, _HOUR)) for i in events]
            blocks += [element("h2", say(name)), element("table", *rows)] if rows else []
        return self.page(self._week, self.menu(), *blocks)

    def _values_of(self, part: Part) -> tuple[str, ...]:
        return {"day": _DAYS, "hour": _HOURS}.get(part.concept) or super()._values_of(part)
