"""Mail: folders of messages; each can be moved, starred and answered."""

from __future__ import annotations

from lmgym.envs.web.base_site import Query, State
from lmgym.envs.web.commands import Command, Target
from lmgym.envs.web.markup import element, say
from lmgym.envs.web.records import Part, RecordSite

__all__ = ["MailSite"]

_FOLDERS = ("inbox", "archive", "bin")
_FOLDER, _STARRED, _REPLY = 0, 1, 2


class MailSite(RecordSite):
    """Four messages in three folders."""

    family = "mail"
    n_records = 4
    names = "subjects"
    parts = (
        Part("folder", ("select", "radio"), 3, button="move"),
        Part("starred", ("checkbox",), 2),
        Part("reply", ("select", "radio"), 3, "replies", button="send"),
    )
    kinds = (*(f"folder{i}" for i in range(3)), *(f"item{i}" for i in range(4)))
    home = "/folder/0"

    def choose_words(self) -> None:
        """The order of the folders in the menu."""
        self._menu = self.wording.shuffled(range(len(_FOLDERS)))

    def navigation(self) -> tuple[Command, ...]:
        """A link to each folder."""
        names = self.values[_FOLDER]
        return tuple(Command("click", Target(role="link", name=name)) for name in names)

    def menu(self) -> list[tuple[str, str]]:
        """The folders."""
        names = self.values[_FOLDER]
        return [*((f"/folder/{i}", names[i]) for i in self._menu), ("/help", self._help)]

    def list_page(self, state: State, path: str, query: Query) -> str | None:
        """The messages of a folder."""
        del query
        folder = path.removeprefix("/folder/")
        if folder not in ("0", "1", "2"):
            return None
        shown = [i for i in self._shuffled if self.value(state, i, _FOLDER) == int(folder)]
        rows = [self.row(state, i, *self._marks(state, i)) for i in shown]
        body = element("table", *rows) if rows else element("p", say("No messages."))
        return self.page(self.values[_FOLDER][int(folder)], self.menu(), body)

    def _marks(self, state: State, message: int) -> list[str]:
        is_starred = self.value(state, message, _STARRED) == 1
        return [self._labels[_STARRED]] if is_starred else []

    def _values_of(self, part: Part) -> tuple[str, ...]:
        if part.concept == "folder":
            return tuple(self.wording.word(folder) for folder in _FOLDERS)
        if part.concept == "reply":
            return ("None", *self.wording.words(part.values, part.size - 1))
        return super()._values_of(part)
