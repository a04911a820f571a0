"""One batch of GRPO against the formulas, written out: every gradient of every optimiser step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lmgym.agents.embedded import new_policy
from lmgym.agents.grpo import GRPOArgs, GRPOLearner
from lmgym.factory import make_task
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.rollouts import RolloutBatch, RolloutCollector
from lmgym.transcript import Transcript

GROUPS, SIZE, LONGEST = 6, 4, 12


def talker() -> LanguagePolicy:
    """A policy whose answers have many lengths."""
    policy = new_policy(16, 1, seed=0)
    with torch.no_grad():
        policy.model.get_input_embeddings().weight[257] *= 25
        for parameter in policy.model.parameters():
            parameter.mul_(3.0)
    return policy


def rollouts(policy: LanguagePolicy, temperature: float) -> RolloutBatch:
    """Episodes with rewards of many values, one group that is all equal, one row unscored."""
    collector = RolloutCollector(policy, make_task("lmgym/Copy-v0"), None, max_tokens=LONGEST)
    batch = collector.collect(
        np.random.default_rng(0),
        torch.Generator().manual_seed(0),
        n_groups=GROUPS,
        group_size=SIZE,
        temperature=temperature,
    )
    rewards = np.random.default_rng(1).random(GROUPS * SIZE)
    rewards[SIZE : 2 * SIZE] = 0.7
    scored = np.ones(GROUPS * SIZE, np.bool_)
    scored[9] = False
    return replace(batch, rewards=rewards, scored=scored)


def logprobs_of(policy: LanguagePolicy, transcript: Transcript, temperature: float) -> Tensor:
    """Log-probabilities of the ids that the agent drew, one episode alone, shape (L,)."""
    segment = transcript.segments[0]
    logits = policy.model(torch.tensor([segment.ids])).logits[0, :-1] / temperature
    scored: Tensor = logits.log_softmax(-1)
    taken = scored.gather(1, torch.tensor(segment.ids[1:])[:, None])[:, 0]
    return taken[torch.tensor(segment.loss_mask[1:]) == 1]


def advantages_of(batch: RolloutBatch, scale: str) -> list[float]:
    found = []
    for row in range(GROUPS * SIZE):
        group = [r for r in range(GROUPS * SIZE) if r // SIZE == row // SIZE and batch.scored[r]]
        rewards = batch.rewards[group]
        centred = batch.rewards[row] - rewards.mean()
        found.append(centred / (rewards.std(ddof=1) + 1e-4) if scale == "group" else centred)
    return found


def objective(
    args: GRPOArgs,
    rows: list[tuple[float, Tensor, Tensor, Tensor]],
) -> Tensor:
    """The loss of some rows: advantage, log-probabilities now, when drawn, and of the reference."""
    low = 0.2 if args.clip_low is None else args.clip_low
    high = 0.2 if args.clip_high is None else args.clip_high
    tokens = sum(len(now) for _, now, _, _ in rows)
    total = torch.zeros(())
    for advantage, now, old, reference in rows:
        ratio = (now - old).exp()
        gain = torch.minimum(ratio * advantage, ratio.clamp(1 - low, 1 + high) * advantage)
        apart = reference - now
        loss = -gain + args.beta * (apart.exp() - apart - 1)
        weight = {
            "grpo": 1 / (len(now) * len(rows)),
            "dr_grpo": 1 / (LONGEST * len(rows)),
            "dapo": 1 / tokens,
        }[args.loss]
        total = total + loss.sum() * weight
    return total


def watch_steps(learner: GRPOLearner, expect: Callable[[int], list[Tensor]]) -> list[float]:
    """Compare the gradients before each optimiser step; returns the norms."""
    take = learner.steps.optimizer.step
    norms: list[float] = []

    def step(*given: Any, **named: Any) -> None:
        for parameter, expected in zip(learner.steps.parameters, expect(len(norms)), strict=True):
            assert parameter.grad is not None
            assert torch.allclose(
                parameter.grad, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max())
            )
        norms.append(float(torch.stack([g.norm() for g in expect(len(norms))]).norm()))
        take(*given, **named)

    learner.steps.optimizer.step = step  # type: ignore[method-assign]
    return norms


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": "none", "loss": "dr_grpo"},
        {"loss": "dapo", "clip_low": 0.02, "clip_high": 0.05, "epochs": 2, "minibatches": 2},
        {"temperature": 0.7, "beta": 0.3, "epochs": 2, "minibatches": 3, "clip_high": 0.01},
        {"max_grad_norm": 0.01},
        {"max_grad_norm": 0.01, "beta": 0.1, "minibatches": 2},
    ],
)
def test_every_step_has_the_gradient_of_the_formulas(options: dict[str, Any]) -> None:
    args = GRPOArgs(**{"max_grad_norm": 1e9, "micro_tokens": 64} | options)
    policy, start = talker(), talker()
    batch = rollouts(policy, args.temperature)
    assert len({t.n_tokens for t in batch.transcripts}) > 4
    advantages = advantages_of(batch, args.scale)
    kept = [row for row in range(GROUPS * SIZE) if batch.scored[row]]
    parts = [part.tolist() for part in torch.tensor(kept).chunk(args.minibatches)] * args.epochs
    learner = GRPOLearner(policy, args, 1e-3, LONGEST)

    def expect(step: int) -> list[Tensor]:
        rows = []
        for row in parts[step]:
            transcript = batch.transcripts[row]
            with torch.no_grad():
                first = logprobs_of(start, transcript, args.temperature)
            now = logprobs_of(policy, transcript, args.temperature)
            rows.append((advantages[row], now, first, first))
        gradients = torch.autograd.grad(objective(args, rows), learner.steps.parameters)
        norm = float(torch.stack([g.norm() for g in gradients]).norm())
        return [g * min(1.0, args.max_grad_norm / (norm + 1e-6)) for g in gradients]

    norms = watch_steps(learner, expect)
    metrics = learner.step(batch, 0)
    assert len(norms) == args.epochs * args.minibatches
    assert metrics["signal"] == pytest.approx((GROUPS * SIZE - SIZE - 1) / (GROUPS * SIZE))
    assert max(norms) <= args.max_grad_norm * 1.01


def test_the_rollouts_are_sampled_at_the_temperature() -> None:
    policy = talker()
    for temperature in (0.5, 1.5):
        for transcript in rollouts(policy, temperature).transcripts[:4]:
            segment = transcript.segments[0]
            assert segment.logprobs is not None
            drawn = [
                p
                for p, is_drawn in zip(segment.logprobs, segment.loss_mask, strict=True)
                if is_drawn
            ]
            with torch.no_grad():
                expected = logprobs_of(policy, transcript, temperature).tolist()
            assert drawn == pytest.approx(expected, abs=1e-4)
