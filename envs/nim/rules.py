"""Nim, with a player that wins wherever a win is possible (Bouton 1901)."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.games.game import Game, IllegalMoveError

__all__ = ["Heaps", "Nim", "NimArgs"]

_MOVE = re.compile(r"take\s+(\d{1,3})\s+from\s+heap\s+(\d{1,3})", re.IGNORECASE)


@dataclass(frozen=True)
class NimArgs:
    """Arguments of `lmgym/Nim-v0`."""

    heaps: int = 3
    """How many heaps there are."""
    most: int = 7
    """Matches of a heap at most; each starts with 1 or more."""

    def __post_init__(self) -> None:
        """Raise where a value is not allowed."""
        for name, value, high in (("heaps", self.heaps, 9), ("most", self.most, 20)):
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= high:
                raise LmgymError(f"{name}={value!r} is out of range; allowed are 1 to {high}")


class Heaps(NamedTuple):
    """What is left.

    Attributes:
        sizes: matches of each heap.
        mover: whose turn it is.
    """

    sizes: tuple[int, ...]
    mover: int


class Nim(Game[Heaps]):
    """Take matches from one heap; whoever takes the last match wins.

    Example:
        >>> game = Nim()
        >>> print(game.observe(Heaps((3, 0, 5), 0), 0))
        Heaps: 1 has 3, 2 has 0, 3 has 5. Your turn.
        >>> game.say(Heaps((3, 0, 5), 0), game.best(Heaps((3, 0, 5), 0)))
        'take 2 from heap 3'
    """

    Args = NimArgs
    name = "nim"
    is_perfect_information = True
    args: NimArgs

    def __init__(self, args: NimArgs | None = None) -> None:
        super().__init__(args or NimArgs())
        self.n_actions = self.args.heaps * self.args.most
        self.n_features = self.args.heaps * (self.args.most + 1) + 1
        self.max_moves = self.n_actions
        self.max_text = 40 + 12 * self.args.heaps

    def start(self, rng: np.random.Generator) -> Heaps:
        """Heaps of random sizes."""
        sizes = rng.integers(1, self.args.most + 1, size=self.args.heaps)
        return Heaps(tuple(sizes.tolist()), 0)

    def mover(self, state: Heaps) -> int | None:
        """One after the other, until no match is left."""
        return state.mover if any(state.sizes) else None

    def legal(self, state: Heaps) -> Sequence[int]:
        """To take some from a heap that has so many."""
        most = self.args.most
        return [heap * most + n for heap, size in enumerate(state.sizes) for n in range(size)]

    def play(self, state: Heaps, action: int) -> Heaps:
        """Take matches."""
        heap, n = divmod(action, self.args.most)
        sizes = state.sizes
        return Heaps((*sizes[:heap], sizes[heap] - n - 1, *sizes[heap + 1 :]), 1 - state.mover)

    def returns(self, state: Heaps) -> tuple[float, float]:
        """1 for who took the last match, -1 for the other."""
        if any(state.sizes):
            return (0.0, 0.0)
        return (-1.0, 1.0) if state.mover == 0 else (1.0, -1.0)

    def key(self, state: Heaps) -> Hashable:
        """It makes no difference which heap is which."""
        return tuple(sorted(state.sizes)), state.mover

    def observe(self, state: Heaps, player: int) -> str:
        """The heaps, and whose turn it is."""
        heaps = ", ".join(f"{i} has {size}" for i, size in enumerate(state.sizes, 1))
        mover = self.mover(state)
        turn = (
            "The game is over." if mover is None else "Your turn." if mover == player else "Wait."
        )
        return f"Heaps: {heaps}. {turn}"

    def features(self, state: Heaps, player: int) -> NDArray[np.float32]:
        """The size of each heap as a 1 in its place, and whether it is one's turn."""
        width = self.args.most + 1
        seen = np.zeros(self.n_features, np.float32)
        seen[np.arange(len(state.sizes)) * width + np.asarray(state.sizes)] = 1
        seen[-1] = state.mover == player
        return seen

    def say(self, state: Heaps, action: int) -> str:
        """As "take 2 from heap 3"."""
        del state
        heap, n = divmod(action, self.args.most)
        return f"take {n + 1} from heap {heap + 1}"

    def read(self, state: Heaps, text: str) -> int:
        """The last move that a message names."""
        found = _MOVE.findall(text)
        if not found:
            raise IllegalMoveError(f"no move in {text[:40]!r}; write as: take 2 from heap 1")
        n, heap = map(int, found[-1])
        if not 1 <= heap <= len(state.sizes):
            raise IllegalMoveError(f"there is no heap {heap}; heaps are 1 to {len(state.sizes)}")
        if not 1 <= n <= state.sizes[heap - 1]:
            raise IllegalMoveError(
                f"heap {heap} has {state.sizes[heap - 1]}, so {n} cannot be taken from it"
            )
        return (heap - 1) * self.args.most + n - 1

    def rules(self, player: int) -> str:
        """How to play."""
        del player
        return (
            "Nim. Players take any number of matches from one heap, one or more, in turn. Whoever"
            " takes the last match of all wins. Answer as: take 2 from heap 1"
        )

    def best(self, state: Heaps) -> int:
        """Leave heaps whose sizes, combined by exclusive or, are 0; else take one match."""
        total = reduce(xor, state.sizes)
        for heap, size in enumerate(state.sizes):
            left = size ^ total
            if left < size:
                return heap * self.args.most + size - left - 1
        return self.legal(state)[0]
