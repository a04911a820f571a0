"""REINFORCE: each baseline's gradient is that of its formula, and each learns."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from lmgym.agents.embedded import new_policy
from lmgym.agents.reinforce import Baseline, ReinforceArgs, ReinforceLearner, train
from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.rollouts import RolloutBatch, RolloutCollector
from lmgym.transcript import Transcript

GROUPS, SIZE = 6, 4


def share_of_a(prompts: list[str], completions: list[str], **columns: object) -> list[float]:
    return [text.count("a") / max(1, len(text)) for text in completions]


def first_letter(prompts: list[str], completions: list[str], **columns: object) -> list[float]:
    return [float(ord((text or "a")[0]) % 7) for text in completions]


def collector(policy: LanguagePolicy, reward: Any) -> RolloutCollector:
    return RolloutCollector(policy, make_task("lmgym/Copy-v0"), reward, max_tokens=4)


def rollouts(policy: LanguagePolicy, seed: int, reward: Any = first_letter) -> RolloutBatch:
    generator = torch.Generator().manual_seed(seed)
    return collector(policy, reward).collect(
        np.random.default_rng(seed), generator, n_groups=GROUPS, group_size=SIZE
    )


def greedy_of(policy: LanguagePolicy, reward: Any = first_letter) -> Any:
    def greedy(task_ids: list[str]) -> RolloutBatch:
        return collector(policy, reward).collect(
            np.random.default_rng(0), None, task_ids=task_ids, greedy=True
        )

    return greedy


def talker() -> LanguagePolicy:
    """A policy whose answers have many lengths."""
    policy = new_policy(16, 1, seed=0)
    with torch.no_grad():
        policy.model.get_input_embeddings().weight[257] *= 25
        for parameter in policy.model.parameters():
            parameter.mul_(3.0)
    return policy


def logprobs_of(policy: LanguagePolicy, transcript: Transcript) -> Tensor:
    segment = transcript.segments[0]
    logits = policy.model(torch.tensor([segment.ids])).logits[0, :-1]
    taken: Tensor = logits.log_softmax(-1).gather(1, torch.tensor(segment.ids[1:])[:, None])[:, 0]
    return taken[torch.tensor(segment.loss_mask[1:]) == 1]


def per_token(baseline: Baseline, rewards: Any, greedy: Any, lengths: list[int]) -> list[Any]:
    """Advantages of each answer's tokens, by the definitions."""
    grouped = rewards.reshape(GROUPS, SIZE)
    if baseline == "ema":
        flat = rewards - rewards.mean()  # the first batch has no earlier mean
    elif baseline == "rloo":
        others = (grouped.sum(1, keepdims=True) - grouped) / (SIZE - 1)
        flat = (grouped - others).reshape(-1)
    elif baseline == "remax":
        flat = rewards - greedy
    elif baseline == "reinforce++":
        flat = rewards  # with a discount of 1 each token's return
    else:
        flat = (grouped - grouped.mean(1, keepdims=True)).reshape(-1)
    rows = [np.full(n, a) for a, n in zip(flat, lengths, strict=True)]
    if baseline.startswith("reinforce++"):
        every = np.concatenate(rows)
        rows = [(row - every.mean()) / np.sqrt(every.var(ddof=1) + 1e-8) for row in rows]
    return rows


@pytest.mark.parametrize("baseline", get_args(Baseline))
def test_the_gradient_is_that_of_the_formula(baseline: Baseline) -> None:
    policy = talker()
    args = ReinforceArgs(baseline=baseline, max_grad_norm=1e9, micro_tokens=64)
    learner = ReinforceLearner(policy, args, 1e-3, 4, greedy_of(policy))
    batch = rollouts(policy, 0)
    lengths = [t.n_tokens for t in batch.transcripts]
    assert len(set(lengths)) > 1
    ids = [t.task_id for t in batch.transcripts]
    greedy = greedy_of(policy)(ids).rewards if baseline == "remax" else None
    advantages = per_token(baseline, batch.rewards, greedy, lengths)
    loss = torch.zeros(())
    for transcript, row in zip(batch.transcripts, advantages, strict=True):
        loss = loss - (logprobs_of(policy, transcript) * torch.tensor(row)).sum() / len(lengths)
    wanted = torch.autograd.grad(loss, learner.steps.parameters)
    learner.steps.optimizer.step = lambda *_: None  # type: ignore[method-assign]
    learner.step(batch, 0)
    for parameter, gradient in zip(learner.steps.parameters, wanted, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-5)


@pytest.mark.learning
@pytest.mark.parametrize("baseline", get_args(Baseline))
def test_every_baseline_learns_to_write_one_letter(baseline: Baseline) -> None:
    policy = new_policy(16, 1, 0)
    args = ReinforceArgs(baseline=baseline)
    learner = ReinforceLearner(policy, args, 0.02, 4, greedy_of(policy, share_of_a))
    rewards = []
    for update in range(90):
        batch = rollouts(policy, update, share_of_a)
        learner.step(batch, update)
        rewards.append(float(batch.rewards.mean()))
    assert np.mean(rewards[:5]) < 0.1
    assert np.mean(rewards[-5:]) > 0.6


def test_the_moving_mean_is_of_earlier_batches() -> None:
    policy = new_policy(16, 1, 0)
    learner = ReinforceLearner(policy, ReinforceArgs(baseline="ema", ema_decay=0.5), 0.0, 4)
    means = []
    for seed in range(3):
        batch = rollouts(policy, seed)
        means.append(float(batch.rewards.mean()))
        learner.step(batch, seed)
    assert learner.moving_mean == pytest.approx(0.25 * means[0] + 0.25 * means[1] + 0.5 * means[2])


def test_a_state_keeps_the_moving_mean_and_the_optimiser() -> None:
    first, second = new_policy(16, 1, 0), new_policy(16, 1, 0)
    args = ReinforceArgs(baseline="ema")
    learner, other = (ReinforceLearner(p, args, 0.02, 4) for p in (first, second))
    learner.step(rollouts(first, 0), 0)
    second.model.load_state_dict(first.model.state_dict())
    other.load_state_dict(deepcopy(learner.state_dict()))
    for one, policy in ((learner, first), (other, second)):
        one.step(rollouts(policy, 1), 1)
    assert learner.moving_mean == other.moving_mean
    assert all(map(torch.equal, learner.steps.parameters, other.steps.parameters))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"epochs": 2}, "take loss=ppo"),
        ({"group_size": 1}, "group_size is 1"),
        ({"baseline": "mean"}, "unknown baseline 'mean'"),
        ({"kl": "k1", "beta": 0.1}, "kl=k1 in the loss"),
        ({"correction_floor": 4.0}, "correction_floor=4 is above"),
        ({"dynamic_sampling": 1, "group_size": 1, "baseline": "ema"}, "dynamic_sampling"),
        ({"clip_high": 0.3}, "clip_high=0.3 is not read with loss=reinforce.* take loss=ppo"),
        ({"dual_clip": 2.0}, "dual_clip=2.0 is not read with loss=reinforce"),
        ({"gamma": 0.5}, r"gamma=0.5 is not read with baseline=rloo.*baseline=reinforce\+\+"),
        ({"ema_decay": 0.5, "baseline": "remax"}, "ema_decay=0.5 is not read with baseline=remax"),
    ],
)
def test_arguments_that_do_not_go_together_are_told(options: dict[str, Any], told: str) -> None:
    with pytest.raises(LmgymError, match=told):
        ReinforceArgs(**options)


def test_training_against_greedy_answers_leaves_a_run_folder(tmp_path: Path) -> None:
    args = ReinforceArgs(
        baseline="remax", out=str(tmp_path / "run"), updates=2, groups=8, validation_limit=8,
        test_limit=8, test_samples=1, validate_every=100,
    )  # fmt: skip
    folder = train(args, "lmgym/Copy-v0", {})
    assert (folder / "best" / "model.safetensors").is_file()


def test_a_reward_that_compares_a_group_is_no_baseline_of_greedy_answers(tmp_path: Path) -> None:
    args = ReinforceArgs(baseline="remax", reward="majority", out=str(tmp_path / "run"))
    with pytest.raises(LmgymError, match="compares the answers of a group"):
        train(args, "lmgym/Math-v0", {})
    assert not (tmp_path / "run").exists()


def test_greedy_answers_are_penalised_as_sampled_ones() -> None:
    """With a price of the KL and one answer, the greedy one itself, nothing is left."""
    policy = talker()
    args = ReinforceArgs(baseline="remax", beta=0.5, kl_in="reward")
    learner = ReinforceLearner(policy, args, 1e-3, 4, greedy_of(policy))
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.mul_(1.1)
    ids = [t.task_id for t in rollouts(policy, 0).transcripts[::SIZE]]
    batch = greedy_of(policy)(ids)
    paid = learner.steps.penalised(batch)
    assert not np.allclose(paid.rewards, batch.rewards)
    assert learner._against_greedy(paid).tolist() == [0.0] * len(ids)
