"""Documents of witnesses who contradict a claim and each other, and what is true in them.

Sentence v defeats sentence u where v says that the witness of u is wrong. By grounded semantics
(Dung 1995, "On the acceptability of arguments") a sentence stands if every sentence that defeats it
falls, and falls if one of those stands; the graph has no cycles, so each sentence does one or the
other. The claim is true if it stands in the whole document.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .wording import write

__all__ = ["Document", "draw_document"]

_TWO = 0.15
"""Share of sentences that defeat two others."""

Targets = tuple[tuple[int, ...], ...]
"""What each sentence defeats: places of sentences, and -1 for the claim."""


@dataclass(frozen=True)
class Document:
    """A claim and what witnesses say. What follows from the graph is found when it is asked for.

    Attributes:
        targets: what each sentence defeats, in the order of the document.
        order: places of all sentences, those that defeat before those that are defeated.
        is_true: whether the claim stands.
        words: numbers between 0 and 1 that choose the words, shape (3 n + 1,).
        n_phrasings: ways in which the same thing is said.
    """

    targets: Targets
    order: tuple[int, ...]
    is_true: bool
    words: tuple[float, ...]
    n_phrasings: int = 1

    def stands(self, quoted: int) -> bool:
        """Whether the claim stands by some sentences alone; `quoted` has a bit for each."""
        fallen, targets = 0, self.targets  # bit 0 of `fallen` is of the claim
        for place in self.order:
            if quoted >> place & 1 and not fallen >> place + 1 & 1:
                for target in targets[place]:
                    fallen |= 2 << target if target >= 0 else 1
        return not fallen & 1

    @cached_property
    def labels(self) -> tuple[bool, ...]:
        """Which sentences stand."""
        fallen: set[int] = set()
        for place in self.order:
            if place not in fallen:
                fallen.update(self.targets[place])
        return tuple(place not in fallen for place in range(len(self.targets)))

    @cached_property
    def attackers(self) -> Targets:
        """What defeats each sentence."""
        found: list[list[int]] = [[] for _ in self.targets]
        for place, targets in enumerate(self.targets):
            for target in targets:
                if target >= 0:
                    found[target].append(place)
        return tuple(map(tuple, found))

    @cached_property
    def table(self) -> NDArray[np.float32]:
        """What each sentence defeats, as the features of a debate have it, shape (n (n + 3) + 2,).

        For each sentence n + 3 numbers: a 1 for each sentence that it defeats, and for the claim,
        and room for two more; at the end room for two.
        """
        n = len(self.targets)
        flat = np.zeros(n * (n + 3) + 2, np.float32)
        pairs = enumerate(self.targets)
        flat[[place * (n + 3) + aim % (n + 1) for place, aims in pairs for aim in aims]] = 1
        return flat

    @property
    def claim(self) -> str:
        """The claim in words."""
        return self._written[0]

    @property
    def sentences(self) -> tuple[str, ...]:
        """The sentences in words."""
        return self._written[1]

    @cached_property
    def page(self) -> str:
        """The claim, and the sentences with their numbers."""
        lines = [f"[{i}] {sentence}" for i, sentence in enumerate(self.sentences, 1)]
        return "\n".join([f"Claim: {self.claim}", *lines])

    @cached_property
    def _written(self) -> tuple[str, tuple[str, ...]]:
        return write(self.words, self.targets, self.n_phrasings)


def draw_document(
    rng: np.random.Generator, n: int, n_distractors: int, depth: int, n_phrasings: int
) -> Document:
    """A document whose claim is true in half of all cases.

    Args:
        rng: draws it.
        n: sentences.
        n_distractors: those among them that defeat nothing.
        depth: sentences of the longest chain, each of which defeats the next, at most.
        n_phrasings: ways in which the same thing is said.
    """
    n_active = n - n_distractors
    draws: list[float] = rng.random(4 * n + 2).tolist()
    is_true, words, ranks = draws[0] < 0.5, tuple(draws[1 : 3 * n + 2]), draws[3 * n + 2 :]
    targets = _draw_targets(rng, n_active, depth)
    while _claim_stands(targets) != is_true:
        targets = _draw_targets(rng, n_active, depth)
    places = sorted(range(n), key=ranks.__getitem__)  # where each goes
    moved: list[tuple[int, ...]] = [()] * n
    at = [*places, -1]  # the claim stays -1
    for place, aims in zip(places, targets, strict=False):
        moved[place] = (at[aims[0]],) if len(aims) == 1 else (at[aims[0]], at[aims[1]])
    return Document(tuple(moved), tuple(places[::-1]), is_true, words, n_phrasings)


def _draw_targets(rng: np.random.Generator, n: int, depth: int) -> list[tuple[int, ...]]:
    """What each sentence defeats: the claim, or one that comes before it, or two of these."""
    draws: list[float] = rng.random(3 * n).tolist()
    depths, open_to = [0], [-1]  # of the claim, and then of each sentence
    n_open = 1
    found: list[tuple[int, ...]] = []
    for i in range(n):
        a = int(draws[i] * n_open)
        aim = open_to[a]
        own = depths[aim + 1] + 1
        if draws[i + n] < _TWO and n_open > 1:
            other = open_to[(a + 1 + int(draws[i + n + n] * (n_open - 1))) % n_open]
            own = max(own, depths[other + 1] + 1)
            found.append((aim, other))
        else:
            found.append((aim,))
        depths.append(own)
        if own < depth:
            open_to.append(i)
            n_open += 1
    return found


def _claim_stands(targets: list[tuple[int, ...]]) -> bool:
    """Whether the claim stands, where each sentence defeats what comes before it."""
    has_fallen = [False] * (len(targets) + 1)  # the claim is the last
    for place in range(len(targets) - 1, -1, -1):
        if not has_fallen[place]:
            for target in targets[place]:
                has_fallen[target] = True
    return not has_fallen[-1]
