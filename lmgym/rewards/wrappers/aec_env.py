"""Reward sources for the agents of a PettingZoo game that act in turn."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from pettingzoo import AECEnv
from pettingzoo.utils.wrappers import BaseWrapper

from lmgym.rewards.schedule import Payment
from lmgym.rewards.source import Reward
from lmgym.rewards.wrappers.agents import AgentRewards
from lmgym.rewards.wrappers.play import TranscriptOf

__all__ = ["AECRewardWrapper"]


class AECRewardWrapper(BaseWrapper):  # type: ignore[misc]
    """Pays reward sources in place of the rewards of a game in turns.

    Each action counts as a message of its agent. Outcomes are paid when an agent's game is over,
    those of all agents that end together in one call of their source. `infos[agent]` keeps the
    game's own reward since the agent's last action as `env_reward`, beside `reward_parts` and
    `unscored` as in `RewardWrapper`.

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
        env: AECEnv,
        reward: Reward | Mapping[Any, Reward],
        transcript_of: TranscriptOf | None = None,
        *,
        zero_sum: bool = False,
    ) -> None:
        """Find the sources."""
        super().__init__(env)
        self._payers = AgentRewards(env.possible_agents, reward, transcript_of, zero_sum=zero_sum)
        self._paid: dict[Any, Payment] = {}

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Start a game."""
        self.env.reset(seed=seed, options=options)
        self._payers.begin(self.env.agents)
        for agent in self.env.agents:
            self._payers.play(agent).info = dict(self.env.infos[agent])
        self._paid = {}
        self._cumulative_rewards = dict.fromkeys(self.env.agents, 0.0)
        self._tell({})

    def step(self, action: Any) -> None:
        """Take the selected agent's action and pay whom something is due.

        Raises:
            LmgymError: where an error broke off the last step.
        """
        self._payers.check()
        agent = self.env.agent_selection
        if self.env.terminations[agent] or self.env.truncations[agent]:
            self.env.step(action)  # takes the agent out of the game
            self._tell({})
            return
        seen, taken = deepcopy((self.env.observe(agent), action))
        self.env.step(action)
        self._payers.play(agent).observations.append(seen)
        self._payers.act({agent: taken})
        self._cumulative_rewards[agent] = 0.0
        self._tell(self._payers.pay([agent, *self._ended(agent)]))

    def _ended(self, acted: Any) -> list[Any]:
        """Agents beside the one that acted whose game has just ended; all plays are told so."""
        ended = []
        for agent in self.env.agents:
            play = self._payers.play(agent)
            was_over = play.is_over
            play.terminated = bool(self.env.terminations[agent])
            play.truncated = bool(self.env.truncations[agent])
            if play.is_over and not was_over:
                play.see(self.env.observe(agent))
                ended.append(agent)
        return [agent for agent in ended if agent != acted]

    def _tell(self, paid: Mapping[Any, Payment]) -> None:
        """Bring what the game says of its agents up to date."""
        agents = self.env.agents
        before, own = self._cumulative_rewards, self.env._cumulative_rewards
        self._paid.update(paid)
        self.rewards = {a: paid[a].reward if a in paid else 0.0 for a in agents}
        self._cumulative_rewards = {a: before.get(a, 0.0) + self.rewards[a] for a in agents}
        self.infos = {
            a: self._payers.info(a, self.env.infos[a], self._paid.get(a), own[a]) for a in agents
        }
