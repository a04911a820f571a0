"""GRPO and its kin: group-relative policy optimisation without a value function.

Sample G answers to each of P problems, compare each answer's reward with its group's mean, and
push up the log-probability of what was better than the mean. GRPO (Shao et al., 2024), Dr. GRPO
(Liu et al., 2025), DAPO's token mean and higher clip (Yu et al., 2025), GSPO (Zheng et al., 2025)
and CISPO (MiniMax, 2025) differ in `loss` and `scale` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from lmgym.errors import LmgymError
from lmgym.factory import make_source
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policy_gradients.advantages import (
    Scale,
    group_advantages,
    summed_advantages,
    turn_advantages,
)
from lmgym.policy_gradients.agent_tokens import AgentTokens
from lmgym.policy_gradients.on_policy import train_on_policy
from lmgym.policy_gradients.on_policy_args import OnPolicyArgs
from lmgym.policy_gradients.policy_optimizer import Drawn, PolicyOptimizer
from lmgym.rewards.combinators import WeightedSum
from lmgym.rewards.source import Reward, RewardSource
from lmgym.rollouts import RolloutBatch
from lmgym.training.arguments import Range
from lmgym.training.session import TrainingSession

__all__ = ["GRPOArgs", "GRPOLearner", "train"]


@dataclass(frozen=True)
class GRPOArgs(OnPolicyArgs):
    """Arguments of GRPO."""

    loss: Literal["grpo", "dr_grpo", "dapo", "gspo", "cispo"] = "grpo"
    """The policy loss: grpo, dr_grpo, dapo, gspo or cispo."""
    scale: Scale = "group"
    """What centred rewards are divided by: the group's standard deviation, the batch's, or none
    (Dr. GRPO)."""
    aggregate: Literal["sum", "parts"] = "sum"
    """How a reward that is a sum is compared: the sum with the group's sums, or each part by
    itself, so that a part of small spread is not drowned (GDPO); then the weights of the sum weigh
    parts of equal spread."""
    credit: Literal["episode", "turn"] = "episode"
    """What an id is credited with: the advantage of its episode, or, where turns are paid, that of
    what its turn and all later ones were paid."""

    ranges: ClassVar[dict[str, Range]] = OnPolicyArgs.ranges | {"group_size": (2, 10_000)}

    def __post_init__(self) -> None:
        """Raise where arguments do not go together."""
        super().__post_init__()
        if self.loss == "cispo":
            where = "loss=cispo, which clips the weight from above only"
            self._check_unread(("clip_low", "dual_clip"), where, "take another loss")
        if self.aggregate == "parts" and self.credit == "turn":
            raise LmgymError(
                "aggregate=parts compares what whole episodes are paid; it does not go with"
                " credit=turn"
            )
        is_penalised = self.beta > 0 and self.kl_in == "reward"
        if self.aggregate == "parts" and (is_penalised or self.overlong_buffer):
            raise LmgymError(
                "aggregate=parts compares the terms of the reward, and a penalty that is added to"
                " it would not be read; put the KL penalty into the loss (kl_in=loss), and the"
                ' length into the reward, as "verifier + 0.5*length:limit=16,buffer=4", in place of'
                " overlong_buffer"
            )


def train(args: GRPOArgs, env: str, world_args: Mapping[str, Any], reward: Reward = None) -> Path:
    """Train on a world; returns the run folder.

    Args:
        args: of the learner.
        env: id of the world.
        world_args: its arguments.
        reward: a function or source, in place of the name in `args`.
    """
    paid = reward or args.reward
    if args.aggregate == "parts":
        _part_weights(make_source(paid))  # told before anything is written

    def learner(session: TrainingSession, args: GRPOArgs) -> GRPOLearner:
        collector = session.collector
        source = collector.schedule.source
        return GRPOLearner(session.policy, args, session.lr, collector.max_tokens, source)

    return train_on_policy("grpo", args, env, world_args, paid, learner)


class GRPOLearner:
    """The update: rewards in, new weights out.

    Args:
        policy: is trained in place.
        args: see `GRPOArgs`.
        lr: learning rate of AdamW.
        max_tokens: of an episode, Dr. GRPO's constant length.
        source: of the rewards, where their parts are compared one by one.
    """

    def __init__(
        self,
        policy: LanguagePolicy,
        args: GRPOArgs,
        lr: float,
        max_tokens: int,
        source: RewardSource | None = None,
    ) -> None:
        """Make the optimiser, and the reference where one is needed."""
        self.args = args
        self.steps = PolicyOptimizer(policy, args, args.loss, lr, max_tokens)
        self._weights = _part_weights(source) if args.aggregate == "parts" else {}

    def step(self, rollouts: RolloutBatch, update: int) -> dict[str, float]:
        """Learn from a batch of rollouts; returns what to log.

        Raises:
            LmgymError: where the loss or its gradient is not finite; the step is not taken then.
        """
        rollouts = self.steps.penalised(rollouts)
        scored = torch.tensor(rollouts.scored)
        if self.args.credit == "turn" and rollouts.token_rewards is not None:
            return self._step_by_turns(rollouts.select(rollouts.scored.nonzero()[0]), update)
        per_episode = self._advantages(rollouts, scored)
        signal = float((per_episode != 0).float().mean())
        if not scored.any():
            return {"signal": signal}
        kept = rollouts.select(rollouts.scored.nonzero()[0])
        drawn = self.steps.prepare(kept, is_silent=signal == 0)
        batch = drawn.batch
        advantages = per_episode[scored].to(batch.ids.device)[batch.transcript]
        return self._learn(drawn, advantages, signal, update)

    def _advantages(self, rollouts: RolloutBatch, scored: Tensor) -> Tensor:
        """Of each episode, shape (N,)."""
        groups = torch.tensor([t.group_id for t in rollouts.transcripts])
        if not self._weights:
            rewards = torch.tensor(rollouts.rewards)
            return group_advantages(rewards, groups, scale=self.args.scale, scored=scored)
        paid = ((w, torch.tensor(rollouts.parts[name])) for name, w in self._weights.items())
        parts = [(weight, part / weight) for weight, part in paid]
        return summed_advantages(parts, groups, scored=scored)

    def _step_by_turns(self, rollouts: RolloutBatch, update: int) -> dict[str, float]:
        """As `step`, where each turn has an advantage of its own."""
        if not rollouts.transcripts:
            return {"signal": 0.0}
        drawn = self.steps.prepare(rollouts)
        tokens = AgentTokens.of(drawn.batch)
        assert rollouts.token_rewards is not None
        groups = torch.tensor([t.group_id for t in rollouts.transcripts])
        rewards = tokens.rewards(rollouts.token_rewards)
        found = turn_advantages(rewards, tokens.turns, tokens.mask, groups, scale=self.args.scale)
        signal = float((found != 0).any(1).float().mean())
        advantages = tokens.scatter(found, drawn.batch.target_mask)
        return self._learn(drawn, advantages, signal, update)

    def _learn(
        self, drawn: Drawn, advantages: Tensor, signal: float, update: int
    ) -> dict[str, float]:
        metrics = {"signal": signal, **drawn.metrics}
        return metrics | (self.steps.learn(drawn, advantages, update) if signal else {})

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs besides the policy's weights."""
        return self.steps.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.steps.load_state_dict(state)


def _part_weights(source: RewardSource | None) -> dict[str, float]:
    """The weights of the terms of a reward."""
    if not isinstance(source, WeightedSum):
        raise LmgymError(
            "aggregate=parts compares the terms of a sum of rewards; give one, as --reward"
            ' "verifier + 0.2*format:boxed"'
        )
    return {name: weight for name, (weight, _) in source.terms.items() if weight != 0}
