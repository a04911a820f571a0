"""Kuhn poker as a world for one agent."""

from __future__ import annotations

from dataclasses import dataclass

from lmgym.games.task import GameTask, SeatArgs

from .rules import KuhnPoker

__all__ = ["KuhnPokerTask", "KuhnPokerTaskArgs"]


@dataclass(frozen=True)
class KuhnPokerTaskArgs(SeatArgs):
    """Arguments of `lmgym/KuhnPoker-v0`."""


class KuhnPokerTask(GameTask):
    """Poker with three cards and one bet: the smallest game in which bluffing pays.

    Description:
        Each player gets one of three cards and puts a chip into the pot. One may check or bet a
        chip; who is faced with a bet calls or folds. Its equilibria are known (Kuhn 1950): the
        first player loses 1/18 of a chip a game. Learners that play the last of themselves go round
        in circles here; `lmgym.search.exact.exploitability` says how far they are from an
        equilibrium.

        A game of PettingZoo, too: `lmgym.envs.kuhn_poker.kuhn_poker_v0.env()`, with numbers and a
        mask or with messages. Here the other seat is part of the world.

    Action space:
        {action_space}

        One word: `check`, `bet`, `call` or `fold`.

        {numbers}

    Observation space:
        {observation_space}

        One's card, and what was done.

    Reward:
        `verifier` (default): 1 where the agent wins, else 0. `gold`: what it wins, in chips.

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

    game_class = KuhnPoker
    Args = KuhnPokerTaskArgs
