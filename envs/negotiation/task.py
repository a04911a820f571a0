"""Negotiation as a world for one agent."""

from __future__ import annotations

from dataclasses import dataclass

from lmgym.games.task import GameTask, SeatArgs

from .rules import Negotiation, NegotiationArgs

__all__ = ["NegotiationTask", "NegotiationTaskArgs"]


@dataclass(frozen=True)
class NegotiationTaskArgs(SeatArgs, NegotiationArgs):
    """Arguments of `lmgym/Negotiation-v0`."""


class NegotiationTask(GameTask):
    """Divide items, and nobody knows what they are worth to the other.

    Description:
        There are some books, hats and balls. To each player an item of a kind is worth something
        of their own, and all together 10. Every kind is worth something to one of them, and some
        kind to both. The first player proposes a split; then each in turn proposes another one,
        accepts the other's last, or walks away. Without a deal both get nothing. Not a zero-sum
        game: who knows what the other wants can leave it, and both win. At the end the infos of the
        PettingZoo game tell `efficiency`, the joint value as a share of the best one, and whether
        the deal is Pareto-optimal. After Lewis et al. (2017), with offers in a fixed form.

        A game of PettingZoo, too: `lmgym.envs.negotiation.negotiation_v0.env()`, with numbers and a
        mask or with messages. Here the other seat is part of the world.

    Action space:
        {action_space}

        What the agent would get, as `propose: 2 books, 1 hat`, or `accept` or `walk away` as a
        sentence, a line or in brackets by themselves. A message does exactly one of these; other
        words are shown to the opponent.

        {numbers}

    Observation space:
        {observation_space}

        The items, what each is worth to the agent, what was said, and what the agent is offered.

    Reward:
        `verifier` (default): 1 where the agent gets anything of worth, else 0. `gold`: what it
        gets, as a share of what everything is worth to it.

    Start:
        {start}

    Episode end:
        {episode_end}, and nobody gets anything.

    Info:
        {info}

    Arguments:
        {arguments}

    Data and licence:
        Generated; part of this package.

    Baselines:
        {baselines}

    Versions:
        v0: first version.
    """

    game_class = Negotiation
    Args = NegotiationTaskArgs

    def answer_bytes(self) -> int:
        """Bytes of an offer with a few words around it."""
        return 80
