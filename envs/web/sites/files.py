"""Files in folders: each can be moved and renamed."""

from __future__ import annotations

from lmgym.envs.web.base_site import Query, State
from lmgym.envs.web.commands import Command, Target
from lmgym.envs.web.markup import element, say
from lmgym.envs.web.records import Part, RecordSite

__all__ = ["FilesSite"]

_FOLDER, _NAME, _SHARED = 0, 1, 2
_N_FOLDERS, _N_NAMES = 3, 3


class FilesSite(RecordSite):
    """Four files in three folders."""

    family = "files"
    n_records = 4
    names = "file names"
    parts = (
        Part("folder", ("select", "radio"), _N_FOLDERS, "folders", button="move"),
        Part("name", ("text",), _N_NAMES, "file names", button="rename"),
        Part("shared", ("checkbox",), 2),
    )
    texts = frozenset(3 * i + _NAME for i in range(4))
    kinds = (*(f"folder{i}" for i in range(_N_FOLDERS)), *(f"item{i}" for i in range(4)))
    home = "/folder/0"

    def choose_words(self) -> None:
        """Names that each file can have; the first one is what it starts with."""
        spare = self.wording.words("file names", self.n_records * _N_NAMES)
        kept = [name for name in spare if name not in self.records]
        more = [name for name in self.wording.words("file names", 99) if name not in kept]
        pool = [*kept, *(name for name in more if name not in self.records)]
        n = _N_NAMES - 1
        self._variants = tuple(
            (record, *pool[n * i : n * (i + 1)]) for i, record in enumerate(self.records)
        )
        values = list(self.values)
        for i, variants in enumerate(self._variants):
            values[3 * i + _NAME] = variants
        self.values = tuple(values)
        field = self._fields[_NAME]
        every = tuple(name for variants in self._variants for name in variants)
        self._fields = (
            self._fields[_FOLDER],
            type(field)(field.key, field.label, field.kind, every, field.form_of_label),
            self._fields[_SHARED],
        )

    def navigation(self) -> tuple[Command, ...]:
        """A link to each folder."""
        return tuple(
            Command("click", Target(role="link", name=name)) for name in self.values[_FOLDER]
        )

    def menu(self) -> list[tuple[str, str]]:
        """The folders."""
        folders = [(f"/folder/{i}", name) for i, name in enumerate(self.values[_FOLDER])]
        return [*folders, ("/help", self._help)]

    def record_links(self) -> tuple[str, ...]:
        """Every name that every file can have."""
        return tuple(name for variants in self._variants for name in variants)

    def record_name(self, state: State, record: int) -> str:
        """The file's name now."""
        return str(self.value(state, record, _NAME))

    def list_page(self, state: State, path: str, query: Query) -> str | None:
        """The files of a folder."""
        del query
        folder = path.removeprefix("/folder/")
        if folder not in map(str, range(_N_FOLDERS)):
            return None
        shown = [i for i in self._shuffled if self.value(state, i, _FOLDER) == int(folder)]
        rows = [self.row(state, i, *self._marks(state, i)) for i in shown]
        body = element("table", *rows) if rows else element("p", say("The folder is empty."))
        return self.page(self.values[_FOLDER][int(folder)], self.menu(), body)

    def _marks(self, state: State, record: int) -> list[str]:
        return [self._labels[_SHARED]] if self.value(state, record, _SHARED) == 1 else []

    def _links_of(self, record: int, first: int) -> set[int]:
        return {first + _N_NAMES * record + i for i in range(_N_NAMES)}

    def _command_of(self, record: int, part: int, value: int) -> int:
        return _N_NAMES * record + value if part == _NAME else value
