"""Nim as a world for one agent."""

from __future__ import annotations

from dataclasses import dataclass

from lmgym.games.task import GameTask, SeatArgs

from .rules import Nim, NimArgs

__all__ = ["NimTask", "NimTaskArgs"]


@dataclass(frozen=True)
class NimTaskArgs(SeatArgs, NimArgs):
    """Arguments of `lmgym/Nim-v0`."""


class NimTask(GameTask):
    """Take matches from one heap; whoever takes the last match wins.

    Description:
        Heaps of random sizes. Players take one match or more from one heap in turn. The first
        player wins against anybody unless the sizes, combined by exclusive or, are 0.

        A game of PettingZoo, too: `lmgym.envs.nim.nim_v0.env()`, with numbers and a mask or
        with messages. Here the other seat is part of the world.

    Action space:
        {action_space}

        As `take 2 from heap 1`.

        {numbers}

    Observation space:
        {observation_space}

        The heaps, and whose turn it is.

    Reward:
        `verifier` (default): 1 where the agent wins, else 0. `gold`: what it wins, or -1.

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

    game_class = Nim
    Args = NimTaskArgs
