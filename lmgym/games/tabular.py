"""`TabularPolicy`: a row of numbers for everything that a player can know."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from lmgym.games.game import Game
from lmgym.games.policies import GamePolicy, legal_mask
from lmgym.games.run import Turn

__all__ = ["TabularPolicy"]

_FIRST = 64
"""Rows of the first block; each further one doubles what there is."""


class TabularPolicy(GamePolicy):
    """The softmax of a row for each `game.knowledge`.

    While it is trained, rows of zeros are added as more is met; in `eval()` it stays as it is, and
    takes all moves alike where it has no row.

    Args:
        n_actions: of the game.
        known: what the rows stand for, in their order.

    Example:
        >>> from lmgym.envs.kuhn_poker.rules import Hand, KuhnPoker
        >>> game = KuhnPoker()
        >>> policy = TabularPolicy(game.n_actions)
        >>> policy.probabilities([Turn(game, Hand((2, 0), "kb"), 0)])
        array([[0. , 0. , 0.5, 0.5]])
        >>> policy.known
        ['Your card: king. You check, opponent bets. Your turn: call or fold.']
    """

    kind = "tabular"
    optimizer: ClassVar[Literal["sgd", "adam"]] = "sgd"
    lr = 5.0

    def __init__(self, n_actions: int, known: Sequence[str] = ()) -> None:
        super().__init__()
        self.n_actions = n_actions
        self.known = list(known)
        self._rows = {words: row for row, words in enumerate(self.known)}
        self._met: dict[Hashable, int] = {}
        self.blocks = nn.ParameterList()
        self._grow()

    @classmethod
    def for_game(cls, game: Game[Any], generator: torch.Generator) -> Self:
        """An empty table: everything that is allowed is equally likely."""
        del generator
        return cls(game.n_actions)

    @property
    def arguments(self) -> dict[str, Any]:
        """The number of actions, and what is known."""
        return {"n_actions": self.n_actions, "known": self.known}

    @property
    def table(self) -> Tensor:
        """All rows, those that stand for nothing yet among them."""
        return torch.cat(list(self.blocks)) if len(self.blocks) > 1 else self.blocks[0]

    def rows(self, turns: Sequence[Turn]) -> list[int]:
        """The rows of turns; -1 for those that have none."""
        found = [self._row(turn) for turn in turns]
        self._grow()
        return found

    def extend(self, known: Sequence[str]) -> None:
        """Add rows for what another table has met after the same beginning."""
        new = known[len(self.known) :]
        self._rows |= {words: row for row, words in enumerate(new, len(self.known))}
        self.known += new
        self._grow()

    def prepare(self, turns: Sequence[Turn]) -> Callable[[], Tensor]:
        """What looks the rows of some turns up."""
        rows = torch.tensor(self.rows(turns), device=self.blocks[0].device)
        is_ruled_out = ~legal_mask(turns).to(rows.device)
        is_known = bool((rows >= 0).all())

        def logits() -> Tensor:
            if is_known:
                return self.table[rows].masked_fill(is_ruled_out, -torch.inf)
            now = torch.tensor(self.rows(turns), device=rows.device)
            found = self.table[now].masked_fill(now[:, None] < 0, 0.0)
            return found.masked_fill(is_ruled_out, -torch.inf)

        return logits

    def forward(self, turns: Sequence[Turn]) -> Tensor:
        """The rows of turns, shape (B, n_actions)."""
        return self.prepare(turns)()

    def _row(self, turn: Turn) -> int:
        met = (turn.state, turn.seat)
        row = self._met.get(met)
        if row is None:
            words = str(turn.game.knowledge(turn.state, turn.seat))
            if not self.training:
                return self._rows.get(words, -1)
            row = self._met[met] = self._rows.setdefault(words, len(self.known))
            if row == len(self.known):
                self.known.append(words)
        return row

    def _grow(self) -> None:
        """Add blocks until there is a row for all that is known: no tensor in use is touched."""
        n_rows = sum(len(block) for block in self.blocks)
        while n_rows < max(1, len(self.known)):
            n_new = max(_FIRST, n_rows)
            like = self.blocks[0] if n_rows else torch.zeros(())
            self.blocks.append(nn.Parameter(like.new_zeros(n_new, self.n_actions)))
            n_rows += n_new
