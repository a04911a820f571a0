"""Episodes whose context starts again: what is put away, what is seen, budgets, snapshots."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from lmgym.episode import Episode
from lmgym.errors import LmgymError
from lmgym.factory import make_episode
from lmgym.message_env import MessageEnv
from lmgym.task import ROLE_IDS, Message, Role, Verdict
from lmgym.transcript import Segment, conversation_text

from .conftest import BYTES, END, SPELL, SpellOn, page, said, started

AGENT_ID = ROLE_IDS[Role.ASSISTANT]


def play_at_random(episode: Episode, rng: np.random.Generator) -> tuple[list[Segment], list[int]]:
    """One episode; what its segments have to be, texts and steps aside, and what was written."""
    prefix = rng.integers(256, size=int(rng.integers(4))).tolist()
    episode.reset(rng, prefix_ids=prefix)
    opened, given, expected, written = episode.opening.messages, prefix, [], []
    while episode.verdict is None:
        here, n_messages = [*given], len(episode.messages)
        while episode.verdict is None and len(episode.messages) == n_messages:
            token = END if rng.random() < 1 / 4 else int(rng.integers(256))
            here.append(token)
            written.append(token)
            episode.append(token)
        expected.append(segment(opened, here, len(given)))
        opened, given = tuple(episode.seen), []
    return expected, written


def segment(opened: tuple[Message, ...], here: list[int], n_given: int) -> Segment:
    ids, roles = BYTES.open(opened)
    mask = [0] * (len(ids) + n_given) + [1] * (len(here) - n_given)
    roles = [*roles, *[AGENT_ID] * len(here)]
    return Segment((*ids, *here), tuple(roles), tuple(mask), len(ids), ())


@pytest.mark.parametrize("context", [52, 32])
def test_segments_are_each_a_page_and_what_was_written_to_it(context: int) -> None:
    rng, episode, n_segments = np.random.default_rng(0), make_episode(SPELL, context=context), []
    for _ in range(300):
        expected, written = play_at_random(episode, rng)
        found = episode.transcript()
        assert len(found.segments) == len(expected)
        for mine, theirs in zip(found.segments, expected, strict=True):
            assert mine.ids == theirs.ids
            assert mine.role_ids == theirs.role_ids
            assert mine.loss_mask == theirs.loss_mask
            assert mine.prompt_length == theirs.prompt_length
            (turn,) = mine.turns
            assert (turn.start, turn.end) == (mine.prompt_length, len(mine.ids))
        assert [s.ids[i] for s in found.segments for i in s.drawn] == written
        n_segments.append(len(found.segments))
    assert max(n_segments) >= 4


def test_the_present_context_holds_the_reply_alone() -> None:
    episode = started("abc")
    episode.write(said("a"))
    reply = tuple(episode.messages[-2:])
    assert reply == tuple(episode.seen)
    assert reply[1].content.startswith("abc: a")
    assert episode.ids == BYTES.open(reply)[0]
    assert episode.prompt_length == episode.length == len(episode.ids)
    assert (episode.tokens[episode.length :] == BYTES.pad_id).all()
    assert episode.draft == []


def test_messages_and_turns_are_of_the_whole_episode() -> None:
    episode = started("abc")
    for letter in "abc":
        episode.write(said(letter))
    assert episode.verdict is Verdict.CORRECT
    assert [m.role for m in episode.messages[:4]] == ["system", "user", "assistant", "system"]
    assert [turn.text for turn in episode.turns] == ["a", "b", "c"]
    assert [t.text for s in episode.transcript().segments for t in s.turns] == ["a", "b", "c"]
    assert episode.transcript().messages == tuple(episode.messages)
    assert episode.seen == episode.messages[-3:]


def test_a_world_in_one_context_sees_all_and_has_one_segment() -> None:
    spelling = started("abc")
    episode = Episode(SpellOn(None), BYTES, context=400, max_tokens=24)
    episode.reset(np.random.default_rng(0), task_id="abc")
    for each in (episode, spelling):
        each.write(said("a"))
        each.write(said("b"))
    assert episode.messages == spelling.messages == episode.seen
    assert len(episode.transcript().segments) == 1
    assert len(spelling.transcript().segments) == 3


def test_a_draft_stands_behind_the_present_page() -> None:
    episode = started("abc")
    episode.write(said("a"))
    episode.write(BYTES.encode("x\ny"))
    transcript = episode.transcript()
    assert transcript.draft == "x\ny"
    assert episode.draft == BYTES.encode("x\ny")
    assert [step.text for step in transcript.segments[1].steps] == ["x\n"]
    assert transcript.segments[1].steps[0].start == episode.prompt_length


def test_the_budget_is_of_all_contexts_together() -> None:
    episode = started(max_tokens=10)
    spent = 0
    for message in ("a", "zzz", "b"):
        assert episode.remaining == min(10 - spent, 52 - episode.length)
        episode.write(said(message))
        spent += len(message) + 1
    assert episode.remaining == 10 - spent == 2
    episode.write(BYTES.encode("xy"))
    assert episode.verdict is Verdict.UNFINISHED
    assert episode.transcript().n_tokens == 10


def test_a_message_that_spends_the_budget_is_the_last() -> None:
    episode = started(max_tokens=2)
    episode.write(said("a"))
    assert episode.verdict is Verdict.UNFINISHED
    assert len(episode.transcript().segments) == 1


def test_a_prefix_counts_against_the_budget_of_the_whole_episode() -> None:
    episode = make_episode(SPELL, max_tokens=10)
    episode.reset(np.random.default_rng(0), task_id="abc", prefix_ids=[120, 120])
    episode.write(said("x"))
    assert episode.remaining == 6
    assert [sum(s.loss_mask) for s in episode.transcript().segments] == [2, 0]


def test_a_finished_message_may_fill_the_context() -> None:
    episode = started(max_tokens=100)
    episode.write([120] * (episode.remaining - 1) + [END])
    assert episode.verdict is None
    assert len(episode.transcript().segments[0].ids) == 52


def test_an_unfinished_message_that_fills_the_context_ends_the_episode() -> None:
    episode = started(max_tokens=100)
    episode.write([120] * episode.remaining)
    assert episode.verdict is Verdict.UNFINISHED
    assert episode.length == 52


@pytest.mark.parametrize("is_roomy", [False, True])
def test_a_reply_that_does_not_fit_ends_the_episode(is_roomy: bool) -> None:
    free = started("abc")
    free.write(said("a"))
    context = free.length + is_roomy
    episode = started("abc", context=context)
    before = episode.ids
    episode.write(said("a"))
    transcript = episode.transcript()
    if is_roomy:
        assert (episode.verdict, episode.remaining) == (None, 1)
        return
    assert episode.verdict is Verdict.UNFINISHED
    assert episode.ids == [*before, *said("a")]
    assert [message.content for message in transcript.messages] == ["spell", "abc: ", "a"]
    assert len(transcript.segments) == 1


def test_turns_are_counted_over_all_contexts() -> None:
    episode = started("abc")
    for _ in range(6):
        assert episode.verdict is None
        episode.write(said("z"))
    assert episode.verdict is Verdict.UNFINISHED


def test_snapshots_span_a_restart() -> None:
    episode, other = started("abc"), make_episode(SPELL)
    other.reset(np.random.default_rng(9))
    episode.write(said("a"), [-1.0, -2.0])
    episode.write(BYTES.encode("x"), [-3.0])
    state, there = episode.get_state(), episode.transcript()
    episode.write(said("y"), [-4.0, -5.0])
    episode.write(said("b"), [-6.0, -7.0])
    after, ids = episode.transcript(), episode.ids
    for each in (episode, other, episode):
        each.set_state(state)
        assert each.transcript() == there
        assert each.get_state() == state
        each.write(said("y"), [-4.0, -5.0])
        each.write(said("b"), [-6.0, -7.0])
        assert each.transcript() == after
        assert each.ids == ids


def test_a_snapshot_from_before_a_restart_goes_back_over_it() -> None:
    episode = started("abc")
    state, seen = episode.get_state(), [*episode.seen]
    episode.write(said("a"))
    episode.set_state(state)
    assert episode.seen == seen == [*page("abc", 0, 0)]
    assert len(episode.transcript().segments) == 1


def test_a_reset_forgets_the_contexts_before() -> None:
    episode = started("abc")
    episode.write(said("a"))
    episode.reset(np.random.default_rng(0), task_id="fed")
    assert len(episode.transcript().segments) == 1
    assert episode.seen == episode.messages == [*page("fed", 0, 0)]


def test_logprobs_stand_in_the_segment_of_their_ids() -> None:
    episode = started("abc")
    episode.write(said("a"), [-1.0, -2.0])
    episode.write(said("zz"), [-3.0, -4.0, -5.0])
    first, second, third = episode.transcript().segments
    assert first.logprobs == (*[0.0] * first.prompt_length, -1.0, -2.0)
    assert second.logprobs == (*[0.0] * second.prompt_length, -3.0, -4.0, -5.0)
    assert third.logprobs == (0.0,) * third.prompt_length


def test_messages_without_logprobs_leave_none() -> None:
    episode = started("abc")
    episode.write(said("a"), [-1.0, -2.0])
    episode.write(said("b"))
    assert [s.logprobs for s in episode.transcript().segments] == [None, None, None]


def test_an_episode_that_is_over_refuses_more() -> None:
    episode = started("abc", max_tokens=2)
    episode.write(said("a"))
    with pytest.raises(LmgymError, match="the episode is over"):
        episode.append(120)


def test_level_message_shows_the_present_page() -> None:
    env = gym.make(SPELL, level="message", render_mode="ansi")
    observation, info = env.reset(seed=0, options={"task_id": "abc"})
    assert observation == "spell\nabc: "
    observation, _, _, _, info = env.step("a")
    assert observation.startswith("spell\nabc: a")
    assert [message["role"] for message in info["messages"]] == ["system", "user"]
    assert isinstance(env.unwrapped, MessageEnv)
    assert observation == conversation_text(env.unwrapped.episode.seen)
    drawn = env.render()
    assert isinstance(drawn, str)
    assert drawn.startswith("system: spell\nuser: abc: \nassistant: a\nsystem: spell\n")


def test_the_end_tells_ids_of_the_last_context() -> None:
    env = gym.make(SPELL, level="message").unwrapped
    assert isinstance(env, MessageEnv)
    env.reset(seed=0, options={"task_id": "abc"})
    infos = [env.step(letter)[-1] for letter in "abc"]
    info = infos[-1]
    assert info["response_ids"] == tuple(said("c"))
    assert info["loss_mask"] == (1, 1)
    assert info["role_ids"] == (AGENT_ID, AGENT_ID)
    assert [s.response_ids for s in env.transcript().segments] == [tuple(said(x)) for x in "abc"]


def test_level_token_shows_the_page_padded() -> None:
    env = gym.make(SPELL, level="token")
    env.reset(seed=0, options={"task_id": "abc"})
    for token in [120] * 12:
        env.step(token)
    observation = env.step(END)[0]
    n = int(observation["length"][0])
    assert observation["tokens"][n - 1] == BYTES.open([])[0][0]
    assert (observation["tokens"][n:] == BYTES.pad_id).all()
    assert observation["remaining"].tolist() == [24 - 13]
