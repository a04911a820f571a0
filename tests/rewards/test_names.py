"""Rewards from text."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from types import ModuleType

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from hypothesis import given, settings
from hypothesis import strategies as st

from lmgym.errors import LmgymError
from lmgym.factory import make_source
from lmgym.registry import REWARDS
from lmgym.rewards import FormatReward, RewardBatch, RewardLevel, VerifierReward, WeightedSum
from lmgym.rewards.names import Term, as_source, parse_reward
from lmgym.task import Verdict
from lmgym.transcript import Transcript

SAID = [Transcript.from_strings("1+1=", "2", verdict=Verdict.CORRECT)]


class Told:
    """A source that keeps what stood behind its name."""

    level = RewardLevel.OUTCOME
    is_causal = True

    def __init__(self, told: str) -> None:
        self.told = told

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        return RewardBatch(np.full(len(transcripts), float(len(self.told))))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a registered source of one's own."""
    module = ModuleType("my_rewards")
    module.Told = Told  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_rewards", module)
    monkeypatch.setitem(REWARDS, "told", "my_rewards:Told")
    return "told"


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("verifier", [Term("verifier")]),
        ("  verifier ", [Term("verifier")]),
        ("rm:/a/b-c.d:e", [Term("rm", "/a/b-c.d:e")]),
        ("rm:C:\\models\\a b", [Term("rm", "C:\\models\\a b")]),
        ("0.5*rm:x", [Term("rm", "x", 0.5)]),
        ("-.5e-1 * rm:x", [Term("rm", "x", -0.05)]),
        ("a + b", [Term("a"), Term("b")]),
        ("a - b - 2*c", [Term("a"), Term("b", None, -1.0), Term("c", None, -2.0)]),
        ("a - -2*b", [Term("a"), Term("b", None, 2.0)]),
        (
            "rm:DIR + 0.2*format:[0-9]+ - 0.001*length",
            [Term("rm", "DIR"), Term("format", "[0-9]+", 0.2), Term("length", None, -0.001)],
        ),
        ('f:"a + b" + c', [Term("f", "a + b"), Term("c")]),
        ("f:'a - b'", [Term("f", "a - b")]),
        ('f:"it\'s" - c', [Term("f", "it's"), Term("c", None, -1.0)]),
        ('f:"[^"]*"', [Term("f", '[^"]*')]),
        ("f:'\"a\"'", [Term("f", '"a"')]),
        ("a\n  + b", [Term("a"), Term("b")]),
    ],
)
def test_the_terms_of_a_reward_are_read(text: str, terms: list[Term]) -> None:
    assert parse_reward(text) == terms


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it ends without a source"),
        ("verifier +", r"'\+' follows a source"),
        ("verifier + ", "it ends without a source"),
        ("+ verifier", r"'verifier' follows a source"),
        ("0.5*", "it ends without a source"),
        ("a + + b", r"'b' follows a source"),
        ("a b", "'b' follows a source"),
        ("a + :b", "no source at ':b'"),
        ('f:"a + b', "the quotes at .* are not closed"),
        ("f:'a'b", "the quotes at .* are not closed"),
    ],
)
def test_what_is_no_reward_is_told(text: str, why: str) -> None:
    with pytest.raises(LmgymError, match=f"{why}; write NAME, NAME:ARGUMENT, or a sum"):
        parse_reward(text)


NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,6}", fullmatch=True)
ARGUMENTS = st.none() | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="'\""), min_size=1, max_size=12
)
WEIGHTS = st.none() | st.floats(-1e6, 1e6).map(lambda number: round(number, 6))


@settings(max_examples=30)
@given(st.lists(st.builds(Term, NAMES, ARGUMENTS, WEIGHTS), min_size=1, max_size=4))
def test_what_is_written_is_read_again(terms: list[Term]) -> None:
    written = [
        ("" if t.weight is None else f"{t.weight!r}*")
        + t.name
        + ("" if t.argument is None else f":'{t.argument}'")
        for t in terms
    ]
    assert parse_reward(" + ".join(written)) == terms


@given(st.text(max_size=40))
def test_any_text_is_read_or_told(text: str) -> None:
    try:
        terms = parse_reward(text)
    except LmgymError as error:
        assert repr(text) in str(error)  # noqa: PT017 - either is right
    else:
        assert all(term.name for term in terms)


def test_a_name_alone_is_its_source() -> None:
    assert isinstance(make_source("verifier"), VerifierReward)


def test_what_stands_behind_a_name_is_handed_to_it(told: str) -> None:
    source = make_source(f"{told}:a/b:c d")
    assert isinstance(source, Told)
    assert source.told == "a/b:c d"


def test_a_sum_is_paid_and_its_parts_are_named() -> None:
    source = make_source("verifier + 0.5*format:[0-9] - 0.25*length:characters")
    assert isinstance(source, WeightedSum)
    batch = source.score(SAID)
    assert batch.outcome.tolist() == [1.25]
    parts = {name: values.tolist() for name, values in batch.parts.items()}
    assert parts == {"verifier": [1.0], "format": [0.5], "length": [-0.25]}


def test_a_weight_alone_makes_a_sum() -> None:
    assert as_source("-2*verifier").score(SAID).outcome.tolist() == [-2.0]


def test_equal_names_are_told_apart() -> None:
    source = as_source("format:a + format:b + verifier + pattern:x + pattern:x")
    names = ["format:a", "format:b", "verifier", "pattern:x 1", "pattern:x 2"]
    assert list(source.score(SAID).parts) == names


def test_nothing_adds_nothing() -> None:
    assert isinstance(make_source("none + verifier"), VerifierReward)
    assert make_source("none - 2*none") is None


def test_sources_take_sources_by_name() -> None:
    assert as_source("inverted:format:[0-9]").score(SAID).outcome.tolist() == [0.0]
    twice = as_source('2*inverted:"verifier - 0.5*format:[0-9]"')
    assert twice.score(SAID).outcome.tolist() == [1.0]


@pytest.mark.parametrize("name", ["rm", "pattern"])
def test_a_missing_argument_is_told(name: str) -> None:
    with pytest.raises(
        LmgymError, match=rf"reward '{name}' needs an argument; write {name}:[A-Z]+"
    ):
        make_source(f"verifier + {name}")


def test_a_source_of_ones_own_says_what_it_needs(told: str) -> None:
    with pytest.raises(LmgymError, match="reward 'told' needs an argument; write told:TOLD"):
        make_source(told)


@pytest.mark.parametrize("name", ["verifier", "gold", "majority", "none"])
def test_an_argument_too_many_is_told(name: str) -> None:
    with pytest.raises(LmgymError, match=f"reward '{name}' takes no argument, and was given 'x'"):
        make_source(f"{name}:x")


def test_an_empty_argument_is_told() -> None:
    with pytest.raises(LmgymError, match="reward 'format:' has an empty argument"):
        make_source("format:")


@pytest.mark.parametrize("text", ["verifir", "verifier + 2*verifir", "rm:x + verifir"])
def test_an_unknown_name_lists_what_is_known(text: str) -> None:
    with pytest.raises(LmgymError, match=r"unknown reward 'verifir'; known: verifier, .*rm:DIR"):
        make_source(text)


@pytest.mark.parametrize("text", ["rm:my - dir", "verifier+format", "format:a + b"])
def test_a_sum_that_was_not_meant_or_not_read_is_explained(text: str) -> None:
    with pytest.raises(LmgymError, match="sums have spaces around"):
        make_source(text)


def test_nothing_is_no_source_where_one_is_needed() -> None:
    with pytest.raises(LmgymError, match="reward='none' pays nothing, and a source is needed here"):
        as_source("none")


def test_a_reward_stays_text_in_the_spec_of_an_environment() -> None:
    reward = "verifier + 0.2*format:'[0-9] + [0-9]'"
    env = gym.make("lmgym/Math-v0", reward=reward)
    assert env.spec is not None
    written = json.loads(env.spec.to_json())
    assert written["kwargs"]["reward"] == reward
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.spec is not None
    assert again.spec.kwargs["reward"] == reward


def test_an_environment_pays_a_sum() -> None:
    env = gym.make("lmgym/Copy-v0", level="message", reward="verifier + 0.2*format:[a-z]+")
    env.reset(seed=0)
    *_, done = env.step("no")
    assert done["reward_parts"] == {"verifier": 0.0, "format": 0.2}


def test_formats_are_sources() -> None:
    assert isinstance(make_source("format"), FormatReward)


@pytest.mark.parametrize("text", ["-verifier", "-verifier + length", "+verifier"])
def test_a_sign_before_the_first_term_is_explained(text: str) -> None:
    with pytest.raises(LmgymError, match=r"a first term with a sign is written [-+]1\*verifier"):
        make_source(text)
    assert make_source(f"{text[0]}1*{text[1:]}") is not None
