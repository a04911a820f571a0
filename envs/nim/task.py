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

        Every move has a number, too: at level choice that is the action, elsewhere `#3` is a
        message for it.

    Observation space:
        {observation_space}

        The heaps, and whose turn it is.

    Reward:
        `verifier` (default): 1 where the agent wins, else 0. `gold`: what it wins, or -1.

    Start:
        A deal of `split`, and a seat, unless `seat` says which. The opponent's draws follow from
        the deal. A fixed game: `reset(options={"task_id": "nim/37/0"})`, deal and seat.

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

    game_class = Nim
    Args = NimTaskArgs
