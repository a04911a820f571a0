"""Rewards for how much was written."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmgym.errors import LmgymError
from lmgym.factory import make_episode
from lmgym.rewards import LengthReward
from lmgym.rewards.length import length_reward
from lmgym.task import Message, Role
from lmgym.transcript import Transcript


def paid(source: LengthReward, *lengths: int) -> list[float]:
    said = [Transcript.from_strings("?", "a" * n) for n in lengths]
    outcome: list[float] = source.score(said).outcome.tolist()
    return outcome


def test_tokens_are_the_ids_that_were_drawn() -> None:
    episode = make_episode("lmgym/Copy-v0", length=3)
    episode.reset(np.random.default_rng(0))
    episode.write([*b"ab", 257])
    assert LengthReward().score([episode.transcript()]).outcome.tolist() == [3.0]


def test_a_transcript_without_ids_has_no_tokens() -> None:
    with pytest.raises(LmgymError, match=r"'\?' was made from strings .* as 'length:characters'"):
        paid(LengthReward(), 3)


def test_characters_are_those_of_all_messages_of_the_agent() -> None:
    roles = (Role.USER, Role.ASSISTANT, Role.USER, Role.ASSISTANT)
    said = Transcript(tuple(Message(role, "abc") for role in roles), draft="x")
    assert LengthReward("characters").score([said]).outcome.tolist() == [7.0]


def test_a_target_is_missed_on_both_sides() -> None:
    assert paid(LengthReward("characters", target=5), 3, 5, 9) == [-2.0, 0.0, -4.0]


@given(st.integers(1, 300), st.integers(0, 300), st.integers(0, 700))
def test_the_overlong_punishment_is_that_of_dapo(limit: int, buffer: int, length: int) -> None:
    buffer = min(buffer, limit)
    if length <= limit - buffer:
        expected = 0.0
    elif length <= limit:
        expected = ((limit - buffer) - length) / buffer
    else:
        expected = -1.0
    (got,) = paid(LengthReward("characters", limit=limit, buffer=buffer), length)
    assert got == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("options", "length", "expected"),
    [
        ("characters", 4, 4.0),
        ("unit=characters", 4, 4.0),
        ("characters,target=3", 4, -1.0),
        ("target=3 , unit=characters", 4, -1.0),
        ("limit=10,buffer=4,unit=characters", 9, -0.75),
    ],
)
def test_options_are_read_from_text(options: str, length: int, expected: float) -> None:
    assert paid(length_reward(options), length) == [expected]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("words", "unit of length 'words'; known: tokens, characters"),
        ("goal=3", "option of the reward length 'goal'; known: .*target.*as length:target=20"),
        ("target=x", "target='x' is no number"),
        ("target=3,target=4", "gives 'target' twice"),
        ("target=3,limit=4", "are two rewards; give one"),
        ("target=-1", "is no length"),
        ("target=nan", "is no length"),
        ("limit=3,buffer=4", "0 <= buffer <= limit must hold"),
        ("limit=inf", "must hold"),
        ("buffer=4", "belongs to limit=; give both"),
    ],
)
def test_bad_options_are_told(options: str, message: str) -> None:
    with pytest.raises(LmgymError, match=message):
        length_reward(options)
