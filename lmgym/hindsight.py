"""Hindsight for language: what an episode did reach, told as if it had been asked for.

A stretch of an episode that changed something is a demonstration of the instruction that asks for
this change (Zhang et al. 2023, "The Wisdom of Hindsight Makes Language Models Better Instruction
Followers"; Andrychowicz et al. 2017 for the idea). Where the world writes the instruction itself,
the label is exact and needs no judge. What the stretch did in vain is cut out first, so that what
is imitated is nearly the shortest way that it found.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, TypeVar

import numpy as np

from lmgym.task import Message, Task
from lmgym.transcript import Transcript

__all__ = [
    "Demonstration",
    "Journey",
    "RetellableTask",
    "Strategy",
    "erase_loops",
    "journey_of",
    "relabel",
    "shorten",
]

S = TypeVar("S")

Strategy = Literal["next", "later", "final"]
"""Up to which change a stretch goes: the next one, each of some later ones too, or the last."""


class Demonstration(NamedTuple):
    """A message that leads towards what is asked for.

    Attributes:
        messages: what the agent reads.
        text: what it should answer.
        kind: of what is asked for, see `RetellableTask.kind`.
    """

    messages: tuple[Message, ...]
    text: str
    kind: Hashable = None


@dataclass(frozen=True)
class Journey(Generic[S]):
    """What happened in an episode: the states, one more than the messages between them.

    Attributes:
        states: where it was, T + 1 of them.
        texts: the agent's messages, T of them.
    """

    states: Sequence[S]
    texts: Sequence[str]


class RetellableTask(Task[S], ABC):
    """A world whose episodes can be told again with another goal."""

    @abstractmethod
    def explore(self, state: S, rng: np.random.Generator) -> str:
        """A message that does something in this state, drawn without a goal."""

    @abstractmethod
    def said(self, state: S) -> tuple[Message, ...]:
        """What the agent reads in this state."""

    @abstractmethod
    def achievement(self, state: S) -> Hashable:
        """What has been reached, as far as goals can ask for it."""

    @abstractmethod
    def place(self, state: S) -> Hashable:
        """What decides how the episode can go on; equal places are the same place."""

    def kind(self, start: S, goal: S) -> Hashable:
        """What kind of problem it is to get from one state to the other.

        Chance reaches some kinds of goals far more often than others; learners may draw examples of
        rare kinds more often. By default all goals are of one kind.
        """
        del start, goal
        return None

    @abstractmethod
    def retell(
        self, states: Sequence[S], goal: S, rng: np.random.Generator
    ) -> list[tuple[Message, ...]] | None:
        """What an agent reads in these states, that is asked in the first for what `goal` reached.

        Returns:
            The messages in each state; None where no problem of the training split asks for this.
        """


def relabel(
    task: RetellableTask[S],
    journey: Journey[S],
    rng: np.random.Generator,
    *,
    strategy: Strategy = "later",
    most_changes: int = 3,
) -> Iterator[Demonstration]:
    """The demonstrations that an episode holds.

    It is cut where something was reached that had not been before. From each cut on, and from the
    start, there is a stretch to the next cut, or to each of the `most_changes` next ones; loops and
    steps in vain are cut out, and it is told with the goal that its end reached. A stretch that
    ends where it began, as far as goals can tell, demonstrates nothing; one that has reached its
    goal before its end goes no further.

    Args:
        task: the world.
        journey: the episode.
        rng: draws how goals are phrased.
        strategy: see `Strategy`.
        most_changes: cuts that a stretch may span.
    """
    reached = [task.achievement(state) for state in journey.states]
    cuts = [i for i in range(1, len(reached)) if reached[i] != reached[i - 1]]
    for number, start in enumerate([0, *cuts[:-1]] if cuts else []):
        ends = _ends(cuts[number:], strategy, most_changes)
        for end in dict.fromkeys([reached.index(reached[end], start) for end in ends]):
            if end != start:
                yield from _told(task, journey, start, end, rng)


def _ends(cuts: Sequence[int], strategy: Strategy, most_changes: int) -> Sequence[int]:
    if strategy == "final":
        return cuts[-1:]
    return cuts[: most_changes if strategy == "later" else 1]


def _told(
    task: RetellableTask[S], journey: Journey[S], start: int, end: int, rng: np.random.Generator
) -> Iterator[Demonstration]:
    last = journey.states[end]
    if task.retell([journey.states[start]], last, rng) is None:
        return
    way = Journey(journey.states[start : end + 1], journey.texts[start:end])
    way = _without_loops(task, way) if task.replies_draw else shorten(task, way)
    told = task.retell(way.states[:-1], last, rng)
    kind = task.kind(way.states[0], last)
    for messages, text in zip(told or (), way.texts, strict=True):
        yield Demonstration(messages, text, kind)


def shorten(task: RetellableTask[S], way: Journey[S]) -> Journey[S]:
    """A way to the same end without loops, and without each step that can be left out of it.

    The world's replies must follow from its state alone: ways are played again, and what is
    returned holds the states of this. Where a loop cannot be left out, because the next steps
    depend on more than the place, as going back in a history does, the steps are tried one by one
    from the end.
    """
    goal = task.achievement(way.states[-1])
    start, texts = way.states[0], _without_loops(task, way).texts
    found = _played(task, start, texts, goal) or _played(task, start, way.texts, goal) or way
    shorter = _without_one_by_one(task, found, goal)
    while len(shorter.texts) < len(found.texts):
        found, shorter = shorter, _without_one_by_one(task, shorter, goal)
    return shorter


def _without_one_by_one(task: RetellableTask[S], way: Journey[S], goal: Hashable) -> Journey[S]:
    """A way without the steps that can be left out, each tried once, from the end."""
    states, texts = list(way.states), list(way.texts)
    for place in reversed(range(len(texts))):
        rest = _played(task, states[place], texts[place + 1 :], goal)
        if rest is not None:
            states[place:], texts[place:] = rest.states, rest.texts
    return Journey(states, texts)


def _played(
    task: RetellableTask[S], start: S, texts: Sequence[str], goal: Hashable
) -> Journey[S] | None:
    """What messages do from a state on, up to where they reach a goal; None where they don't."""
    rng = np.random.default_rng(0)  # nothing is drawn from it
    states = [start]
    for n_said, text in enumerate(texts, 1):
        states.append(task.reply(states[-1], text, rng).state)
        if task.achievement(states[-1]) == goal:
            return Journey(states, texts[:n_said])
    return None


def _without_loops(task: RetellableTask[S], way: Journey[S]) -> Journey[S]:
    kept = erase_loops([task.place(state) for state in way.states])
    return Journey([way.states[i] for i in kept], [way.texts[i - 1] for i in kept[1:]])


def erase_loops(places: Sequence[Hashable]) -> list[int]:
    """The indices of a way that never comes to the same place twice.

    Where a way comes back to a place, what lies between is left out; of the step into each place
    that is kept the last one counts.

    Example:
        >>> erase_loops(["home", "list", "home", "item", "cart"])
        [0, 3, 4]
    """
    kept: list[int] = []
    where: dict[Hashable, int] = {}
    for index, place in enumerate(places):
        if place in where:
            for gone in kept[where[place] + 1 :]:
                del where[places[gone]]
            del kept[where[place] + 1 :]
            continue
        where[place] = len(kept)
        kept.append(index)
    return kept


def journey_of(task: Task[S], transcript: Transcript) -> Journey[S]:
    """The states of an episode, found by playing its messages again; replies must draw nothing."""
    rng = np.random.default_rng(0)  # nothing is drawn from it
    states = [task.reset(rng, task_id=transcript.task_id).state]
    texts = [turn.text for s in transcript.require_ids() for turn in s.turns if turn.is_finished]
    for text in texts:
        states.append(task.reply(states[-1], text, rng).state)
    return Journey(states, texts)
