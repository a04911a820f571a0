"""A reward for calling tools in the right form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lmgym.rewards.source import RewardBatch, RewardLevel
from lmgym.task import Message, Role
from lmgym.tools import FAILED
from lmgym.transcript import Transcript

__all__ = ["ToolUseReward"]


class ToolUseReward:
    """1 for the first message whose calls return results, -1 for each with a call that fails.

    Whatever an agent does, an episode earns 1 at most: further calls earn nothing, so calling again
    and again does not pay. What a message earns follows from what the tools said to it; one that
    was cut off or that no tool answered earns 0, as all do in worlds without tools.

    Example:
        >>> asked, called = Message(Role.USER, "1+1="), Message(Role.ASSISTANT, "=1+1")
        >>> told = Transcript((asked, called, Message(Role.TOOL, "2"), called))
        >>> ToolUseReward().score([told]).dense[0]
        array([1., 0.])
    """

    level = RewardLevel.TURN
    is_causal = True

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """Read what the tools said."""
        dense = [_turn_rewards(transcript) for transcript in transcripts]
        return RewardBatch(np.zeros(len(dense)), dense)


def _turn_rewards(transcript: Transcript) -> NDArray[np.float64]:
    earned: list[float] = []
    for results in _results(transcript.messages[transcript.n_opening :]):
        if any(result.startswith(FAILED) for result in results):
            earned.append(-1.0)
        else:
            earned.append(1.0 if results and 1.0 not in earned else 0.0)
    return np.array(earned, np.float64)


def _results(messages: Sequence[Message]) -> Iterator[list[str]]:
    """For each message of the agent, what the tools said to it."""
    for place, message in enumerate(messages):
        if message.role is Role.ASSISTANT:
            results = []
            for reply in messages[place + 1 :]:
                if reply.role is not Role.TOOL:
                    break
                results.append(reply.content)
            yield results
