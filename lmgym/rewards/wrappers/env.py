"""A reward source for a single environment."""

from __future__ import annotations

from typing import Any, TypeVar

import gymnasium as gym
from gymnasium.utils import RecordConstructorArgs

from lmgym.rewards.source import Reward
from lmgym.rewards.wrappers.paying import PlayRewards, payment_info, without_payment
from lmgym.rewards.wrappers.play import Play, TranscriptOf

__all__ = ["RewardWrapper"]

Obs = TypeVar("Obs")
Act = TypeVar("Act")


class RewardWrapper(gym.Wrapper[Obs, Act, Obs, Act], RecordConstructorArgs):
    """Pays a reward source in place of an environment's own reward.

    Each action counts as a message of the agent. The environment's reward is kept as
    `info["env_reward"]`; at the end of an episode `info["reward_parts"]` has the parts of what was
    paid. Where the source cannot score, 0 is paid and `info["unscored"]` is True.

    Args:
        env: the environment.
        reward: a name, a source, a function `f(prompts, completions, **columns)`, or None.
        transcript_of: makes a transcript of what the agent saw and did; by default observations
            and actions are texts (`text_transcript`).

    Example:
        >>> from lmgym.factory import make_env
        >>> env = make_env("lmgym/Copy-v0", level="message", reward=None)
        >>> env = RewardWrapper(env, lambda prompts, completions: [len(c) for c in completions])
        >>> _, info = env.reset(seed=0)
        >>> env.step("four")[1]
        4.0
    """

    def __init__(
        self,
        env: gym.Env[Obs, Act],
        reward: Reward,
        transcript_of: TranscriptOf | None = None,
    ) -> None:
        """Find the source."""
        # Sources may hold models and clients, which are shared and not copied.
        RecordConstructorArgs.__init__(
            self, _disable_deepcopy=True, reward=reward, transcript_of=transcript_of
        )
        gym.Wrapper.__init__(self, env)
        self._rewards = PlayRewards(reward, transcript_of)
        self._play = Play()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Obs, dict[str, Any]]:
        """Start an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._play = Play(info=info)
        self._play.see(observation)
        return observation, info

    def step(self, action: Act) -> tuple[Obs, float, bool, bool, dict[str, Any]]:
        """Take a step and pay the source's reward for it.

        Raises:
            LmgymError: where the episode is over or was never started, or broke off with an
                error: the source's, or its own after the environment had taken the step.
        """
        play = self._play
        taken = play.admit(action)
        observation, env_reward, terminated, truncated, info = self.env.step(action)
        self._play = Play()  # until all of the step is done
        play.actions.append(taken)
        play.see(observation)
        play.terminated, play.truncated = bool(terminated), bool(truncated)
        (payment,) = self._rewards.pay([play])
        told = without_payment(info) | payment_info(play, payment, env_reward)
        self._play = play
        return observation, payment.reward, terminated, truncated, told
