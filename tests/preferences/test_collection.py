"""Preference pairs from a world and a policy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from lmgym.agents.embedded import new_policy
from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.preferences.annotators import BradleyTerryAnnotator, GoldAnnotator
from lmgym.preferences.collection import GoldGaps, collect_answers, collect_pairs, compare
from lmgym.preferences.pairs import PreferenceDataset, PreferencePair
from lmgym.rollouts import RolloutCollector, demonstrations
from lmgym.transcript import Transcript

WORLD = "lmgym/Preference-v0"


def collector(world: str = WORLD) -> RolloutCollector:
    return RolloutCollector(new_policy(16, 1, 0), make_task(world), None)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_a_gold_annotator_prefers_what_the_world_likes_more() -> None:
    data = collect_pairs(
        collector(), generator(), 30, np.random.default_rng(0), annotator=GoldAnnotator()
    )
    task = make_task(WORLD)
    assert len(data) > 20
    for pair in data:
        chosen, rejected = task.gold_rewards(pair.transcripts())
        assert chosen >= rejected


def test_the_same_seed_gives_the_same_pairs() -> None:
    first, second = (
        collect_pairs(collector(), generator(), 10, np.random.default_rng(1)) for _ in range(2)
    )
    assert first.fingerprint == second.fingerprint


def test_few_prompts_may_have_many_answers() -> None:
    data = collect_pairs(
        collector(), generator(), 20, np.random.default_rng(0), n_prompts=3, samples=6
    )
    assert len({pair.prompt for pair in data}) <= 3


def test_demonstrations_are_compared_across_prompts() -> None:
    task = make_task(WORLD)
    shown = demonstrations(task, new_policy(16, 1, 0).renderer, np.random.default_rng(0), 50)
    gold = task.gold_rewards(shown)
    data = compare(shown, gold, 40, np.random.default_rng(0), prompts="across")
    assert len(data) == 40
    assert not any(pair.is_within_prompt for pair in data)


def test_answers_to_one_prompt_are_found_wherever_they_stand() -> None:
    prompts = ["1+1=", "2+2="] * 2
    said = [Transcript.from_strings(p, t) for p, t in zip(prompts, "2435", strict=True)]
    gold = [1.0, 1.0, 0.0, 0.0]
    data = compare(said, gold, 20, np.random.default_rng(0), GoldAnnotator())
    assert {(pair.prompt[0].content, pair.chosen) for pair in data} == {
        ("1+1=", "2"),
        ("2+2=", "4"),
    }


def test_noise_makes_some_choices_wrong() -> None:
    said = [Transcript.from_strings("1+1=", text) for text in ("2", "3")]
    annotator = BradleyTerryAnnotator(1.0)
    data = compare(said, [1.0, 0.0], 1000, np.random.default_rng(0), annotator)
    right = np.mean([pair.chosen == "2" for pair in data])
    assert right == pytest.approx(1 / (1 + np.exp(-1)), abs=0.05)


def test_a_world_without_gold_is_told_what_to_do() -> None:
    with pytest.raises(LmgymError, match="CopyTask has no gold reward to compare answers by"):
        collect_pairs(collector("lmgym/Copy-v0"), generator(), 5, np.random.default_rng(0))


def test_answers_come_prompt_by_prompt_and_tell_how_far_it_is() -> None:
    told: list[tuple[int, int]] = []
    answers = collect_answers(
        collector(),
        generator(),
        5,
        np.random.default_rng(0),
        samples=3,
        batch_size=7,
        on_progress=lambda *progress: told.append(progress),
    )
    assert told == [(2, 5), (4, 5), (5, 5)]
    ids = [answer.task_id for answer in answers]
    assert ids == [name for name in ids[::3] for _ in range(3)]
    assert all(answer.gold_reward is not None for answer in answers)


def test_pairs_are_labelled_again_by_what_the_world_said() -> None:
    said = [
        replace(Transcript.from_strings(prompt, text), gold_reward=gold)
        for prompt, text, gold in [("a", "x", 1.0), ("a", "y", 3.0), ("b", "x", 2.0)]
    ]
    within = PreferencePair.of("a", "x", "y", probability=0.5, margin=7.0)
    across = PreferencePair.of("b", "x", "x", rejected_prompt="a")
    pairs, gaps = PreferenceDataset.of([within, across]), GoldGaps(said)
    assert gaps.of(pairs).tolist() == [-2.0, 1.0]
    data = gaps.label(pairs, GoldAnnotator(), np.random.default_rng(0))
    assert gaps.of(data).tolist() == [2.0, 1.0]
    assert [(pair.probability, pair.margin) for pair in data] == [(1.0, None)] * 2


def test_answers_without_a_gold_reward_have_no_gaps() -> None:
    with pytest.raises(LmgymError, match="the answer '2' has no gold reward"):
        GoldGaps([Transcript.from_strings("1+1=", "2")])
