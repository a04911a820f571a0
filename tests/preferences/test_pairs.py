"""Pairs, trials and data sets of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmgym.errors import LmgymError
from lmgym.preferences.pairs import (
    EqualAnswersError,
    PreferenceDataset,
    PreferencePair,
    Trial,
    as_messages,
)
from lmgym.task import Message, Role, Verdict

ASKED = Message(Role.USER, "1+1=")


def sums(n: int, answers: int = 1) -> PreferenceDataset:
    pairs = (
        PreferencePair.of(f"{i}+1=", str(i + 1), f"{i}{j}")
        for i in range(n)
        for j in range(answers)
    )
    return PreferenceDataset.of(pairs)


def test_a_text_is_one_message_of_the_user() -> None:
    assert as_messages("1+1=") == (ASKED,)
    assert as_messages([{"role": "user", "content": "1+1="}]) == (ASKED,)
    assert as_messages([ASKED]) == (ASKED,)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        (3, "3 is no prompt"),
        (["text"], "message 1 is 'text'; it needs 'role' and 'content'"),
        ([{"role": "user"}], "message 1"),
        ([ASKED, {"role": "human", "content": ""}], "unknown role of message 2 'human'; known"),
        ([{"role": "user", "content": 3}], "the content of message 1 is 3; give a text"),
    ],
)
def test_what_is_no_prompt_is_an_error_that_names_the_message(prompt: Any, said: str) -> None:
    with pytest.raises(LmgymError, match=said):
        as_messages(prompt)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"probability": 1.5}, "'probability' is 1.5; a number from 0 to 1"),
        ({"probability": math.nan}, "'probability' is nan"),
        ({"weight": 0}, "'weight' is 0; a finite number above 0"),
        ({"weight": math.inf}, "'weight' is inf"),
        ({"margin": math.nan}, "'margin' is nan"),
        ({"rejected_prompt": " "}, "'rejected_prompt' is empty"),
        ({"rejected_prompt": []}, "'rejected_prompt' is empty"),
    ],
)
def test_a_pair_refuses_values_out_of_range(facts: dict[str, Any], said: str) -> None:
    with pytest.raises(LmgymError, match=said):
        PreferencePair.of("1+1=", "2", "3", **facts)


def test_a_pair_needs_a_prompt() -> None:
    with pytest.raises(LmgymError, match="'prompt' is empty"):
        PreferencePair.of("\n", "2", "3")


def test_equal_answers_are_a_pair_only_across_prompts() -> None:
    with pytest.raises(EqualAnswersError, match="the same text"):
        PreferencePair.of("1+1=", "2", "2")
    with pytest.raises(EqualAnswersError):
        PreferencePair.of("1+1=", "2", "2", rejected_prompt="1+1=")
    assert not PreferencePair.of("1+1=", "2", "2", rejected_prompt="1+2=").is_within_prompt


def test_an_answer_may_be_empty() -> None:
    assert PreferencePair.of("1+1=", "2", "").transcripts()[1].completion_text == ""


def test_transcripts_hold_the_conversation_and_the_answer() -> None:
    system = Message(Role.SYSTEM, "Add.")
    pair = PreferencePair.of([system, ASKED], "2", "3", id="a/1", columns={"level": 1})
    chosen, rejected = pair.transcripts()
    assert chosen.messages == (system, ASKED, Message(Role.ASSISTANT, "2"))
    assert (chosen.prompt_text, chosen.completion_text) == ("Add.\n1+1=", "2")
    assert rejected.completion_text == "3"
    assert (chosen.verdict, chosen.task_id, chosen.columns) == (Verdict.ENDED, "a/1", {"level": 1})


def test_a_comparison_across_prompts_keeps_each_answer_with_its_prompt() -> None:
    pair = PreferencePair.of("1+1=", "2", "9", rejected_prompt="1+2=")
    swapped = pair.swapped()
    for chosen, rejected in (pair.transcripts(), swapped.transcripts()[::-1]):
        assert (chosen.prompt_text, chosen.completion_text) == ("1+1=", "2")
        assert (rejected.prompt_text, rejected.completion_text) == ("1+2=", "9")


def test_swapping_twice_gives_the_same_pair() -> None:
    pair = PreferencePair.of("1+1=", "2", "3", probability=0.8, margin=2.0, subset="a")
    assert pair.swapped().chosen == "3"
    assert pair.swapped().probability == 0.8
    assert pair.swapped().swapped() == pair


@pytest.mark.parametrize("label", [-0.1, 1.1, math.nan])
def test_a_trial_refuses_a_label_out_of_range(label: float) -> None:
    with pytest.raises(LmgymError, match=r"'label' is .*; a number from 0 to 1 is allowed"):
        Trial.of("1+1=", "2", label)


def test_a_data_set_is_a_sequence_of_pairs() -> None:
    data = sums(5)
    assert len(data) == 5
    assert [*data] == [data[i] for i in range(5)]
    assert isinstance(data[1:3], PreferenceDataset)
    assert data[1:3].pairs == data.select([1, 2]).pairs
    assert data[0] in data


def test_subsets_are_counted_and_selected_by_name() -> None:
    data = PreferenceDataset.of(
        PreferencePair.of(name, "a", "b", subset=name) for name in ("y", "x", "y")
    )
    assert data.subsets == {"y": 2, "x": 1}
    assert len(data.subset("y")) == 2
    with pytest.raises(LmgymError, match="unknown subset 'z'; known: x, y"):
        data.subset("z")


def test_the_fingerprint_changes_with_everything_that_matters() -> None:
    pair = PreferencePair.of("1+1=", "2", "3")
    changed = [
        pair.swapped(),
        PreferencePair.of("1+1", "2", "3"),
        PreferencePair.of("1+1=", "2", "3", probability=0.9),
        PreferencePair.of("1+1=", "2", "3", rejected_prompt="1+2="),
    ]
    prints = {PreferenceDataset.of([each]).fingerprint for each in (pair, *changed)}
    assert len(prints) == 5
    assert PreferenceDataset.of([pair]).fingerprint == PreferenceDataset.of([pair]).fingerprint


def test_flips_swap_about_the_share_that_was_asked_for_and_repeat_with_the_seed() -> None:
    data = sums(1000)
    flipped = data.flip(0.2, np.random.default_rng(0))
    n_flipped = sum(a != b for a, b in zip(data, flipped, strict=True))
    assert 160 < n_flipped < 240
    assert flipped == data.flip(0.2, np.random.default_rng(0))
    assert data.flip(0.0, np.random.default_rng(0)) == data
    with pytest.raises(LmgymError, match="'probability' is 2"):
        data.flip(2, np.random.default_rng(0))


@given(n=st.integers(10, 40), answers=st.integers(1, 3), seed=st.integers(0, 9))
def test_a_split_keeps_every_prompt_on_one_side_and_loses_none(
    n: int, answers: int, seed: int
) -> None:
    data = sums(n, answers)
    parts = data.split(0.6, 0.2, 0.2, seed=seed)
    prompts = [{pair.prompt for pair in part} for part in parts]
    assert sum(map(len, prompts)) == n
    assert sorted(pair.chosen for part in parts for pair in part) == sorted(p.chosen for p in data)
    assert parts == data.split(0.6, 0.2, 0.2, seed=seed)


def test_a_split_is_near_its_fractions_although_prompts_differ_in_pairs() -> None:
    pairs = [PreferencePair.of(f"{i}", "a", f"b{j}") for i in range(60) for j in range(i % 5 + 1)]
    train, test = PreferenceDataset.of(pairs).split(0.75, 0.25)
    assert len(train) / len(pairs) == pytest.approx(0.75, abs=0.03)
    assert len(train) + len(test) == len(pairs)


def test_a_pair_across_parts_is_in_none_of_them() -> None:
    pairs = [
        PreferencePair.of(f"{i}", "a", "b", rejected_prompt=f"{(i + 1) % 10}") for i in range(10)
    ]
    train, test = PreferenceDataset.of(pairs).split(0.5, 0.5)
    sides = [{prompt for pair in part for prompt in pair.prompts} for part in (train, test)]
    assert not sides[0] & sides[1]
    assert len(train) + len(test) < 10


@pytest.mark.parametrize("fractions", [(1.0,), (0.5, 0.6), (1.2, -0.2)])
def test_fractions_must_be_positive_and_add_up(fractions: tuple[float, ...]) -> None:
    with pytest.raises(LmgymError, match="two or more positive numbers with sum 1"):
        sums(10).split(*fractions)


def test_a_split_without_enough_prompts_is_an_error() -> None:
    with pytest.raises(LmgymError, match="4 rows with 1 prompts are too few"):
        sums(1, 4).split(0.5, 0.5)
