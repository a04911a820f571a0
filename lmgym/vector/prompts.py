"""`Prompts`: the random generators of N rows, and the openings that the rows will start with.

Each row draws from a generator of its own, seeded as gymnasium seeds a single environment, so a
row plays the same episodes in any batch. Where a world allows it, openings are drawn and encoded
ahead in blocks; whoever asks for a row's generator still finds it as if they had not been.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from gymnasium.utils import seeding

from lmgym.rendering import Renderer
from lmgym.task import Message, Opening, Task
from lmgym.vector.buffers import Int32s, Rows

__all__ = ["Prompts", "Started"]

_LONGEST, _SHORTEST = 64, 8
"""Openings of a row's longest block; where there is room for short blocks only, one is drawn."""
_INT = np.dtype(np.int32).itemsize
_SEEN = 10_000
"""Openings whose ids are remembered."""
_KEPT = 16_384
"""Openings that are kept ahead, all rows together."""


class Started(NamedTuple):
    """Openings for some rows, and their ids as `TokenBuffers.start` takes them."""

    openings: list[Opening[Any]]
    prompts: Int32s
    lengths: Rows


class Prompts:
    """Openings for N rows.

    Args:
        task: the world.
        renderer: encodes the openings; None where nobody asks for ids.
        n_rows: how many rows.
        split: where openings are drawn from ahead.
        group_size: so many rows, one after the other, are given the same problems in the same
            order; each group's problems follow from the seed of its first row.
    """

    def __init__(
        self,
        task: Task[Any],
        renderer: Renderer | None,
        n_rows: int,
        *,
        split: str,
        group_size: int = 1,
    ) -> None:
        """Seed from the system; `seed` makes it reproducible."""
        self.task = task
        self.renderer = renderer
        self.split = split
        self.group_size = group_size
        self.seeds: list[int] = [0] * n_rows
        self._orders: list[int] = [0] * n_rows  # seeds of the groups' problems
        self._generators = np.empty(n_rows, object)
        self._is_shared = np.zeros(n_rows, np.bool_)
        self._seed_all(range(n_rows), [None] * n_rows)
        draws_ahead = group_size == 1 and not task.replies_draw and renderer is not None
        size = min(_LONGEST, _KEPT // n_rows)
        size = (size if size >= _SHORTEST else 1) if draws_ahead else 0
        self._size = size
        # Each row's block, how many of it are taken, and the state of the row's generator before.
        self._blocks: list[Sequence[Opening[Any]]] = [()] * n_rows
        self._taken = [0] * n_rows
        self._states: list[Mapping[str, Any]] = [{}] * n_rows
        # Where a copied row's generator has to go back to, and how many openings it draws there
        # in vain, before it draws again.
        self._owed: list[tuple[Mapping[str, Any], int] | None] = [None] * n_rows
        self._n_started = np.zeros(n_rows, np.int64)
        self._seen: dict[int, tuple[tuple[Message, ...], bytes]] = {}
        self._padding = b""

    def seed(self, rows: Sequence[int], seeds: Sequence[int | None]) -> None:
        """Give rows new generators; a seed of None leaves a row's as it is."""
        given = [(row, seed) for row, seed in zip(rows, seeds, strict=True) if seed is not None]
        if given:
            self._seed_all(*zip(*given, strict=True))
        for row, _ in given:
            self._blocks[row], self._taken[row], self._owed[row] = (), 0, None
            self._n_started[row] = 0

    def generator(self, row: int) -> np.random.Generator:
        """A row's own generator, as if nothing had been drawn ahead."""
        generator = self._own(row)
        if self._taken[row] < len(self._blocks[row]):
            self._go_back(generator, self._states[row], self._taken[row])
            self._blocks[row], self._taken[row] = (), 0
        return generator

    def repliers(self, rows: Sequence[int]) -> list[np.random.Generator]:
        """The generators that replies to these rows may draw from."""
        if self.task.replies_draw:
            return [self.generator(row) for row in rows]
        return [self._generators[0]] * len(rows)  # nothing is drawn from it

    def take(self, rows: Rows) -> Started:
        """The next openings of rows, from the split that is drawn ahead."""
        if not self._size:
            return self.encoded([self._drawn(row) for row in rows.tolist()])
        openings = []
        blocks, taken = self._blocks, self._taken
        for row in rows.tolist():
            place = taken[row]
            if place == len(blocks[row]):
                self._refill(row)
                place = 0
            openings.append(blocks[row][place])
            taken[row] = place + 1
        return self.encoded(openings)

    def open(self, row: int, *, split: str, task_id: str | None, **chosen: Any) -> Opening[Any]:
        """The opening of a row from any split, or of a given problem.

        Args:
            row: whose generator or group decides.
            split: where it is drawn from.
            task_id: the problem instead.
            chosen: what else the `reset` of this task takes.
        """
        if self.group_size > 1 and task_id is None:
            return self._of_group(row, split, **chosen)
        return self.task.reset(self.generator(row), split=split, task_id=task_id, **chosen)

    def encoded(self, openings: list[Opening[Any]]) -> Started:
        """The ids of openings."""
        ids = [self._encoded(opening.messages) for opening in openings]
        lengths = [len(prompt) // _INT for prompt in ids]
        width = _INT * max(lengths)
        if width > len(self._padding):
            assert self.renderer is not None
            self._padding = np.full(width // _INT, self.renderer.pad_id, np.int32).tobytes()
        padded = b"".join([prompt + self._padding[: width - len(prompt)] for prompt in ids])
        prompts = np.frombuffer(padded, np.int32).reshape(len(ids), -1)
        return Started(openings, prompts, np.array(lengths))

    def align(self, rows: Rows) -> None:
        """Begin the order of the groups of some rows, and bring those that start together in it.

        A row stays in the order that its group had when the row was reset, or that of the row it
        is a copy of.
        """
        for row in rows.tolist():
            self._orders[row] = self.seeds[row - row % self.group_size]
        is_due = np.zeros(len(self._n_started), np.bool_)
        is_due[rows] = True
        whole = is_due.reshape(-1, self.group_size).all(1)
        numbers = self._n_started.reshape(-1, self.group_size)
        numbers[whole] = numbers[whole].max(1, keepdims=True)

    def fork(self, sources: Rows, targets: Rows) -> None:
        """Let `targets` draw what `sources` will draw.

        Nothing is drawn or copied here: a shared generator is copied once one of its rows draws,
        and a block that is under way is drawn again.
        """
        self._is_shared[sources] = self._is_shared[targets] = True
        self._generators[targets] = self._generators[sources]
        self._n_started[targets] = self._n_started[sources]
        blocks, taken, states, owed = self._blocks, self._taken, self._states, self._owed
        for source, target in zip(sources.tolist(), targets.tolist(), strict=True):
            self.seeds[target] = self.seeds[source]
            self._orders[target] = self._orders[source]
            is_under_way = taken[source] < len(blocks[source])
            owed[target] = (states[source], taken[source]) if is_under_way else owed[source]
            blocks[target], taken[target] = (), 0

    def _drawn(self, row: int) -> Opening[Any]:
        return self.open(row, split=self.split, task_id=None)

    def _of_group(self, row: int, split: str, **chosen: Any) -> Opening[Any]:
        """The next problem of a row's group: its number in the order of the group decides it."""
        number = int(self._n_started[row])
        self._n_started[row] += 1
        rng = np.random.default_rng((self._orders[row], number))
        return self.task.reset(rng, split=split, **chosen)

    def _own(self, row: int) -> np.random.Generator:
        """A row's generator, which no other row draws from."""
        generator: np.random.Generator = self._generators[row]
        if self._is_shared[row]:
            copy = np.random.Generator(type(generator.bit_generator)(0))
            copy.bit_generator.state = generator.bit_generator.state
            self._generators[row] = generator = copy
            self._is_shared[row] = False
        owed = self._owed[row]
        if owed is not None:
            self._owed[row] = None
            self._go_back(generator, *owed)
        return generator

    def _go_back(
        self, generator: np.random.Generator, state: Mapping[str, Any], n_used: int
    ) -> None:
        """Bring a generator to where it is after some openings of a block."""
        generator.bit_generator.state = state
        self.task.draw_many(generator, n_used, split=self.split)

    def _refill(self, row: int) -> None:
        """Draw a block of openings, twice as many as the last time."""
        generator = self._own(row)
        n = min(max(1, 2 * len(self._blocks[row])), self._size)
        # Of a block of one nothing is left once it is taken, so there is nothing to go back to.
        self._states[row] = generator.bit_generator.state if n > 1 else {}
        self._blocks[row] = self.task.draw_many(generator, n, split=self.split)

    def _encoded(self, messages: tuple[Message, ...]) -> bytes:
        """The ids of an opening, int32; worlds that hand out the same messages are encoded once."""
        seen = self._seen.get(id(messages))
        if seen is not None and seen[0] is messages:
            return seen[1]
        assert self.renderer is not None
        ids = np.array(self.renderer.open(messages)[0], np.int32).tobytes()
        if self._size > 1:
            if len(self._seen) >= _SEEN:
                self._seen.clear()
            self._seen[id(messages)] = messages, ids
        return ids

    def _seed_all(self, rows: Sequence[int], seeds: Sequence[int | None]) -> None:
        for row, seed in zip(rows, seeds, strict=True):
            generator, self.seeds[row] = seeding.np_random(seed)
            self._generators[row] = generator
            self._is_shared[row] = False
