"""`Course`: what a row of a batch knows of its episode besides the ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from lmgym.segments import PutAway
from lmgym.task import Message, Reply, Role
from lmgym.transcript import Turn

__all__ = ["Course"]


@dataclass(frozen=True, slots=True)
class Course:
    """A value, so that forks share it: each method returns another.

    Attributes:
        state: the world's own.
        messages: of the whole episode.
        prompt_length: ids that the present context opened with.
        turns: the agent's messages of the whole episode.
        replies: the roles of the ids of each reply of the world in the present context.
        past: the contexts before the present one, where replies start it again: one for each turn.
        prompt_roles: the roles of what the present context opened with, where that was a reply.
        first_message: where among the messages the present context begins.

    Example:
        >>> Course("the state", (Message(Role.USER, "1+1="),), prompt_length=7).seen[0].content
        '1+1='
    """

    state: Any
    messages: tuple[Message, ...]
    prompt_length: int
    turns: tuple[Turn, ...] = ()
    replies: tuple[tuple[int, ...], ...] = ()
    past: tuple[PutAway, ...] = ()
    prompt_roles: tuple[int, ...] = ()
    first_message: int = 0

    @property
    def seen(self) -> tuple[Message, ...]:
        """The messages of the present context."""
        return self.messages[self.first_message :]

    @property
    def turns_here(self) -> tuple[Turn, ...]:
        """The agent's messages in the present context."""
        return self.turns[len(self.past) :]

    @property
    def n_written(self) -> int:
        """Ids that the agent wrote in the whole episode."""
        return sum(turn.n_tokens for turn in self.turns)

    def said(self, turn: Turn) -> Course:
        """The course after a message of the agent."""
        messages = (*self.messages, Message(Role.ASSISTANT, turn.text))
        return replace(self, messages=messages, turns=(*self.turns, turn))

    def heard(self, reply: Reply[Any], roles: Sequence[int]) -> Course:
        """The course after a reply of the world, whose ids have these roles."""
        messages, replies = (*self.messages, *reply.messages), (*self.replies, tuple(roles))
        return replace(self, state=reply.state, messages=messages, replies=replies)

    def restarted(self, reply: Reply[Any], roles: Sequence[int], context: PutAway) -> Course:
        """The course after a reply that starts the context again, and puts this one away."""
        return Course(
            reply.state,
            (*self.messages, *reply.messages),
            len(roles),
            self.turns,
            past=(*self.past, context),
            prompt_roles=tuple(roles),
            first_message=len(self.messages),
        )
