"""A table of devices: pages, an order, a filter, and a form for each row."""

from __future__ import annotations

from collections.abc import Sequence

from lmgym.envs.web.base_site import Query, State
from lmgym.envs.web.commands import Command, Target
from lmgym.envs.web.fields import FactField
from lmgym.envs.web.markup import button, element, form, link, say
from lmgym.envs.web.records import Part, RecordSite

__all__ = ["TableSite"]

_STATUS, _OWNER = 0, 1
_ROWS_A_PAGE = 3


class TableSite(RecordSite):
    """Five devices, three on a page."""

    family = "table"
    n_records = 5
    names = "records"
    parts = (
        Part("status", ("select", "radio"), 3, "statuses"),
        Part("owner", ("select", "radio"), 3, "owners"),
    )
    kinds = ("rows", *(f"item{i}" for i in range(5)))
    home = "/rows"

    def choose_words(self) -> None:
        """Words of the list, and its filter."""
        concepts = ("home", "next", "previous", "filter", "name")
        self._words = {concept: self.wording.word(concept) for concept in concepts}
        label = f"{self._words['filter']} by {self._labels[_STATUS]}"
        statuses = ("All", *self.values[_STATUS])
        self._filter = FactField("status", label, "select", statuses, 0)

    def navigation(self) -> tuple[Command, ...]:
        """Links to the list, its pages and its order, and the filter."""
        words = self._words
        names = (words["home"], words["next"], words["previous"], f"By {words['name']}")
        links = [Command("click", Target(role="link", name=name)) for name in names]
        send = Command("click", Target(role="button", name=words["filter"]))
        return (*links, *self._filter.commands, send)

    def menu(self) -> list[tuple[str, str]]:
        """The list."""
        return [("/rows", self._words["home"]), ("/help", self._help)]

    def list_page(self, state: State, path: str, query: Query) -> str | None:
        """A page of the rows that the filter lets through."""
        if path != "/rows":
            return None
        status = int(self._filter.read(query))
        is_sorted = query.get("sort") == "name"
        rows = self._rows(state, status, is_sorted=is_sorted)
        last = max(0, (len(rows) - 1) // _ROWS_A_PAGE)
        page = min(last, int(query.get("page") == "2"))
        shown = rows[page * _ROWS_A_PAGE : (page + 1) * _ROWS_A_PAGE]
        lines = [
            self.row(state, i, self.told(state, i, _STATUS), self.told(state, i, _OWNER))
            for i in shown
        ]
        body = element("table", *lines) if lines else element("p", say("No rows."))
        send = form("/rows", self._filter.html(status), button(self._words["filter"]), method="get")
        order = "" if is_sorted else link(_address(0, status, True), f"By {self._words['name']}")
        foot = element("p", order, " ", self._turn(page, last, status, is_sorted))
        return self.page(self._words["home"], self.menu(), send, body, foot)

    def useful(self, start: Sequence[int], goal: Sequence[int], url: str) -> frozenset[int]:
        """All but choosing a filter, which is never shorter than the next page."""
        return super().useful(start, goal, url) - frozenset(range(4, len(self._navigation) - 1))

    def _rows(self, state: State, status: int, *, is_sorted: bool) -> Sequence[int]:
        kept = [i for i in self._shuffled if not status or self.value(state, i, 0) == status - 1]
        return sorted(kept, key=self.records.__getitem__) if is_sorted else kept

    def _turn(self, page: int, last: int, status: int, is_sorted: bool) -> str:
        """A link to the other page, where there is one."""
        if not last:
            return ""
        word = self._words["previous" if page else "next"]
        return link(_address(1 - page, status, is_sorted), word)


def _address(page: int, status: int, is_sorted: bool) -> str:
    order = "&sort=name" if is_sorted else ""
    return f"/rows?page={page + 1}&status={status}{order}"
