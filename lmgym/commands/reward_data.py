"""What the commands about rewards share: data of any kind, and progress on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import Progress, TaskID

from lmgym.errors import LmgymError, unknown
from lmgym.preferences.formats import FORMATS
from lmgym.preferences.pairs import PreferenceDataset, Trial
from lmgym.preferences.readers import read_preferences
from lmgym.preferences.trials import read_trials

__all__ = ["Data", "Told", "check_seed", "counted", "progress", "read_pairs", "read_rows"]

Data = PreferenceDataset | list[Trial]


class Told(Protocol):
    """Is told what is done, how much of it, and of how much."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show it."""
        ...


def read_rows(source: str, name: str, *, skip_malformed: bool = False) -> Data:
    """Pairs, or trials where the format is trials or the file is an array."""
    if name == "trials" or (name == "auto" and source.endswith(".npy")):
        return read_trials(source)
    if name not in ("auto", *FORMATS):
        raise unknown("format", name, ("auto", *FORMATS, "trials"))
    return read_preferences(source, format=name, skip_malformed=skip_malformed)


def read_pairs(source: str, name: str, *, skip_malformed: bool = False) -> PreferenceDataset:
    """Pairs, where trials will not do."""
    data = read_rows(source, name, skip_malformed=skip_malformed)
    if isinstance(data, PreferenceDataset):
        return data
    raise LmgymError(f"{source!r} holds single answers; preference pairs are needed here")


def counted(data: Data) -> str:
    """How many rows there are, in words."""
    if not isinstance(data, PreferenceDataset):
        return f"{len(data):,} trials"
    left_out = {"with equal answers": data.n_equal, "malformed": data.n_malformed}
    told = "".join(f", {n:,} {what} left out" for what, n in left_out.items() if n)
    return f"{len(data):,} pairs{told}"


def check_seed(seed: int | None) -> None:
    """Raise where a seed is below 0."""
    if seed is not None and seed < 0:
        raise LmgymError(f"--seed {seed} is out of range; give 0 or more")


@contextmanager
def progress() -> Iterator[Told]:
    """Bars on the standard error while something takes its time, on a terminal only."""
    console = Console(stderr=True)
    bars: dict[str, TaskID] = {}
    with Progress(console=console, transient=True, disable=not console.is_terminal) as shown:

        def tell(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = shown.add_task(what, total=total)
            shown.update(bars[what], completed=done, total=total)

        yield tell
