"""`GeneratedProblems`: splits of a mixture of families, drawn from and listed by address."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate, islice
from typing import NamedTuple

import numpy as np

from .families import FAMILIES, Problem, problem_at, problems_in
from .mixtures import Component, held_out

__all__ = ["EXTRAPOLATION", "Address", "GeneratedProblems"]

EXTRAPOLATION = "extrapolation"
"""The split one level above the highest that is asked for; nothing is ever trained on it."""


class Address(NamedTuple):
    """Where a generated problem is found; its text is `family/level/seed/index`."""

    family: str
    level: int
    seed: int
    place: int

    def __str__(self) -> str:
        """The address as a task_id."""
        return f"{self.family}/{self.level}/{self.seed}/{self.place}"

    @classmethod
    def parse(cls, text: str) -> Address | None:
        """The address that a task_id spells, or None."""
        family, *numbers = text.split("/")
        is_address = len(numbers) == 3 and family in FAMILIES
        if not is_address or not all(
            n.isascii() and n.isdecimal() and len(n) < 20 for n in numbers
        ):
            return None
        found = cls(family, *map(int, numbers))
        return found if str(found) == text else None

    def problem(self) -> Problem:
        """The problem that stands there."""
        return problem_at(self.family, self.level, self.seed, self.place)


class GeneratedProblems:
    """The problems of a mixture.

    Problems of the held-out level are those of its test split, so that neither this run nor one
    that trains a level higher has seen them.

    Args:
        components: the mixture.
        seed: which of the endless lists of problems.
        n_train: how many problems the training split has; None for no end.
    """

    def __init__(self, components: Sequence[Component], seed: int, n_train: int | None) -> None:
        """Nothing is generated before it is asked for."""
        self.components = tuple(components)
        self.seed = seed
        self.n_train = n_train
        self._held_out = held_out(components)
        # Sums of the weights up to each component.
        self._bounds = [
            list(accumulate(component.weight for component in listed))
            for listed in (self.components, self._held_out)
        ]
        self._known = {(c.family, c.level) for c in (*self.components, *self._held_out)}

    def parts_of(self, split: str) -> tuple[tuple[Component, ...], str]:
        """The components of a split, and the split of each that it is made of."""
        if split == EXTRAPOLATION:
            return self._held_out, "test"
        return self.components, split

    def draw(self, rng: np.random.Generator, split: str) -> tuple[Address, Problem]:
        """A problem of a split: a component by its weight, then one of its problems."""
        if split == "train" and self.n_train is not None:
            return self._few[int(rng.integers(len(self._few)))]
        components, own_split = self.parts_of(split)
        component = components[0]
        if len(components) > 1:
            bounds = self._bounds[components is self._held_out]
            place = bisect_right(bounds, rng.random() * bounds[-1])
            component = components[min(place, len(components) - 1)]
        start = int(rng.integers(1 << 31))
        return next(self._from(component, own_split, start))

    def first(self, split: str, limit: int) -> list[Address]:
        """The first problems that differ, the components in turn by their weights."""
        limit = min(limit, self.n_train or limit) if split == "train" else limit
        return [address for address, _ in islice(self._different(split), limit)]

    def has(self, address: Address) -> bool:
        """Whether a problem belongs to these, in whatever split."""
        return (address.family, address.level) in self._known and address.seed == self.seed

    @cached_property
    def _few(self) -> list[tuple[Address, Problem]]:
        return list(islice(self._different("train"), self.n_train))

    def _from(
        self, component: Component, split: str, start: int = 0
    ) -> Iterator[tuple[Address, Problem]]:
        family, level, _ = component
        for index, problem in problems_in(split, family, level, self.seed, start):
            yield Address(family, level, self.seed, index), problem

    def _different(self, split: str) -> Iterator[tuple[Address, Problem]]:
        """Problems of a split, no two alike; whichever component lags behind its weight is next."""
        components, own_split = self.parts_of(split)
        sources = {c: _without_repeats(self._from(c, own_split)) for c in components}
        given = dict.fromkeys(components, 0)
        while sources:
            component = min(sources, key=lambda c: (given[c] + 1) / c.weight)
            found = next(sources[component], None)
            if found is None:
                del sources[component]
                continue
            given[component] += 1
            yield found


def _without_repeats(
    problems: Iterator[tuple[Address, Problem]],
) -> Iterator[tuple[Address, Problem]]:
    """Each problem once; a small family comes to an end."""
    seen: set[str] = set()
    repeats = 0  # in a row
    for address, problem in problems:
        if repeats > 10 * len(seen) + 1000:
            return
        if problem.canonical in seen:
            repeats += 1
            continue
        repeats = 0
        seen.add(problem.canonical)
        yield address, problem
