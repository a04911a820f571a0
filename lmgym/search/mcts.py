"""Monte-Carlo tree search in games of perfect information: PUCT, with proofs.

A simulation follows PUCT (Rosin 2011; Silver et al. 2017) through states that were visited before.
From the first new one it plays on at random to the end, or asks a value function. Every state that
it passes is kept, with all that can follow at once, so that ends are seen a move ahead. What they
prove climbs as bounds on what can still be won (MCTS-Solver, Winands et al. 2008, in the form for
more than two results of Cazenave and Saffidine 2010); moves that cannot help any more are left out,
and a simulation that meets a decided state turns back and goes on with another move.
States are values: one that is reached in several ways is one node, and so are all that a game says
are alike (`Game.key`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError, unknown
from lmgym.games.game import Game
from lmgym.search.exact import Policy
from lmgym.search.mcts_node import Node

__all__ = ["MCTS", "Found", "MCTSOptions", "Values"]

S = TypeVar("S")

Values = Callable[[Any], Sequence[float] | NDArray[np.float64]]
"""Of a state what each player can expect to win, in the order of the seats."""


@dataclass(frozen=True)
class MCTSOptions:
    """How a search is done."""

    simulations: int = 100
    """Simulations of each move at most; a proof of what a position is worth ends them sooner."""
    exploration: float = 1.0
    """Weight of the prior beside the values, which are taken to lie between -1 and 1."""
    playouts: str = "prior"
    """How simulations go on from new states: by the prior, or uniform."""
    noise: float = 0.0
    """Share of Dirichlet noise in the prior of the position that is searched, for teaching."""
    noise_concentration: float = 0.5
    """Of that noise; below 1 it favours few moves."""
    reuses_tree: bool = False
    """Whether what was found of the positions below the last one searched is kept."""

    def __post_init__(self) -> None:
        """Raise where a value is not allowed."""
        if isinstance(self.simulations, bool) or self.simulations < 1:
            raise LmgymError(f"simulations={self.simulations!r}: give a number from 1 on")
        if not 0 <= self.noise <= 1:
            raise LmgymError(f"noise={self.noise} is no share; give 0 to 1")
        if not (self.exploration >= 0 and self.noise_concentration > 0):
            raise LmgymError(
                f"exploration={self.exploration} starts at 0, and"
                f" noise_concentration={self.noise_concentration} is above it"
            )
        if self.playouts not in ("prior", "uniform"):
            raise unknown("playouts", self.playouts, ("prior", "uniform"))


@dataclass(frozen=True)
class Found:
    """What a search found out about a position, move by move.

    Attributes:
        actions: what is allowed.
        visits: simulations that went on with each.
        values: what the mover can expect to win with each, between its bounds.
        lows: what the mover is proved to get with each at least.
        highs: what it is proved to get at most.
        priors: of the moves, before the search.
        n_expanded: states whose moves were looked at; one simulation may look at several.
    """

    actions: tuple[int, ...]
    visits: tuple[int, ...]
    values: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    priors: tuple[float, ...] = ()
    n_expanded: int = 0

    @property
    def low(self) -> float:
        """What the mover is proved to get at least."""
        return max(self.lows)

    @property
    def is_solved(self) -> bool:
        """Whether it is proved what the position is worth."""
        return self.low == max(self.highs)

    @property
    def best(self) -> int:
        """The move to play: of those that may be best, the one that was visited most."""
        rows = zip(self._weights, self.values, self.visits, strict=True)
        return self.actions[max(enumerate(rows), key=lambda row: row[1])[0]]

    def probabilities(self, temperature: float = 1.0) -> NDArray[np.float64]:
        """Of the moves, by their visits to the power of 1 / temperature; at 0 only `best`."""
        if temperature == 0:
            return np.array([float(action == self.best) for action in self.actions])
        if not temperature > 0:
            raise LmgymError(f"temperature {temperature} is negative; give 0 or more")
        weights = np.array(self._weights, np.float64)
        powers = (weights / weights.max()) ** (1 / temperature)
        return np.asarray(powers / powers.sum())

    @property
    def _weights(self) -> list[float]:
        """Visits of the moves that may be best, 0 for others; where all are alike, the priors."""
        if self.priors and min(self.lows) == max(self.highs):
            return list(self.priors)
        rows = self._candidates()
        visits = [float(n) if i in rows else 0.0 for i, n in enumerate(self.visits)]
        return visits if any(visits) else [float(i in rows) for i in range(len(visits))]

    def _candidates(self) -> list[int]:
        """Those that may win more than what is sure and seem to; else those that are sure to."""
        low, rows = self.low, range(len(self.actions))
        is_open = [i for i in rows if self.highs[i] > low]
        if is_open and min(self.lows) == low:  # nothing is better than any other for sure
            return is_open
        seem_better = [i for i in is_open if self._cautious(i) > low]
        return seem_better or [i for i in rows if self.lows[i] == low]

    def _cautious(self, row: int) -> float:
        """A move's value less what few visits leave uncertain, if results differ by 1 or so."""
        n = self.visits[row]
        return self.values[row] - 1 / math.sqrt(n) if n else -math.inf


class MCTS(Generic[S]):
    """A search for good moves.

    Args:
        game: of perfect information, its players in turn.
        prior: probabilities of the moves of a state, a policy for instance; by default uniform.
        value: what a state is worth to each player; by default a playout says it.
        options: how it is done.

    Example:
        >>> from lmgym.envs.nim.rules import Heaps, Nim
        >>> found = MCTS(Nim()).search(Heaps((3, 4, 5), 0), np.random.default_rng(0))
        >>> Nim().say(Heaps((3, 4, 5), 0), found.best), found.is_solved
        ('take 2 from heap 1', True)
    """

    def __init__(
        self,
        game: Game[S],
        prior: Policy | None = None,
        value: Values | None = None,
        options: MCTSOptions | None = None,
    ) -> None:
        """Raise where the game hides something from a player."""
        if game.is_simultaneous or not game.is_perfect_information:
            raise LmgymError(
                f"{game.name} hides something from its players; tree search needs a game in which"
                " they move in turn and see everything (Game.is_perfect_information)"
            )
        self.game = game
        self.prior = prior
        self.value = value
        self.options = options or MCTSOptions()
        self._proves = game.is_zero_sum and len(game.players) == 2
        self._scale = 2 / (game.highest - game.lowest)
        self._nodes: dict[Hashable, Node] = {}
        self._root: Node | None = None
        self._n_expanded = 0

    def search(self, state: S, rng: np.random.Generator) -> Found:
        """What simulations find about a state's moves; the game must not be over there.

        Args:
            state: to start at.
            rng: draws playouts and noise; the same draws find the same.
        """
        if self.game.mover(state) is None:
            raise LmgymError(f"the game of {self.game.name} is over; there is nothing to search")
        self._n_expanded = 0
        root = self._rooted(state)
        if self.options.noise:
            self._disturb(root, rng)
        for _ in range(self.options.simulations):
            if root.is_solved:
                break
            self._simulate(root, rng)
        return self._found(root)

    def forget(self) -> None:
        """Start the next search without what was found before."""
        self._nodes, self._root = {}, None

    def _rooted(self, state: S) -> Node:
        """The node of a state, with what is kept below it."""
        known = self._nodes.get(self.game.key(state)) if self.options.reuses_tree else None
        self._nodes = {}
        if known is not None and known is not self._root:
            self._keep(known)
        root = self._root = self._node(state)
        if root.state != state:  # alike, but its moves have other numbers
            root = self._root = self._nodes[self.game.key(state)] = self._made(state)
        if root.children is None:
            self._expand(root)
        return root

    def _keep(self, root: Node) -> None:
        """Note a node and all below it, and forget what came before."""
        waiting = [root]
        for node in waiting:
            node.parents = []
            self._nodes[self.game.key(node.state)] = node
            new = [c for c in node.children or () if self.game.key(c.state) not in self._nodes]
            self._nodes.update((self.game.key(child.state), child) for child in new)
            waiting += dict.fromkeys(new)
        for node in waiting:
            for child in node.children or ():
                child.parents.append(node)

    def _disturb(self, root: Node, rng: np.random.Generator) -> None:
        """Mix noise into the prior."""
        share, n = self.options.noise, len(root.actions)
        noise = rng.dirichlet([self.options.noise_concentration] * n)
        root.priors = ((1 - share) * np.asarray(root.priors) + share * noise).tolist()

    def _simulate(self, root: Node, rng: np.random.Generator) -> None:
        """Walk to an end, or to a new state that a value is asked for, and tell all on the way.

        Where a new state turns out to be decided, the walk turns back and takes another move.
        """
        node, path, is_new = root, list[tuple[Node, int]](), False
        while not node.is_solved and not (is_new and self.value is not None):
            row = self._select(node) if node.n or node is root else self._draw(node, rng)
            child = node.children[row]  # type: ignore[index]  # it was expanded
            is_new = child.children is None and child.mover is not None
            if is_new:
                self._expand(child)
                is_new = not child.is_solved
                if child.is_solved:
                    continue
            path.append((node, row))
            node = child
        values = self._values(node)
        node.add(values)
        for parent, row in reversed(path):
            parent.visits[row] += 1
            parent.add(values)

    def _values(self, node: Node) -> Sequence[float]:
        """What each player wins at the end of a simulation."""
        if node.mover is None:
            return self.game.returns(node.state)
        if node.is_solved:
            return (node.low, -node.low)
        assert self.value is not None
        return [float(value) for value in self.value(node.state)]

    def _node(self, state: S) -> Node:
        key = self.game.key(state)
        node = self._nodes.get(key)
        if node is None:
            node = self._nodes[key] = self._made(state)
        return node

    def _made(self, state: S) -> Node:
        game, mover = self.game, self.game.mover(state)
        low, high = game.lowest, game.highest
        if not self._proves:
            low, high = -math.inf, math.inf
        elif mover is None:
            low = high = game.returns(state)[0]
        return Node(state, mover, low, high, len(game.players))

    def _expand(self, node: Node) -> None:
        """Add what can follow."""
        game, state = self.game, node.state
        self._n_expanded += 1
        node.actions = tuple(game.legal(state))
        node.children = [self._node(game.play(state, action)) for action in node.actions]
        node.visits = [0] * len(node.actions)
        node.priors = self._priors(node)
        if self._proves:
            for child in node.children:
                child.parents.append(node)
            self._prove(node)

    def _priors(self, node: Node) -> list[float]:
        n = len(node.actions)
        if self.prior is None:
            return [1 / n] * n
        priors = [float(p) for p in self.prior(node.state)]
        if len(priors) != n or not all(p >= 0 for p in priors) or not sum(priors) > 0:
            raise LmgymError(
                f"the prior gave {priors!r:.80} for {n} moves; give a probability for each"
            )
        return priors

    def _prove(self, node: Node) -> None:
        """Learn from what is proved of the states that can follow, and tell those before."""
        stale = [node]
        while stale:
            node = stale.pop()
            choose = max if node.mover == 0 else min
            children = node.children or ()
            low, high = choose([c.low for c in children]), choose([c.high for c in children])
            if (low, high) != (node.low, node.high):
                node.low, node.high = low, high
                stale += node.parents

    def _useful(self, node: Node) -> list[int]:
        """Moves that may still win more than what the mover is sure of."""
        assert node.children is not None
        if node.mover == 0:
            return [i for i, child in enumerate(node.children) if child.high > node.low]
        return [i for i, child in enumerate(node.children) if child.low < node.high]

    def _select(self, node: Node) -> int:
        """The move of the highest upper bound: its value, and more the likelier and newer it is."""
        children, visits, priors, mover = node.children, node.visits, node.priors, node.mover
        assert children is not None
        assert mover is not None
        weight = self.options.exploration * math.sqrt(sum(visits) + 1) / self._scale
        start = node.value(mover)
        best, chosen = -math.inf, 0
        for row in self._useful(node):
            child = children[row]
            value = child.value(mover) if child.n else start
            bound = value + weight * priors[row] / (1 + child.n)
            if bound > best:
                best, chosen = bound, row
        return chosen

    def _draw(self, node: Node, rng: np.random.Generator) -> int:
        """A move of a playout."""
        rows = self._useful(node)
        if self.prior is None or self.options.playouts == "uniform":
            return rows[int(rng.random() * len(rows))]
        chances = np.cumsum([node.priors[row] for row in rows])
        place = int(chances.searchsorted(rng.random() * chances[-1], "right"))
        return rows[min(place, len(rows) - 1)]

    def _found(self, root: Node) -> Found:
        assert root.children is not None
        assert root.mover is not None
        mover, children = root.mover, root.children
        bounds = [child.bounds(mover) for child in children]
        start = root.value(mover)
        values = tuple(child.value(mover) if child.is_known else start for child in children)
        lows, highs = zip(*bounds, strict=True)
        visits = tuple(root.visits)
        priors = tuple(root.priors)
        return Found(root.actions, visits, values, lows, highs, priors, self._n_expanded)
