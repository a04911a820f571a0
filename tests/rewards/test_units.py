"""The states between turns, steps and ids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmgym.episode import Episode
from lmgym.errors import LmgymError
from lmgym.factory import make_episode
from lmgym.rendering import ByteRenderer
from lmgym.rewards import RewardLevel
from lmgym.rewards.units import prefixes
from lmgym.task import Message, Role, Verdict
from lmgym.transcript import Transcript

DENSE = [RewardLevel.TURN, RewardLevel.STEP, RewardLevel.TOKEN]
DECODE = ByteRenderer().decode
MESSAGES = st.lists(st.text("5\nx", max_size=4), min_size=1, max_size=3)


def without_ids(messages: list[str]) -> Transcript:
    said = [Message(Role.USER, "?")]
    for text in messages:
        said += [Message(Role.ASSISTANT, text), Message(Role.USER, "and?")]
    return Transcript(tuple(said), verdict=Verdict.CORRECT, gold_reward=1.0)


def opened() -> Episode:
    episode = make_episode("lmgym/GuessNumber-v0", max_tokens=60)
    episode.reset(np.random.default_rng(0))
    return episode


def stripped(transcript: Transcript) -> tuple[object, ...]:
    """What a running transcript shows."""
    ids = tuple((s.ids, s.loss_mask, s.turns, s.steps) for s in transcript.segments)
    return transcript.messages, transcript.draft, transcript.verdict, ids


@pytest.mark.parametrize("level", DENSE)
@settings(max_examples=30)
@given(messages=MESSAGES)
def test_states_are_what_the_episode_was_at_the_ends_of_its_units(
    level: RewardLevel, messages: list[str]
) -> None:
    episode = opened()
    seen = {0: stripped(episode.transcript())}
    for text in messages:
        for token in [*text.encode(), 257]:
            if episode.verdict is None:
                episode.append(token)
                now = episode.transcript()
                if level is RewardLevel.TOKEN or token == 257 or level is RewardLevel.STEP:
                    seen.setdefault(now.n_units(level), stripped(now))
    whole = episode.transcript()
    states = [stripped(state) for state in prefixes(whole, level, DECODE)]
    assert len(states) == whole.n_units(level) + 1
    running = len(states) - (whole.verdict is not None)
    assert states[:running] == [seen[n] for n in range(running)]
    assert states[-1][0] == whole.messages


@pytest.mark.parametrize("level", [RewardLevel.TURN, RewardLevel.STEP])
@settings(max_examples=40)
@given(messages=MESSAGES)
def test_states_can_be_told_without_ids(level: RewardLevel, messages: list[str]) -> None:
    said = without_ids(messages)
    states = prefixes(said, level)
    assert len(states) == said.n_units(level) + 1
    assert states[-1].messages == said.messages
    assert {(s.verdict, s.gold_reward) for s in states} == {(None, None)}
    assert [s.n_units(level) for s in states] == list(range(len(states)))


def test_a_draft_counts_as_far_as_its_lines_are_finished() -> None:
    said = Transcript((Message(Role.USER, "?"),), draft="a\nb\nc")
    assert [s.draft for s in prefixes(said, RewardLevel.STEP)] == ["", "a\n", "a\nb\n"]
    assert [s.draft for s in prefixes(said, RewardLevel.TURN)] == [""]


def test_ids_that_the_message_was_given_are_a_part_of_the_first_state() -> None:
    episode = make_episode("lmgym/Math-v0")
    episode.reset(np.random.default_rng(0), prefix_ids=list(b"7"))
    episode.write([*b"1", 257])
    states = prefixes(episode.transcript(), RewardLevel.TOKEN, DECODE)
    assert [s.draft for s in states] == ["7", "71", ""]


@pytest.mark.parametrize("level", DENSE)
def test_log_probabilities_are_cut_off_with_their_ids(level: RewardLevel) -> None:
    episode = opened()
    episode.write([*b"5\n0", 257])
    whole = episode.transcript()
    whole = whole.with_logprobs([-0.25 * i for i in range(1, 1 + whole.n_tokens)])
    known = whole.segments[0].logprobs
    assert known is not None
    for state in prefixes(whole, level, DECODE):
        segment = state.segments[0]
        assert segment.logprobs == known[: len(segment.ids)]


def test_ids_need_a_decoder() -> None:
    episode = opened()
    episode.write([*b"50", 257])
    with pytest.raises(LmgymError, match="at level 'token' give decode="):
        prefixes(episode.transcript(), RewardLevel.TOKEN)


def test_strings_have_no_ids() -> None:
    with pytest.raises(LmgymError, match="was made from strings"):
        prefixes(without_ids(["a"]), RewardLevel.TOKEN, DECODE)
