"""Rollouts, rewards and learners where an episode has several segments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lmgym.agents.embedded import new_policy
from lmgym.agents.grpo import GRPOArgs, GRPOLearner
from lmgym.agents.sft import supervised_step
from lmgym.errors import LmgymError
from lmgym.evaluation import evaluate
from lmgym.factory import make_task
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.rewards import RewardLevel
from lmgym.rewards.kl import drawn_logprobs, sampled_logprobs
from lmgym.rewards.units import prefixes
from lmgym.rollouts import RolloutBatch, RolloutCollector, demonstrations, rollout_by_tokens
from lmgym.search.best_first import best_first
from lmgym.task import Verdict
from lmgym.testing.reward_checks import ProbeReward
from lmgym.token_env import TokenEnv
from lmgym.training.batches import batch_transcripts
from lmgym.transcript import Transcript

from .conftest import BYTES, SPELL, started

RunCli = Callable[..., tuple[int, str, str]]


def talker() -> LanguagePolicy:
    """A policy whose messages are short and of many lengths."""
    policy = new_policy(16, 1, seed=0)
    with torch.no_grad():
        policy.model.get_input_embeddings().weight[257] *= 25
        for parameter in policy.model.parameters():
            parameter.mul_(3.0)
    return policy


def rollouts(policy: LanguagePolicy, level: RewardLevel = RewardLevel.OUTCOME) -> RolloutBatch:
    collector = RolloutCollector(policy, make_task(SPELL), ProbeReward(level))
    return collector.collect(
        np.random.default_rng(0), torch.Generator().manual_seed(0), n_groups=4, group_size=4
    )


def logprobs_by_segment(policy: LanguagePolicy, transcript: Transcript) -> list[torch.Tensor]:
    """Of the ids that were drawn, each segment read alone."""
    found = []
    for segment in transcript.segments:
        logits = policy.model(torch.tensor([segment.ids])).logits[0, :-1]
        taken = logits.log_softmax(-1).gather(1, torch.tensor(segment.ids[1:])[:, None])[:, 0]
        found.append(taken[torch.tensor(segment.loss_mask[1:]) == 1])
    return found


def test_logprobs_of_a_collector_stand_in_their_segments() -> None:
    policy = talker()
    batch = rollouts(policy)
    assert len({len(t.segments) for t in batch.transcripts}) > 1
    assert max(len(t.segments) for t in batch.transcripts) >= 3
    with torch.no_grad():
        for transcript in batch.transcripts:
            expected = logprobs_by_segment(policy, transcript)
            for segment, logprobs in zip(transcript.segments, expected, strict=True):
                assert segment.logprobs is not None
                drawn = [segment.logprobs[i] for i in segment.drawn]
                assert drawn == pytest.approx(logprobs.tolist(), abs=1e-4)


def test_a_batch_has_a_row_for_each_segment() -> None:
    transcripts = rollouts(talker()).transcripts
    batch = batch_transcripts(transcripts, BYTES.pad_id)
    segments = [(n, s) for n, t in enumerate(transcripts) for s in t.segments]
    assert batch.transcript.tolist() == [n for n, _ in segments]
    for row, (_, segment) in enumerate(segments):
        length = len(segment.ids)
        assert tuple(batch.ids[row, :length].tolist()) == segment.ids
        assert tuple(batch.loss_mask[row, :length].tolist()) == segment.loss_mask
        assert int(batch.lengths[row]) == length


def test_drawn_logprobs_are_those_of_the_sampler() -> None:
    policy = talker()
    transcripts = rollouts(policy).transcripts
    pairs = zip(drawn_logprobs(policy, transcripts), sampled_logprobs(transcripts), strict=True)
    for ours, theirs in pairs:
        assert ours == pytest.approx(theirs, abs=1e-4)


@pytest.mark.parametrize("level", RewardLevel)
def test_rewards_of_ids_sum_to_what_the_episode_is_paid(level: RewardLevel) -> None:
    batch = rollouts(talker(), level)
    source = ProbeReward(level)
    assert batch.rewards.tolist() == [source.total(t) for t in batch.transcripts]
    if level is not RewardLevel.OUTCOME:
        assert batch.token_rewards is not None
        assert [t.sum() for t in batch.token_rewards] == batch.rewards.tolist()
        assert [len(t) for t in batch.token_rewards] == batch.lengths.tolist()


@pytest.mark.parametrize("level", [RewardLevel.TURN, RewardLevel.STEP, RewardLevel.TOKEN])
def test_states_between_units_go_through_all_segments(level: RewardLevel) -> None:
    for transcript in rollouts(talker()).transcripts:
        states = prefixes(transcript, level, BYTES.decode)
        assert [state.n_units(level) for state in states] == list(range(len(states)))
        assert len(states) == transcript.n_units(level) + 1
        for state in states:
            seen = state.messages[: len(state.messages) - (state.n_units("turn") > 0)]
            assert seen == transcript.messages[: len(seen)]


def test_rollouts_by_tokens_give_the_same_segments() -> None:
    policy = talker()
    env = gym.make(SPELL, level="token").unwrapped
    assert isinstance(env, TokenEnv)
    found, _ = rollout_by_tokens(env, policy, torch.Generator().manual_seed(3), seed=3)
    assert len(found.segments) >= 2
    with torch.no_grad():
        expected = torch.cat(logprobs_by_segment(policy, found)).tolist()
    assert sampled_logprobs([found])[0].tolist() == pytest.approx(expected, abs=1e-4)


def test_demonstrations_have_a_segment_for_each_page() -> None:
    shown = demonstrations(make_task(SPELL), BYTES, np.random.default_rng(0), 4)
    assert [t.verdict for t in shown] == [Verdict.CORRECT] * 4
    assert [len(t.segments) for t in shown] == [3] * 4
    policy = new_policy(16, 1, 0)
    optimizer = torch.optim.AdamW(policy.model.parameters(), 0.02)
    losses = [supervised_step(policy, optimizer, shown) for _ in range(20)]
    assert losses[-1] < losses[0] / 2


def test_a_policy_is_evaluated() -> None:
    collector = RolloutCollector(talker(), make_task(SPELL), None)
    found = evaluate(collector, torch.Generator().manual_seed(0), limit=8, samples=1)
    assert (found.n, len(found.transcripts) > 0) == (8, True)


def test_a_person_plays_page_by_page(run_cli: RunCli) -> None:
    out = run_cli("play", SPELL, "--task-id", "abc", stdin="a\nb\nc\n")[1]
    assert out.index("abc: \n") < out.index("abc: a") < out.index("abc: ab")
    assert "correct, reward 1" in out


def test_search_reads_each_page_from_its_start() -> None:
    policy = talker()
    episode = started("abc", max_tokens=6)
    ending = next(best_first(policy, episode, n_endings=1, n_expansions=20))
    assert len(ending.transcript.segments) >= 2
    with torch.no_grad():
        parts = logprobs_by_segment(policy, ending.transcript)
    assert ending.logprob == pytest.approx(float(torch.cat(parts).sum()), abs=1e-3)


@pytest.mark.parametrize("minibatches", [1, 3])
@pytest.mark.parametrize("loss", ["grpo", "dr_grpo", "dapo", "gspo", "cispo"])
def test_grpo_takes_a_step(loss: Any, minibatches: int) -> None:
    policy = talker()
    learner = GRPOLearner(policy, GRPOArgs(loss=loss, minibatches=minibatches), 0.02, 24)
    before = [p.clone() for p in learner.steps.parameters]
    metrics = learner.step(rollouts(policy), 0)
    assert metrics["gradient_norm"] > 0
    assert any((a != b).any() for a, b in zip(before, learner.steps.parameters, strict=True))


def test_grpo_weighs_episodes_alike_however_many_segments_they_have() -> None:
    policy = talker()
    batch = rollouts(policy)
    args = GRPOArgs(scale="none", max_grad_norm=1e9)
    learner = GRPOLearner(policy, args, 0.02, 24)
    learner.step(batch, 0)
    found = [p.grad.clone() for p in learner.steps.parameters if p.grad is not None]
    policy = talker()
    means = batch.rewards.reshape(4, 4).mean(1).repeat(4)
    objective = torch.zeros(())
    for transcript, advantage in zip(batch.transcripts, batch.rewards - means, strict=True):
        logprobs = torch.cat(logprobs_by_segment(policy, transcript))
        objective = objective - float(advantage) * logprobs.mean() / len(batch.transcripts)
    torch.autograd.backward(objective)
    expected = [p.grad for p in policy.model.parameters() if p.grad is not None]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_minibatches_keep_the_segments_of_an_episode_together() -> None:
    policy = talker()
    learner = GRPOLearner(policy, GRPOArgs(minibatches=3, epochs=2), 0.02, 24)
    drawn = learner.steps.prepare(rollouts(policy))
    parts = learner.steps.parts(drawn)
    assert len(parts) == 3
    assert torch.cat(parts).tolist() == list(range(len(drawn.batch)))
    owners = [set(drawn.batch.transcript[rows].tolist()) for rows in parts]
    assert sum(len(some) for some in owners) == 16


def test_a_buffer_of_trajectories_refuses_what_starts_again() -> None:
    from lmgym.sb3 import TrajectoryBuffer

    env = gym.make(SPELL, level="token")
    buffer = TrajectoryBuffer(4, env.observation_space, env.action_space, "cpu")  # type: ignore[arg-type]
    tokens = np.arange(1, 53, dtype=np.int32)[None]

    def add(page: NDArray[np.int32], length: int) -> None:
        seen = {"tokens": page, "length": np.array([[length]]), "remaining": np.array([[9]])}
        is_first, zero = np.array([length == 5]), torch.zeros(1)
        buffer.add(seen, np.zeros((1, 1)), np.zeros(1), is_first, zero, zero)

    add(tokens, 5)
    add(tokens, 6)
    with pytest.raises(LmgymError, match="which do not go on from these"):
        add(tokens + 1, 9)
