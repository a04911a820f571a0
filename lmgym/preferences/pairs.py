"""Preference pairs, logged trials, and a data set of pairs."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

import numpy as np

from lmgym.errors import LmgymError, unknown
from lmgym.preferences.splitting import split_by_prompt
from lmgym.task import Message, Role, Verdict
from lmgym.transcript import Transcript

__all__ = [
    "EqualAnswersError",
    "PreferenceDataset",
    "PreferencePair",
    "Prompt",
    "Trial",
    "as_messages",
]

Prompt = str | Sequence[Message | Mapping[str, Any]]
"""A conversation before an answer; a text is one message of the user."""


class EqualAnswersError(LmgymError):
    """Two answers to one prompt that are the same text: nothing to compare."""


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """Two answers, and which one is better.

    Attributes:
        prompt: the conversation before the answer, never empty.
        chosen: the answer that was preferred; it may be empty, as of a model that said nothing.
        rejected: the other answer, a different one unless the prompts differ.
        probability: that `chosen` is better, in [0, 1]: 0.5 for a tie, a share of votes where
            several people were asked.
        weight: how much the pair counts, above 0.
        margin: by how much `chosen` is better, where somebody said.
        subset: which part of a data set the pair belongs to.
        id: its name there.
        rejected_prompt: what `rejected` answers, where that is another prompt; None for the same.
        columns: further facts.

    Raises:
        LmgymError: for values outside these ranges; it names the field.

    Example:
        >>> pair = PreferencePair.of("1+1=", "2", "11")
        >>> pair.prompt[0].role, pair.transcripts()[1].completion_text
        (<Role.USER: 'user'>, '11')
    """

    prompt: tuple[Message, ...]
    chosen: str
    rejected: str
    probability: float = 1.0
    weight: float = 1.0
    margin: float | None = None
    subset: str = ""
    id: str = ""
    rejected_prompt: tuple[Message, ...] | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise for what is no pair."""
        _check_prompt("prompt", self.prompt)
        if self.rejected_prompt is not None:
            _check_prompt("rejected_prompt", self.rejected_prompt)
        _check_share("probability", self.probability)
        _check_weight(self.weight)
        if self.margin is not None and not math.isfinite(self.margin):
            raise LmgymError(f"'margin' is {self.margin}; a finite number or none is allowed")
        if self.is_within_prompt and self.chosen == self.rejected:
            raise EqualAnswersError(
                "'chosen' and 'rejected' are the same text, which says nothing; leave the pair out"
            )

    @classmethod
    def of(cls, prompt: Prompt, chosen: str, rejected: str, **facts: Any) -> PreferencePair:
        """A pair from a prompt in any form; `facts` are further fields."""
        if facts.get("rejected_prompt") is not None:
            facts["rejected_prompt"] = as_messages(facts["rejected_prompt"])
        return cls(as_messages(prompt), chosen, rejected, **facts)

    @property
    def is_within_prompt(self) -> bool:
        """Whether both answers are to the same prompt."""
        return self.rejected_prompt is None or self.rejected_prompt == self.prompt

    @property
    def prompts(self) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
        """What `chosen` and what `rejected` answers."""
        return self.prompt, self.rejected_prompt or self.prompt

    def transcripts(self) -> tuple[Transcript, Transcript]:
        """The two answers as finished episodes without ids: chosen, rejected."""
        first, second = self.prompts
        return self._transcript(first, self.chosen), self._transcript(second, self.rejected)

    def swapped(self) -> PreferencePair:
        """The pair as one who prefers the other answer gives it, equally sure."""
        first, second = self.prompts
        other = first if self.rejected_prompt is not None else None
        return replace(
            self, prompt=second, chosen=self.rejected, rejected=self.chosen, rejected_prompt=other
        )

    def _transcript(self, prompt: tuple[Message, ...], answer: str) -> Transcript:
        return _transcript(prompt, answer, task_id=self.id, columns=self.columns)


@dataclass(frozen=True, slots=True)
class Trial:
    """One answer, and how good it was found on its own.

    Attributes:
        transcript: what was asked and answered.
        label: 1 for right, 0 for wrong, or a share in between.
        weight: how much the trial counts, above 0.

    Example:
        >>> Trial.of("1+1=", "2", 1).transcript.completion_text
        '2'
    """

    transcript: Transcript
    label: float
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Raise for numbers out of their range."""
        _check_share("label", self.label)
        _check_weight(self.weight)

    @property
    def prompt(self) -> tuple[Message, ...]:
        """What was asked."""
        return self.transcript.messages[: self.transcript.n_opening]

    @classmethod
    def of(
        cls, prompt: Prompt, completion: str, label: float, weight: float = 1.0, **facts: Any
    ) -> Trial:
        """A trial of texts; `facts` are further fields of the transcript."""
        messages = as_messages(prompt)
        _check_prompt("prompt", messages)
        return cls(_transcript(messages, completion, **facts), float(label), weight)


@dataclass(frozen=True, slots=True)
class PreferenceDataset(Sequence[PreferencePair]):
    """Preference pairs in an order that stays.

    Attributes:
        pairs: the pairs.
        n_equal: rows of its file that were left out because their answers are equal.
        n_malformed: rows of its file that were left out because they are no pairs.

    Example:
        >>> sums = (PreferencePair.of(f"{n}+1=", str(n + 1), "0") for n in range(10))
        >>> data = PreferenceDataset.of(sums)
        >>> train, test = data.split(0.8, 0.2)
        >>> len(train), len(test)
        (8, 2)
    """

    pairs: tuple[PreferencePair, ...]
    n_equal: int = 0
    n_malformed: int = 0

    @classmethod
    def of(cls, pairs: Iterable[PreferencePair]) -> PreferenceDataset:
        """A data set of these pairs."""
        return cls(tuple(pairs))

    @classmethod
    def from_jsonl(cls, path: str | Path) -> PreferenceDataset:
        """Read what `to_jsonl` writes, or a file with the columns of TRL."""
        from lmgym.preferences.readers import read_preferences

        return read_preferences(path, format="jsonl")

    def to_jsonl(self, path: str | Path) -> None:
        """Write one pair a line, with the columns of TRL, in one step."""
        from lmgym.commands.files import write_text
        from lmgym.preferences.rows import row_of

        lines = (json.dumps(row_of(pair), ensure_ascii=False) for pair in self.pairs)
        write_text(path, "".join(f"{line}\n" for line in lines))

    @overload
    def __getitem__(self, index: int) -> PreferencePair: ...

    @overload
    def __getitem__(self, index: slice) -> PreferenceDataset: ...

    def __getitem__(self, index: int | slice) -> PreferencePair | PreferenceDataset:
        """A pair, or the pairs of a slice as a data set."""
        if isinstance(index, slice):
            return PreferenceDataset(self.pairs[index])
        return self.pairs[index]

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self.pairs)

    def __iter__(self) -> Iterator[PreferencePair]:
        """The pairs in their order."""
        return iter(self.pairs)

    @property
    def subsets(self) -> dict[str, int]:
        """How many pairs each subset has, in the order they appear."""
        return dict(Counter(pair.subset for pair in self.pairs))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything but `columns`, in hexadecimal digits."""
        digest = hashlib.sha256()
        for pair in self.pairs:
            values = [getattr(pair, name) for name in _FINGERPRINTED]
            digest.update(json.dumps(values).encode())
        return digest.hexdigest()

    def select(self, indices: Iterable[int]) -> PreferenceDataset:
        """The pairs at these places, in the order given."""
        return PreferenceDataset.of(self.pairs[int(index)] for index in indices)

    def subset(self, name: str) -> PreferenceDataset:
        """The pairs of one subset."""
        found = PreferenceDataset.of(pair for pair in self.pairs if pair.subset == name)
        if not found:
            raise unknown("subset", name, self.subsets)
        return found

    def flip(self, probability: float, rng: np.random.Generator) -> PreferenceDataset:
        """The pairs with label noise: each is swapped with this probability."""
        _check_share("probability", probability)
        is_flipped = rng.random(len(self)) < probability
        pairs = zip(self.pairs, is_flipped, strict=True)
        return PreferenceDataset.of(pair.swapped() if flip else pair for pair, flip in pairs)

    def split(self, *fractions: float, seed: int = 0) -> tuple[PreferenceDataset, ...]:
        """Parts of these fractions of the pairs, no prompt in more than one of them.

        Prompts are shuffled and dealt out whole, so sizes are near the fractions. A pair across
        prompts that fall into different parts is in none of them.

        Raises:
            LmgymError: for fractions that are not positive or do not add up to 1, and where a part
                would be empty.
        """
        rows = [pair.prompts for pair in self.pairs]
        return tuple(map(self.select, split_by_prompt(rows, fractions, seed)))


def as_messages(prompt: Prompt) -> tuple[Message, ...]:
    """A prompt as messages; mappings need `role` and `content`, both texts.

    The role "developer" is that of the system under another name.

    Raises:
        LmgymError: for anything else, naming the message, counted from 1.
    """
    if isinstance(prompt, str):
        return (Message(Role.USER, prompt),)
    if not isinstance(prompt, Sequence):
        raise LmgymError(f"{_short(prompt)} is no prompt; give a text or a list of messages")
    return tuple(_message(message, number) for number, message in enumerate(prompt, 1))


def _message(given: Any, number: int) -> Message:
    if isinstance(given, Message):
        return given
    if not isinstance(given, Mapping) or not {"role", "content"} <= set(given):
        raise LmgymError(f"message {number} is {_short(given)}; it needs 'role' and 'content'")
    role, content = given["role"], given["content"]
    if role == "developer":
        role = Role.SYSTEM
    if role not in tuple(Role):
        raise unknown(f"role of message {number}", role, Role)
    if content is None:
        raise LmgymError(f"message {number} has no content, as one that calls a tool; give a text")
    if not isinstance(content, str):
        raise LmgymError(f"the content of message {number} is {_short(content)}; give a text")
    return Message(Role(role), content)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _transcript(prompt: tuple[Message, ...], answer: str, **facts: Any) -> Transcript:
    messages = (*prompt, Message(Role.ASSISTANT, answer))
    return Transcript(messages, n_opening=len(prompt), verdict=Verdict.ENDED, **facts)


def _check_prompt(name: str, prompt: Sequence[Message]) -> None:
    if not any(message.content.strip() for message in prompt):
        raise LmgymError(f"{name!r} is empty; give a text, or messages with one")


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise LmgymError(f"{name!r} is {value}; a number from 0 to 1 is allowed")


def _check_weight(value: float) -> None:
    if not 0 < value < math.inf:
        raise LmgymError(f"'weight' is {value}; a finite number above 0 is allowed")


_FINGERPRINTED = (
    "prompt",
    "chosen",
    "rejected",
    "probability",
    "weight",
    "margin",
    "subset",
    "id",
    "rejected_prompt",
)
