"""PPO: its gradient is that of the formulas, and it learns."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lmgym.agents.embedded import new_policy
from lmgym.agents.ppo import PPOArgs, PPOLearner, train
from lmgym.cards import field_docs
from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policy_gradients.critic import Critic, value_loss
from lmgym.rollouts import RolloutBatch, RolloutCollector
from lmgym.transcript import Transcript


def share_of_a(prompts: list[str], completions: list[str], **columns: object) -> list[float]:
    return [text.count("a") / max(1, len(text)) for text in completions]


def rollouts(policy: LanguagePolicy, seed: int, n: int = 32) -> RolloutBatch:
    collector = RolloutCollector(policy, make_task("lmgym/Copy-v0"), share_of_a, max_tokens=4)
    generator = torch.Generator().manual_seed(seed)
    return collector.collect(np.random.default_rng(seed), generator, n_groups=n)


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


def values_of(critic: Critic, transcript: Transcript) -> Tensor:
    assert critic.trunk is not None
    segment = transcript.segments[0]
    hidden = critic.trunk(torch.tensor([segment.ids])).last_hidden_state
    found: Tensor = critic.head(hidden)[0, :-1, 0]
    return found[torch.tensor(segment.loss_mask[1:]) == 1]


def gae(rewards: list[float], values: list[float], lam: float) -> list[float]:
    values = [*values, 0.0]
    deltas = [r + values[t + 1] - values[t] for t, r in enumerate(rewards)]
    n = len(deltas)
    return [sum(lam ** (k - t) * deltas[k] for k in range(t, n)) for t in range(n)]


def test_both_gradients_are_those_of_the_formulas() -> None:
    args = PPOArgs(minibatches=1, max_grad_norm=1e9, micro_tokens=64, lam=0.9, value_clip=None)
    policy = talker()
    learner = PPOLearner(policy, args, 1e-3, 4)
    with torch.no_grad():
        next(learner.critic.head.parameters()).normal_(
            0, 0.5, generator=torch.Generator().manual_seed(1)
        )
    batch = rollouts(policy, 0)
    assert len({t.n_tokens for t in batch.transcripts}) > 1
    rows = []
    for transcript, reward in zip(batch.transcripts, batch.rewards, strict=True):
        values = values_of(learner.critic, transcript)
        paid = [0.0] * (len(values) - 1) + [float(reward)]
        advantages = gae(paid, values.tolist(), 0.9)
        returns = [a + v for a, v in zip(advantages, values.tolist(), strict=True)]
        rows.append((logprobs_of(policy, transcript), values, advantages, returns))
    flat = np.array([a for _, _, advantages, _ in rows for a in advantages])
    whitened = (flat - flat.mean()) / np.sqrt(flat.var(ddof=1) + 1e-8)
    policy_loss = -(torch.cat([now for now, *_ in rows]) * torch.tensor(whitened)).mean()
    errors = torch.cat([values for _, values, *_ in rows]) - torch.tensor(
        [r for *_, returns in rows for r in returns]
    )
    wanted = torch.autograd.grad(policy_loss, learner.steps.parameters)
    wanted_values = torch.autograd.grad((errors.square() / 2).mean(), learner._trained)
    learner.steps.optimizer.step = learner.critic_optimizer.step = lambda *_: None  # type: ignore[method-assign]
    learner.step(batch, 0)
    for parameter, gradient in zip(learner.steps.parameters, wanted, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-6)
    for parameter, gradient in zip(learner._trained, wanted_values, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-6)


@pytest.mark.learning
@pytest.mark.parametrize("critic", ["model", "head"])
def test_it_learns_to_write_one_letter(critic: Any) -> None:
    args = PPOArgs(critic=critic)
    policy = new_policy(16, 1, 0)
    learner = PPOLearner(policy, args, 0.02, 4)
    rewards = []
    metrics: dict[str, float] = {}
    for update in range(60):
        batch = rollouts(policy, update, n=64)
        metrics = learner.step(batch, update)
        rewards.append(float(batch.rewards.mean()))
    assert np.mean(rewards[:5]) < 0.05
    assert np.mean(rewards[-5:]) > 0.8
    assert abs(metrics["value"] - rewards[-1]) < 0.2


def test_a_penalty_in_the_reward_stands_at_each_token() -> None:
    policy = talker()
    learner = PPOLearner(policy, PPOArgs(beta=0.5), 1e-3, 4)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.mul_(1.1)
    batch = rollouts(policy, 1)
    assert learner.steps.reference is not None
    paid = learner.steps.penalised(batch).rewards_by_token()
    for transcript, rewards, outcome in zip(batch.transcripts, paid, batch.rewards, strict=True):
        apart = logprobs_of(policy, transcript) - logprobs_of(learner.steps.reference, transcript)
        wanted = -0.5 * apart.detach().numpy()
        wanted[-1] += outcome
        assert rewards == pytest.approx(wanted, abs=1e-5)


def test_while_the_critic_warms_up_the_policy_stays() -> None:
    policy = new_policy(16, 1, 0)
    learner = PPOLearner(policy, PPOArgs(critic_warmup=1), 0.02, 4)
    before = [p.clone() for p in learner.steps.parameters]
    values = [p.clone() for p in learner._trained]
    learner.step(rollouts(policy, 0), 0)
    assert all(map(torch.equal, before, learner.steps.parameters))
    assert not all(map(torch.equal, values, learner._trained))
    learner.step(rollouts(policy, 0), 1)
    assert not all(map(torch.equal, before, learner.steps.parameters))


def test_a_state_restores_the_next_step_exactly() -> None:
    first, second = new_policy(16, 1, 0), new_policy(16, 1, 0)
    learner, other = (PPOLearner(p, PPOArgs(), 0.02, 4) for p in (first, second))
    learner.step(rollouts(first, 0), 0)
    second.model.load_state_dict(first.model.state_dict())
    other.load_state_dict(deepcopy(learner.state_dict()))
    for one, policy in ((learner, first), (other, second)):
        one.step(rollouts(policy, 1), 1)
    assert all(map(torch.equal, learner.steps.parameters, other.steps.parameters))
    assert all(map(torch.equal, learner._trained, other._trained))


def test_a_head_leaves_the_policy_alone() -> None:
    policy = new_policy(16, 1, 0)
    critic = Critic(policy, "head")
    assert {name.split(".")[0] for name, _ in critic.named_parameters()} == {"head"}
    with pytest.raises(LmgymError, match=r"unknown critic 'neck'.*head, model"):
        Critic(policy, "neck")  # type: ignore[arg-type]


def test_the_clipped_value_loss_is_the_larger_error() -> None:
    told, old, came = torch.tensor([[1.0, 0.3]]), torch.zeros(1, 2), torch.tensor([[1.2, 0.1]])
    found = value_loss(told, old, came, torch.ones(1, 2), clip=0.2)
    assert found[0].tolist() == pytest.approx([max(0.04, 1.0) / 2, max(0.04, 0.01) / 2])


def test_an_infinite_value_clip_is_none_as_the_help_says() -> None:
    told, old, came = torch.tensor([[1.0, 0.3]]), torch.zeros(1, 2), torch.tensor([[1.2, 0.1]])
    found = value_loss(told, old, came, torch.ones(1, 2), clip=PPOArgs(value_clip=inf).value_clip)
    assert torch.equal(found, value_loss(told, old, came, torch.ones(1, 2)))
    assert "inf for no limit" in field_docs(PPOArgs)["value_clip"]


def test_a_batch_that_is_all_paid_alike_leaves_the_policy_alone() -> None:
    policy = new_policy(16, 1, 0)
    learner = PPOLearner(policy, PPOArgs(), 0.02, 4)
    before = [p.clone() for p in learner.steps.parameters]
    metrics = learner.step(replace(rollouts(policy, 0), rewards=np.ones(32)), 0)
    assert metrics["signal"] == 0
    assert all(map(torch.equal, before, learner.steps.parameters))
    assert metrics["value_loss"] > 0


def test_unscored_episodes_are_left_out() -> None:
    policy = new_policy(16, 1, 0)
    learner = PPOLearner(policy, PPOArgs(), 0.02, 4)
    batch = rollouts(policy, 0)
    nothing = replace(batch, scored=np.zeros(32, np.bool_))
    assert learner.step(nothing, 0) == {"signal": 0.0}


def test_training_leaves_a_run_folder(tmp_path: Path) -> None:
    args = PPOArgs(
        out=str(tmp_path / "run"), updates=2, groups=8, validation_limit=8, test_limit=8,
        test_samples=1, validate_every=100,
    )  # fmt: skip
    folder = train(args, "lmgym/Copy-v0", {})
    assert (folder / "best" / "model.safetensors").is_file()
    assert "value_loss" in (folder / "metrics.jsonl").read_text(encoding="utf-8")
