"""`Task`: a world in plain text.

A task draws the opening messages (the start distribution), replies to a finished message of the
agent (the transition at a turn boundary) and says when the episode ends. It knows no tokens, no
gymnasium and no reward. The state of an episode is a value that the task returns and is handed
back, so an episode is cloned by copying a reference.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError, unknown

if TYPE_CHECKING:
    from lmgym.tools import ToolSchema
    from lmgym.transcript import Transcript

__all__ = ["Message", "NoArgs", "Opening", "Reply", "Role", "Task", "Verdict"]


class Role(StrEnum):
    """Who speaks a message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


ROLE_IDS: Mapping[Role, int] = {role: index for index, role in enumerate(Role)}
"""The integer that stands for a role in `role_ids`: system 0, user 1, assistant 2, tool 3."""


class Verdict(StrEnum):
    """How an episode ended, by the world's own ground truth."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    UNFINISHED = "unfinished"
    """The token budget, the context or the turns ran out before the world said it was over."""
    ENDED = "ended"
    """The episode is over, and the world has no ground truth to judge it by."""


class Message(NamedTuple):
    """One message of a conversation, as text.

    Attributes:
        tools: what the agent may call from here on; the first message of an opening declares them.
    """

    role: Role
    content: str
    tools: tuple[ToolSchema, ...] = ()

    def as_dict(self) -> dict[str, str]:
        """The message in the form that chat templates and endpoints take."""
        return {"role": str(self.role), "content": self.content}


S = TypeVar("S")


class Opening(NamedTuple, Generic[S]):
    """How an episode starts.

    Attributes:
        state: the world's own state, immutable.
        messages: what the agent reads first.
        task_id: an address that `Task.reset` takes to start the same episode again.
        gold: the right answer as text, where there is one.
        columns: further facts about the problem, handed to reward functions by keyword.
    """

    state: S
    messages: tuple[Message, ...]
    task_id: str
    gold: str | None = None
    columns: Mapping[str, Any] = {}


class Reply(NamedTuple, Generic[S]):
    """What the world answers to a finished message.

    Attributes:
        state: the world's next state.
        messages: what the agent reads next; empty where the episode is over.
        verdict: set when the episode is over, None while it goes on.
        info: what environments tell of the turn besides; a world gives the same keys each time.
    """

    state: S
    messages: tuple[Message, ...] = ()
    verdict: Verdict | None = None
    info: Mapping[str, Any] = {}


@dataclass(frozen=True)
class NoArgs:
    """The arguments of a world that has none."""


class Task(ABC, Generic[S]):
    """A language world without tokens and without a reward.

    Subclasses give the two transitions and the list of problems; `Args`, a frozen dataclass of
    their arguments, where they have any. The class docstring is the world's card.

    Attributes:
        alphabets: by name, characters that answers can be written with (`lmgym.alphabets`).
        replies_draw: whether `reply` draws from its generator. A world whose replies follow from
            the state alone says False; its problems can then be drawn ahead, in blocks.
        has_gold_reward: whether the world grades episodes with a number of its own
            (`gold_rewards`), for evaluation under any reward; an instance may say otherwise.
        choices: every answer there is, where a world offers a list of them, as level "choice"
            needs it; an instance may say otherwise.
        n_features: numbers that tell of a state at level "choice" (`features`); 0 where an encoder
            of the text does.
        has_figures: whether evaluations tell further figures of its episodes (`figures`); an
            instance may say otherwise.
        splits: "train", "validation", "test" and more where a world has them; an instance may say
            otherwise.
        restarts_context: whether each reply starts the context again: it says all that the agent
            needs, and what came before is put away as a segment of its own. `context` is then what
            the longest reply and the answer to it need, `max_tokens` is still of the whole
            episode; an instance may say otherwise.
        render_modes: how episodes can be shown, "ansi" as text; an instance that draws pictures has
            "rgb_array" too.
        render_hint: what to do for pictures, where there are none.
        context: positions an episode needs with the embedded byte-level tokenizer.
        max_tokens: tokens the agent may write in one episode, counted with the same tokenizer.
        max_turns: messages the agent may write in one episode.
    """

    Args: ClassVar[type] = NoArgs
    alphabets: ClassVar[Mapping[str, str]] = {}
    replies_draw: ClassVar[bool] = True
    has_gold_reward: bool = False
    choices: tuple[str, ...] = ()
    n_features: int = 0
    has_figures: bool = False
    restarts_context: bool = False
    render_modes: tuple[str, ...] = ("ansi",)
    render_hint: str = ""
    splits: tuple[str, ...] = ("train", "validation", "test")
    context: int = 128
    max_tokens: int = 16
    max_turns: int = 1

    def __init__(self, args: Any) -> None:
        """Keep the arguments, an instance of `Args`."""
        self.args = args

    @classmethod
    def card_facts(cls) -> Mapping[str, str]:
        """Texts for places such as "{start}" in the docstring, where several worlds share them."""
        return {}

    @abstractmethod
    def reset(
        self, rng: np.random.Generator, *, split: str = "train", task_id: str | None = None
    ) -> Opening[S]:
        """Draw an episode from `split`, or start the one that `task_id` addresses."""

    @abstractmethod
    def reply(self, state: S, text: str, rng: np.random.Generator) -> Reply[S]:
        """Answer the agent's finished message `text`."""

    @abstractmethod
    def task_ids(self, split: str, limit: int) -> list[str]:
        """The first `limit` different problems of `split`, the same in every process."""

    def draw_many(
        self, rng: np.random.Generator, n: int, *, split: str = "train"
    ) -> Sequence[Opening[S]]:
        """The episodes that `n` calls of `reset` draw; a world may draw them faster at once."""
        return [self.reset(rng, split=split) for _ in range(n)]

    def reply_many(
        self, states: Sequence[S], texts: Sequence[str], rngs: Sequence[np.random.Generator]
    ) -> list[Reply[S]]:
        """The answers of `reply` to a batch; a world may find them faster at once."""
        replies = zip(states, texts, rngs, strict=True)
        return [self.reply(state, text, rng) for state, text, rng in replies]

    def demonstrate(self, state: S) -> str | None:
        """A right message in `state`, where the world can show one."""
        del state
        return None

    def allowed(self, state: S) -> Sequence[int]:
        """The places of those `choices` that may be given in `state`; all, unless a world says."""
        del state
        return range(len(self.choices))

    def features(self, state: S) -> NDArray[np.float32]:
        """What the agent knows in numbers from 0 to 1, shape (n_features,), where there are any."""
        del state
        raise LmgymError(f"{type(self).__name__} has no features; choose an encoder of texts")

    def gold_rewards(self, transcripts: Sequence[Transcript]) -> NDArray[np.float64]:
        """The graded ground truth of episodes that are over, finite, shape (n,).

        Called with all episodes that end in one step, where `has_gold_reward`.
        """
        raise LmgymError(
            f"{type(self).__name__} has no gold reward for {len(transcripts)} episodes; its verdict"
            " and any reward say how they went"
        )

    def figures(self, journeys: Sequence[Sequence[S]]) -> dict[str, float]:
        """Figures of finished episodes besides their success, by name, where `has_figures`.

        Args:
            journeys: the states that each went through, the first and the last among them.
        """
        raise LmgymError(
            f"{type(self).__name__} has no further figures of {len(journeys)} episodes"
        )

    def picture(self, state: S) -> NDArray[np.uint8]:
        """What a state looks like, shape (height, width, 3).

        Called where `render_modes` has "rgb_array".
        """
        del state
        raise LmgymError(f"{type(self).__name__} draws no pictures; use render_mode='ansi'")

    def forget(self) -> None:
        """Drop what is kept only to be faster, such as pages that were shown before."""

    def close(self) -> None:
        """Free what the world holds outside of this process, such as a browser."""

    def check_split(self, split: str) -> str:
        """Return `split` if it exists."""
        if split not in self.splits:
            raise unknown("split", split, self.splits)
        return split

    def bad_task_id(self, task_id: str, form: str) -> LmgymError:
        """An error for an address that names no problem of this world."""
        example: Sequence[str] = self.task_ids(self.splits[0], 1)
        return LmgymError(f"unknown task_id {task_id!r}; it has the form {form}, as {example[0]!r}")
