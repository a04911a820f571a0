"""Tic-tac-toe as a world for one agent."""

from __future__ import annotations

from dataclasses import dataclass

from lmgym.games.task import GameTask, SeatArgs

from .rules import TicTacToe

__all__ = ["TicTacToeTask", "TicTacToeTaskArgs"]


@dataclass(frozen=True)
class TicTacToeTaskArgs(SeatArgs):
    """Arguments of `lmgym/TicTacToe-v0`."""


class TicTacToeTask(GameTask):
    """Three in a row wins; a full board is a draw.

    Description:
        Two players mark cells of a board of nine in turn. Neither loses who plays well.

        A game of PettingZoo, too: `lmgym.envs.tic_tac_toe.tic_tac_toe_v0.env()`, with
        numbers and a mask or with messages. Here the other seat is part of the world.

    Action space:
        {action_space}

        A cell as `b2`: its column and its row. The last one in the message counts.

        {numbers}

    Observation space:
        {observation_space}

        The board, and which mark one plays.

    Reward:
        `verifier` (default): 1 where the agent wins, else 0. `gold`: what it wins, -1 where
        it loses and 0 for a draw.

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

    game_class = TicTacToe
    Args = TicTacToeTaskArgs
