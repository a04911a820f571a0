"""Rollouts: one set of transcripts, whichever way they are collected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lmgym.agents.embedded import new_policy
from lmgym.envs.guess_number.task import GuessNumberTask
from lmgym.errors import LmgymError
from lmgym.factory import make_source, make_task
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policies.loading import load_policy
from lmgym.registry import WORLDS
from lmgym.rewards import RewardLevel, VerifierReward
from lmgym.rollouts import RolloutCollector, demonstrations, rollout_by_tokens
from lmgym.task import Verdict
from lmgym.testing.reward_checks import ProbeReward
from lmgym.token_env import TokenEnv
from lmgym.transcript import Transcript


@pytest.fixture(scope="module")
def policy() -> LanguagePolicy:
    return new_policy(16, 1, seed=0)


@pytest.fixture(scope="module")
def talker() -> LanguagePolicy:
    """A policy that ends its turns often, so that episodes have several."""
    policy = new_policy(16, 1, seed=0)
    with torch.no_grad():
        policy.model.get_input_embeddings().weight[257] *= 40
    return policy


@pytest.mark.parametrize("world", ["lmgym/Math-v0", "lmgym/Copy-v0", "lmgym/GuessNumber-v0"])
def test_message_and_token_level_give_the_same_transcripts(
    world: str, talker: LanguagePolicy
) -> None:
    env = gym.make(world).unwrapped
    assert isinstance(env, TokenEnv)
    task_ids = env.episode.task.task_ids("train", 4)
    collector = RolloutCollector(talker, make_task(world), VerifierReward())
    batch = collector.collect(np.random.default_rng(0), None, task_ids=task_ids, greedy=True)
    for task_id, expected in zip(task_ids, batch.transcripts, strict=True):
        found, _ = rollout_by_tokens(env, talker, options={"task_id": task_id}, greedy=True)
        first, second = expected.segments[0], found.segments[0]
        assert first.ids == second.ids
        assert first.loss_mask == second.loss_mask
        assert first.turns == second.turns
        assert (expected.verdict, expected.messages) == (found.verdict, found.messages)
        assert first.logprobs == pytest.approx(second.logprobs, abs=1e-5)


def test_groups_answer_one_problem_and_stand_together(policy: LanguagePolicy) -> None:
    collector = RolloutCollector(policy, make_task("lmgym/Math-v0"), VerifierReward())
    generator = torch.Generator().manual_seed(0)
    batch = collector.collect(np.random.default_rng(0), generator, n_groups=3, group_size=4)
    assert [t.group_id for t in batch.transcripts] == [0] * 4 + [1] * 4 + [2] * 4
    groups = [{t.task_id for t in batch.transcripts[i : i + 4]} for i in (0, 4, 8)]
    assert [len(group) for group in groups] == [1, 1, 1]
    assert len(set.union(*groups)) == 3


def test_a_seed_is_a_batch(policy: LanguagePolicy) -> None:
    def collect() -> list[Transcript]:
        collector = RolloutCollector(policy, make_task("lmgym/GuessNumber-v0"), VerifierReward())
        generator = torch.Generator().manual_seed(5)
        return collector.collect(np.random.default_rng(5), generator, n_groups=4).transcripts

    assert collect() == collect()


def test_logprobs_are_those_of_the_drawn_ids(talker: LanguagePolicy) -> None:
    collector = RolloutCollector(talker, make_task("lmgym/GuessNumber-v0"), VerifierReward())
    generator = torch.Generator().manual_seed(0)
    batch = collector.collect(np.random.default_rng(0), generator, n_groups=4, temperature=0.7)
    assert any(len(t.segments[0].turns) > 1 for t in batch.transcripts)
    for transcript in batch.transcripts:
        segment = transcript.segments[0]
        assert segment.logprobs is not None
        ids = torch.tensor([segment.ids])
        with torch.no_grad():
            full = talker.token_logprobs(ids, torch.ones_like(ids), temperature=0.7)[0]
        for position, drawn in enumerate(segment.loss_mask):
            expected = float(full[position - 1]) if drawn else 0.0
            assert segment.logprobs[position] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("reward", ["verifier + 0.5*length", None])
def test_rewards_are_taken_by_name(reward: str | None, policy: LanguagePolicy) -> None:
    task, rng = make_task("lmgym/Math-v0"), np.random.default_rng
    collectors = [RolloutCollector(policy, task, given) for given in (reward, make_source(reward))]
    paid = [c.collect(rng(0), torch.Generator(), n_groups=3).rewards.tolist() for c in collectors]
    assert paid[0] == paid[1]
    assert any(paid[0]) == (reward is not None)


def test_unknown_rewards_are_refused(policy: LanguagePolicy) -> None:
    with pytest.raises(LmgymError, match="unknown reward 'verifer'"):
        RolloutCollector(policy, make_task("lmgym/Math-v0"), "verifer")


def test_a_batch_tells_the_temperature_of_its_sampling(policy: LanguagePolicy) -> None:
    collector = RolloutCollector(policy, make_task("lmgym/Math-v0"), None)
    batch = collector.collect(np.random.default_rng(0), torch.Generator(), temperature=0.5)
    assert batch.temperature == 0.5


def test_without_its_reward_a_collector_plays_the_same(policy: LanguagePolicy) -> None:
    collector = RolloutCollector(policy, make_task("lmgym/Math-v0"), "verifier", max_tokens=4)
    batches = []
    for one in (collector, collector.unpaid()):
        generator = torch.Generator().manual_seed(0)
        batches.append(one.collect(np.random.default_rng(0), generator, n_groups=3))
    assert batches[0].transcripts == batches[1].transcripts
    assert (set(batches[0].parts), set(batches[1].parts)) == ({"verifier"}, set())


def test_the_reward_is_called_once_a_batch(policy: LanguagePolicy) -> None:
    calls: list[int] = []

    def count(prompts: list[str], completions: list[str]) -> list[float]:
        calls.append(len(prompts))
        return [1.0] * len(prompts)

    collector = RolloutCollector(policy, make_task("lmgym/Math-v0"), make_source(count))
    batch = collector.collect(np.random.default_rng(0), torch.Generator(), n_groups=5, group_size=2)
    assert calls == [10]
    assert batch.rewards.tolist() == [1.0] * 10
    assert batch.parts["count"].tolist() == [1.0] * 10


@pytest.mark.parametrize("kind", RewardLevel)
def test_both_ways_of_playing_are_paid_the_same(kind: RewardLevel, talker: LanguagePolicy) -> None:
    world, source = "lmgym/GuessNumber-v0", ProbeReward(kind)
    env = gym.make(world, reward=ProbeReward(kind)).unwrapped
    assert isinstance(env, TokenEnv)
    task_ids = env.episode.task.task_ids("train", 6)
    collector = RolloutCollector(talker, make_task(world), source)
    batch = collector.collect(np.random.default_rng(0), None, task_ids=task_ids, greedy=True)
    assert source.batches == [6]
    for row, (task_id, transcript) in enumerate(zip(task_ids, batch.transcripts, strict=True)):
        found, paid = rollout_by_tokens(env, talker, options={"task_id": task_id}, greedy=True)
        assert batch.rewards[row] == paid == source.total(found)
        if batch.token_rewards is not None:
            assert batch.token_rewards[row].shape == (transcript.n_tokens,)
            assert batch.token_rewards[row].sum() == pytest.approx(paid, abs=1e-9)
    assert (batch.token_rewards is None) == (kind is RewardLevel.OUTCOME)
    assert set(batch.parts) == {"probe"}


class Graded(GuessNumberTask):
    """Grades episodes by the number of messages."""

    has_gold_reward = True
    batches: list[int]

    def gold_rewards(self, transcripts: Sequence[Transcript]) -> NDArray[np.float64]:
        self.batches.append(len(transcripts))
        return np.array([float(t.n_units("turn")) for t in transcripts])


def test_all_episodes_of_a_rollout_are_graded_at_once(talker: LanguagePolicy) -> None:
    task = Graded(GuessNumberTask.Args())
    task.batches = []
    collector = RolloutCollector(talker, task, make_source("gold"))
    generator = torch.Generator().manual_seed(1)
    batch = collector.collect(np.random.default_rng(0), generator, n_groups=4, group_size=2)
    assert task.batches == [8]
    turns = [len(t.segments[0].turns) for t in batch.transcripts]
    assert max(turns) > 1
    assert batch.gold_rewards is not None
    assert batch.gold_rewards.tolist() == turns == batch.rewards.tolist()
    assert [t.gold_reward for t in batch.transcripts] == turns


def test_worlds_without_grades_have_no_gold_rewards(policy: LanguagePolicy) -> None:
    collector = RolloutCollector(policy, make_task("lmgym/Math-v0"), None)
    batch = collector.collect(np.random.default_rng(0), torch.Generator(), n_groups=2)
    assert (batch.gold_rewards, batch.token_rewards) == (None, None)
    assert {t.gold_reward for t in batch.transcripts} == {None}


@pytest.mark.parametrize("world", ["lmgym/Math-v0", "lmgym/Copy-v0", "lmgym/GuessNumber-v0"])
def test_demonstrations_are_correct(world: str, policy: LanguagePolicy) -> None:
    assert world in WORLDS
    played = demonstrations(make_task(world), policy.renderer, np.random.default_rng(0), 50)
    assert {t.verdict for t in played} == {Verdict.CORRECT}


def test_learners_refuse_what_has_no_ids() -> None:
    with pytest.raises(LmgymError, match="made from strings"):
        Transcript.from_strings("1+1=", "2").require_ids()


def test_a_wrong_number_of_logprobs_is_refused(policy: LanguagePolicy) -> None:
    task: Any = make_task("lmgym/Math-v0")
    played = demonstrations(task, policy.renderer, np.random.default_rng(0), 1)[0]
    with pytest.raises(LmgymError, match="1 log-probabilities were given"):
        played.with_logprobs([0.5])


def test_a_group_is_what_resets_of_each_member_would_make_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = make_task("lmgym/Math-v0")
    collector = RolloutCollector(load_policy("embedded"), task, "verifier")

    def collected() -> list[Transcript]:
        rng, generator = np.random.default_rng(3), torch.Generator().manual_seed(3)
        return collector.collect(rng, generator, n_groups=3, group_size=4).transcripts

    shared = collected()
    monkeypatch.setattr(type(task), "replies_draw", True)  # then each member is reset by itself
    assert collected() == shared
    assert len({transcript.messages[-1].content for transcript in shared}) > 3
