"""What the wrappers of PettingZoo share: who is paid by which source, in one call a source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmgym.errors import LmgymError, unknown
from lmgym.rewards.schedule import Payment
from lmgym.rewards.source import Reward
from lmgym.rewards.wrappers.paying import PlayRewards, payment_info, without_payment
from lmgym.rewards.wrappers.play import Play, TranscriptOf, needs_reset

__all__ = ["AgentRewards"]


class AgentRewards:
    """Keeps the plays of several agents and pays them.

    Args:
        agents: who may play.
        reward: for all agents, or by agent; agents without one are paid nothing. Agents of one
            reward are scored in one call.
        transcript_of: makes transcripts of plays.
        zero_sum: of two agents only the first is scored, and the second is paid the negation.

    Attributes:
        plays: by agent.
    """

    def __init__(
        self,
        agents: Sequence[Any],
        reward: Reward | Mapping[Any, Reward],
        transcript_of: TranscriptOf | None,
        *,
        zero_sum: bool,
    ) -> None:
        """Find the sources."""
        self.plays: dict[Any, Play] = {}
        self._is_broken = False
        self._payers = _payers(agents, reward, transcript_of)
        self._negated: dict[Any, Any] = {}
        if zero_sum:
            self._make_zero_sum(agents)

    def begin(self, agents: Sequence[Any]) -> None:
        """Forget the last episode."""
        self.plays = {agent: Play(agent=str(agent)) for agent in agents}
        self._is_broken = False

    def play(self, agent: Any) -> Play:
        """The play of an agent; one that joins later starts then."""
        return self.plays.setdefault(agent, Play(agent=str(agent)))

    def check(self) -> None:
        """See that a step can be taken.

        Raises:
            LmgymError: where an error broke off the last one.
        """
        if self._is_broken:
            raise needs_reset()

    def act(self, taken: Mapping[Any, Any]) -> None:
        """Add actions that the game took; the step is done once its agents are paid."""
        self._is_broken = True
        for agent, action in taken.items():
            self.play(agent).actions.append(action)

    def pay(self, agents: Sequence[Any]) -> dict[Any, Payment]:
        """What is due to agents that have just acted or come to an end, one call a source."""
        payments = dict.fromkeys(agents, Payment())
        for payer in dict.fromkeys(self._payers.values()):
            due = [a for a in agents if self._payers.get(a) is payer and a not in self._negated]
            if due:
                payments |= zip(due, payer.pay([self.plays[a] for a in due]), strict=True)
        for agent, opponent in self._negated.items():
            if opponent in payments:
                payments[agent] = _negation(payments[opponent])
        self._is_broken = False
        return payments

    def info(
        self, agent: Any, info: Mapping[str, Any], payment: Payment | None, env_reward: Any
    ) -> dict[str, Any]:
        """An agent's info with what is said of its reward."""
        paid = payment_info(self.play(agent), payment or Payment(), env_reward)
        return without_payment(info) | (paid if payment else {"env_reward": paid["env_reward"]})

    def _make_zero_sum(self, agents: Sequence[Any]) -> None:
        if len(agents) != 2:
            raise LmgymError(f"zero_sum=True is for two agents; these are {list(agents)}")
        first, second = agents
        if first not in self._payers or (
            second in self._payers and self._payers[second] is not self._payers[first]
        ):
            raise LmgymError(
                f"with zero_sum=True only {first!r} is scored, and {second!r} is paid the negation;"
                f" give one reward, or rewards={{{first!r}: ...}}"
            )
        self._negated = {second: first}


def _payers(
    agents: Sequence[Any], reward: Reward | Mapping[Any, Reward], transcript_of: TranscriptOf | None
) -> dict[Any, PlayRewards]:
    """Who pays whom: agents with the same reward share one."""
    if not isinstance(reward, Mapping):
        payer = PlayRewards(reward, transcript_of)
        return dict.fromkeys(agents, payer)
    for agent in reward:
        if agent not in agents:
            raise unknown("agent", agent, map(str, agents))
    shared: dict[Any, PlayRewards] = {}
    payers = {}
    for agent, given in reward.items():
        key = given if isinstance(given, str) or given is None else id(given)
        if key not in shared:
            shared[key] = PlayRewards(given, transcript_of)
        payers[agent] = shared[key]
    return payers


def _negation(payment: Payment) -> Payment:
    parts = {name: 0.0 - value for name, value in payment.parts.items()}
    return Payment(0.0 - payment.reward, parts, payment.is_scored)
