"""Tic-tac-toe, with a player that never loses."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from functools import cache
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from lmgym.games.game import Game, IllegalMoveError
from lmgym.task import NoArgs

__all__ = ["Board", "TicTacToe"]

Board = tuple[int, ...]
"""Nine cells, row by row: 0 is free, 1 is of the first player, 2 of the second."""

_CELLS = tuple(f"{column}{row}" for row in "123" for column in "abc")
_LINES = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6))
_TURNS = [
    itemgetter(*places)
    for places in (
        (0, 1, 2, 3, 4, 5, 6, 7, 8),
        (2, 5, 8, 1, 4, 7, 0, 3, 6),
        (8, 7, 6, 5, 4, 3, 2, 1, 0),
        (6, 3, 0, 7, 4, 1, 8, 5, 2),
        (2, 1, 0, 5, 4, 3, 8, 7, 6),
        (8, 5, 2, 7, 4, 1, 6, 3, 0),
        (6, 7, 8, 3, 4, 5, 0, 1, 2),
        (0, 3, 6, 1, 4, 7, 2, 5, 8),
    )
]
"""Boards that look the same from another side."""
_MARKS = ".xo"
_CELL = re.compile(r"\b([abc])([123])\b", re.IGNORECASE)


class TicTacToe(Game[Board]):
    """Three in a row wins; a full board is a draw.

    Example:
        >>> game = TicTacToe()
        >>> print(game.observe(game.play(game.start(np.random.default_rng(0)), 4), 1))
        You play o. Your turn.
          a b c
        1 . . .
        2 . x .
        3 . . .
    """

    name = "tic_tac_toe"
    is_perfect_information = True
    n_actions = 9
    n_features = 27
    max_moves = 9
    max_text = 128

    def __init__(self, args: NoArgs | None = None) -> None:
        super().__init__(args or NoArgs())

    def start(self, rng: np.random.Generator) -> Board:
        """An empty board."""
        del rng
        return (0,) * 9

    def deals(self) -> Sequence[tuple[float, Board]]:
        """The empty board."""
        return [(1.0, (0,) * 9)]

    def mover(self, state: Board) -> int | None:
        """The first player, then the second, and so on."""
        if _winner(state) is not None or 0 not in state:
            return None
        return (9 - state.count(0)) % 2

    def legal(self, state: Board) -> Sequence[int]:
        """The free cells."""
        return [cell for cell in range(9) if not state[cell]]

    def play(self, state: Board, action: int) -> Board:
        """Mark a cell."""
        mark = 1 + (9 - state.count(0)) % 2
        return (*state[:action], mark, *state[action + 1 :])

    def returns(self, state: Board) -> tuple[float, float]:
        """1 for three in a row, -1 for the other."""
        winner = _winner(state)
        if winner is None:
            return (0.0, 0.0)
        return (1.0, -1.0) if winner == 0 else (-1.0, 1.0)

    def key(self, state: Board) -> Hashable:
        """The first of the boards that it becomes by turning and mirroring."""
        first: Board = min([turn(state) for turn in _TURNS])
        return first

    def observe(self, state: Board, player: int) -> str:
        """The board, and whose turn it is."""
        mover = self.mover(state)
        turn = (
            "The game is over." if mover is None else "Your turn." if mover == player else "Wait."
        )
        rows = [
            f"{row + 1} {' '.join(_MARKS[m] for m in state[3 * row : 3 * row + 3])}"
            for row in range(3)
        ]
        return "\n".join([f"You play {_MARKS[player + 1]}. {turn}", "  a b c", *rows])

    def features(self, state: Board, player: int) -> NDArray[np.float32]:
        """A 1 for each cell that is free, one's own, and the other's; shape (27,)."""
        cells = np.asarray(state)
        return np.concatenate([cells == 0, cells == player + 1, cells == 2 - player]).astype(
            np.float32
        )

    def say(self, state: Board, action: int) -> str:
        """A cell as "b2"."""
        del state
        return _CELLS[action]

    def read(self, state: Board, text: str) -> int:
        """The last cell that a message names."""
        free = ", ".join(
            _CELLS[cell] for cell in sorted(self.legal(state), key=lambda c: _CELLS[c])
        )
        found = _CELL.findall(text)
        if not found:
            raise IllegalMoveError(f"no cell in {text[:40]!r}; write one that is free: {free}")
        cell = _CELLS.index("".join(found[-1]).lower())
        if state[cell]:
            raise IllegalMoveError(f"{_CELLS[cell]} is taken; free are {free}")
        return cell

    def rules(self, player: int) -> str:
        """How to play."""
        return (
            f"Tic-tac-toe. You play {_MARKS[player + 1]}; x begins. Three in a row, column or"
            " diagonal win. Answer with the cell to mark, as b2: its column and its row."
        )

    def best(self, state: Board) -> int:
        """A move that wins as soon as it can, or else loses as late."""
        return max(self.legal(state), key=lambda cell: -_value(self.play(state, cell)))


def _winner(state: Board) -> int | None:
    for a, b, c in _LINES:
        if state[a] and state[a] == state[b] == state[c]:
            return state[a] - 1
    return None


@cache
def _value(state: Board) -> int:
    """What the mover wins if both play on as well as they can: more if it is sooner."""
    free = state.count(0)
    if _winner(state) is not None:
        return -1 - free  # the other one has just won
    if not free:
        return 0
    mark = 1 + (9 - free) % 2
    return max(
        -_value((*state[:cell], mark, *state[cell + 1 :])) for cell in range(9) if not state[cell]
    )
