"""`EpisodeBatch`: N episodes of a task as token ids, the batched form of `Episode`.

The arrays do what every step needs; what happens at the end of a turn — texts, replies, verdicts,
rewards — is done here for the rows that are there, in one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmgym.episode import Episode, check_room
from lmgym.rewards.schedule import Payment, RewardSchedule
from lmgym.task import ROLE_IDS, Message, Opening, Reply, Role, Verdict
from lmgym.transcript import (
    AGENT,
    Segment,
    Transcript,
    Turn,
    rendered_text,
    roles_and_mask,
)
from lmgym.vector.buffers import Rows, TokenBuffers
from lmgym.vector.prompts import Prompts, Started

__all__ = ["EpisodeBatch"]

_ASSISTANT = ROLE_IDS[Role.ASSISTANT]


@dataclass(frozen=True, slots=True)
class _Course:
    """What an episode knows besides its ids; a value, so that forks share it."""

    state: Any
    messages: tuple[Message, ...]
    turns: tuple[Turn, ...] = ()
    replies: tuple[tuple[int, ...], ...] = ()
    """The roles of the ids of each reply of the world."""


@dataclass(slots=True)
class _Draft:
    """The message that a row has just ended, or that a limit cut off."""

    ids: list[int]
    text: str
    start: int
    end: int
    is_finished: bool

    def turn(self) -> Turn:
        n_tokens = self.end - self.start
        return Turn(AGENT, self.start, self.end, self.text, n_tokens, self.is_finished)


class EpisodeBatch:
    """N episodes of one task, each at its own length.

    Args:
        episode: says which task, tokenizer and sizes.
        schedule: pays the rewards.
        n_rows: how many episodes.
        split: where problems are drawn from by default.
        group_size: so many rows, one after the other, play the same problems.
        buffers: the class of the arrays.

    Attributes:
        is_running: False where an episode is over or was never started, shape (N,).
    """

    def __init__(
        self,
        episode: Episode,
        schedule: RewardSchedule,
        n_rows: int,
        *,
        split: str,
        group_size: int = 1,
        buffers: type[TokenBuffers] = TokenBuffers,
    ) -> None:
        """Allocate; `start` begins the episodes."""
        self.task, self.renderer = episode.task, episode.renderer
        self.context, self.max_tokens = episode.context, episode.max_tokens
        self.schedule = schedule
        self.n_rows = n_rows
        self.buffers = buffers(
            n_rows,
            context=episode.context,
            max_tokens=episode.max_tokens,
            vocab_size=self.renderer.vocab_size,
            pad_id=self.renderer.pad_id,
            end_ids=self.renderer.end_ids,
        )
        self.prompts = Prompts(self.task, self.renderer, n_rows, split=split, group_size=group_size)
        self.is_running = np.zeros(n_rows, np.bool_)
        self._openings = np.empty(n_rows, object)
        self._courses = np.empty(n_rows, object)
        self._verdicts = np.empty(n_rows, object)
        self._last_drafts = np.empty(n_rows, object)  # of episodes that are over
        self._prompt_lengths = np.zeros(n_rows, np.intp)
        self._turn_starts = np.zeros(n_rows, np.intp)
        self._n_prefix = np.zeros(n_rows, np.intp)

    def start(
        self, rows: Rows, started: Started, prefixes: Sequence[Sequence[int]] | None = None
    ) -> None:
        """Begin episodes in some rows.

        Args:
            rows: where, shape (R,).
            started: how.
            prefixes: ids that the agent's first message begins with, for each of the rows; they
                count against the budget and carry no loss.
        """
        lengths = started.lengths[started.picks]
        self._check_room(lengths, prefixes)
        self.buffers.start(rows, started.prompts, started.lengths, started.picks)
        self._openings[rows] = started.openings
        self._courses[rows] = None
        self._verdicts[rows] = None
        self._last_drafts[rows] = None
        self._prompt_lengths[rows] = lengths
        self._turn_starts[rows] = lengths
        self._n_prefix[rows] = 0
        self.is_running[rows] = True
        for row, prefix in zip(rows.tolist(), prefixes or (), strict=bool(prefixes)):
            self.buffers.write(row, list(prefix))
            self._n_prefix[row] = len(prefix)

    @property
    def is_started(self) -> bool:
        """Whether every row has an episode, over or not."""
        return all(opening is not None for opening in self._openings)

    def opening(self, row: int) -> Opening[Any]:
        """How a row's episode started."""
        opening: Opening[Any] = self._openings[row]
        return opening

    def messages(self, row: int) -> tuple[Message, ...]:
        """The conversation of a row so far, without an unfinished message."""
        return self._course(row).messages

    def transcript(self, row: int) -> Transcript:
        """What happened in a row so far."""
        course, opening = self._course(row), self.opening(row)
        length = int(self.buffers.lengths[row, 0])
        roles, mask = self._roles_and_mask(row, course, length)
        ids = tuple(self.buffers.tokens[row, :length].tolist())
        segment = Segment(ids, roles, mask, int(self._prompt_lengths[row]), course.turns)
        return Transcript(
            course.messages,
            (segment,),
            n_opening=len(opening.messages),
            task_id=opening.task_id,
            gold=opening.gold,
            verdict=self._verdicts[row],
            group_id=row // self.prompts.group_size,
            columns=opening.columns,
        )

    def render(self, row: int) -> str:
        """The conversation of a row as text, an unfinished message included."""
        start, end = int(self._turn_starts[row]), int(self.buffers.lengths[row, 0])
        verdict: Verdict | None = self._verdicts[row]
        draft = self.buffers.tokens[row, start:end].tolist()
        return rendered_text(self.messages(row), verdict, self.renderer.decode(draft))

    def write(self, row: int, ids: Sequence[int]) -> None:
        """Write ids of the agent to a row, up to its turn's end and its budget."""
        room = int(self.buffers.remaining[row, 0])
        ends = self.renderer.end_ids
        stop = next((n for n, i in enumerate(ids[:room], 1) if i in ends), room)
        self.buffers.write(row, list(ids[:stop]))

    def finish(self, rows: Rows) -> tuple[NDArray[np.float64], dict[int, dict[str, Any]]]:
        """End the turns of some rows: replies, verdicts and rewards, in one batch.

        Returns:
            The rewards, shape (R,), and by row what `EpisodeEnv.step` tells of a turn's end.
        """
        listed = rows.tolist()
        drafts = self._drafts(listed)
        self._reply(listed, drafts)
        payments = self._pay(listed)
        infos: dict[int, dict[str, Any]] = {}
        for row, draft, payment in zip(listed, drafts, payments, strict=True):
            infos[row] = self._info(row, draft, payment)
        return np.array([payment.reward for payment in payments], np.float64), infos

    def fork(self, sources: Rows, targets: Rows) -> None:
        """Make `targets` copies of `sources`, their random state included."""
        self.buffers.fork(sources, targets)
        self.prompts.fork(sources, targets)
        for array in (
            self.is_running,
            self._openings,
            self._courses,
            self._verdicts,
            self._last_drafts,
            self._prompt_lengths,
            self._turn_starts,
            self._n_prefix,
        ):
            array[targets] = array[sources]

    def _check_room(self, lengths: Rows, prefixes: Sequence[Sequence[int]] | None) -> None:
        check_room(int(lengths.max()), 0, self.context, self.max_tokens)
        for length, prefix in zip(lengths.tolist(), prefixes or (), strict=bool(prefixes)):
            check_room(length, len(prefix), self.context, self.max_tokens)

    def _course(self, row: int) -> _Course:
        """What is known of a row, its last message included where the episode is over."""
        opening, course = self._openings[row], self._courses[row]
        course = course or _Course(opening.state, opening.messages)
        draft = self._last_drafts[row]
        return course if draft is None else _with_turn(course, draft)

    def _drafts(self, rows: list[int]) -> list[_Draft]:
        tokens, decode, end_ids = self.buffers.tokens, self.renderer.decode, self.renderer.end_ids
        starts = self._turn_starts[rows].tolist()
        ends = self.buffers.lengths[rows, 0].tolist()
        drafts = []
        for row, start, end in zip(rows, starts, ends, strict=True):
            ids = tokens[row, start:end].tolist()
            is_finished = ids[-1] in end_ids
            text = decode(ids[:-1] if is_finished else ids)
            drafts.append(_Draft(ids, text, start, end, is_finished))
        return drafts

    def _reply(self, rows: list[int], drafts: list[_Draft]) -> None:
        """Hand the finished messages to the world and append its replies."""
        finished = [pair for pair in zip(rows, drafts, strict=True) if pair[1].is_finished]
        listed = [row for row, _ in finished]
        openings, courses = self._openings, self._courses
        states = [(courses[row] or openings[row]).state for row in listed]
        texts = [draft.text for _, draft in finished]
        replies = self.task.reply_many(states, texts, self.prompts.repliers(listed))
        for row, draft in zip(rows, drafts, strict=True):
            self._last_drafts[row] = draft
        self._verdicts[rows] = Verdict.UNFINISHED
        for (row, draft), reply in zip(finished, replies, strict=True):
            if reply.verdict is not None:
                self._verdicts[row] = reply.verdict
            elif self.buffers.remaining[row, 0]:
                self._go_on(row, draft, reply)
        self.is_running[rows] = [verdict is None for verdict in self._verdicts[rows]]

    def _go_on(self, row: int, draft: _Draft, reply: Reply[Any]) -> None:
        """Append a reply that does not end the episode, where turns and context allow it."""
        course = self._course(row)
        ids, roles = self.renderer.append(draft.ids[-1], reply.messages)
        end = draft.end + len(ids)
        if len(course.turns) >= self.task.max_turns or end >= self.context:
            return
        self.buffers.extend(row, ids, sum(turn.n_tokens for turn in course.turns))
        messages, replies = (*course.messages, *reply.messages), (*course.replies, tuple(roles))
        self._courses[row] = _Course(reply.state, messages, course.turns, replies)
        self._turn_starts[row] = end
        self._verdicts[row] = self._last_drafts[row] = None

    def _pay(self, rows: list[int]) -> list[Payment]:
        verdicts = self._verdicts[rows].tolist()
        return self.schedule.pay_ended(
            verdicts, lambda due: [self.transcript(rows[index]) for index in due]
        )

    def _info(self, row: int, draft: _Draft, payment: Payment) -> dict[str, Any]:
        """What is told of a turn's end, and more at an episode's end."""
        info: dict[str, Any] = {"text": draft.text, "n_tokens": draft.end - draft.start}
        verdict = self._verdicts[row]
        if verdict is None and not self.schedule.pays_turns:
            return info
        if verdict is not None:
            response, roles, mask = self._response(row, draft)
            info["response_ids"] = response
            info["role_ids"] = roles
            info["loss_mask"] = mask
            info["verdict"] = str(verdict)
            info["is_success"] = verdict is Verdict.CORRECT
        info["reward_parts"] = dict(payment.parts)
        if not payment.is_scored:
            info["unscored"] = True
        return info

    def _response(self, row: int, draft: _Draft) -> tuple[tuple[int, ...], ...]:
        """Ids, roles and loss mask of a row after its opening."""
        first = int(self._prompt_lengths[row])
        n_prefix = int(self._n_prefix[row])
        if draft.start == first:
            n = len(draft.ids)
            mask = (1,) * n if not n_prefix else (0,) * n_prefix + (1,) * (n - n_prefix)
            return tuple(draft.ids), (_ASSISTANT,) * n, mask
        roles, mask = self._roles_and_mask(row, self._course(row), draft.end)
        return (
            tuple(self.buffers.tokens[row, first : draft.end].tolist()),
            roles[first:],
            mask[first:],
        )

    def _roles_and_mask(
        self, row: int, course: _Course, length: int
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        opening = self.renderer.open(self.opening(row).messages)[1]
        ends = [turn.end for turn in course.turns]
        world = [opening, *course.replies]
        return roles_and_mask(world, ends, length, int(self._n_prefix[row]))


def _with_turn(course: _Course, draft: _Draft) -> _Course:
    messages = (*course.messages, Message(Role.ASSISTANT, draft.text))
    return replace(course, messages=messages, turns=(*course.turns, draft.turn()))
