"""`ReaderPolicy`: a policy that reads the page of a debate as a player sees it, in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lmgym.errors import LmgymError
from lmgym.games.game import Game
from lmgym.games.policies import GamePolicy, legal_mask
from lmgym.games.reader_network import (
    N_MARKS,
    ReaderNetwork,
    Reading,
    Words,
    draw_weights,
    stacked,
    words_of,
)
from lmgym.games.run import Turn

__all__ = ["Page", "ReaderPolicy", "Seen"]

_SENTENCE = re.compile(r"\[\d+\] ")
_NUMBER = re.compile(r"\[(\d+)\]")


class Page(NamedTuple):
    """What stands on a page.

    Attributes:
        sentences: the claim, and the numbered sentences, shape (n_actions + 1,).
        said: the messages so far.
    """

    sentences: tuple[str, ...]
    said: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Page:
        """Part a page into its claim, its numbered sentences and what was said after them."""
        claim, *lines = text.split("\n")
        numbered = [line for line in lines if _SENTENCE.match(line)]
        rest = lines[len(numbered) + 1 : -1]
        return cls(
            (claim, *(line.partition(" ")[2] for line in numbered)),
            tuple(line.partition(": ")[2] for line in rest),
        )

    def quotes(self) -> list[int]:
        """Of each message the place of the sentence that it quotes, word for word or by number."""
        return [self._quoted(message) for message in self.said]

    def _quoted(self, message: str) -> int:
        sentences = self.sentences[1:]
        if message[1:-1] in sentences:
            return sentences.index(message[1:-1])
        found = {place for place, sentence in enumerate(sentences) if sentence in message}
        return next(iter(found or {int(number) - 1 for number in _NUMBER.findall(message)}))


class ReaderPolicy(GamePolicy):
    """Reads a claim and numbered sentences, and scores each of them as the next quote.

    It is given what a player sees, the text of the turn, and nothing else: no graph, no labels. At
    the start all sentences are equally likely.

    Args:
        width, word_width, heads, layers: of the `ReaderNetwork`.

    Example:
        >>> from lmgym.envs.debate.rules import Debate
        >>> game = Debate()
        >>> policy = ReaderPolicy.for_game(game, torch.Generator().manual_seed(0))
        >>> turn = Turn(game, game.start(np.random.default_rng(0)), 0)
        >>> policy.probabilities([turn]).round(2)[0, :3].tolist()
        [0.1, 0.1, 0.1]
    """

    kind = "reader"
    lr = 2e-3

    def __init__(
        self, width: int = 48, word_width: int = 24, heads: int = 4, layers: int = 3
    ) -> None:
        super().__init__()
        with torch.device("meta"):  # makes no draw from the global generator
            self.network = ReaderNetwork(width, word_width, heads, layers)
            self.score = nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1)
            )
        self.to_empty(device="cpu")

    @classmethod
    def for_game(cls, game: Game[Any], generator: torch.Generator) -> Self:
        """Random weights, but for the last layer's, which are 0."""
        state = game.start(np.random.default_rng(0))
        seat = game.mover(state)
        assert seat is not None, "the game is over before it begins"
        if len(Page.of(game.observe(state, seat)).sentences) != game.n_actions + 1:
            raise LmgymError(
                f"{game.name} shows no claim with {game.n_actions} numbered sentences to quote;"
                " take the policy mlp"
            )
        made = cls()
        draw_weights(made, generator)
        last = made.score[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        return made

    @property
    def arguments(self) -> dict[str, Any]:
        """The network's sizes."""
        names = ("width", "word_width", "heads", "layers")
        return {name: getattr(self.network, name) for name in names}

    def prepare(self, turns: Sequence[Turn]) -> Callable[[], Tensor]:
        """What reads pages, each of them once, and scores the sentences of all turns."""
        seen = Seen.of(turns)
        return lambda: self.scores(self.think(self.read(seen), seen), seen)

    def forward(self, turns: Sequence[Turn]) -> Tensor:
        """Scores of all sentences, shape (B, n_actions)."""
        return self.prepare(turns)()

    def read(self, seen: Seen) -> Reading:
        """What stands on the pages, of which it does not matter what was quoted."""
        reading = self.network.read(seen.words, seen.n_texts)
        if seen.n_texts == len(seen.rows):
            return reading
        return reading.picked(torch.from_numpy(seen.rows).to(self._device))

    def think(self, reading: Reading, seen: Seen) -> Tensor:
        """Vectors of the claim and of the sentences, shape (B, n_actions + 1, width)."""
        return self.network.think(reading, torch.from_numpy(seen.marks).to(self._device))

    def scores(self, thoughts: Tensor, seen: Seen) -> Tensor:
        """Logits of the sentences, shape (B, n_actions)."""
        found: Tensor = self.score(thoughts)[:, 1:, 0]
        return found.masked_fill(~seen.is_allowed.to(self._device), -torch.inf)

    @property
    def _device(self) -> torch.device:
        return self.network.marks.weight.device


class Seen(NamedTuple):
    """Turns as the network takes them.

    Attributes:
        words: of the different texts among the turns.
        n_texts: how many these are.
        rows: which of them each turn is about, shape (B,).
        marks: what is known of the claim and each sentence, shape (B, n_actions + 1, N_MARKS).
        is_allowed: shape (B, n_actions).
    """

    words: Words
    n_texts: int
    rows: NDArray[np.int64]
    marks: NDArray[np.float32]
    is_allowed: Tensor

    @classmethod
    def of(cls, turns: Sequence[Turn]) -> Seen:
        """Read the pages of some turns."""
        pages = [Page.of(turn.game.observe(turn.state, turn.seat)) for turn in turns]
        texts: dict[tuple[str, ...], int] = {}
        rows = [texts.setdefault(page.sentences, len(texts)) for page in pages]
        words = stacked([_words_of(sentences) for sentences in texts], len(pages[0].sentences))
        marks = [_marks(turn, page) for turn, page in zip(turns, pages, strict=True)]
        return cls(words, len(texts), np.array(rows), np.stack(marks), legal_mask(turns))


_words_of = lru_cache(maxsize=8192)(words_of)


def _marks(turn: Turn, page: Page) -> NDArray[np.float32]:
    """Of one turn, shape (n_actions + 1, N_MARKS)."""
    marks = np.zeros((len(page.sentences), N_MARKS), np.float32)
    marks[0, 0] = 1
    for number, place in enumerate(page.quotes()):
        marks[place + 1, 1 + number % 2] = 1
    marks[:, 3:] = turn.seat, len(page.said) / turn.game.max_moves
    return marks
