"""Episodes that algorithms play for evaluations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO

from lmgym.agents.embedded import new_policy
from lmgym.errors import LmgymError
from lmgym.factory import make_env, make_task
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.rollouts import RolloutCollector
from lmgym.sb3 import MaskableTokenActorCriticPolicy, TokenActorCriticPolicy
from lmgym.sb3.collector import AlgorithmCollector
from lmgym.token_env import TokenEnv

WORLDS = ["lmgym/Math-v0", "lmgym/GuessNumber-v0"]


def view(world: str, **words: Any) -> TokenEnv:
    env = make_env(world, **words)
    assert isinstance(env, TokenEnv)
    return env


@pytest.fixture(scope="module")
def policy() -> LanguagePolicy:
    return new_policy(16, 1, 0)


@pytest.mark.parametrize("world", WORLDS)
def test_a_language_model_plays_as_it_does_by_itself(world: str, policy: LanguagePolicy) -> None:
    task = make_task(world)
    algorithm = PPO(
        TokenActorCriticPolicy, view(world), policy_kwargs={"model": policy}, device="cpu"
    )
    problems = task.task_ids("validation", 5)
    played = AlgorithmCollector(algorithm, task, lambda: view(world)).collect(
        np.random.default_rng(0), torch.Generator(), task_ids=problems, greedy=True
    )
    expected = RolloutCollector(policy, task, None).collect(
        np.random.default_rng(0), None, task_ids=problems, greedy=True
    )
    for ours, theirs in zip(played.transcripts, expected.transcripts, strict=True):
        assert ours.task_id == theirs.task_id
        assert [s.ids for s in ours.segments] == [s.ids for s in theirs.segments]
        assert ours.verdict == theirs.verdict


def test_groups_are_drawn_anew_and_a_generator_repeats_them(policy: LanguagePolicy) -> None:
    world = "lmgym/Copy-v0"
    task = make_task(world)
    algorithm = PPO(
        TokenActorCriticPolicy, view(world), policy_kwargs={"model": policy}, device="cpu"
    )
    collector = AlgorithmCollector(algorithm, task, lambda: view(world))

    def answers(seed: int) -> list[str]:
        batch = collector.collect(
            np.random.default_rng(0),
            torch.Generator().manual_seed(seed),
            task_ids=task.task_ids("test", 2),
            group_size=3,
        )
        assert [t.task_id for t in batch.transcripts[:3]] == [batch.transcripts[0].task_id] * 3
        return [t.completion_text for t in batch.transcripts]

    first = answers(0)
    assert len(set(first)) > 1
    assert answers(0) == first
    assert answers(1) != first


def test_masks_hold_in_evaluations(policy: LanguagePolicy) -> None:
    world = "lmgym/Math-v0"
    task = make_task(world)
    env = view(world, mask="digits")
    words = {"model": policy}
    algorithm = MaskablePPO(MaskableTokenActorCriticPolicy, env, policy_kwargs=words, device="cpu")
    collector = AlgorithmCollector(algorithm, task, lambda: view(world, mask="digits"))
    batch = collector.collect(
        np.random.default_rng(0), None, task_ids=task.task_ids("test", 2), group_size=4
    )
    written = "".join(t.completion_text for t in batch.transcripts)
    assert written
    assert set(written) <= set("0123456789")


def test_problems_have_to_be_named(policy: LanguagePolicy) -> None:
    world = "lmgym/Copy-v0"
    words = {"model": policy}
    algorithm = PPO(TokenActorCriticPolicy, view(world), policy_kwargs=words, device="cpu")
    collector = AlgorithmCollector(algorithm, make_task(world), lambda: view(world))
    with pytest.raises(LmgymError, match="give task_ids="):
        collector.collect(np.random.default_rng(0), None)


def test_a_temperature_is_refused(policy: LanguagePolicy) -> None:
    world = "lmgym/Copy-v0"
    algorithm = PPO(
        TokenActorCriticPolicy, view(world), policy_kwargs={"model": policy}, device="cpu"
    )
    collector = AlgorithmCollector(algorithm, make_task(world), lambda: view(world))
    with pytest.raises(LmgymError, match="draws its actions at temperature 1"):
        collector.collect(np.random.default_rng(0), None, task_ids=["copy/4/0"], temperature=0.5)
