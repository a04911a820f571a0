"""Games whose players write: rollouts of any seat by language policies, as transcripts.

`GameCollector` plays many games at once, a message of all of them at a time. A player is shown its
own side of the game only and answers in a context of its own, so a game gives a transcript for each
seat that a language policy holds, with a segment for each of its messages.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Union

import numpy as np

from lmgym.errors import LmgymError, unknown
from lmgym.games.deals import draw_deal, start_of
from lmgym.games.game import Game
from lmgym.games.players import Player
from lmgym.games.run import GameRun, Turn
from lmgym.rendering import Rendered, Renderer
from lmgym.rollouts import RolloutBatch
from lmgym.segments import segment_of
from lmgym.task import Message, Role, Verdict
from lmgym.transcript import Segment, Transcript
from lmgym.transcript import Turn as Said

if TYPE_CHECKING:
    import torch

    from lmgym.policies.language_policy import LanguagePolicy

__all__ = [
    "Baseline",
    "Contestant",
    "GameCollector",
    "PlayedGame",
    "opening",
    "rollout_batch",
]

Contestant: TypeAlias = Union["LanguagePolicy", Player]
"""Who holds a seat: a language policy, whose ids are kept, or any player."""

Baseline = Literal["role", "deal"]
"""Whose mean return a return is compared with: that of the seat, or of the seat in this deal."""

_KEPT_OPENINGS = 4096
"""Prompts that are not rendered again: players of small games read the same ones often."""


def opening(turn: Turn, *, guide: bool = False) -> tuple[Message, ...]:
    """What a player is shown who is to move; with a guide the rules come first."""
    page = Message(Role.USER, turn.text)
    if guide:
        return (Message(Role.SYSTEM, turn.game.rules(turn.seat)), page)
    return (page,)


@dataclass(frozen=True, slots=True)
class PlayedGame:
    """A game that is over.

    Attributes:
        deal: the number of its start.
        run: the game, with every move and what was won.
        lineup: who held each seat.
        transcripts: what each seat read and wrote; None where no ids were written.
    """

    deal: int
    run: GameRun[Any]
    lineup: tuple[Contestant, ...]
    transcripts: tuple[Transcript | None, ...]

    def n_legal(self, seat: int) -> int:
        """How many moves of a seat were allowed."""
        return sum(move.player == seat and not move.complaint for move in self.run.moves)


class GameCollector:
    """Plays games to their end, the messages of all of them at a time.

    A message that is not legal changes nothing; its player is told why and may try once more, and
    the second one in a row forfeits (`GameRun`). So does a message that does not end in time.

    Args:
        game: the rules.
        max_tokens: ids of a message.
        guide: whether a system message tells the rules, for models that were not trained here.

    Example:
        >>> import torch
        >>> from lmgym.envs.nim.rules import Nim
        >>> from lmgym.games.players import BestPlayer
        >>> from lmgym.policies.loading import load_policy
        >>> collector = GameCollector(Nim())
        >>> rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
        >>> (game,) = collector.play([(load_policy(), BestPlayer())], rng, generator)
        >>> [transcript is None for transcript in game.transcripts]
        [False, True]
    """

    def __init__(self, game: Game[Any], *, max_tokens: int = 32, guide: bool = False) -> None:
        """Keep what is needed."""
        if max_tokens < 1:
            raise LmgymError(f"max_tokens={max_tokens}: a message has 1 id or more")
        self.game = game
        self.max_tokens = max_tokens
        self.guide = guide
        self._rendered: Any = lru_cache(_KEPT_OPENINGS)(_rendered)

    def play(
        self,
        lineups: Sequence[Sequence[Contestant]],
        rng: np.random.Generator,
        generator: torch.Generator | None,
        *,
        deals: Sequence[int] | None = None,
        split: str = "train",
        temperature: float = 1.0,
        greedy: bool = False,
    ) -> list[PlayedGame]:
        """Play a game for each lineup.

        Args:
            lineups: who holds each seat.
            rng: draws deals, and the moves of players.
            generator: draws the ids of language policies.
            deals: a number for each game; by default drawn.
            split: where deals are drawn from.
            temperature: of sampling.
            greedy: take the most likely ids.
        """
        numbers = [draw_deal(rng, split) for _ in lineups] if deals is None else deals
        pairs = zip(numbers, lineups, strict=True)
        tables = [_Table(self.game, deal, lineup, self.guide) for deal, lineup in pairs]
        words = {"temperature": temperature, "greedy": greedy, "generator": generator}
        running = tables
        while running:
            for writer, some in _by_writer(running):
                if isinstance(writer, Player):
                    for table in some:
                        table.run.act(writer.act(table.run.turn(), rng))
                else:
                    self._write(writer, some, words)
            running = [table for table in running if table.run.mover is not None]
        return [table.result() for table in tables]

    def example(self, turn: Turn, text: str, renderer: Renderer) -> Transcript:
        """A message that somebody else wrote, to imitate; without log-probabilities."""
        shown = opening(turn, guide=self.guide)
        ids = [*renderer.encode(text), renderer.end_id]
        segment = _segment(renderer, self._rendered(renderer, shown), ids, text, turn)
        return Transcript((*shown, Message(Role.ASSISTANT, text)), (segment,), len(shown))

    def _write(self, policy: LanguagePolicy, tables: Sequence[_Table], words: Any) -> None:
        """Let a policy write the next message of some games."""
        renderer = policy.renderer
        opened = [self._rendered(renderer, table.shown()) for table in tables]
        samples = policy.sample([ids for ids, _ in opened], max_tokens=self.max_tokens, **words)
        for table, prompt, ids, logprobs in zip(
            tables, opened, samples.ids, samples.logprobs, strict=True
        ):
            table.take(renderer, prompt, ids, logprobs)


class _Table:
    """A game that goes on, with what its language policies have read and written."""

    def __init__(
        self, game: Game[Any], deal: int, lineup: Sequence[Contestant], guide: bool
    ) -> None:
        if len(lineup) != len(game.players):
            raise LmgymError(
                f"a lineup of {game.name} has {len(game.players)} players, not {len(lineup)}"
            )
        self.deal, self.lineup, self.guide = deal, tuple(lineup), guide
        self.run = GameRun(game, start_of(game, deal))
        self.segments: list[list[Segment]] = [[] for _ in lineup]
        self.messages: list[list[Message]] = [[] for _ in lineup]

    def shown(self) -> tuple[Message, ...]:
        """What the mover reads."""
        return opening(self.run.turn(), guide=self.guide)

    def take(
        self, renderer: Renderer, prompt: Rendered, ids: list[int], logprobs: list[float]
    ) -> None:
        """Keep the mover's message, and make the move that it tells."""
        turn, text = self.run.turn(), renderer.decode(ids)
        is_finished = ids[-1] in renderer.end_ids
        segment = _segment(renderer, prompt, ids, text, turn, is_finished=is_finished)
        drawn = (*(0.0 for _ in prompt[0]), *logprobs)
        self.segments[turn.seat].append(replace(segment, logprobs=drawn))
        self.messages[turn.seat] += (*self.shown(), Message(Role.ASSISTANT, text))
        if is_finished:
            self.run.act(text)
        else:
            self.run.forfeit(turn.seat, f"the message did not end within {len(ids)} tokens")

    def result(self) -> PlayedGame:
        """The game, which is over."""
        seats = range(len(self.lineup))
        transcripts = tuple(self._transcript(s) if self.segments[s] else None for s in seats)
        return PlayedGame(self.deal, self.run, self.lineup, transcripts)

    def _transcript(self, seat: int) -> Transcript:
        won = self.run.returns[seat]
        return Transcript(
            tuple(self.messages[seat]),
            tuple(self.segments[seat]),
            n_opening=2 if self.guide else 1,
            task_id=f"{self.run.game.name}/{self.deal}/{seat}",
            verdict=Verdict.CORRECT if won > 0 else Verdict.INCORRECT,
            group_id=seat,
            gold_reward=won,
        )


def rollout_batch(
    games: Iterable[PlayedGame],
    policy: LanguagePolicy,
    *,
    baseline: Baseline = "role",
    temperature: float | None = None,
) -> RolloutBatch:
    """The transcripts of one policy, each paid what its seat has won.

    Episodes come in the order of the games and not of their groups, so that any stretch of them
    has players of all seats.

    Args:
        games: which the policy played in one seat or several.
        policy: whose transcripts are wanted.
        baseline: which returns are compared, as groups: those of a seat, so that a learner that
            holds all of them compares each role with itself (role-conditioned advantages, Liu et
            al. 2025, "SPIRAL"), or those of a seat in the same deal.
        temperature: at which the ids were sampled.
    """
    if baseline not in ("role", "deal"):
        raise unknown("baseline", baseline, ("role", "deal"))
    groups: dict[tuple[int | None, int], int] = {}
    transcripts: list[Transcript] = []
    rewards: list[float] = []
    for game in games:
        for seat, (writer, transcript) in enumerate(
            zip(game.lineup, game.transcripts, strict=True)
        ):
            if writer is policy and transcript is not None:
                key = (game.deal if baseline == "deal" else None, seat)
                group = groups.setdefault(key, len(groups))
                transcripts.append(replace(transcript, group_id=group))
                rewards.append(game.run.returns[seat])
    won = np.array(rewards, np.float64)
    return RolloutBatch(
        transcripts, won, np.ones(len(won), np.bool_), gold_rewards=won, temperature=temperature
    )


def _rendered(renderer: Renderer, messages: tuple[Message, ...]) -> Rendered:
    """The ids of an opening and their roles, which nobody changes."""
    return renderer.open(messages)


def _by_writer(tables: Iterable[_Table]) -> list[tuple[Contestant, list[_Table]]]:
    """The games by who is to move."""
    writers: dict[int, Contestant] = {}
    moving: dict[int, list[_Table]] = defaultdict(list)
    for table in tables:
        assert table.run.mover is not None
        writer = table.lineup[table.run.mover]
        writers[id(writer)] = writer
        moving[id(writer)].append(table)
    return [(writers[key], some) for key, some in moving.items()]


def _segment(
    renderer: Renderer,
    prompt: Rendered,
    ids: Sequence[int],
    text: str,
    turn: Turn,
    *,
    is_finished: bool = True,
) -> Segment:
    """A message and what it answers, without log-probabilities."""
    read, roles = prompt
    agent = turn.game.players[turn.seat]
    end = len(read) + len(ids)
    said = Said(agent, len(read), end, text, len(ids), is_finished)
    return replace(segment_of(renderer, (*read, *ids), [roles], (said,), 0), agent=agent)
