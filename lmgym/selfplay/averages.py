"""The average of a policy over its learning: what self-play converges to where the last one cycles.

In zero-sum games it is the average that comes close to an equilibrium (Brown 1951, "Iterative
solution of games by fictitious play"). For a table on a game that can be played through, it is the
average strategy: what is done in a place counts by how likely the policy of the time was to go
there, by its own moves (Zinkevich et al. 2007, "Regret minimization in games with incomplete
information"). For other policies the average of the weights stands in for it, which has no such
warrant. Later policies count more, in proportion to how many came before (Brown and Sandholm 2019,
"Solving imperfect-information games via discounted regret minimization").
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from lmgym.games.policies import GamePolicy
from lmgym.games.tabular import TabularPolicy
from lmgym.selfplay.trees import GameTree

__all__ = ["AverageStrategy", "AverageWeights", "PolicyAverage", "make_average"]

_LEAST = 1e-12
"""Of a probability, before its logarithm is taken."""


class PolicyAverage(ABC):
    """An average of a policy as it was after each update.

    Attributes:
        policy: the average; the same object all the time.
    """

    policy: GamePolicy

    @abstractmethod
    def add(self, policy: GamePolicy) -> None:
        """Take in a policy as it is now."""

    @abstractmethod
    def refresh(self) -> None:
        """Bring `policy` up to what was taken in."""


class AverageWeights(PolicyAverage):
    """The average of the weights."""

    def __init__(self, policy: GamePolicy) -> None:
        self.policy = copy.deepcopy(policy).requires_grad_(False).eval()
        self._n = 0

    @torch.no_grad()
    def add(self, policy: GamePolicy) -> None:
        """Move each weight by 2 / (n + 1) of the way."""
        self._n += 1
        if isinstance(policy, TabularPolicy) and isinstance(self.policy, TabularPolicy):
            self.policy.extend(policy.known)
        own = dict(self.policy.state_dict())
        for name, values in policy.state_dict().items():
            if values.is_floating_point():
                own[name].lerp_(values, 2 / (self._n + 1))
            else:
                own[name].copy_(values)

    def refresh(self) -> None:
        """Nothing is left to do."""


class AverageStrategy(PolicyAverage):
    """The average strategy of a table.

    Args:
        policy: that is learned.
        tree: the game, played through. Players must remember what they did; where they do not, all
            policies count the same in all places.
    """

    def __init__(self, policy: TabularPolicy, tree: GameTree) -> None:
        rows = policy.rows(tree.turns)
        self.policy = self._table = copy.deepcopy(policy).requires_grad_(False).eval()
        n_rows = len(policy.known)
        self._allowed = np.zeros((n_rows, policy.n_actions), np.bool_)
        for turn, row in zip(tree.turns, rows, strict=True):
            self._allowed[row, turn.game.legal(turn.state)] = True
        self._ways = _ways_to(tree, rows)
        self._sums = np.zeros(self._allowed.shape)
        self._n = 0

    @torch.no_grad()
    def add(self, policy: GamePolicy) -> None:
        """Add the probabilities, by how likely the policy was to come where they matter."""
        assert isinstance(policy, TabularPolicy)
        self._n += 1
        table = policy.table[: len(self._allowed)].double().cpu().numpy()
        chances = _softmax(np.where(self._allowed, table, -np.inf))
        reach = np.ones(len(chances))
        for rows, before, actions in self._ways:
            reach[rows] = reach[before] * chances[before, actions]
        self._sums += self._n * reach[:, None] * chances

    @torch.no_grad()
    def refresh(self) -> None:
        """Write the logarithms of the average into the table."""
        totals = self._sums.sum(1, keepdims=True)
        uniform = self._allowed / self._allowed.sum(1, keepdims=True)
        chances = np.where(totals > 0, self._sums / np.maximum(totals, _LEAST), uniform)
        logs = torch.from_numpy(np.log(np.maximum(chances, _LEAST)))
        start = 0
        for block in self._table.blocks:
            some = logs[start : start + len(block)]
            block.data[: len(some)] = some.to(block)
            start += len(block)


def make_average(policy: GamePolicy, tree: GameTree | None) -> PolicyAverage:
    """The average that suits a policy; the tree is of its game, None where that is too large."""
    if tree is not None and tree.game.deals() is not None and isinstance(policy, TabularPolicy):
        return AverageStrategy(policy, tree)
    return AverageWeights(policy)


Way = tuple[list[int], list[int], list[int]]
"""Rows, and the row and the action that came last before each of them."""


def _ways_to(tree: GameTree, rows: Sequence[int]) -> list[Way]:
    """How each row is come to by its player's own moves, earlier rows first.

    Nothing where a row can be come to in several ways: players forget there.
    """
    numbers = {turn.state: row for turn, row in zip(tree.turns, rows, strict=True)}
    lasts: defaultdict[int, set[tuple[int, int] | None]] = defaultdict(set)
    after: dict[object, set[tuple[tuple[int, int] | None, ...]]] = defaultdict(set)
    n_seats = len(tree.game.players)
    for turn in tree.turns:  # those before others come first
        game, state, seat, _ = turn
        after.setdefault(state, {(None,) * n_seats})
        for past in after[state]:
            lasts[numbers[state]].add(past[seat])
            for action in game.legal(state):
                child = game.play(state, action)
                if child in numbers:
                    new = (*past[:seat], (numbers[state], action), *past[seat + 1 :])
                    after.setdefault(child, set()).add(new)
    if any(len(found) > 1 for found in lasts.values()):
        return []
    return _by_depth({row: last for row, (last,) in lasts.items() if last is not None})


def _by_depth(lasts: dict[int, tuple[int, int]]) -> list[Way]:
    depths: dict[int, int] = {}

    def depth(row: int) -> int:
        if row not in depths:
            depths[row] = depth(lasts[row][0]) + 1 if row in lasts else 0
        return depths[row]

    ways: defaultdict[int, Way] = defaultdict(lambda: ([], [], []))
    for row, (before, action) in lasts.items():
        for part, value in zip(ways[depth(row)], (row, before, action), strict=True):
            part.append(value)
    return [ways[d] for d in sorted(ways)]


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shares = np.exp(logits - logits.max(1, keepdims=True))
    chances: NDArray[np.float64] = shares / shares.sum(1, keepdims=True)
    return chances
