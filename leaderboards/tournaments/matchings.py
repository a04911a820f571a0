"""Pairs among those who may be paired: matchings of graphs that leave nobody out."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

__all__ = ["first_perfect_matching"]


def first_perfect_matching(wishes: Sequence[Sequence[int]]) -> list[tuple[int, int]] | None:
    """Pair everybody, those named first with whom they wish for most; None where it can't be.

    In their order, all get the first of their wishes for which the others can still all be paired.
    A matching of those who are left is kept at hand, and mended by one search for an augmenting
    path whenever a wish breaks it (Edmonds 1965).

    Args:
        wishes: whom each may be paired with, in the order of preference; both must wish for it.

    Example:
        >>> first_perfect_matching([[1, 2, 3], [0], [0, 3], [0, 2]])
        [(0, 1), (2, 3)]
        >>> first_perfect_matching([[1, 2, 3], [0], [0], [0]]) is None
        True
    """
    graph = _Graph(wishes)
    for start in range(len(wishes)):
        if graph.mate[start] < 0 and not graph.augment(start):
            return None
    pairs = []
    for one, others in enumerate(wishes):
        if one in graph.gone:
            continue
        for other in others:
            if other not in graph.gone and graph.settle(one, other):
                pairs.append((one, other))
                break
    return pairs


class _Graph:
    """A graph with a matching.

    Attributes:
        mate: whom each is matched with; -1 for nobody.
        gone: those who are paired for good.
    """

    def __init__(self, edges: Sequence[Sequence[int]]) -> None:
        self.edges = edges
        self.mate = [-1] * len(edges)
        self.gone: set[int] = set()

    def settle(self, one: int, other: int) -> bool:
        """Pair two for good, if the others can be matched without them."""
        before = list(self.mate)
        left = [self.mate[one], self.mate[other]]
        self.gone |= {one, other}
        if left == [other, one]:
            return True
        for free in left:
            self.mate[free] = -1
        if self.augment(left[0]):
            return True
        self.mate = before
        self.gone -= {one, other}
        return False

    def augment(self, root: int) -> bool:
        """Match one more, by a path from `root` to somebody without a mate; False without one.

        The search grows a tree of alternating paths, in which odd cycles are shrunk to their base.
        """
        parent = [-1] * len(self.mate)
        base = list(range(len(self.mate)))
        is_even = [False] * len(self.mate)
        is_even[root] = True
        queue = deque([root])
        while queue:
            one = queue.popleft()
            for other in self.edges[one]:
                if other in self.gone or base[one] == base[other] or self.mate[one] == other:
                    continue
                mate = self.mate[other]
                if other == root or (mate >= 0 and parent[mate] >= 0):
                    self._shrink(one, other, parent, base, is_even, queue)
                elif parent[other] < 0:
                    parent[other] = one
                    if mate < 0:
                        self._flip(other, parent)
                        return True
                    is_even[mate] = True
                    queue.append(mate)
        return False

    def _flip(self, end: int, parent: Sequence[int]) -> None:
        """Match along a path in place of how it was."""
        while end >= 0:
            before = parent[end]
            following = self.mate[before]
            self.mate[end], self.mate[before] = before, end
            end = following

    def _shrink(
        self,
        one: int,
        other: int,
        parent: list[int],
        base: list[int],
        is_even: list[bool],
        queue: deque[int],
    ) -> None:
        """Make one of an odd cycle."""
        top = self._meeting(one, other, parent, base)
        cycle: set[int] = set()
        for start, child in ((one, other), (other, one)):
            while base[start] != top:
                mate = self.mate[start]
                cycle |= {base[start], base[mate]}
                parent[start] = child
                start, child = parent[mate], mate
        for place in range(len(base)):
            if base[place] in cycle:
                base[place] = top
                if not is_even[place]:
                    is_even[place] = True
                    queue.append(place)

    def _meeting(self, one: int, other: int, parent: Sequence[int], base: Sequence[int]) -> int:
        """The base where two paths to the root meet."""
        seen = set()
        while True:
            one = base[one]
            seen.add(one)
            if self.mate[one] < 0:
                break
            one = parent[self.mate[one]]
        while base[other] not in seen:
            other = parent[self.mate[base[other]]]
        return base[other]
