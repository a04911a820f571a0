"""`TerminalAnnotator`: a person says in the terminal which of two answers is better."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.text import Text

from lmgym.commands.files import check_file
from lmgym.preferences.pairs import PreferenceDataset, PreferencePair
from lmgym.task import Message
from lmgym.training.progress import visible

__all__ = ["TerminalAnnotator"]

_KEYS = "1 or 2: this one is better, 0: equally good, s: skip, u: undo, q: quit"
_LABELS = {"1": 1.0, "2": 0.0, "0": 0.5}
_LINE_CHARACTERS = 10_000


class TerminalAnnotator:
    """Asks a person, and writes every answer to a file at once.

    Which answer comes first is drawn anew for each question. The file has the columns of TRL, a
    tie the probability 0.5; pairs that stand in it are not asked again, so one can stop at any time
    and go on later. What was skipped is asked the next time.

    Args:
        path: a .jsonl file, which may exist.
        rng: draws which answer is shown first.
        console: where to show them; None for the standard output.
        read: gives a line that was typed; EOFError for the end.
    """

    def __init__(
        self,
        path: str | Path,
        rng: np.random.Generator,
        *,
        console: Console | None = None,
        read: Callable[[str], str] = input,
    ) -> None:
        """Read what the file holds already."""
        self._file = check_file(path, ".jsonl")
        self._rng = rng
        self._console = console or Console(highlight=False)
        self._read = read
        has_rows = self._file.is_file() and self._file.stat().st_size > 0
        self.labelled = list(PreferenceDataset.from_jsonl(self._file)) if has_rows else []

    def annotate(self, pairs: Sequence[PreferencePair]) -> PreferenceDataset:
        """Ask about each pair that has no answer yet; their labels are not looked at.

        Returns:
            All answers in the file, those of earlier sittings first.
        """
        asked = self.unanswered(pairs)
        if len(asked) < len(pairs):
            self._print(f"{len(pairs) - len(asked)} of {len(pairs)} have an answer already", "dim")
        self._print(_KEYS, "dim")
        answered: list[int] = []  # in this sitting, so that undo knows where it was
        index = 0
        while index < len(asked):
            word = self._ask(asked[index], f"{index + 1}/{len(asked)}")
            if word == "q":
                break
            if word == "u":
                index = self._undo(answered, index)
                continue
            if word != "s":
                answered.append(index)
            index += 1
        return PreferenceDataset.of(self.labelled)

    def unanswered(self, pairs: Sequence[PreferencePair]) -> list[PreferencePair]:
        """The pairs that have no answer in the file."""
        known = {_key(pair) for pair in self.labelled}
        return [pair for pair in pairs if _key(pair) not in known]

    def _ask(self, pair: PreferencePair, place: str) -> str:
        """Show a pair and do what is said; returns the key."""
        shown = pair.swapped() if self._rng.random() < 0.5 else pair
        self._show(shown, place)
        word = self._key_of_person()
        if word in _LABELS:
            label = _LABELS[word]
            decided = shown if label >= 0.5 else shown.swapped()
            self.labelled.append(replace(decided, probability=max(label, 1 - label), margin=None))
            self._write()
        return word

    def _undo(self, answered: list[int], index: int) -> int:
        """Take the last answer of this sitting back; returns where to go on."""
        if not answered:
            self._print("nothing to undo in this sitting", "yellow")
            return index
        self.labelled.pop()
        self._write()
        return answered.pop()

    def _write(self) -> None:
        PreferenceDataset.of(self.labelled).to_jsonl(self._file)

    def _key_of_person(self) -> str:
        while True:
            try:
                word = self._read("> ").strip().lower()
            except EOFError:
                return "q"
            if word in (*_LABELS, "s", "u", "q"):
                return word
            self._print(_KEYS, "yellow")

    def _show(self, pair: PreferencePair, place: str) -> None:
        first, second = pair.prompts
        self._print(f"\n[{place}]", "bold")
        self._print(_conversation(first))
        if not pair.is_within_prompt:
            self._print("1: the answer to this", "dim")
            self._print(_lines(pair.chosen), "cyan")
            self._print(_conversation(second))
            self._print("2: the answer to that", "dim")
            self._print(_lines(pair.rejected), "magenta")
            return
        for number, text, style in ((1, pair.chosen, "cyan"), (2, pair.rejected, "magenta")):
            self._print(f"{number}:", "dim")
            self._print(_lines(text), style)

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style), soft_wrap=True)


def _key(pair: PreferencePair) -> Hashable:
    """Equal for pairs of the same answers, in whatever order."""
    return frozenset(zip(pair.prompts, (pair.chosen, pair.rejected), strict=True))


def _conversation(messages: Sequence[Message]) -> str:
    if len(messages) == 1:
        return _lines(messages[0].content)
    return "\n".join(f"{message.role}: {_lines(message.content)}" for message in messages)


def _lines(text: str) -> str:
    """The text with its line breaks; whatever else cannot be seen is spelled out."""
    return "\n".join(visible(line, _LINE_CHARACTERS) for line in text.split("\n")) or "(nothing)"
