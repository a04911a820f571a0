"""PPO for language models: a clipped policy, a critic, and GAE over the tokens of the agent.

Every token is an action (Schulman et al., 2017; Ziegler et al., 2019). The critic estimates the
return before each token; generalised advantage estimation compares what came with what was
expected, and skips what the world wrote. A KL penalty against the starting policy stands in the
reward of each token, or in the loss.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policy_gradients.agent_tokens import AgentTokens
from lmgym.policy_gradients.critic import Critic, CriticKind, value_loss
from lmgym.policy_gradients.on_policy import train_on_policy
from lmgym.policy_gradients.on_policy_args import OnPolicyArgs
from lmgym.policy_gradients.policy_optimizer import Drawn, PolicyOptimizer, mean_of, take_step
from lmgym.policy_gradients.returns import generalized_advantages, whiten
from lmgym.rewards.source import Reward
from lmgym.rollouts import RolloutBatch
from lmgym.training.arguments import Range
from lmgym.training.batches import split_by_tokens
from lmgym.training.presets import is_large
from lmgym.training.session import TrainingSession

__all__ = ["PPOArgs", "PPOLearner", "train"]


@dataclass(frozen=True)
class PPOArgs(OnPolicyArgs):
    """Arguments of PPO."""

    minibatches: int = 2
    """Optimiser steps a pass."""
    critic: CriticKind | Literal["auto"] = "auto"
    """What estimates returns: model, a copy of the policy's layers; head, a small network on the
    policy's hidden states; by default head for policies above 10 million parameters."""
    critic_lr: float | None = None
    """Learning rate of the critic; by default twice that of the policy."""
    critic_epochs: int = 1
    """Passes of the critic over a batch."""
    critic_warmup: int = 0
    """Updates at the start in which the critic alone learns."""
    gamma: float = 1.0
    """Discount of a token."""
    lam: float = 0.95
    """Lambda of generalised advantage estimation: 1 trusts what was paid, 0 the critic."""
    value_clip: float | None = 0.2
    """How far a value may move in an update before its loss stops it; inf for no limit."""
    kl_in: Literal["loss", "reward"] = "reward"
    """Where the penalty stands: in the reward of each token (k1), or in the loss."""

    ranges: ClassVar[dict[str, Range]] = OnPolicyArgs.ranges | {
        "critic_lr": (math.nextafter(0, 1), math.inf),
        "critic_epochs": (1, math.inf),
        "critic_warmup": (0, math.inf),
        "gamma": (0, 1),
        "lam": (0, 1),
        "value_clip": (0, math.inf),
    }


def train(args: PPOArgs, env: str, world_args: Mapping[str, Any], reward: Reward = None) -> Path:
    """Train on a world; returns the run folder.

    Args:
        args: of the learner.
        env: id of the world.
        world_args: its arguments.
        reward: a function or source, in place of the name in `args`.
    """

    def learner(session: TrainingSession, args: PPOArgs) -> PPOLearner:
        return PPOLearner(session.policy, args, session.lr, session.collector.max_tokens)

    return train_on_policy("ppo", args, env, world_args, reward or args.reward, learner)


class PPOLearner:
    """The update: rewards in, new weights of policy and critic out.

    Args:
        policy: is trained in place.
        args: see `PPOArgs`.
        lr: learning rate of AdamW.
        max_tokens: of an episode.

    Attributes:
        critic: is trained beside the policy.
    """

    def __init__(self, policy: LanguagePolicy, args: PPOArgs, lr: float, max_tokens: int) -> None:
        """Make the critic, two optimisers, and the reference where one is needed."""
        self.args = args
        self.steps = PolicyOptimizer(policy, args, "ppo", lr, max_tokens)
        kind = args.critic
        if kind == "auto":
            kind = "head" if is_large(policy.n_base_parameters) else "model"
        self.critic = Critic(policy, kind, args.seed)
        self.critic_optimizer = torch.optim.AdamW(
            self._trained, args.critic_lr or 2 * lr, betas=(0.9, 0.95), weight_decay=0.0
        )

    def step(self, rollouts: RolloutBatch, update: int) -> dict[str, float]:
        """Learn from a batch of rollouts; returns what to log.

        Raises:
            LmgymError: where a loss or a gradient is not finite; the step is not taken then.
        """
        episodes = rollouts.select(rollouts.scored.nonzero()[0])
        if not episodes.transcripts:
            return {"signal": 0.0}
        drawn = self.steps.prepare(self.steps.penalised(episodes))
        mask = drawn.batch.target_mask
        tokens = AgentTokens.of(drawn.batch)
        values = self._values(drawn)
        advantages, returns = generalized_advantages(
            tokens.rewards(drawn.episodes.rewards_by_token()),
            tokens.gather(values),
            tokens.mask,
            gamma=self.args.gamma,
            lam=self.args.lam,
        )
        metrics = {**drawn.metrics, **_fit(tokens.gather(values), returns, tokens.mask)}
        metrics |= self._learn_values(drawn, values, tokens.scatter(returns, mask), update)
        whitened = tokens.scatter(whiten(advantages, tokens.mask), mask)
        metrics["signal"] = float((whitened != 0).any(1).float().mean())
        if np.ptp(drawn.episodes.rewards) == 0 and drawn.episodes.token_rewards is None:
            metrics["signal"] = 0.0  # all alike: what is left are the critic's own errors
        if update < self.args.critic_warmup or not metrics["signal"]:
            return metrics
        return metrics | self.steps.learn(drawn, whitened, update)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs besides the policy's weights."""
        return {
            **self.steps.state_dict(),
            "critic": {name: p.detach() for name, p in self._named()},
            "critic_optimizer": self.critic_optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.steps.load_state_dict(state)
        with torch.no_grad():
            for name, parameter in self._named():
                parameter.copy_(state["critic"][name])
        self.critic_optimizer.load_state_dict(state["critic_optimizer"])

    @property
    def _trained(self) -> list[Tensor]:
        return [parameter for _, parameter in self._named()]

    def _named(self) -> list[tuple[str, torch.nn.Parameter]]:
        """The critic's own parameters, by name."""
        return list(self.critic.named_parameters())

    @torch.no_grad()
    def _values(self, drawn: Drawn) -> Tensor:
        """Values before each target, (B, T - 1)."""
        found = torch.zeros(drawn.batch.targets.shape, device=drawn.batch.ids.device)
        for rows, micro in split_by_tokens(drawn.batch, self.args.pass_tokens):
            values = self.critic(micro)
            found[rows, : values.shape[1]] = values
        return found

    def _learn_values(
        self, drawn: Drawn, old: Tensor, returns: Tensor, update: int
    ) -> dict[str, float]:
        """The critic's optimiser steps; what to log of them."""
        args = self.args
        steps = []

        def losses(rows: Tensor) -> Iterator[Tensor]:
            n_tokens = drawn.batch.target_mask[rows].sum()
            for picked, micro in split_by_tokens(drawn.batch.select(rows), args.pass_tokens):
                index, width = rows[picked], micro.ids.shape[1] - 1
                loss = value_loss(
                    self.critic(micro),
                    old[index, :width],
                    returns[index, :width],
                    micro.target_mask,
                    args.value_clip,
                )
                yield loss.sum() / n_tokens

        for _ in range(args.critic_epochs):
            for rows in self.steps.parts(drawn):
                loss, norm = take_step(
                    self.critic_optimizer, self._trained, losses(rows), args.max_grad_norm, update
                )
                steps.append({"value_loss": loss, "value_gradient_norm": norm})
        return mean_of(steps)


def _fit(values: Tensor, returns: Tensor, mask: Tensor) -> dict[str, float]:
    """How well the values foretold the returns, before they learned from them."""
    told, came = values[mask], returns[mask]
    variance = float(came.var()) if came.numel() > 1 else 0.0
    unexplained = float((came - told).var()) if came.numel() > 1 else 0.0
    explained = 1 - unexplained / variance if variance > 0 else 0.0
    return {"value": float(told.mean()), "value_explained": explained}
