"""Games played in the terminal: the rules, what the opponent does, and how a game ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from lmgym.commands.game_text import told_facts, told_move
from lmgym.commands.sitting import Sitting, TerminalPlayer, limit_of, visible_lines
from lmgym.episode import Episode
from lmgym.games.players import Player
from lmgym.games.run import Turn
from lmgym.games.task import GameTask
from lmgym.task import Message, Role, Verdict
from lmgym.training.progress import visible
from lmgym.transcript import Transcript

__all__ = ["GameSitting"]

_STYLES = {"won": "bold green", "drawn": "bold", "lost": "red"}


class GameSitting(Sitting):
    """Where games are played against an opponent that is part of the world."""

    def play(self, episode: Episode, player: TerminalPlayer) -> None:
        """Play, and hear what the opponent says."""
        assert isinstance(episode.task, GameTask)
        self._task: GameTask = episode.task
        self._heard = self._task.player = _Overheard(self._task.player)
        self._results: Counter[str] = Counter()
        self._won = 0.0
        self._told_rules: set[str] = set()

        def answer(episode: Episode) -> list[int] | None:
            """The player's message; nothing is asked for where its game ended before its turn."""
            is_turn = self._task.game.mover(episode.state.state) == episode.state.seat
            return player(episode) if is_turn else [episode.renderer.end_id]

        super().play(episode, answer)

    def start(self, episode: Episode) -> None:
        """Deal; the opponent may begin."""
        self._heard.moves.clear()
        super().start(episode)

    def explain(self, episode: Episode) -> None:
        """Whom one plays, too."""
        super().explain(episode)
        self.print(f"Your opponent is {visible(self._task.args.opponent)}.", "dim")

    def show(self, episode: Episode, messages: Sequence[Message]) -> None:
        """The rules where a person has not read them, the opponent's moves, and the page."""
        if not self.is_watched:
            rules = self._task.game.rules(episode.state.seat)
            if rules not in self._told_rules:
                self._told_rules.add(rules)
                self.print(visible_lines(rules), "dim")
            messages = [message for message in messages if message.role is not Role.SYSTEM]
        self.tell_answer()
        super().show(episode, messages)

    def tell_answer(self) -> None:
        """The opponent's moves; where both move at once, the next page tells them."""
        for turn, said in self._heard.moves:
            if not turn.game.is_simultaneous:
                self.print(f"opponent: {told_move(turn, said)}", "magenta")
        self._heard.moves.clear()

    def tell_end(self, episode: Episode, ended: Transcript, reward: float) -> None:
        """The last page, who won, and what the game tells besides."""
        game, seated = self._task.game, episode.state
        is_over = game.mover(seated.state) is None
        if is_over:
            self.print(visible_lines(game.observe(seated.state, seated.seat)))
        won = ended.gold_reward or 0.0
        result = "won" if won > 0 else "lost" if won < 0 else "drawn"
        self._results[result] += 1
        self._won += won
        paid = "" if self.args.reward == "verifier" else f", reward {reward:g}"
        why = "" if is_over else f" ({_why_unfinished(episode, won)})"
        self.print(f"{result}{why}, return {won:+g}{paid}", _STYLES[result])
        facts = game.facts(seated.state) if is_over else {}
        if facts:
            self.print(told_facts(facts))
        self.print(f"game {visible(ended.task_id)}", "dim")

    def total(self) -> str:
        """How all games ended."""
        counted = ", ".join(f"{result} {self._results[result]}" for result in _STYLES)
        games = "game" if self.n_played == 1 else "games"
        return f"{self.n_played} {games}: {counted}, total return {self._won:+g}"


class _Overheard:
    """A player whose moves are kept until they are told.

    Attributes:
        moves: what it was asked, and what it said.
    """

    def __init__(self, player: Player) -> None:
        self._player = player
        self.moves: list[tuple[Turn, int | str]] = []

    def act(self, turn: Turn, rng: np.random.Generator) -> int | str:
        """The player's move."""
        said = self._player.act(turn, rng)
        self.moves.append((turn, said))
        return said


def _why_unfinished(episode: Episode, won: float) -> str:
    """Why a game ended before its end."""
    if episode.verdict is Verdict.UNFINISHED:
        return f"unfinished: {limit_of(episode)}"
    return f"{'' if won > 0 else 'forfeit: '}{visible_lines(episode.state.complaint)}"
