"""Episodes played in the terminal: shown, asked for, counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from rich.console import Console
from rich.text import Text

from lmgym.episode import Episode
from lmgym.rewards.schedule import RewardSchedule
from lmgym.task import Message, Role, Verdict
from lmgym.tools import declared, usage
from lmgym.training.progress import visible
from lmgym.transcript import Transcript, with_gold_rewards

if TYPE_CHECKING:
    from lmgym.commands.play import PlayArgs

__all__ = ["Sitting", "TerminalPlayer", "limit_of", "visible_lines"]

TerminalPlayer: TypeAlias = Callable[[Episode], list[int] | None]
"""Ids of the agent's next message; None where the player has had enough."""

_STYLES = {Verdict.CORRECT: "bold green", Verdict.ENDED: "bold"}
_LINE_CHARACTERS = 10_000
_WATCHED_EPISODES = 5


class Sitting:
    """Where episodes are played, shown and counted.

    Args:
        args: of `lmgym play`.
        schedule: what episodes are paid by.
        world: its id.
    """

    def __init__(self, args: PlayArgs, schedule: RewardSchedule, world: str) -> None:
        self.args = args
        self.world = world
        self.n_played = 0
        self._schedule = schedule
        self._console = Console(highlight=False)
        self._rng = np.random.default_rng(args.seed)
        self._n_right = 0
        self._reward = 0.0

    @property
    def is_watched(self) -> bool:
        """Whether a policy plays, and not a person."""
        return self.args.model is not None

    def play(self, episode: Episode, player: TerminalPlayer) -> None:
        """Play until the player or the number of episodes says stop."""
        for n in count(1):
            self.start(episode)
            if n == 1 and not self.is_watched:
                self.explain(episode)
            if not self._play_episode(episode, player) or n == self._n_episodes:
                break
        if self.n_played:
            self.print(self.total())

    def start(self, episode: Episode) -> None:
        """Begin an episode."""
        episode.reset(self._rng, split=self.args.split, task_id=self.args.task_id)

    def explain(self, episode: Episode) -> None:
        """What a person should know before the first problem."""
        self.print(
            f"{self.world}, {self.args.split} split. Write your message and press Enter; you may"
            f" use {episode.max_tokens} bytes in an episode. A \\ at the end of a line goes on in"
            " the next one; an empty line or Ctrl-D stops.",
            "dim",
        )

    def show(self, episode: Episode, messages: Sequence[Message]) -> None:
        """What the player reads."""
        del episode
        for message in messages:
            speaker = "" if message.role is Role.USER else f"{message.role}: "
            self.print(speaker + visible_lines(message.content))
        for tool in declared(messages):
            self.print(f"{tool.description} ({usage(tool)})", "dim")

    def tell_answer(self) -> None:
        """What happened after the player's message, besides what it reads next."""

    def tell_end(self, episode: Episode, ended: Transcript, reward: float) -> None:
        """How an episode ended."""
        self._n_right += episode.verdict is Verdict.CORRECT
        self._reward += reward
        style = _STYLES.get(episode.verdict or Verdict.ENDED, "red")
        self.print(f"{_ending(episode)}, reward {reward:g}", style)
        self.print(f"problem {visible(ended.task_id)}", "dim")  # it may name the answer

    def total(self) -> str:
        """How all episodes ended."""
        return f"{self._n_right} of {self.n_played} right, total reward {self._reward:g}"

    def print(self, text: str, style: str = "") -> None:
        """A text as it is."""
        self._console.print(Text(text, style), soft_wrap=True)

    def _play_episode(self, episode: Episode, player: TerminalPlayer) -> bool:
        """One episode; False where the player stopped before its end."""
        self.print("")
        n_shown = 0
        while episode.verdict is None:
            self.show(episode, episode.messages[n_shown:])
            n_shown = len(episode.messages) + 1  # the player's own message is not repeated
            ids = player(episode)
            if ids is None:
                return False
            episode.write(ids)
            if self.is_watched:
                self.print(f"> {visible_lines(episode.turns[-1].text)}", "cyan")
            self.tell_answer()
        (ended,) = with_gold_rewards(episode.task, [episode.transcript()])
        self.n_played += 1
        self.tell_end(episode, ended, self._schedule.pay([ended])[0].reward)
        return True

    @property
    def _n_episodes(self) -> int | None:
        """How many episodes to play; None for as many as the player likes."""
        args = self.args
        if args.episodes is not None or args.task_id is not None:
            return args.episodes or 1
        return _WATCHED_EPISODES if self.is_watched else None


def _ending(episode: Episode) -> str:
    """How the episode ended, and what would have been right."""
    gold = episode.opening.gold
    if episode.verdict is Verdict.UNFINISHED:
        return f"unfinished: {limit_of(episode)}"
    if episode.verdict is Verdict.INCORRECT and gold is not None:
        return f"incorrect: the answer is {visible_lines(gold)}"
    return str(episode.verdict)


def limit_of(episode: Episode) -> str:
    """What ended an unfinished episode."""
    spent = sum(turn.n_tokens for turn in episode.turns)
    if spent >= episode.max_tokens:
        return f"the {episode.max_tokens} tokens are spent; --max-tokens allows more"
    # A message that was cut off is no message too many: something ran out in the midst of it.
    if episode.turns[-1].is_finished and len(episode.turns) >= episode.task.max_turns:
        return f"the {episode.task.max_turns} messages are used up"
    return f"the {episode.context} positions are full; --context allows more"


def visible_lines(text: str) -> str:
    """The text with its line breaks; whatever else cannot be seen is spelled out."""
    return "\n".join(visible(line, _LINE_CHARACTERS) for line in text.split("\n"))
