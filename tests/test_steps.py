"""Steps of messages, drafts, and what comes before and after them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lmgym.factory import episode_of, make_task
from lmgym.rendering import ByteRenderer
from lmgym.steps import breaks_line, steps_of
from lmgym.transcript import Step, Transcript, Turn

BYTES = ByteRenderer()
END = BYTES.end_id


class DoubleBreaks(ByteRenderer):
    """Has one more id, of two line breaks; counts the texts it is asked for."""

    vocab_size = 263
    n_asked = 0

    def decode(self, ids: Iterable[int]) -> str:
        self.n_asked += 1
        return "".join("\n\n" if i == 262 else BYTES.decode([i]) for i in ids)


def steps(written: Sequence[int], *, is_over: bool = True, n_prefix: int = 0) -> tuple[Step, ...]:
    """The steps of one message, or of a draft."""
    ids, renderer = [*written], DoubleBreaks()
    mask = [0] * n_prefix + [1] * (len(ids) - n_prefix)
    text = renderer.decode(ids)
    turn = Turn("agent_0", 0, len(ids), text, len(ids), is_over)
    if is_over:
        return steps_of(renderer, ids, mask, [turn], (len(ids), ""))
    return steps_of(renderer, ids, mask, [], (0, text))


@given(st.lists(st.sampled_from([*b"ab \n", 262, 0xC3]), max_size=8))
def test_the_steps_of_a_message_tile_it(written: list[int]) -> None:
    ids = [*written, END]
    found = steps(ids)
    assert [found[0].start, *(step.end for step in found)] == [
        *(step.start for step in found),
        len(ids),
    ]
    n_breaks = sum(i in (10, 262) for i in written)
    assert len(found) == n_breaks + 1
    assert all(ids[step.end - 1] in (10, 262) for step in found[:-1])
    assert [step.text for step in found] == [
        DoubleBreaks().decode(ids[step.start : step.end]) for step in found
    ]


def test_a_message_that_ends_with_a_line_break_has_an_empty_last_step() -> None:
    assert [step.text for step in steps([*b"a\n", END])] == ["a\n", ""]


def test_a_message_that_is_cut_off_at_a_line_break_has_no_empty_step() -> None:
    assert [step.text for step in steps(b"a\n")] == ["a\n"]


def test_an_id_of_two_line_breaks_ends_one_step() -> None:
    assert [step.text for step in steps([97, 262, 98, END])] == ["a\n\n", "b"]


def test_an_unfinished_step_of_a_draft_is_none() -> None:
    assert [step.text for step in steps(b"a\nb\nc", is_over=False)] == ["a\n", "b\n"]
    assert steps(b"", is_over=False) == ()


def test_line_breaks_of_a_prefix_end_nothing() -> None:
    assert [step.text for step in steps([*b"a\nb\n", END], n_prefix=2)] == ["a\nb\n", ""]


def test_the_texts_of_ids_are_looked_at_once() -> None:
    renderer = DoubleBreaks()
    assert breaks_line(renderer, np.array([[97, 10], [262, 97]])).tolist() == [
        [False, True],
        [True, False],
    ]
    assert renderer.n_asked == 3
    assert breaks_line(renderer, [10, 97]).tolist() == [True, False]
    assert breaks_line(renderer, []).tolist() == []
    assert renderer.n_asked == 3


def running(*messages: str) -> Transcript:
    """An episode of guesses; the last message is not ended."""
    episode = episode_of(make_task("lmgym/GuessNumber-v0"))
    episode.reset(np.random.default_rng(0), task_id="guess/37")
    for message in messages[:-1]:
        episode.write([*message.encode(), END])
    episode.write([*messages[-1].encode()])
    return episode.transcript()


def test_a_draft_is_what_was_written_of_a_message() -> None:
    found = running("50", "2\n5")
    assert (found.draft, found.completion_text) == ("2\n5", "2\n5")
    assert found.context_text.startswith(f"{found.prompt_text}\n50\n")
    assert (found.n_units("turn"), found.n_units("step"), found.n_units("token")) == (1, 2, 6)


def test_between_messages_the_last_one_is_the_agents_last() -> None:
    found = running("50", "")
    assert (found.draft, found.completion_text) == ("", "50")
    assert found.context_text == found.prompt_text


def test_a_message_that_was_cut_off_is_no_draft() -> None:
    found = running("9" * 200)
    assert found.verdict is not None
    assert (found.draft, found.completion_text) == ("", found.messages[-1].content)


def test_units_of_strings_are_messages_and_lines() -> None:
    said = Transcript.from_strings("1+2+3=", "1+2=3\n3+3=6")
    assert [said.n_units(level) for level in ("outcome", "turn", "step")] == [0, 1, 2]
    assert (said.context_text, said.completion_text) == ("1+2+3=", "1+2=3\n3+3=6")


def test_units_end_where_their_last_id_does() -> None:
    segment = running("5\n0", "").segments[0]
    first = segment.prompt_length
    assert segment.unit_ends("token") == (first + 1, first + 2, first + 3, first + 4)
    assert segment.unit_ends("step") == (first + 2, first + 4)
    assert segment.unit_ends("turn") == (first + 4,)
    assert segment.unit_ends("outcome") == ()
    assert segment.drawn == tuple(range(first, first + 4))
