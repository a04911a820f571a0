"""`PolicyOptimizer`: optimiser steps on a policy loss, whatever the advantages are made of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lmgym.policies.adapters import reference_policy
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policy_gradients.corrections import importance_weights
from lmgym.policy_gradients.losses import (
    LossKind,
    LossStats,
    global_normalizer,
    merge_stats,
    policy_loss,
)
from lmgym.policy_gradients.on_policy_args import OnPolicyArgs
from lmgym.rewards.kl import KLPenalty
from lmgym.rollouts import RolloutBatch
from lmgym.training.batches import Batch, batch_transcripts, split_by_tokens, target_logprobs
from lmgym.training.session import require_finite

__all__ = ["Drawn", "PolicyOptimizer", "distance_metrics", "mean_of", "take_step"]


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """A batch of rollouts, ready to learn from.

    Attributes:
        batch: rows of ids.
        episodes: the rollouts that it holds, the scored ones.
        old: the trainer's log-probabilities before the update, (B, T - 1); None where no step sees
            other weights than those, and no correction needs them.
        reference: log-probabilities under the reference, (B, T - 1), where there is one.
        weights: importance weights of the ids, (B, T - 1), where sampler and trainer differ.
        metrics: what is known before the first step.
    """

    batch: Batch
    episodes: RolloutBatch
    old: Tensor | None
    reference: Tensor | None
    weights: Tensor | None
    metrics: dict[str, float]


class PolicyOptimizer:
    """AdamW on the weights of a policy that may be trained, in micro-batches.

    Args:
        policy: is trained in place.
        args: of the learner.
        kind: the policy loss.
        lr: learning rate.
        max_tokens: of an episode, the constant length of Dr. GRPO.

    Attributes:
        reference: the policy at the start, where a penalty or a log of the KL needs it.
        skips_silent_rows: whether rows of advantage 0 are left out, which changes no gradient.
    """

    def __init__(
        self,
        policy: LanguagePolicy,
        args: OnPolicyArgs,
        kind: LossKind,
        lr: float,
        max_tokens: int,
    ) -> None:
        """Make the optimiser, and the reference where one is needed."""
        self.policy = policy
        self.args = args
        self.kind: LossKind = kind
        self.max_tokens = max_tokens
        self.parameters = [p for p in policy.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr, betas=(0.9, 0.95), weight_decay=0.0)
        needs_reference = args.beta > 0 or args.log_kl
        self.reference = reference_policy(policy) if needs_reference else None
        self.loss_beta = args.beta if args.kl_in == "loss" else 0.0
        self.skips_silent_rows = self.loss_beta == 0

    def penalised(self, rollouts: RolloutBatch) -> RolloutBatch:
        """The rollouts less the KL penalty, where it stands in the reward."""
        args = self.args
        if self.reference is None or args.beta == 0 or args.kl_in == "loss":
            return rollouts
        penalty = KLPenalty(
            self.reference,
            args.beta,
            temperature=args.temperature,
            micro_tokens=args.pass_tokens,
        )
        return penalty.apply(rollouts)

    def prepare(self, episodes: RolloutBatch, *, is_silent: bool = False) -> Drawn:
        """Rows of the episodes, all of them scored, and their log-probabilities.

        Args:
            episodes: at least one.
            is_silent: nothing will be learned from them, so only what is logged is computed.
        """
        policy, args = self.policy, self.args
        batch = batch_transcripts(episodes.transcripts, policy.renderer.pad_id, policy.device)
        reference, metrics = None, dict[str, float]()
        if args.beta > 0 and args.kl_in == "reward":  # read for the reward already
            kl = -float(episodes.parts["kl_penalty"].mean()) / args.beta
            metrics |= distance_metrics(kl)
        elif self.reference is not None:
            reference = self.logprobs(batch, self.reference)
        if reference is not None:
            apart = (batch.target_logprobs - reference) * batch.target_mask
            metrics |= distance_metrics(float(apart.sum()) / len(episodes.transcripts))
        old = weights = None
        if not is_silent and (self._is_off_policy or args.correction != "none"):
            old = self.logprobs(batch)
        if old is not None and args.correction != "none":
            weights = importance_weights(
                old,
                batch.target_logprobs,
                batch.target_mask,
                args.correction,
                floor=args.correction_floor,
                cap=args.correction_cap,
            )
            metrics |= _weight_metrics(weights[batch.target_mask > 0])
        drawn = batch.target_logprobs[batch.target_mask > 0]
        if not is_silent:
            metrics["entropy"] = float(-drawn.mean())  # of the sampled ids: an unbiased estimate
        return Drawn(batch, episodes, old, reference, weights, metrics)

    def learn(self, drawn: Drawn, advantages: Tensor, update: int) -> dict[str, float]:
        """All optimiser steps on a batch; returns what to log.

        Args:
            drawn: of `prepare`.
            advantages: of each row, (B,), or of each target, (B, T - 1).
            update: for errors.

        Raises:
            LmgymError: where the loss or its gradient is not finite; the step is not taken then.
        """
        parts = [part for _ in range(self.args.epochs) for part in self.parts(drawn)]
        steps = [self._optimize(drawn, rows, advantages, update) for rows in parts]
        self.policy.version += 1
        return mean_of([step for step in steps if step])

    def parts(self, drawn: Drawn) -> list[Tensor]:
        """Rows of each optimiser step of a pass, those of an episode together.

        Problems come in a random order, so runs of episodes will do.
        """
        episode = drawn.batch.transcript
        some = torch.unique(episode).chunk(self.args.minibatches)
        return [torch.isin(episode, members).nonzero()[:, 0] for members in some]

    @torch.no_grad()
    def logprobs(self, batch: Batch, policy: LanguagePolicy | None = None) -> Tensor:
        """Log-probabilities of the targets under a policy, by default the one in training."""
        scorer = policy or self.policy
        found = torch.zeros(batch.targets.shape, device=batch.ids.device)
        for rows, micro in split_by_tokens(batch, self.args.pass_tokens):
            logprobs = target_logprobs(scorer, micro, self.args.temperature)
            found[rows, : logprobs.shape[1]] = logprobs
        return found

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs besides the policy's weights."""
        return {"optimizer": self.optimizer.state_dict(), "version": self.policy.version}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.policy.version = state["version"]

    def _optimize(
        self, drawn: Drawn, rows: Tensor, advantages: Tensor, update: int
    ) -> dict[str, float]:
        """One optimiser step on some rows of the batch, in micro-batches; what to log of it."""
        args, batch = self.args, drawn.batch
        n_samples = len(torch.unique(batch.transcript[rows]))
        normalizer = global_normalizer(self.kind, batch.target_mask[rows], n_samples)
        lengths = _sample_lengths(batch)
        if self.skips_silent_rows:
            rows = rows[(advantages[rows].reshape(len(rows), -1) != 0).any(1)]
        if not len(rows):
            return {}
        stats: list[LossStats] = []
        divergence = 0.0

        def losses() -> Iterator[Tensor]:
            nonlocal divergence
            for picked, micro in split_by_tokens(batch.select(rows), args.pass_tokens):
                index, width = rows[picked], micro.ids.shape[1] - 1
                logprobs = target_logprobs(self.policy, micro, args.temperature)
                before = logprobs.detach() if drawn.old is None else drawn.old[index, :width]
                loss, stat = policy_loss(
                    logprobs,
                    before,
                    advantages[index] if advantages.dim() == 1 else advantages[index, :width],
                    micro.target_mask,
                    self.kind,
                    clip_low=args.clip_low,
                    clip_high=args.clip_high,
                    dual_clip=args.dual_clip,
                    weights=None if drawn.weights is None else drawn.weights[index, :width],
                    max_completion_length=self.max_tokens,
                    normalizer=normalizer,
                    sample_lengths=lengths[index],
                    reference_logprobs=(
                        None if drawn.reference is None else drawn.reference[index, :width]
                    ),
                    beta=self.loss_beta,
                    kl=args.kl,
                    kl_ratio=args.kl_ratio,
                )
                stats.append(stat)
                apart = (before - micro.target_logprobs).abs() * micro.target_mask
                divergence += float(apart.sum())
                yield loss

        total, norm = take_step(
            self.optimizer, self.parameters, losses(), args.max_grad_norm, update
        )
        merged = merge_stats(stats)
        return {
            "loss": total,
            "gradient_norm": norm,
            "clip_fraction": merged.clip_fraction,
            "approximate_kl": merged.approximate_kl,
            "sampler_divergence": divergence / sum(stat.n_tokens for stat in stats),
        }

    @property
    def _is_off_policy(self) -> bool:
        """Whether any optimiser step sees data that older weights drew."""
        return self.args.epochs * self.args.minibatches > 1


def take_step(
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[Tensor],
    losses: Iterator[Tensor],
    max_grad_norm: float,
    update: int,
) -> tuple[float, float]:
    """One optimiser step on the sum of losses; returns the sum and the norm of the gradient.

    Args:
        optimizer: of the parameters.
        parameters: their gradient is clipped.
        losses: an iterable of scalars; each is differentiated before the next is asked for, so
            that one micro-batch is held at a time.
        max_grad_norm: the norm to clip to.
        update: for errors.

    Raises:
        LmgymError: where a loss or the gradient is not finite; no weight is changed then.
    """
    optimizer.zero_grad()
    total = torch.zeros(())
    for loss in losses:
        torch.autograd.backward(loss)
        total = total + loss.detach().cpu()
    norm = torch.nn.utils.clip_grad_norm_(parameters, max_grad_norm)
    require_finite(total, "loss", update)
    require_finite(norm, "gradient norm", update)
    optimizer.step()
    return float(total), float(norm)


def distance_metrics(kl: float) -> dict[str, float]:
    """What is logged of a k1 estimate of whole answers: unbiased, so that it may be below 0."""
    return {"reference_kl": kl, "reference_kl_sqrt": math.sqrt(max(0.0, kl))}


def mean_of(steps: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The means over the optimiser steps of a batch; nothing where there was none."""
    names = steps[0] if steps else ()
    return {name: sum(step[name] for step in steps) / len(steps) for name in names}


def _sample_lengths(batch: Batch) -> Tensor:
    """Of each row, the ids that carry loss in the whole episode, which may have several rows."""
    drawn = batch.target_mask.sum(1)
    sums = drawn.new_zeros(int(batch.transcript.max()) + 1)
    return sums.index_add(0, batch.transcript, drawn)[batch.transcript].clamp(min=1)


def _weight_metrics(weights: Tensor) -> dict[str, float]:
    return {
        "correction/mean": float(weights.mean()),
        "correction/masked": float((weights == 0).float().mean()),
    }
