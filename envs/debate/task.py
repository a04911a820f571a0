"""The debate as a world for one agent."""

from __future__ import annotations

from dataclasses import dataclass

from lmgym.games.task import GameTask, SeatArgs

from .rules import Debate, DebateArgs

__all__ = ["DebateTask", "DebateTaskArgs"]


@dataclass(frozen=True)
class DebateTaskArgs(SeatArgs, DebateArgs):
    """Arguments of `lmgym/Debate-v0`."""


class DebateTask(GameTask):
    """Debate about a document by quoting it, before a judge who sees the quotes alone.

    Description:
        A document of witnesses who contradict a claim and each other, and others who say nothing to
        the point. Con attacks the claim and speaks first, Pro defends it. Each quotes a sentence in
        turn, word for word. The judge believes a quote unless a quote that it believes contradicts
        it, and so decides about the claim. Whether the claim is true follows from the whole
        document in the same way, so what the judge gets wrong is measured: `judge_correct` in the
        infos of the PettingZoo game. With best play on both sides the judge is right in 99 of 100
        debates, with random quotes in 68.

        A game of PettingZoo, too: `lmgym.envs.debate.debate_v0.env()`, with numbers and a mask or
        with messages. Here the other seat is part of the world.

    Action space:
        {action_space}

        A message that quotes one sentence, word for word between quotation marks, or by its number
        as `[3]`. Other words are shown to the opponent, and to judges that read.

        {numbers}

    Observation space:
        {observation_space}

        The claim, the numbered document, one's side, and what was said.

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

    game_class = Debate
    Args = DebateTaskArgs

    def answer_bytes(self) -> int:
        """Room for a sentence and some words about it."""
        return 160
