"""The states between the units that dense rewards are given for: turns, steps and drawn ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from lmgym.errors import LmgymError
from lmgym.rewards.source import RewardLevel
from lmgym.task import Role
from lmgym.transcript import Segment, Transcript

__all__ = ["Decode", "prefixes"]

Decode = Callable[[Sequence[int]], str]
"""Ids to text, as a renderer's `decode`."""


def prefixes(
    transcript: Transcript, level: RewardLevel, decode: Decode | None = None
) -> list[Transcript]:
    r"""The transcript as it stood before each of its units, and after the last one.

    They are running episodes, without a verdict and a gold reward, the world's replies included as
    far as they were given.

    Args:
        transcript: of n units.
        level: a dense one.
        decode: makes the drafts at level token, where ids alone do not tell the text.

    Returns:
        n + 1 transcripts.

    Raises:
        LmgymError: at level token, without `decode` or for a transcript without ids.

    Example:
        >>> said = Transcript.from_strings("1+2+3=", "1+2=3\n3+3=6")
        >>> [(state.draft, len(state.messages)) for state in prefixes(said, RewardLevel.STEP)]
        [('', 1), ('1+2=3\n', 1), ('', 2)]
    """
    turns = list(_turn_prefixes(replace(transcript, verdict=None, gold_reward=None, draft="")))
    if level is RewardLevel.TOKEN and decode is None:
        raise LmgymError(
            "what the agent had written after each id is not told by its ids; at level 'token'"
            " give decode=, the decode method of the renderer"
        )
    if transcript.segments or level is RewardLevel.TOKEN:
        return list(_prefixes_of_ids(turns, transcript, level, decode))
    return turns if level is RewardLevel.TURN else _prefixes_of_lines(turns, transcript.draft)


def _turn_prefixes(transcript: Transcript) -> Iterator[Transcript]:
    """The transcript before the agent's first message, its second, ..., and after its last."""
    messages = transcript.messages
    for index in range(transcript.n_opening, len(messages)):
        if messages[index].role is Role.ASSISTANT:
            yield replace(transcript, messages=messages[:index])
    yield transcript


def _prefixes_of_lines(turns: Sequence[Transcript], draft: str) -> list[Transcript]:
    """States between the lines of a transcript without ids, from those between its turns."""
    states = [turns[0]]
    for before, after in pairwise(turns):
        states += [*_drafts(before, after.messages[len(before.messages)].content), after]
    return [*states, *_drafts(turns[-1], draft)]


def _drafts(before: Transcript, text: str) -> list[Transcript]:
    """The states in which a message stands after each of its line breaks."""
    breaks = [place for place, character in enumerate(text, 1) if character == "\n"]
    return [replace(before, draft=text[:place]) for place in breaks]


def _prefixes_of_ids(
    turns: Sequence[Transcript], transcript: Transcript, level: RewardLevel, decode: Decode | None
) -> Iterator[Transcript]:
    """States between units, from those between turns; their ids are cut off where a unit starts."""
    segments = transcript.require_ids()
    n_ended = 0  # turns in the segments before
    for index, segment in enumerate(segments):
        starts = _unit_starts(segment, level)
        for place in starts if index < len(segments) - 1 else [*starts, _end(segment, level)]:
            cut = _cut(segment, place)
            before = turns[n_ended + len(cut.turns)]
            draft = "" if level is RewardLevel.TURN else _draft(cut, decode)
            yield replace(before, segments=(*segments[:index], cut), draft=draft)
        n_ended += len(segment.turns)


def _unit_starts(segment: Segment, level: RewardLevel) -> Sequence[int]:
    if level is RewardLevel.TOKEN:
        return segment.drawn
    units = segment.turns if level is RewardLevel.TURN else segment.steps
    return [unit.start for unit in units]


def _end(segment: Segment, level: RewardLevel) -> int:
    """Where the state after the last unit ends: behind it, and behind the reply to a turn."""
    if level is RewardLevel.TOKEN:
        return len(segment.ids)
    ends = segment.unit_ends(level)
    if not ends:
        return segment.prompt_length
    if not segment.turns or ends[-1] > segment.turns[-1].end:
        return ends[-1]
    return _next_drawn(segment, ends[-1])


def _next_drawn(segment: Segment, place: int) -> int:
    """Where the agent goes on writing from a place; the end of the ids where it has not."""
    return next((i for i in segment.drawn if i >= place), len(segment.ids))


def _cut(segment: Segment, length: int) -> Segment:
    """The first ids of a segment."""
    logprobs = segment.logprobs
    return replace(
        segment,
        ids=segment.ids[:length],
        role_ids=segment.role_ids[:length],
        loss_mask=segment.loss_mask[:length],
        turns=tuple(turn for turn in segment.turns if turn.end <= length),
        steps=tuple(step for step in segment.steps if step.end <= length),
        logprobs=None if logprobs is None else logprobs[:length],
    )


def _draft(segment: Segment, decode: Decode | None) -> str:
    """What of an unfinished message stands at the end of a segment."""
    start = segment.turns[-1].end if segment.turns else segment.prompt_length
    if decode is None:
        return "".join(step.text for step in segment.steps if step.start >= start)
    return decode(segment.ids[_next_drawn(segment, start) if segment.turns else start :])
