"""Reward sources for the agents of a PettingZoo game that act at the same time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pettingzoo import ParallelEnv
from pettingzoo.utils.wrappers import BaseParallelWrapper

from lmgym.rewards.source import Reward
from lmgym.rewards.wrappers.agents import AgentRewards
from lmgym.rewards.wrappers.play import TranscriptOf

__all__ = ["ParallelRewardWrapper"]


class ParallelRewardWrapper(BaseParallelWrapper):  # type: ignore[misc]
    """Pays reward sources in place of the rewards of a game of simultaneous moves.

    All agents of a round that share a source are scored in one call of it. Infos are those of
    `RewardWrapper`, by agent.

    Args:
        env: the game.
        reward: a name, a source, a function or None, for all agents; or a mapping by agent, in
            which agents that are left out are paid nothing.
        transcript_of: makes a transcript of what an agent saw and did (`Play.agent` says which);
            by default observations and actions are texts.
        zero_sum: of two agents only the first is scored; the second is paid the negation.
    """

    def __init__(
        self,
        env: ParallelEnv,
        reward: Reward | Mapping[Any, Reward],
        transcript_of: TranscriptOf | None = None,
        *,
        zero_sum: bool = False,
    ) -> None:
        """Find the sources."""
        super().__init__(env)
        self._payers = AgentRewards(env.possible_agents, reward, transcript_of, zero_sum=zero_sum)

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[Any, Any], dict[Any, dict[str, Any]]]:
        """Start a game."""
        observations, infos = self.env.reset(seed=seed, options=options)
        self._payers.begin(list(observations))
        for agent, observation in observations.items():
            play = self._payers.play(agent)
            play.info = dict(infos[agent])
            play.see(observation)
        return observations, infos

    def step(
        self, actions: dict[Any, Any]
    ) -> tuple[
        dict[Any, Any],
        dict[Any, float],
        dict[Any, bool],
        dict[Any, bool],
        dict[Any, dict[str, Any]],
    ]:
        """Take all agents' actions and pay whom something is due.

        Raises:
            LmgymError: where the game is over for an agent or was never started, or an error
                broke off its last step.
        """
        self._payers.check()
        plays = {agent: self._payers.play(agent) for agent in actions}
        taken = {agent: plays[agent].admit(action) for agent, action in actions.items()}
        observations, own, terminations, truncations, infos = self.env.step(actions)
        self._payers.act(taken)
        for agent, observation in observations.items():
            self._payers.play(agent).see(observation)
        for agent, play in plays.items():
            play.terminated = bool(terminations.get(agent, False))
            play.truncated = bool(truncations.get(agent, False))
        paid = self._payers.pay(list(actions))
        rewards = {agent: paid[agent].reward if agent in paid else 0.0 for agent in own}
        told = {
            agent: self._payers.info(agent, infos.get(agent, {}), paid.get(agent), own[agent])
            for agent in own
        }
        return observations, rewards, terminations, truncations, told
