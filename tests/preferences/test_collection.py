"""Preference pairs from a world and a policy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lmgym.agents.embedded import new_policy
from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.preferences.annotators import BradleyTerryAnnotator, GoldAnnotator
from lmgym.preferences.collection import collect_pairs, compare
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
