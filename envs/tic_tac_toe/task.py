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

        Every move has a number, too: at level choice that is the action, elsewhere `#3` is a
        message for it.

    Observation space:
        {observation_space}

        The board, and which mark one plays.

    Reward:
        `verifier` (default): 1 where the agent wins, else 0. `gold`: what it wins, -1 where
        it loses and 0 for a draw.

    Start:
        A deal of `split`, and a seat, unless `seat` says which. The opponent's draws follow from
        the deal. A fixed game: `reset(options={"task_id": "tic_tac_toe/37/0"})`, deal and seat.

    Episode end:
        Terminated when the game is over. A message without a legal move changes nothing, the agent
        is told why and may try once more; the second one in a row forfeits.

    Info:
        At reset `task_id` and `prompt_text`; at a turn's end `text`, `n_tokens` and `game_return`,
        what the agent has won so far; at the end also `response_ids`, `role_ids`, `loss_mask`,
        `verdict`, `reward_parts`, `is_success`. At level chunk `n_tokens` counts the ids of each
        step; at level message `messages` is there throughout.

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
