"""REINFORCE for language models: no clip, no value function, and a choice of baselines.

Sample answers, weigh the log-probability of each by its reward less a baseline, step once
(Williams, 1992). The baselines: the moving mean of rewards (`ema`), the mean of the other answers
to the same problem (`rloo`; Ahmadian et al., 2024), the reward of the greedy answer (`remax`; Li
et al., 2023), none but a whitening over all tokens (`reinforce++`; Hu et al., 2025), and the
group's mean with that whitening (`reinforce++-baseline`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from lmgym.errors import LmgymError
from lmgym.factory import make_source
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policy_gradients.advantages import group_advantages, rloo_advantages
from lmgym.policy_gradients.agent_tokens import AgentTokens
from lmgym.policy_gradients.on_policy import paid_by_length, train_on_policy
from lmgym.policy_gradients.on_policy_args import OnPolicyArgs
from lmgym.policy_gradients.policy_optimizer import Drawn, PolicyOptimizer
from lmgym.policy_gradients.returns import returns_to_go, whiten
from lmgym.rewards.source import Reward
from lmgym.rollouts import RolloutBatch
from lmgym.training.arguments import Range
from lmgym.training.session import TrainingSession, reward_name

__all__ = ["Baseline", "ReinforceArgs", "ReinforceLearner", "train"]

Baseline = Literal["ema", "rloo", "remax", "reinforce++", "reinforce++-baseline"]
"""What a reward is compared with."""

PlayGreedy = Callable[[list[str]], RolloutBatch]
"""Plays the greedy answers to problems, one each, and pays them as sampled answers are paid."""


@dataclass(frozen=True)
class ReinforceArgs(OnPolicyArgs):
    """Arguments of REINFORCE."""

    baseline: Baseline = "rloo"
    """What a reward is compared with: ema, the moving mean; rloo, the mean of the other answers;
    remax, the greedy answer; reinforce++, nothing, but whitened over all tokens; or
    reinforce++-baseline, the group's mean, then whitened."""
    ema_decay: float = 0.9
    """How much of the moving mean a batch leaves, for baseline ema."""
    gamma: float = 1.0
    """Discount of a token, for baseline reinforce++."""
    loss: Literal["reinforce", "ppo"] = "reinforce"
    """The policy loss: reinforce, the policy gradient itself, or ppo, with its clip, which more
    than one step a batch needs."""

    ranges: ClassVar[dict[str, Range]] = OnPolicyArgs.ranges | {
        "ema_decay": (0, 1),
        "gamma": (0, 1),
    }

    def __post_init__(self) -> None:
        """Raise where arguments do not go together."""
        super().__post_init__()
        if self.baseline not in get_args(Baseline):
            raise LmgymError(
                f"unknown baseline {self.baseline!r}; known: {', '.join(get_args(Baseline))}"
            )
        if self.loss == "reinforce" and self.epochs * self.minibatches > 1:
            raise LmgymError(
                f"loss=reinforce is for data that the policy has just drawn, and epochs="
                f"{self.epochs}, minibatches={self.minibatches} make several steps a batch; take"
                " loss=ppo"
            )
        if self.loss == "reinforce":
            clips = ("clip_low", "clip_high", "dual_clip")
            self._check_unread(clips, "loss=reinforce, which has no ratio", "take loss=ppo")
        for name, baseline in (("gamma", "reinforce++"), ("ema_decay", "ema")):
            if self.baseline != baseline:
                where = f"baseline={self.baseline}"
                self._check_unread((name,), where, f"take baseline={baseline}")
        if self.baseline in ("rloo", "reinforce++-baseline") and self.group_size == 1:
            raise LmgymError(
                f"baseline={self.baseline} compares answers to one problem, and group_size is 1;"
                " give 2 or more, or take baseline ema, remax or reinforce++"
            )


def train(
    args: ReinforceArgs, env: str, world_args: Mapping[str, Any], reward: Reward = None
) -> Path:
    """Train on a world; returns the run folder.

    Args:
        args: of the learner.
        env: id of the world.
        world_args: its arguments.
        reward: a function or source, in place of the name in `args`.
    """
    paid = reward or args.reward
    if args.baseline == "remax":
        _check_single(paid)

    def learner(session: TrainingSession, args: ReinforceArgs) -> ReinforceLearner:
        collector = session.collector

        def greedy(task_ids: list[str]) -> RolloutBatch:
            played = collector.collect(
                session.rng, None, task_ids=task_ids, temperature=args.temperature, greedy=True
            )
            return paid_by_length(played, args, collector.max_tokens)

        return ReinforceLearner(session.policy, args, session.lr, collector.max_tokens, greedy)

    return train_on_policy("reinforce", args, env, world_args, paid, learner)


def _check_single(reward: Reward) -> None:
    """Raise where a reward says nothing of one answer by itself."""
    source = make_source(reward)
    if source is not None and not source.is_causal:
        raise LmgymError(
            f"baseline=remax pays the greedy answer by itself, and reward={reward_name(reward)!r}"
            " compares the answers of a group; take baseline rloo"
        )


class ReinforceLearner:
    """The update: rewards in, new weights out.

    Args:
        policy: is trained in place.
        args: see `ReinforceArgs`.
        lr: learning rate of AdamW.
        max_tokens: of an episode.
        play_greedy: for baseline remax.

    Attributes:
        moving_mean: of the rewards, for baseline ema; None before the first batch.
    """

    def __init__(
        self,
        policy: LanguagePolicy,
        args: ReinforceArgs,
        lr: float,
        max_tokens: int,
        play_greedy: PlayGreedy | None = None,
    ) -> None:
        """Make the optimiser, and the reference where one is needed."""
        self.args = args
        self.steps = PolicyOptimizer(policy, args, args.loss, lr, max_tokens)
        self.moving_mean: float | None = None
        self._play_greedy = play_greedy

    def step(self, rollouts: RolloutBatch, update: int) -> dict[str, float]:
        """Learn from a batch of rollouts; returns what to log.

        Raises:
            LmgymError: where the loss or its gradient is not finite; the step is not taken then.
        """
        paid = rollouts.select(rollouts.scored.nonzero()[0])
        if not paid.transcripts:
            return {"signal": 0.0}
        episodes = self.steps.penalised(paid)
        drawn = self.steps.prepare(episodes)
        advantages = self._advantages(drawn)
        rows = advantages if advantages.dim() == 1 else advantages.abs().amax(1)
        signal = float((rows != 0).float().mean())
        metrics = {"signal": signal, **drawn.metrics}
        if self.moving_mean is not None:
            metrics["baseline"] = self.moving_mean
        return metrics | (self.steps.learn(drawn, advantages, update) if signal else {})

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs besides the policy's weights."""
        return {**self.steps.state_dict(), "moving_mean": self.moving_mean}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.steps.load_state_dict(state)
        self.moving_mean = state["moving_mean"]

    def _advantages(self, drawn: Drawn) -> Tensor:
        """Of each row, (B,), or of each target, (B, T - 1)."""
        kind, batch, episodes = self.args.baseline, drawn.batch, drawn.episodes
        rewards = torch.tensor(episodes.rewards)
        groups = torch.tensor([t.group_id for t in episodes.transcripts])
        if kind == "reinforce++":
            return self._whitened_returns(drawn)
        if kind == "rloo":
            of_episodes = rloo_advantages(rewards, groups)
        elif kind == "ema":
            of_episodes = (rewards - self._moving(rewards)).float()
        elif kind == "remax":
            of_episodes = self._against_greedy(episodes)
        else:
            of_episodes = group_advantages(rewards, groups, scale="none")
        of_rows = of_episodes.to(batch.ids.device)[batch.transcript]
        if kind != "reinforce++-baseline":
            return of_rows
        return whiten(of_rows[:, None].expand_as(batch.target_mask), batch.target_mask)

    def _whitened_returns(self, drawn: Drawn) -> Tensor:
        """Returns from each token on, whitened over all tokens, (B, T - 1)."""
        tokens, episodes = AgentTokens.of(drawn.batch), drawn.episodes
        rewards = tokens.rewards(episodes.rewards_by_token())
        returns = returns_to_go(rewards, tokens.mask, self.args.gamma)
        return tokens.scatter(whiten(returns, tokens.mask), drawn.batch.target_mask)

    def _moving(self, rewards: Tensor) -> float:
        """The mean of earlier rewards; of these where there are none. These are counted after."""
        mean, decay = float(rewards.mean()), self.args.ema_decay
        before = mean if self.moving_mean is None else self.moving_mean
        self.moving_mean = decay * before + (1 - decay) * mean
        return before

    def _against_greedy(self, episodes: RolloutBatch) -> Tensor:
        """Rewards less those of the greedy answers; 0 where these could not be scored."""
        if self._play_greedy is None:
            raise LmgymError("baseline=remax needs play_greedy, which plays the greedy answers")
        problems = dict.fromkeys((t.group_id, t.task_id) for t in episodes.transcripts)
        greedy = self.steps.penalised(self._play_greedy([task_id for _, task_id in problems]))
        paid = np.where(greedy.scored, greedy.rewards, np.nan)
        by_group = {group: paid[row] for row, (group, _) in enumerate(problems)}
        apart = episodes.rewards - [by_group[t.group_id] for t in episodes.transcripts]
        return torch.tensor(np.nan_to_num(apart, nan=0.0)).float()
