"""`Transcript`: what happened in one episode, as token ids.

Ids are the state. A sampler's ids enter as they were drawn and are never tokenized again, because
encode(decode(ids)) differs from ids for a large part of what a language model samples. A
transcript made from plain strings has no segments and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lmgym.errors import LmgymError
from lmgym.task import ROLE_IDS, Message, Role, Task, Verdict

__all__ = [
    "AGENT",
    "Segment",
    "Step",
    "Transcript",
    "Turn",
    "conversation_text",
    "rendered_text",
    "roles_and_mask",
    "with_gold_rewards",
    "with_logprobs",
]

_ASSISTANT = ROLE_IDS[Role.ASSISTANT]

AGENT = "agent_0"
"""The name of the only agent of a single-agent world."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of an agent: positions `start` to `end` of its segment's ids."""

    agent: str
    start: int
    end: int
    text: str
    n_tokens: int
    is_finished: bool
    """Whether the agent ended the message itself (False where a limit cut it off)."""


@dataclass(frozen=True, slots=True)
class Step:
    """A line of an agent's message, its line break included: positions `start` to `end`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of ids that one agent saw and wrote, in order.

    Attributes:
        ids: all ids, shape (T,).
        role_ids: the role that speaks each id (`lmgym.task.ROLE_IDS`), shape (T,).
        loss_mask: 1 where the agent drew the id, 0 elsewhere, shape (T,).
        prompt_length: how many of the ids are the opening context.
        logprobs: log-probability at which each id was drawn, 0.0 where the loss mask is 0;
            None where the sampler recorded none.
        steps: the finished lines of the messages, without gaps between them; one ends with a drawn
            id that holds a line break, or with its message.
    """

    ids: tuple[int, ...]
    role_ids: tuple[int, ...]
    loss_mask: tuple[int, ...]
    prompt_length: int
    turns: tuple[Turn, ...]
    logprobs: tuple[float, ...] | None = None
    agent: str = AGENT
    steps: tuple[Step, ...] = ()

    @property
    def drawn(self) -> tuple[int, ...]:
        """The positions of the ids that the agent drew."""
        return tuple(i for i, is_drawn in enumerate(self.loss_mask) if is_drawn)

    def unit_ends(self, level: str) -> tuple[int, ...]:
        """Where each finished turn, step or drawn id ends: the position behind its last id."""
        if level == "turn":
            return tuple(turn.end for turn in self.turns)
        if level == "step":
            return tuple(step.end for step in self.steps)
        return tuple(place + 1 for place in self.drawn) if level == "token" else ()

    @property
    def prompt_ids(self) -> tuple[int, ...]:
        """The opening context."""
        return self.ids[: self.prompt_length]

    @property
    def response_ids(self) -> tuple[int, ...]:
        """Everything after the opening context, the world's replies included."""
        return self.ids[self.prompt_length :]


@dataclass(frozen=True, slots=True)
class Transcript:
    """One episode: its messages, its ids, and how it ended.

    Attributes:
        messages: the conversation as text, the opening first.
        segments: the same as ids; empty where the transcript was made from strings. All segments
            of an agent share one return.
        n_opening: how many of the messages are the opening.
        verdict: None while the episode goes on.
        group_id: equal for episodes that answer the same problem for comparison.
        columns: further facts about the problem, from the world.
        gold_reward: the world's graded ground truth, where it has one and the episode is over.
        draft: what the agent has written of a message that it has not ended.
    """

    messages: tuple[Message, ...]
    segments: tuple[Segment, ...] = ()
    n_opening: int = 1
    task_id: str = ""
    gold: str | None = None
    goal: Any = None
    verdict: Verdict | None = None
    group_id: int = 0
    columns: Mapping[str, Any] = field(default_factory=dict)
    gold_reward: float | None = None
    draft: str = ""

    @classmethod
    def from_strings(cls, prompt: str, completion: str, **facts: Any) -> Transcript:
        """A transcript of one question and one answer, without ids.

        Example:
            >>> Transcript.from_strings("1+1=", "2", gold="2").has_ids
            False
        """
        question, answer = Message(Role.USER, prompt), Message(Role.ASSISTANT, completion)
        return cls((question, answer), **facts)

    @property
    def has_ids(self) -> bool:
        """Whether the transcript carries the ids that were drawn."""
        return bool(self.segments)

    @property
    def prompt_text(self) -> str:
        """The opening as plain text."""
        return conversation_text(self.messages[: self.n_opening])

    @property
    def completion_text(self) -> str:
        """The agent's last message, finished or not, or an empty string."""
        place = self._last_place
        return self.draft if place == len(self.messages) else self.messages[place].content

    @property
    def context_text(self) -> str:
        """What comes before the agent's last message, as plain text."""
        return conversation_text(self.messages[: self._last_place])

    @property
    def n_tokens(self) -> int:
        """Ids that the agent drew."""
        return sum(sum(segment.loss_mask) for segment in self.require_ids())

    def n_units(self, level: str) -> int:
        """How many turns, steps or drawn ids (`level`) are finished; 0 for "outcome".

        Without ids a step ends at each line break and with each message.
        """
        if level == "token":
            return self.n_tokens
        if self.segments:
            return sum(len(segment.unit_ends(level)) for segment in self.segments)
        said = [m.content for m in self.messages[self.n_opening :] if m.role is Role.ASSISTANT]
        n_breaks = sum(text.count("\n") for text in (*said, self.draft))
        return {"turn": len(said), "step": len(said) + n_breaks}.get(level, 0)

    def require_ids(self) -> tuple[Segment, ...]:
        """The segments, or an error where the transcript was made from strings."""
        if not self.segments:
            raise LmgymError(
                f"the transcript of {self.task_id or self.prompt_text!r} was made from strings and"
                " has no token ids; learners need ids as they were drawn: sample through a"
                " LanguagePolicy or step an environment"
            )
        return self.segments

    def with_logprobs(self, logprobs: Sequence[float]) -> Transcript:
        """The transcript with the log-probabilities of the ids that were drawn, in their order."""
        if len(logprobs) != self.n_tokens:
            raise LmgymError(
                f"{len(logprobs)} log-probabilities were given for {self.n_tokens} drawn ids;"
                " give one for each"
            )
        return replace(self, segments=with_logprobs(self.segments, logprobs))

    def view(self, agent: str) -> Transcript:
        """What `agent` saw, with its own loss mask."""
        return replace(self, segments=tuple(s for s in self.segments if s.agent == agent))

    @property
    def _last_place(self) -> int:
        """Where among the messages the agent's last one stands, or would stand."""
        n = len(self.messages)
        if self.draft:
            return n
        for place in range(n - 1, self.n_opening - 1, -1):
            if self.messages[place].role is Role.ASSISTANT:
                return place
        return n


def conversation_text(messages: Sequence[Message]) -> str:
    """The contents of the messages, a line break between them."""
    if len(messages) == 1:
        return messages[0].content
    return "\n".join(message.content for message in messages)


def rendered_text(messages: Sequence[Message], verdict: Verdict | None, draft: str) -> str:
    """A conversation for people: its messages, and the unfinished one or how it ended."""
    lines = [f"{message.role}: {message.content}" for message in messages]
    if verdict is None:
        return "\n".join([*lines, f"{Role.ASSISTANT}: {draft}\u2581"])
    return "\n".join([*lines, f"[{verdict}]"])


def with_gold_rewards(task: Task[Any], transcripts: Sequence[Transcript]) -> list[Transcript]:
    """Episodes that are over, each with its gold reward where the world has one.

    Raises:
        LmgymError: where the world grades them with anything but one finite number for each.
    """
    if not task.has_gold_reward or not transcripts:
        return list(transcripts)
    grades = np.asarray(task.gold_rewards(transcripts), np.float64)
    if grades.shape != (len(transcripts),) or not np.isfinite(grades).all():
        raise LmgymError(
            f"{type(task).__name__}.gold_rewards returned {grades!r:.80} for {len(transcripts)}"
            " episodes; it must return one finite number for each"
        )
    pairs = zip(transcripts, grades.tolist(), strict=True)
    return [replace(transcript, gold_reward=grade) for transcript, grade in pairs]


def with_logprobs(segments: Sequence[Segment], logprobs: Iterable[float]) -> tuple[Segment, ...]:
    """The segments with the log-probability of each drawn id, in their order."""
    values = iter(logprobs)
    return tuple(
        replace(s, logprobs=tuple(next(values) if drawn else 0.0 for drawn in s.loss_mask))
        for s in segments
    )


def roles_and_mask(
    world_roles: Sequence[Sequence[int]], turn_ends: Sequence[int], length: int, n_prefix: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Role ids and loss mask of an episode's ids, both of shape (length,).

    Args:
        world_roles: roles of the opening's ids, then of each reply of the world.
        turn_ends: where each message of the agent ended.
        length: ids so far.
        n_prefix: how many ids the agent's first message was given.
    """
    roles: list[int] = []
    mask: list[int] = []
    for index, world in enumerate(world_roles):
        roles += world
        mask += [0] * len(world)
        drawn = (turn_ends[index] if index < len(turn_ends) else length) - len(roles)
        roles += [_ASSISTANT] * drawn
        mask += [1] * drawn
    first = len(world_roles[0])
    mask[first : first + n_prefix] = [0] * n_prefix
    return tuple(roles), tuple(mask)
