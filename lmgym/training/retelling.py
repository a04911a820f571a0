"""Demonstrations by hindsight: episodes in, what they teach out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from lmgym.hindsight import Demonstration, Journey, RetellableTask, Strategy, relabel
from lmgym.rendering import Renderer
from lmgym.task import ROLE_IDS, Role, Verdict
from lmgym.transcript import AGENT, Segment, Transcript, Turn

__all__ = ["DemonstrationBuffer", "Relabeling", "as_text", "explore", "written"]

Relabeling = Strategy | Literal["none"]
"""How episodes are told again; with none only those that succeeded are imitated, as they were."""


class DemonstrationBuffer:
    """What the episodes so far demonstrate, each example once.

    Args:
        task: the world.
        renderer: makes ids of the examples.
        relabeling: see `Relabeling`.
        most_changes: what a stretch may span, see `relabel`.
    """

    def __init__(
        self,
        task: RetellableTask[Any],
        renderer: Renderer,
        relabeling: Relabeling,
        most_changes: int = 3,
    ) -> None:
        """Start empty."""
        self.task, self.renderer = task, renderer
        self.relabeling: Relabeling = relabeling
        self.most_changes = most_changes
        self.examples: list[Transcript] = []
        self._kinds: defaultdict[Hashable, list[int]] = defaultdict(list)
        self._seen: set[Demonstration] = set()

    def __len__(self) -> int:
        """How many examples there are."""
        return len(self.examples)

    def add(self, journeys: Iterable[Journey[Any]], rng: np.random.Generator) -> int:
        """Take in episodes; returns how many new examples they held."""
        n_before = len(self.examples)
        for journey in journeys:
            for example in self._told(journey, rng):
                if example not in self._seen:
                    self._seen.add(example)
                    self._kinds[example.kind].append(len(self.examples))
                    self.examples.append(written(example, self.renderer))
        return len(self.examples) - n_before

    def sample(self, rng: np.random.Generator, n: int) -> list[Transcript]:
        """So many examples; a kind of goal is as likely as the root of its number of examples.

        So rare kinds are seen more often than chance reaches them, and frequent ones most often.
        """
        kinds = list(self._kinds.values())
        weights = np.sqrt([len(places) for places in kinds])
        drawn = rng.choice(len(kinds), size=n, p=weights / weights.sum()).tolist()
        return [self.examples[kinds[i][int(rng.integers(len(kinds[i])))]] for i in drawn]

    def _told(self, journey: Journey[Any], rng: np.random.Generator) -> Iterable[Demonstration]:
        if self.relabeling != "none":
            changes = self.most_changes
            return relabel(self.task, journey, rng, strategy=self.relabeling, most_changes=changes)
        return _as_it_was(self.task, journey, rng)


def _as_it_was(
    task: RetellableTask[Any], journey: Journey[Any], rng: np.random.Generator
) -> list[Demonstration]:
    """The messages of an episode that succeeded; of others none."""
    steps = list(zip(journey.states, journey.texts, strict=False))
    if not steps or task.reply(*steps[-1], rng).verdict is not Verdict.CORRECT:
        return []
    kind = task.kind(journey.states[0], journey.states[-1])
    return [Demonstration(task.said(state), text, kind) for state, text in steps]


def explore(
    task: RetellableTask[Any], rng: np.random.Generator, n: int, *, split: str = "train"
) -> list[Journey[Any]]:
    """Episodes of messages that the world draws without a goal."""
    return [_wander(task, rng, split) for _ in range(n)]


def _wander(task: RetellableTask[Any], rng: np.random.Generator, split: str) -> Journey[Any]:
    states, texts = [task.reset(rng, split=split).state], []
    for _ in range(task.max_turns):
        texts.append(task.explore(states[-1], rng))
        reply = task.reply(states[-1], texts[-1], rng)
        states.append(reply.state)
        if reply.verdict is not None:
            break
    return Journey(states, texts)


def written(example: Demonstration, renderer: Renderer) -> Transcript:
    """An example as ids, with a loss mask on what should be answered."""
    opening, roles = renderer.open(example.messages)
    said = [*renderer.encode(example.text), renderer.end_id]
    start, end = len(opening), len(opening) + len(said)
    turn = Turn(AGENT, start, end, example.text, len(said), is_finished=True)
    segment = Segment(
        (*opening, *said),
        (*roles, *[ROLE_IDS[Role.ASSISTANT]] * len(said)),
        (0,) * start + (1,) * len(said),
        start,
        (turn,),
    )
    transcript = Transcript(example.messages, (segment,), len(example.messages))
    return replace(transcript, verdict=Verdict.ENDED)


def as_text(example: Transcript) -> Transcript:
    """An example all of whose ids but the first carry loss, as if the agent had written them."""
    (segment,) = example.require_ids()
    return replace(
        example, segments=(replace(segment, loss_mask=(0,) + (1,) * (len(segment.ids) - 1)),)
    )
