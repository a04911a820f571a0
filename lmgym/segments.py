"""Segments while an episode goes on: raw values, made into `Segment`s when somebody asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmgym.rendering import Renderer
from lmgym.steps import steps_of
from lmgym.transcript import Segment, Turn, roles_and_mask

__all__ = ["PutAway", "segment_of"]


@dataclass(frozen=True, slots=True)
class PutAway:
    """A context that is finished: its prompt and the one message that the agent wrote to it.

    Attributes:
        ids: of the prompt and of the message, int32, as bytes: quick to take and to compare.
        prompt_roles: the roles of the prompt's ids.
        n_prefix: how many ids the agent's message was given.
        turn: the message.

    Example:
        >>> from lmgym.rendering import ByteRenderer
        >>> from lmgym.transcript import AGENT
        >>> turn = Turn(AGENT, 1, 3, "a", n_tokens=2, is_finished=True)
        >>> context = PutAway.of(np.array([260, 97, 257], np.int32), [2], 0, turn)
        >>> context.segment(ByteRenderer()).loss_mask
        (0, 1, 1)
    """

    ids: bytes
    prompt_roles: Sequence[int]
    n_prefix: int
    turn: Turn

    @classmethod
    def of(
        cls, ids: NDArray[np.int32], prompt_roles: Sequence[int], n_prefix: int, turn: Turn
    ) -> PutAway:
        """Keep a context whose ids, shape (T,), end with the agent's message."""
        return cls(ids.tobytes(), prompt_roles, n_prefix, turn)

    def segment(self, renderer: Renderer) -> Segment:
        """The context as transcripts hold it, without log-probabilities."""
        ids = tuple(np.frombuffer(self.ids, np.int32).tolist())
        return segment_of(renderer, ids, [self.prompt_roles], (self.turn,), self.n_prefix)


def segment_of(
    renderer: Renderer,
    ids: tuple[int, ...],
    world_roles: Sequence[Sequence[int]],
    turns: tuple[Turn, ...],
    n_prefix: int,
    draft: tuple[int, str] = (0, ""),
) -> Segment:
    """A segment with its masks and steps, without log-probabilities.

    Args:
        renderer: tells the texts of ids.
        ids: of the segment, shape (T,).
        world_roles: roles of the opening context's ids, then of each reply of the world.
        turns: the agent's messages.
        n_prefix: how many ids the agent's first message was given.
        draft: where an unfinished message begins, and its text.
    """
    ends = [turn.end for turn in turns]
    roles, mask = roles_and_mask(world_roles, ends, len(ids), n_prefix)
    steps = steps_of(renderer, ids, mask, turns, draft)
    return Segment(ids, roles, mask, len(world_roles[0]), turns, steps=steps)
