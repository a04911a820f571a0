"""What an agent saw and did in an environment that is not ours, as a transcript."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from lmgym.errors import LmgymError
from lmgym.task import Message, Role, Verdict
from lmgym.transcript import AGENT, Transcript

__all__ = ["Play", "TranscriptOf", "needs_reset", "text_transcript"]


@dataclass(slots=True)
class Play:
    """An episode as one agent lived it.

    Attributes:
        observations: in order; the agent had seen `observations[: i + 1]` when it took
            `actions[i]`. The last one may have had no answer.
        actions: in order.
        info: what `reset` told.
        agent: its name.
        terminated: whether the environment is over for it.
        truncated: whether a limit ended it.
        n_paid: units of its transcript that were paid.
    """

    observations: list[Any] = field(default_factory=list)
    actions: list[Any] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=dict)
    agent: str = AGENT
    terminated: bool = False
    truncated: bool = False
    n_paid: int = 0

    @property
    def is_over(self) -> bool:
        """Whether the agent's episode has ended."""
        return self.terminated or self.truncated

    @property
    def verdict(self) -> Verdict | None:
        """How it ended: the environment's own end, a limit, or not yet."""
        if self.terminated:
            return Verdict.ENDED
        return Verdict.UNFINISHED if self.truncated else None

    def see(self, observation: Any) -> None:
        """Add an observation, copied: environments may write into theirs again."""
        self.observations.append(deepcopy(observation))

    def admit(self, action: Any) -> Any:
        """A copy of an action that may be taken now, to be added once the environment took it.

        Raises:
            LmgymError: where the episode is over, was never started, or broke off with an error.
        """
        if self.is_over or not self.observations:
            raise needs_reset()
        return deepcopy(action)


def needs_reset() -> LmgymError:
    """What is raised for a step that no episode can take."""
    return LmgymError(
        "the episode is over or was never started, or an error broke it off; call reset() before"
        " step()"
    )


TranscriptOf = Callable[[Play], Transcript]
"""How what an agent saw and did becomes what a reward source reads. A transcript without a verdict
gets the play's."""


def text_transcript(play: Play) -> Transcript:
    """Observations and actions that are strings, as messages of the user and the agent.

    The first observation is the prompt and each action a message. `task_id` and `gold` are taken
    from the reset's info, all of which a reward function can ask for by name.

    Raises:
        LmgymError: for what is no string.

    Example:
        >>> play = Play(["1+1=", ""], ["2"], terminated=True)
        >>> transcript = text_transcript(play)
        >>> transcript.prompt_text, transcript.completion_text, str(transcript.verdict)
        ('1+1=', '2', 'ended')
    """
    messages: list[Message] = []
    for index, observation in enumerate(play.observations[: max(1, len(play.actions))]):
        messages.append(Message(Role.USER, _text(observation, "observation")))
        if index < len(play.actions):
            messages.append(Message(Role.ASSISTANT, _text(play.actions[index], "action")))
    gold = play.info.get("gold")
    return Transcript(
        tuple(messages),
        task_id=str(play.info.get("task_id", "")),
        gold=gold if isinstance(gold, str) else None,
        verdict=play.verdict,
        columns=play.info,
    )


def _text(value: Any, kind: str) -> str:
    if isinstance(value, str):
        return value
    raise LmgymError(
        f"the {kind} {value!r:.60} is no text; give transcript_of=, a function that makes a"
        " Transcript of a Play (its observations and actions)"
    )
