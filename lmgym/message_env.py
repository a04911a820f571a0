"""Whole messages: for language-model drivers, people and endpoints."""

from __future__ import annotations

from typing import Any

from lmgym.base_env import EpisodeEnv
from lmgym.episode import Episode
from lmgym.errors import LmgymError
from lmgym.rewards.schedule import RewardSchedule
from lmgym.spaces import UnicodeText
from lmgym.transcript import conversation_text

__all__ = ["MessageEnv"]

_BYTES_A_TOKEN = 64
"""No tokenizer in use has longer tokens, special ones aside; bounds the observations' length."""


class MessageEnv(EpisodeEnv[str, str]):
    """One step, one message.

    The observation is the conversation so far as plain text, a line break between messages; the
    action is the agent's whole message of this turn. `info["messages"]` has the conversation with
    its roles. Where replies start the context again (`Task.restarts_context`), both hold what came
    since the last reply did; `render` and the transcript have the whole conversation.

    Example:
        >>> import gymnasium as gym, lmgym
        >>> env = gym.make("lmgym/Math-v0", level="message")
        >>> observation, info = env.reset(seed=0, options={"task_id": "addition/2/0/0"})
        >>> observation
        '45+60='
        >>> env.step("That makes 105.")[1]
        1.0
    """

    def __init__(
        self,
        episode: Episode,
        schedule: RewardSchedule,
        *,
        split: str = "train",
        render_mode: str | None = None,
    ) -> None:
        """Declare the spaces."""
        super().__init__(episode, schedule, split=split, render_mode=render_mode)
        self.observation_space = UnicodeText(longest_text(episode))
        self.action_space = UnicodeText(longest_text(episode))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Start an episode; options as at the other levels."""
        observation, info = super().reset(seed=seed, options=options)
        return observation, {**info, "messages": self._messages()}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Write a message and end it; what exceeds the budget is cut off, unfinished.

        Raises:
            LmgymError: where the action is no string, or the episode is over.
        """
        if not isinstance(action, str):
            raise LmgymError(f"action {action!r} is no text; write the agent's message as a str")
        self._require_running()
        renderer = self.episode.renderer
        self.episode.write([*renderer.encode(action), renderer.end_id])
        reward, is_over, info = self._after_turn()
        return self._observe(), reward, is_over, False, {**info, "messages": self._messages()}

    def _observe(self) -> str:
        return conversation_text(self.episode.seen)

    def _messages(self) -> tuple[dict[str, str], ...]:
        return tuple(message.as_dict() for message in self.episode.seen)


def longest_text(episode: Episode) -> int:
    """Characters that a conversation, or a message in it, may have."""
    return episode.context * _BYTES_A_TOKEN
