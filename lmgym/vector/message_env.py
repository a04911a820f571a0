"""Whole messages, in N rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lmgym.episode import Episode
from lmgym.errors import LmgymError
from lmgym.message_env import longest_text
from lmgym.rewards.schedule import RewardSchedule
from lmgym.spaces import UnicodeText
from lmgym.transcript import conversation_text
from lmgym.vector.arguments import VectorArgs
from lmgym.vector.base_env import EpisodeVectorEnv
from lmgym.vector.buffers import Rows

__all__ = ["MessageVectorEnv"]


class MessageVectorEnv(EpisodeVectorEnv[tuple[str, ...], Sequence[str]]):
    """One step, one message in each of N rows; all are rewarded in one batch.

    Args:
        episode: says which task, tokenizer and sizes.
        schedule: pays the rewards.
        args: see `VectorArgs`.

    Example:
        >>> import gymnasium as gym, lmgym
        >>> envs = gym.make_vec("lmgym/Math-v0", num_envs=2, level="message")
        >>> observations, infos = envs.reset(options={"task_id": "addition/2/0/0"})
        >>> observations
        ('45+60=', '45+60=')
        >>> envs.step(["It is 105.", "It is 15."])[1]
        array([1., 0.])
    """

    def __init__(self, episode: Episode, schedule: RewardSchedule, args: VectorArgs) -> None:
        """Declare the spaces."""
        super().__init__(episode, schedule, args)
        text = UnicodeText(longest_text(episode))
        self._set_spaces(text, text)

    def _write(self, actions: Sequence[str], waiting: Rows | None) -> Rows:
        is_listed = isinstance(actions, Sequence | np.ndarray) and not isinstance(actions, str)
        if not is_listed or len(actions) != self.num_envs:
            raise LmgymError(
                f"actions {actions!r:.60} are not {self.num_envs} messages; give a list with one"
                " text for each row"
            )
        strange = [action for action in actions if not isinstance(action, str)]
        if strange:
            raise LmgymError(
                f"action {strange[0]!r} is no text; write the agent's message as a str"
            )
        renderer = self.batch.renderer
        is_due = np.ones(self.num_envs, np.bool_)
        if waiting is not None:
            is_due[waiting] = False
        rows = is_due.nonzero()[0]
        written = [[*renderer.encode(actions[row]), renderer.end_id] for row in rows.tolist()]
        for row, ids in zip(rows.tolist(), written, strict=True):
            self.batch.write(row, ids)
        return rows

    def _observe(self) -> tuple[str, ...]:
        return tuple(self._text(row) for row in range(self.num_envs))

    def _final_observations(self, rows: Rows) -> dict[int, Any]:
        return {row: self._text(row) for row in rows.tolist()}

    def _more_of_turns(self, rows: Rows) -> dict[str, list[Any]]:
        messages = [self.batch.seen(row) for row in rows.tolist()]
        return {"messages": [tuple(message.as_dict() for message in said) for said in messages]}

    def _more_of_starts(self, rows: Rows) -> dict[str, list[Any]]:
        return self._more_of_turns(rows)

    def _text(self, row: int) -> str:
        if not self.batch.has_started(row):
            return ""  # a masked reset came first, and not to this row
        return conversation_text(self.batch.seen(row))
