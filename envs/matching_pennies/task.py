"""Matching pennies as a world for one agent."""

from __future__ import annotations

from dataclasses import dataclass

from lmgym.games.task import GameTask, SeatArgs

from .rules import MatchingPennies, MatchingPenniesArgs

__all__ = ["MatchingPenniesTask", "MatchingPenniesTaskArgs"]


@dataclass(frozen=True)
class MatchingPenniesTaskArgs(SeatArgs, MatchingPenniesArgs):
    """Arguments of `lmgym/MatchingPennies-v0`."""


class MatchingPenniesTask(GameTask):
    """Show heads or tails at once, again and again; one wants equal sides, the other does not.

    Description:
        Both players show a side of a penny at once, for some rounds. The only equilibrium is to
        draw each side by chance; what a player does otherwise can be exploited.

        A game of PettingZoo, too: `lmgym.envs.matching_pennies.matching_pennies_v0.env()`,
        with numbers and a mask or with messages. Here the other seat is part of the world.

    Action space:
        {action_space}

        `heads` or `tails`.

        {numbers}

    Observation space:
        {observation_space}

        What was shown in each round.

    Reward:
        `verifier` (default): 1 where the agent wins, else 0. `gold`: what it wins: rounds
        won less rounds lost.

    Start:
        {start}

    Episode end:
        {episode_end}.

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

    game_class = MatchingPennies
    Args = MatchingPenniesTaskArgs
