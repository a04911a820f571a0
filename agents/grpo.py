"""GRPO and its kin: group-relative policy optimisation without a value function.

Sample G answers to each of P problems, compare each answer's reward with its group's mean, and
push up the log-probability of what was better than the mean. GRPO (Shao et al., 2024), Dr. GRPO
(Liu et al., 2025), DAPO's token mean and higher clip (Yu et al., 2025), GSPO (Zheng et al., 2025)
and CISPO (MiniMax, 2025) differ in `loss` and `scale` alone.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from lmgym.policies.language_policy import LanguagePolicy
from lmgym.rewards.kl import KLPenalty
from lmgym.rewards.source import Reward
from lmgym.rollouts import RolloutBatch
from lmgym.training.advantages import Scale, group_advantages
from lmgym.training.arguments import LearnerArgs, Range
from lmgym.training.batches import Batch, batch_transcripts, split_by_tokens, target_logprobs
from lmgym.training.losses import LossKind, LossStats, global_normalizer, merge_stats, policy_loss
from lmgym.training.session import TrainingSession, require_finite

__all__ = ["GRPOArgs", "GRPOLearner", "distance_metrics", "frozen_copy", "train"]


@dataclass(frozen=True)
class GRPOArgs(LearnerArgs):
    """Arguments of GRPO."""

    reward: str = "verifier"
    """What episodes are paid: verifier, or another registered reward."""
    groups: int = 64
    """Problems a batch."""
    group_size: int = 4
    """Answers to each problem."""
    loss: LossKind = "grpo"
    """The policy loss: grpo, dr_grpo, dapo, gspo or cispo."""
    scale: Scale = "group"
    """What centred rewards are divided by: the group's standard deviation, the batch's, or none
    (Dr. GRPO)."""
    clip_low: float | None = None
    """Lower clip of the ratio; by default the one usual for the loss."""
    clip_high: float | None = None
    """Upper clip of the ratio; by default the one usual for the loss."""
    beta: float = 0.0
    """Weight of the KL penalty against the starting policy; 0 keeps no reference."""
    kl_in: Literal["loss", "reward"] = "loss"
    """Where the penalty stands: in the loss, an id at a time (k3), or in the reward (k1)."""
    log_kl: bool = False
    """Log the KL to the starting policy where beta is 0, too; it takes one more forward pass."""
    epochs: int = 1
    """Passes over a batch; more than one needs the clip."""
    minibatches: int = 1
    """Optimiser steps a pass."""
    temperature: float = 1.0
    """Of sampling; log-probabilities are those at this temperature."""
    micro_tokens: int = 16_384
    """Tokens of one forward pass, padding included; lower it when memory runs out."""
    patience: int = 100
    """Batches in a row without a learning signal after which training stops."""

    ranges: ClassVar[dict[str, Range]] = LearnerArgs.ranges | {
        "groups": (1, 100_000),
        "group_size": (2, 10_000),
        "clip_low": (0, math.inf),
        "clip_high": (0, math.inf),
        "beta": (0, math.inf),
        "epochs": (1, math.inf),
        "minibatches": (1, math.inf),
        "temperature": (0.01, 100),
        "micro_tokens": (1, math.inf),
        "patience": (1, math.inf),
    }


def train(args: GRPOArgs, env: str, world_args: Mapping[str, Any], reward: Reward = None) -> Path:
    """Train on a world; returns the run folder.

    Args:
        args: of the learner.
        env: id of the world.
        world_args: its arguments.
        reward: a function or source, in place of the name in `args`.
    """
    with TrainingSession("grpo", args, env, world_args, reward or args.reward) as session:
        longest = session.collector.max_tokens
        learner = GRPOLearner(session.policy, args, session.lr, longest)
        silent = 0
        for update in session.updates():
            start = time.perf_counter()
            batch = session.collector.collect(
                session.rng,
                session.generator,
                n_groups=args.groups,
                group_size=args.group_size,
                temperature=args.temperature,
            )
            sampled = time.perf_counter()
            metrics = learner.step(batch, update)
            silent = 0 if metrics["signal"] > 0 else silent + 1
            if silent == 1:
                session.say(f"update {update}: {_no_signal(batch)}")
            if silent == args.patience:
                session.stop(f"{silent} batches without a learning signal: {_no_signal(batch)}")
            metrics["tokens_per_second"] = batch.lengths.sum() / (time.perf_counter() - start)
            metrics["seconds/sampling"] = sampled - start
            metrics["seconds/training"] = time.perf_counter() - sampled
            session.log(metrics, batch)
    return session.run.path


class GRPOLearner:
    """The update: rewards in, new weights out.

    Args:
        policy: is trained in place.
        args: see `GRPOArgs`.
        lr: learning rate of AdamW.
        max_tokens: of an episode, Dr. GRPO's constant length.
    """

    def __init__(self, policy: LanguagePolicy, args: GRPOArgs, lr: float, max_tokens: int) -> None:
        """Make the optimiser, and the reference where one is needed."""
        self.policy = policy
        self.args = args
        self.max_tokens = max_tokens
        self.parameters = [p for p in policy.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr, betas=(0.9, 0.95), weight_decay=0.0)
        self.reference = frozen_copy(policy) if args.beta > 0 or args.log_kl else None
        self.loss_beta = args.beta if args.kl_in == "loss" else 0.0

    def step(self, rollouts: RolloutBatch, update: int) -> dict[str, float]:
        """Learn from a batch of rollouts; returns what to log.

        Raises:
            LmgymError: where the loss or its gradient is not finite; the step is not taken then.
        """
        rewards = torch.tensor(self._penalised(rollouts).rewards)
        groups = torch.tensor([t.group_id for t in rollouts.transcripts])
        scored = torch.tensor(rollouts.scored)
        per_episode = group_advantages(rewards, groups, scale=self.args.scale, scored=scored)
        metrics = {"signal": float((per_episode != 0).float().mean())}
        kept = [t for t, is_scored in zip(rollouts.transcripts, scored, strict=True) if is_scored]
        if not kept:
            return metrics
        batch = batch_transcripts(kept, self.policy.renderer.pad_id, self.policy.device)
        reference = None if self.reference is None else self._logprobs(self.reference, batch)
        if reference is not None:
            apart = (batch.target_logprobs - reference) * batch.target_mask
            metrics |= distance_metrics(float(apart.sum()) / len(kept))
        if metrics["signal"] == 0.0:
            return metrics
        advantages = per_episode[scored].to(batch.ids.device)[batch.transcript]
        old = self._logprobs(self.policy, batch) if self._is_off_policy else None
        steps = [
            self._optimize(batch, rows, advantages, old, reference, update)
            for rows in self._minibatches(batch)
        ]
        self.policy.version += 1
        drawn = batch.target_logprobs[batch.target_mask > 0]
        entropy = float(-drawn.mean())  # of the sampled ids: an unbiased estimate
        return metrics | {"entropy": entropy, **_mean([s for s in steps if s])}

    def _penalised(self, rollouts: RolloutBatch) -> RolloutBatch:
        """The rollouts less the KL penalty, where it stands in the reward."""
        args = self.args
        if self.reference is None or args.beta == 0 or args.kl_in == "loss":
            return rollouts
        penalty = KLPenalty(
            self.reference,
            args.beta,
            temperature=args.temperature,
            micro_tokens=args.micro_tokens,
        )
        return penalty.apply(rollouts)

    def _optimize(
        self,
        batch: Batch,
        rows: Tensor,
        advantages: Tensor,
        old: Tensor | None,
        reference: Tensor | None,
        update: int,
    ) -> dict[str, float]:
        """One optimiser step on some rows of the batch, in micro-batches; what to log of it."""
        args = self.args
        n_samples = len(torch.unique(batch.transcript[rows]))
        normalizer = global_normalizer(args.loss, batch.target_mask[rows], n_samples)
        lengths = _sample_lengths(batch)
        carries = advantages[rows] != 0 if self.loss_beta == 0 else torch.ones_like(rows) > 0
        rows = rows[carries]  # rows with advantage 0 have no gradient: the same step, sooner
        if not len(rows):
            return {}
        self.optimizer.zero_grad()
        total, divergence = torch.zeros(()), 0.0
        stats: list[LossStats] = []
        for picked, micro in split_by_tokens(batch.select(rows), args.micro_tokens):
            index, width = rows[picked], micro.ids.shape[1] - 1
            logprobs = target_logprobs(self.policy, micro, args.temperature)
            before = logprobs.detach() if old is None else old[index, :width]
            loss, stat = policy_loss(
                logprobs,
                before,
                advantages[index],
                micro.target_mask,
                args.loss,
                clip_low=args.clip_low,
                clip_high=args.clip_high,
                max_completion_length=self.max_tokens,
                normalizer=normalizer,
                sample_lengths=lengths[index],
                reference_logprobs=None if reference is None else reference[index, :width],
                beta=self.loss_beta,
            )
            torch.autograd.backward(loss)
            total = total + loss.detach().cpu()
            stats.append(stat)
            apart = (before - micro.target_logprobs).abs() * micro.target_mask
            divergence += float(apart.sum())
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, args.max_grad_norm)
        require_finite(total, "loss", update)
        require_finite(norm, "gradient norm", update)
        self.optimizer.step()
        merged = merge_stats(stats)
        return {
            "loss": float(total),
            "gradient_norm": float(norm),
            "clip_fraction": merged.clip_fraction,
            "approximate_kl": merged.approximate_kl,
            "sampler_divergence": divergence / sum(stat.n_tokens for stat in stats),
        }

    @property
    def _is_off_policy(self) -> bool:
        """Whether any optimiser step sees data that older weights drew."""
        return self.args.epochs * self.args.minibatches > 1

    def _minibatches(self, batch: Batch) -> list[Tensor]:
        """Rows of each optimiser step, those of an episode together.

        Problems come in a random order, so runs of episodes will do.
        """
        episodes = torch.unique(batch.transcript).chunk(self.args.minibatches)
        parts = [torch.isin(batch.transcript, some).nonzero()[:, 0] for some in episodes]
        return [rows for _ in range(self.args.epochs) for rows in parts]

    @torch.no_grad()
    def _logprobs(self, policy: LanguagePolicy, batch: Batch) -> Tensor:
        """Log-probabilities of the batch under a policy, shape (B, T - 1)."""
        found = torch.zeros(batch.targets.shape, device=batch.ids.device)
        for rows, micro in split_by_tokens(batch, self.args.micro_tokens):
            logprobs = target_logprobs(policy, micro, self.args.temperature)
            found[rows, : logprobs.shape[1]] = logprobs
        return found


def _sample_lengths(batch: Batch) -> Tensor:
    """Of each row, the ids that carry loss in the whole episode, which may have several rows."""
    drawn = batch.target_mask.sum(1)
    sums = drawn.new_zeros(int(batch.transcript.max()) + 1)
    return sums.index_add(0, batch.transcript, drawn)[batch.transcript].clamp(min=1)


def frozen_copy(policy: LanguagePolicy) -> LanguagePolicy:
    """A policy of the same weights, which nothing trains."""
    return LanguagePolicy(copy.deepcopy(policy.model).requires_grad_(False), policy.renderer)


def distance_metrics(kl: float) -> dict[str, float]:
    """What is logged of a k1 estimate of whole answers: unbiased, so that it may be below 0."""
    return {"reference_kl": kl, "reference_kl_sqrt": math.sqrt(max(0.0, kl))}


def _mean(steps: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The means over the optimiser steps of a batch."""
    return {name: sum(step[name] for step in steps) / len(steps) for name in steps[0]}


def _no_signal(batch: RolloutBatch) -> str:
    """Why a batch teaches nothing: in each of its groups all answers are worth the same."""
    if not batch.scored.any():
        return "no episode could be scored, so there is nothing to learn from"
    rewards = np.unique(batch.rewards[batch.scored])[:4].tolist()
    return (
        f"no learning signal: the rewards within each group are equal (they are {rewards}). Where"
        " they are low the problems are too hard for the policy: choose easier ones, start from a"
        " better --model, or raise --group-size or --temperature; where they are high there is"
        " nothing left to learn"
    )
