"""`EpisodeBatch`: N episodes of a task as token ids, the batched form of `Episode`.

The arrays do what every step needs; what happens at the end of a turn — texts, replies, verdicts,
rewards — is done here for the rows that are there, in one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from lmgym.episode import Episode
from lmgym.episode_arguments import check_room
from lmgym.errors import LmgymError
from lmgym.rewards.schedule import Payment, RewardSchedule
from lmgym.segments import PutAway, segment_of
from lmgym.task import ROLE_IDS, Message, Opening, Reply, Role, Verdict
from lmgym.transcript import AGENT, Transcript, Turn, rendered_text, roles_and_mask
from lmgym.vector.accounts import Accounts
from lmgym.vector.buffers import Rows, TokenBuffers
from lmgym.vector.courses import Course
from lmgym.vector.infos import InfoColumns
from lmgym.vector.prompts import Prompts, Started

__all__ = ["EpisodeBatch"]

_ASSISTANT = ROLE_IDS[Role.ASSISTANT]
_NAMES = {verdict: str(verdict) for verdict in Verdict}


class Finished(NamedTuple):
    """What the end of some rows' turns, steps or ids came to.

    Attributes:
        rewards: of the rows.
        over: those of them whose episode is over.
        infos: what `EpisodeEnv.step` tells; first of the rows whose turn ended, if there are any.
    """

    rewards: list[float]
    over: Rows
    infos: list[InfoColumns]


class _Drafts(NamedTuple):
    """The messages that some rows have just ended, or that a limit cut off, as columns."""

    rows: list[int]
    starts: list[int]
    ends: list[int]
    ids: list[list[int]]
    texts: list[str]
    finished: list[bool]


class EpisodeBatch:
    """N episodes of one task, each at its own length.

    Args:
        episode: says which task, tokenizer and sizes.
        schedule: pays the rewards.
        n_rows: how many episodes.
        split: where problems are drawn from by default.
        group_size: so many rows, one after the other, play the same problems.
        buffers: makes the arrays.
    """

    def __init__(
        self,
        episode: Episode,
        schedule: RewardSchedule,
        n_rows: int,
        *,
        split: str,
        group_size: int = 1,
        buffers: Callable[..., TokenBuffers] = TokenBuffers,
    ) -> None:
        """Allocate; `start` begins the episodes."""
        self.task, self.renderer = episode.task, episode.renderer
        self.context, self.max_tokens = episode.context, episode.max_tokens
        self.schedule = schedule
        self.accounts = Accounts(schedule, episode.task, n_rows)
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
        self._openings: list[Opening[Any] | None] = [None] * n_rows
        self._courses: list[Course | None] = [None] * n_rows  # from the first reply on
        self._verdicts: list[Verdict | None] = [None] * n_rows
        self._is_cut = np.zeros(n_rows, np.bool_)  # truncated
        self._turn_starts = np.zeros(n_rows, np.intp)
        self._n_prefix = np.zeros(n_rows, np.intp)
        self._has_prefixes = self._has_cuts = False

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
        check_room(started.prompts.shape[1], 0, self.context, self.max_tokens)  # the longest
        if prefixes is not None:
            for length, prefix in zip(started.lengths.tolist(), prefixes, strict=True):
                check_room(length, len(prefix), self.context, self.max_tokens)
        self.buffers.start(rows, started.prompts, started.lengths)
        self._turn_starts[rows] = started.lengths
        openings, courses, verdicts = self._openings, self._courses, self._verdicts
        for row, opening in zip(rows.tolist(), started.openings, strict=True):
            openings[row] = opening
            courses[row] = verdicts[row] = None
        self.accounts.start(rows)
        if prefixes is not None or self._has_prefixes:
            self._write_prefixes(rows, prefixes or [()] * len(rows))
        if self._has_cuts:
            self._is_cut[rows] = False

    def over(self) -> Rows:
        """The rows whose episode is over or was truncated."""
        is_over = np.fromiter((v is not None for v in self._verdicts), np.bool_, self.n_rows)
        found: Rows = (is_over | self._is_cut).nonzero()[0]
        return found

    def has_started(self, row: int) -> bool:
        """Whether a row has an episode, over or not."""
        return self._openings[row] is not None

    def opening(self, row: int) -> Opening[Any]:
        """How a row's episode started."""
        opening = self._openings[row]
        if opening is None:
            raise LmgymError(f"row {row} was never started; call reset() first")
        return opening

    def verdict(self, row: int) -> Verdict | None:
        """How a row's episode ended; None while it goes on, and where it was truncated."""
        return self._verdicts[row]

    def truncate(self, rows: Rows) -> None:
        """Break episodes off, where they are not over."""
        self._is_cut[rows] = True
        self._has_cuts = True

    def messages(self, row: int) -> tuple[Message, ...]:
        """The whole conversation of a row so far, without an unfinished message."""
        return self._course(row).messages

    def seen(self, row: int) -> tuple[Message, ...]:
        """The messages of a row's present context: all, unless replies start it again."""
        return self._course(row).seen

    def state(self, row: int) -> Any:
        """The world's own state of a row; the last one of an episode where it has features."""
        return self._course_before(row).state

    def transcript(self, row: int) -> Transcript:
        """What happened in a row so far."""
        course, opening = self._course(row), self.opening(row)
        length = int(self.buffers.lengths[row, 0])
        ids = tuple(self.buffers.tokens[row, :length].tolist())
        start = int(self._turn_starts[row]) if self.verdict(row) is None else length
        draft = self.renderer.decode(ids[start:]) if start < length else ""
        world, n_prefix = self._world_roles(row, course), int(self._n_prefix[row])
        last = segment_of(self.renderer, ids, world, course.turns_here, n_prefix, (start, draft))
        return Transcript(
            course.messages,
            (*(context.segment(self.renderer) for context in course.past), last),
            n_opening=len(opening.messages),
            task_id=opening.task_id,
            gold=opening.gold,
            verdict=self.verdict(row),
            group_id=row // self.prompts.group_size,
            columns=opening.columns,
            gold_reward=self.accounts.gold_rewards[row],
            draft=draft,
        )

    def render(self, row: int) -> str:
        """The conversation of a row as text, an unfinished message included."""
        start, end = int(self._turn_starts[row]), int(self.buffers.lengths[row, 0])
        draft = self.buffers.tokens[row, start:end].tolist()
        return rendered_text(self.messages(row), self.verdict(row), self.renderer.decode(draft))

    def write(self, row: int, ids: Sequence[int]) -> None:
        """Write ids of the agent to a row, up to its turn's end and its budget."""
        room = int(self.buffers.remaining[row, 0])
        ends = self.renderer.end_ids
        stop = next((n for n, i in enumerate(ids[:room], 1) if i in ends), room)
        self.buffers.write(row, list(ids[:stop]))

    def finish(self, turned: Rows, due: Rows) -> Finished:
        """End the turns of some rows: replies, verdicts and rewards, in one batch.

        Args:
            turned: those whose turn ended.
            due: those that are paid, `turned` among them.
        """
        drafts = self._drafts(turned)
        verdicts, told = self._reply(turned, drafts)
        for row, verdict in zip(drafts.rows, verdicts, strict=True):
            self._verdicts[row] = verdict
        listed, ended = drafts.rows, verdicts
        if due is not turned:
            listed = due.tolist()
            ended = [self._verdicts[row] for row in listed]
        payments = self.accounts.pay(listed, ended, self.transcript)
        over = [index for index, verdict in enumerate(verdicts) if verdict is not None]
        over_rows = turned if len(over) == len(verdicts) else turned[over]
        settled = payments
        if due is not turned:
            settled = [payments[index] for index in np.searchsorted(due, turned).tolist()]
        infos = self._infos(turned, drafts, verdicts, settled, over) if len(turned) else []
        _add_told(infos, turned, told)
        unscored = [index for index, payment in enumerate(payments) if not payment.is_scored]
        if unscored:
            infos.append(InfoColumns(due[unscored], {"unscored": [True] * len(unscored)}))
        return Finished([payment.reward for payment in payments], over_rows, infos)

    def fork(self, sources: Rows, targets: Rows) -> None:
        """Make `targets` copies of `sources`, their random state included."""
        self.buffers.fork(sources, targets)
        self.prompts.fork(sources, targets)
        for array in (self._is_cut, self._turn_starts, self._n_prefix):
            array[targets] = array[sources]
        self.accounts.fork(sources, targets)
        openings, courses, verdicts = self._openings, self._courses, self._verdicts
        for source, target in zip(sources.tolist(), targets.tolist(), strict=True):
            openings[target] = openings[source]
            courses[target] = courses[source]
            verdicts[target] = verdicts[source]

    def _write_prefixes(self, rows: Rows, prefixes: Sequence[Sequence[int]]) -> None:
        for row, prefix in zip(rows.tolist(), prefixes, strict=True):
            self.buffers.write(row, list(prefix))
            self._n_prefix[row] = len(prefix)
        self._has_prefixes = bool(self._n_prefix.any())

    def _course(self, row: int) -> Course:
        """What is known of a row, its last message included where the episode is over."""
        course = self._course_before(row)
        return course if self.verdict(row) is None else self._with_last(row, course)

    def _course_before(self, row: int) -> Course:
        """What is known of a row, without the message that is written or was written last."""
        course, opening = self._courses[row], self.opening(row)
        start = int(self._turn_starts[row])
        return course or Course(opening.state, opening.messages, start)

    def _with_last(self, row: int, course: Course) -> Course:
        start, end = int(self._turn_starts[row]), int(self.buffers.lengths[row, 0])
        ids = self.buffers.tokens[row, start:end].tolist()
        is_finished = ids[-1] in self.renderer.end_ids
        text = self.renderer.decode(ids[:-1] if is_finished else ids)
        return course.said(Turn(AGENT, start, end, text, end - start, is_finished))

    def _drafts(self, rows: Rows) -> _Drafts:
        tokens, decode, end_ids = self.buffers.tokens, self.renderer.decode, self.renderer.end_ids
        listed = rows.tolist()
        starts: list[int] = self._turn_starts[rows].tolist()
        ends: list[int] = self.buffers.lengths[rows, 0].tolist()
        places = zip(listed, starts, ends, strict=True)
        ids = [tokens[row, start:end].tolist() for row, start, end in places]
        finished = [draft[-1] in end_ids for draft in ids]
        said = zip(ids, finished, strict=True)
        texts = [decode(draft[:-1] if is_finished else draft) for draft, is_finished in said]
        return _Drafts(listed, starts, ends, ids, texts, finished)

    def _reply(
        self, rows: Rows, drafts: _Drafts
    ) -> tuple[list[Verdict | None], list[Mapping[str, Any]]]:
        """Hand the finished messages to the world and append its replies.

        Returns:
            The verdicts, and what the world told besides.
        """
        listed, openings, courses = drafts.rows, self._openings, self._courses
        verdicts: list[Verdict | None] = [Verdict.UNFINISHED] * len(listed)
        told = [index for index, is_finished in enumerate(drafts.finished) if is_finished]
        speakers = [listed[index] for index in told]
        known = [courses[row] or openings[row] for row in speakers]
        states = [course.state for course in known if course is not None]
        texts = [drafts.texts[index] for index in told]
        replies = self.task.reply_many(states, texts, self.prompts.repliers(speakers))
        infos: list[Mapping[str, Any]] = [{}] * len(listed)
        for index, reply in zip(told, replies, strict=True):
            infos[index] = reply.info
            if self.task.n_features:  # they are told of the last state, too
                before = self._course_before(listed[index])
                courses[listed[index]] = replace(before, state=reply.state)
            if reply.verdict is not None:
                verdicts[index] = reply.verdict
            elif self._goes_on(listed[index], reply):
                verdicts[index] = None
        return verdicts, infos

    def _goes_on(self, row: int, reply: Reply[Any]) -> bool:
        """Append a reply that does not end the episode, if turns, budget and context allow it."""
        course = self._with_last(row, self._course_before(row))
        end = course.turns[-1].end
        if self.task.restarts_context:
            return self._restarts(row, course, reply)
        ids, roles = self.renderer.append(int(self.buffers.tokens[row, end - 1]), reply.messages)
        end += len(ids)
        is_last = len(course.turns) >= self.task.max_turns or not self.buffers.remaining[row, 0]
        if is_last or end >= self.context:
            return False
        self.buffers.extend(row, ids, course.n_written)
        self._courses[row] = course.heard(reply, roles)
        self._turn_starts[row] = end
        return True

    def _restarts(self, row: int, course: Course, reply: Reply[Any]) -> bool:
        """Put a row's context away and begin the next one with the reply, if there is room."""
        ids, roles = self.renderer.open(reply.messages)
        length, spent = len(ids), course.n_written
        is_last = len(course.turns) >= self.task.max_turns or spent >= self.max_tokens
        if is_last or length >= self.context:
            return False
        turn, n_prefix = course.turns[-1], int(self._n_prefix[row])
        (world,) = self._world_roles(row, course)
        context = PutAway.of(self.buffers.tokens[row, : turn.end], world, n_prefix, turn)
        self.buffers.restart(row, ids, spent)
        self._courses[row] = course.restarted(reply, roles, context)
        self._turn_starts[row] = length
        self._n_prefix[row] = 0
        return True

    def _infos(
        self,
        rows: Rows,
        drafts: _Drafts,
        verdicts: list[Verdict | None],
        payments: list[Payment],
        over: list[int],
    ) -> list[InfoColumns]:
        """What is told of turns' ends, and more of episodes' ends."""
        n_tokens = [end - start for start, end in zip(drafts.starts, drafts.ends, strict=True)]
        infos = [InfoColumns(rows, {"text": drafts.texts, "n_tokens": n_tokens})]
        if over:
            endings = self._endings(rows[over], drafts, verdicts, over)
            endings["reward_parts"] = [dict(payments[index].parts) for index in over]
            _add(infos, rows, over, endings)
        return infos

    def _endings(
        self, rows: Rows, drafts: _Drafts, verdicts: list[Verdict | None], over: list[int]
    ) -> dict[str, list[Any]]:
        """The columns of the rows whose episode ended."""
        prefixes = self._n_prefix[rows].tolist() if self._has_prefixes else [0] * len(rows)
        responses, roles, masks = [], [], []
        for index, row, n_prefix in zip(over, rows.tolist(), prefixes, strict=True):
            if self._courses[row] is None:  # one turn: the agent's own ids, and no others
                n = len(drafts.ids[index])
                responses.append(tuple(drafts.ids[index]))
                roles.append((_ASSISTANT,) * n)
                masks.append((0,) * n_prefix + (1,) * (n - n_prefix))
            else:
                course, end = self._course(row), drafts.ends[index]
                first = course.prompt_length
                all_roles, mask = self._roles_and_mask(row, course, end)
                responses.append(tuple(self.buffers.tokens[row, first:end].tolist()))
                roles.append(all_roles[first:])
                masks.append(mask[first:])
        ended = [verdict for verdict in verdicts if verdict is not None]
        golds = [self.accounts.gold_rewards[row] for row in rows.tolist()]
        graded = {"gold_reward": golds} if self.task.has_gold_reward else {}
        return graded | {
            "response_ids": responses,
            "role_ids": roles,
            "loss_mask": masks,
            "verdict": [_NAMES[verdict] for verdict in ended],
            "is_success": [verdict is Verdict.CORRECT for verdict in ended],
        }

    def _roles_and_mask(
        self, row: int, course: Course, length: int
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        ends = [turn.end for turn in course.turns_here]
        world = self._world_roles(row, course)
        return roles_and_mask(world, ends, length, int(self._n_prefix[row]))

    def _world_roles(self, row: int, course: Course) -> list[Sequence[int]]:
        """The roles of what a row's present context opened with, then of each reply in it."""
        opened = course.prompt_roles or self.renderer.open(self.opening(row).messages)[1]
        return [opened, *course.replies]


def _add_told(infos: list[InfoColumns], rows: Rows, told: Sequence[Mapping[str, Any]]) -> None:
    """Add what the world told besides its replies, of the rows that it told something."""
    some = [index for index, info in enumerate(told) if info]
    if some:
        columns = {key: [told[index][key] for index in some] for key in told[some[0]]}
        _add(infos, rows, some, columns)


def _add(
    infos: list[InfoColumns], rows: Rows, kept: Sequence[int], columns: dict[str, list[Any]]
) -> None:
    """Add columns of some of the rows; those of all rows join the first part."""
    if len(kept) == len(rows):
        infos[0].columns.update(columns)
    else:
        infos.append(InfoColumns(rows[kept], columns))
