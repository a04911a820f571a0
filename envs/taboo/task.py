"""Adversarial Taboo as a world for one agent."""

from __future__ import annotations

from dataclasses import dataclass

from lmgym.games.task import GameTask, SeatArgs

from .rules import Taboo, TabooArgs

__all__ = ["TabooTask", "TabooTaskArgs"]


@dataclass(frozen=True)
class TabooTaskArgs(SeatArgs, TabooArgs):
    """Arguments of `lmgym/Taboo-v0`."""


class TabooTask(GameTask):
    """Make the other say a word that only you know, and never say it yourself.

    Description:
        The attacker knows a secret word and speaks first. If the attacker says it, the defender
        wins; if the defender says it without announcing it, the attacker wins. The defender may
        announce a word once: the right one wins, a wrong one loses. When the turns are used up,
        it is a draw. Rules alone decide, no model does: a word is said in any case, in its plural
        or with -ed or -ing, and when its letters are spelled or parted; letters of other alphabets
        that look alike are not found. After Cheng et al. (2024), whose game is
        `words=0`: any of the package's words, and free talk.

        By default both see a list of words that the secret one is among, and the attacker may ask
        to name something that a topic is true of, which the defender must answer with a new word
        of the list. What fits, and what the attacker would have asked, tell the defender about the
        word; so the attacker bluffs.

        A game of PettingZoo, too: `lmgym.envs.taboo.taboo_v0.env()`, with numbers and a mask or
        with messages. Here the other seat is part of the world.

    Action space:
        {action_space}

        An utterance of two words or more. The attacker asks as `Name something that can fly.`; the
        defender answers with a word of the list, or announces as `I know the word: apple`. All
        that is said is shown to the opponent. To announce what is no word of the game, or one that
        was said before, is not a legal move.

        {numbers}

    Observation space:
        {observation_space}

        The list of words, one's side, the secret word for the attacker alone, and what was said.

    Reward:
        `verifier` (default): 1 where the agent wins, else 0. `gold`: what it wins, 0 for a draw, or
        -1.

    Start:
        {start}

    Episode end:
        {episode_end}.

    Info:
        {info}

    Arguments:
        {arguments}

    Data and licence:
        The words and what is true of them were written for this package and are part of it.

    Baselines:
        {baselines}

    Versions:
        v0: first version.
    """

    game_class = Taboo
    Args = TabooTaskArgs

    def answer_bytes(self) -> int:
        """Bytes of a question, or of a sentence or two."""
        return 80
