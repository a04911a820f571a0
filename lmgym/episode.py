"""`Episode`: the one state machine that joins a task and token ids.

Every view — token by token, chunk, whole message, rollouts — drives the same object, so budgets,
turn ends and masks cannot differ between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmgym.episode_arguments import check_room, checked_ids, checked_prefix
from lmgym.errors import LmgymError
from lmgym.rendering import Renderer
from lmgym.segments import PutAway, segment_of
from lmgym.task import Message, Opening, Role, Task, Verdict
from lmgym.transcript import AGENT, Transcript, Turn, roles_and_mask, with_logprobs

__all__ = ["Episode", "EpisodeState"]


@dataclass(frozen=True, slots=True)
class EpisodeState:
    """A snapshot of an episode: values only, so it can be kept, compared and restored often."""

    ids: tuple[int, ...]
    remaining: int
    verdict: Verdict | None
    random_state: Mapping[str, Any]
    course: _Course
    sizes: tuple[int, int, int]
    n_paid: int
    gold_reward: float | None


@dataclass(slots=True)
class _Course:
    """What an episode knows besides its ids; lists of the whole episode only grow."""

    opening: Opening[Any]
    state: Any
    prompt_length: int
    n_prefix: int
    world_roles: list[list[int]]
    """Roles of the context's opening, then of each reply of the world in it."""
    messages: list[Message]
    turns: list[Turn]
    logprobs: list[float]
    turn_start: int
    past: list[PutAway]
    """The contexts before the present one, where replies start it again: one for each turn."""
    first_message: int = 0
    """Where among the messages the present context begins."""

    def copy(self) -> _Course:
        return replace(
            self,
            world_roles=self.world_roles.copy(),
            messages=self.messages.copy(),
            turns=self.turns.copy(),
            logprobs=self.logprobs.copy(),
            past=self.past.copy(),
        )


class _NotStarted:
    """Stands for the course of an episode before its first reset."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what pickle and copy look for
            raise AttributeError(name)
        raise LmgymError("the episode was never started; call reset() first")


class Episode:
    """One episode of a task as token ids.

    Where each reply of the world starts the context again (`Task.restarts_context`), the ids are
    those of the present context, and the ones before are segments of the transcript.

    Args:
        task: the world.
        renderer: turns messages into ids.
        context: positions of the buffer; filling it in the midst of a message ends the episode,
            unfinished.
        max_tokens: ids the agent may write in one episode.

    Attributes:
        tokens: the ids of the present context, padded, shape (context,), int32.
        length: how many of them are in use.
        remaining: ids the agent may still write: what is left of the budget and of the context.
        verdict: None while the episode goes on.
        n_paid: turns, steps or ids that the view of the episode has paid.
        gold_reward: the world's graded ground truth, once the view has asked for it.
        reply_info: what the world told besides its last reply; empty where a limit cut it off.

    Example:
        >>> import numpy as np
        >>> from lmgym.factory import make_episode
        >>> episode = make_episode("lmgym/Math-v0")
        >>> episode.reset(np.random.default_rng(0), task_id="addition/2/0/0")
        >>> episode.write(episode.renderer.encode(episode.opening.gold) + [episode.renderer.end_id])
        True
        >>> str(episode.verdict)
        'correct'
    """

    def __init__(
        self, task: Task[Any], renderer: Renderer, *, context: int, max_tokens: int
    ) -> None:
        """Allocate the buffer; `reset` starts an episode."""
        for name, value in (("context", context), ("max_tokens", max_tokens)):
            if value < 1:
                raise LmgymError(f"{name}={value} is out of range; it counts tokens, 1 or more")
        self.task = task
        self.renderer = renderer
        self.context = context
        self.max_tokens = max_tokens
        self.tokens: NDArray[np.int32] = np.full(context, renderer.pad_id, np.int32)
        self.length = 0
        self.remaining = 0
        self.verdict: Verdict | None = Verdict.ENDED
        self.n_paid = 0
        self.gold_reward: float | None = None
        self.reply_info: Mapping[str, Any] = {}
        self.rng = np.random.default_rng()
        self._course: _Course = _NotStarted()  # type: ignore[assignment]
        self._end_ids = renderer.end_ids

    def reset(
        self,
        rng: np.random.Generator,
        *,
        split: str = "train",
        task_id: str | None = None,
        prefix_ids: Sequence[int] = (),
    ) -> None:
        """Start an episode.

        Args:
            rng: draws the problem and, in some worlds, the replies.
            split: where the problem is drawn from.
            task_id: start this problem instead.
            prefix_ids: ids that the agent's first message begins with; they count against the
                budget and carry no loss.
        """
        prefix = checked_prefix(prefix_ids, self.renderer) if len(prefix_ids) else []
        opening = self.task.reset(rng, split=split, task_id=task_id)
        ids, roles = self.renderer.open(opening.messages)
        check_room(len(ids), len(prefix), self.context, self.max_tokens)
        self._begin(rng, opening, ids, roles, len(prefix))
        if prefix:
            self.write(prefix)

    def reset_like(self, other: Episode) -> None:
        """Start the episode that another one has just started, with the same generator.

        Args:
            other: an episode of the same world, renderer and sizes, without a prefix. The world's
                replies must not draw (`Task.replies_draw`).
        """
        course = other._course
        self._begin(other.rng, course.opening, other.ids, course.world_roles[0], 0)

    def _begin(
        self,
        rng: np.random.Generator,
        opening: Opening[Any],
        ids: Sequence[int],
        roles: list[int],
        n_prefix: int,
    ) -> None:
        length = len(ids)
        self.rng = rng
        self.tokens[:length] = ids
        self.tokens[length:] = self.renderer.pad_id
        self.length = length
        self.remaining = min(self.max_tokens, self.context - length)
        self.verdict = self.gold_reward = None
        self.n_paid = 0
        self._course = _Course(
            opening=opening,
            state=opening.state,
            prompt_length=length,
            n_prefix=n_prefix,
            world_roles=[roles],
            messages=[*opening.messages],
            turns=[],
            logprobs=[],
            turn_start=length,
            past=[],
        )

    def append(self, token: int) -> bool:
        """Write one id of the agent; True where this ended its turn or the episode."""
        if self.verdict is not None:
            raise LmgymError("the episode is over or was never started; call reset() before step()")
        length = self.length
        self.tokens[length] = token
        self.length = length + 1
        self.remaining -= 1
        if token in self._end_ids:
            self._end_turn()
            return True
        if self.remaining == 0:
            self._close_turn(is_finished=False)
            self.verdict = Verdict.UNFINISHED
            return True
        return False

    def write(self, ids: Sequence[int], logprobs: Sequence[float] | None = None) -> bool:
        """Write ids of the agent, up to the end of its turn; True where the turn ended.

        Args:
            ids: as they were drawn; what follows the turn's end is not taken.
            logprobs: their log-probabilities, where the sampler recorded them.

        Raises:
            LmgymError: where the episode is over, ids lie outside the vocabulary, or their
                log-probabilities are not as many; nothing is written then.
        """
        tokens = checked_ids(ids, self.renderer)
        if logprobs is not None and len(logprobs) != len(tokens):
            raise LmgymError(
                f"{len(logprobs)} log-probabilities were given for {len(tokens)} ids; give one for"
                " each"
            )
        n_ahead = self._write_ahead(tokens)
        known = () if logprobs is None else logprobs
        self._course.logprobs += known[:n_ahead]
        for position, token in enumerate(tokens[n_ahead:], n_ahead):
            is_over = self.append(token)
            self._course.logprobs += known[position : position + 1]
            if is_over:
                return True
        return False

    def _write_ahead(self, tokens: Sequence[int]) -> int:
        """Write the ids that end neither the turn nor the episode, at once; returns how many."""
        if self.verdict is not None:
            return 0
        ends = (place for place, token in enumerate(tokens) if token in self._end_ids)
        n_ahead = min(next(ends, len(tokens)), self.remaining - 1)
        end = self.length + n_ahead
        self.tokens[self.length : end] = tokens[:n_ahead]
        self.length, self.remaining = end, self.remaining - n_ahead
        return n_ahead

    @property
    def opening(self) -> Opening[Any]:
        """How the episode started."""
        return self._course.opening

    @property
    def messages(self) -> list[Message]:
        """The whole conversation so far; an unfinished message of the agent is not in it."""
        return self._course.messages

    @property
    def seen(self) -> list[Message]:
        """The messages of the present context: all, unless replies start the context again."""
        first = self._course.first_message
        return self._course.messages[first:] if first else self._course.messages

    @property
    def state(self) -> Any:
        """The world's own state."""
        return self._course.state

    @property
    def turns(self) -> list[Turn]:
        """The agent's messages so far, at their places in the contexts they were written to."""
        return self._course.turns

    @property
    def prompt_length(self) -> int:
        """How many of the ids are the opening of the present context."""
        return self._course.prompt_length

    @property
    def ids(self) -> list[int]:
        """The ids of the present context."""
        ids: list[int] = self.tokens[: self.length].tolist()
        return ids

    @property
    def draft(self) -> list[int]:
        """The ids of the agent's unfinished message."""
        ids: list[int] = self.tokens[self._course.turn_start : self.length].tolist()
        return ids

    def demonstration(self) -> list[int] | None:
        """Ids of a right next message, its end included, where the world can show one."""
        text = self.task.demonstrate(self._course.state)
        return None if text is None else [*self.renderer.encode(text), self.renderer.end_id]

    def transcript(self, group_id: int = 0) -> Transcript:
        """What happened so far, a segment for each context."""
        course, opening = self._course, self._course.opening
        ids, turns = tuple(self.ids), tuple(course.turns[len(course.past) :])
        start = course.turn_start if self.verdict is None else self.length
        draft = self.renderer.decode(ids[start:]) if start < self.length else ""
        last = segment_of(
            self.renderer, ids, course.world_roles, turns, course.n_prefix, (start, draft)
        )
        segments = (*(context.segment(self.renderer) for context in course.past), last)
        if len(course.logprobs) == sum(sum(segment.loss_mask) for segment in segments):
            segments = with_logprobs(segments, course.logprobs)
        return Transcript(
            tuple(course.messages),
            segments,
            n_opening=len(opening.messages),
            task_id=opening.task_id,
            gold=opening.gold,
            verdict=self.verdict,
            group_id=group_id,
            columns=opening.columns,
            gold_reward=self.gold_reward,
            draft=draft,
        )

    def roles_and_mask(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Role ids and loss mask of the ids of the present context, both of shape (length,)."""
        course = self._course
        ends = [turn.end for turn in course.turns[len(course.past) :]]
        return roles_and_mask(course.world_roles, ends, self.length, course.n_prefix)

    def get_state(self) -> EpisodeState:
        """A snapshot, the random state included."""
        return EpisodeState(
            tuple(self.ids),
            self.remaining,
            self.verdict,
            self.rng.bit_generator.state,
            self._course.copy(),
            self._sizes,
            self.n_paid,
            self.gold_reward,
        )

    def set_state(self, state: EpisodeState) -> None:
        """Go back to a snapshot of this episode or of one with the same task and sizes.

        Raises:
            LmgymError: where the sizes or the kinds of random generator differ; nothing changes
                then.
        """
        if state.sizes != self._sizes:
            raise LmgymError(
                "the snapshot is of an episode with (context, max_tokens, vocabulary)"
                f" {state.sizes}, this one has {self._sizes}; restore it into an episode of the"
                " same sizes"
            )
        try:
            self.rng.bit_generator.state = state.random_state
        except ValueError:
            raise LmgymError(
                f"the snapshot's random state is of {state.random_state['bit_generator']}, the"
                f" episode draws from {type(self.rng.bit_generator).__name__}; reset the episode"
                " with a generator of the same kind first"
            ) from None
        self.length = len(state.ids)
        self.tokens[: self.length] = state.ids
        self.tokens[self.length :] = self.renderer.pad_id
        self.remaining, self.verdict = state.remaining, state.verdict
        self.n_paid, self.gold_reward = state.n_paid, state.gold_reward
        self._course = state.course.copy()

    @property
    def _sizes(self) -> tuple[int, int, int]:
        return self.context, self.max_tokens, self.renderer.vocab_size

    def _end_turn(self) -> None:
        """Hand the finished message to the world and go on with its reply."""
        self._close_turn(is_finished=True)
        course = self._course
        reply = self.task.reply(course.state, course.turns[-1].text, self.rng)
        course.state = reply.state
        self.reply_info = reply.info
        if reply.verdict is not None:
            self.verdict = reply.verdict
        elif len(course.turns) >= self.task.max_turns:
            self.verdict = Verdict.UNFINISHED
        elif self.task.restarts_context:
            self._restart(reply.messages)
        elif self.remaining == 0:
            self.verdict = Verdict.UNFINISHED
        else:
            self._append_reply(reply.messages)

    def _close_turn(self, *, is_finished: bool) -> None:
        self.reply_info = {}
        course, end = self._course, self.length
        start = course.turn_start
        text = self.renderer.decode(self.tokens[start : end - is_finished].tolist())
        course.turns.append(Turn(AGENT, start, end, text, end - start, is_finished))
        course.messages.append(Message(Role.ASSISTANT, text))

    def _append_reply(self, messages: Sequence[Message]) -> None:
        course = self._course
        ids, roles = self.renderer.append(int(self.tokens[self.length - 1]), messages)
        end = self.length + len(ids)
        if end >= self.context:
            self.verdict = Verdict.UNFINISHED
            return
        course.messages += messages
        self.tokens[self.length : end] = ids
        self.length = course.turn_start = end
        course.world_roles.append(roles)
        self.remaining = self._room(end)

    def _restart(self, messages: Sequence[Message]) -> None:
        """Put the context away and begin the next one with the reply, if there is room for it."""
        course, written = self._course, self.length
        ids, roles = self.renderer.open(messages)
        length = len(ids)
        room = self._room(length)
        if room <= 0:
            self.verdict = Verdict.UNFINISHED
            return
        world, turn = course.world_roles[0], course.turns[-1]
        course.past.append(PutAway.of(self.tokens[:written], world, course.n_prefix, turn))
        course.first_message = len(course.messages)
        course.messages += messages
        course.world_roles, course.n_prefix = [roles], 0
        course.prompt_length = course.turn_start = self.length = length
        self.tokens[:length] = ids
        self.tokens[length:written] = self.renderer.pad_id
        self.remaining = room

    def _room(self, length: int) -> int:
        """How many ids the agent may write behind `length` others."""
        spent = sum(turn.n_tokens for turn in self._course.turns)
        return min(self.max_tokens - spent, self.context - length)
