"""Negotiation over items that are worth different things to both.

After Lewis et al. 2017, "Deal or no deal? End-to-end learning of negotiation dialogues".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.games.game import Game, IllegalMoveError
from lmgym.games.messages import tamed

from .wording import ITEMS, amounts, items, read_message

__all__ = ["TOTAL", "Bargain", "Negotiation", "NegotiationArgs"]

TOTAL = 10
"""What all items together are worth to each player."""

_SPEAKERS = ("you", "opponent")
_ACCEPT, _WALK = "accept", "walk away"


@dataclass(frozen=True)
class NegotiationArgs:
    """Arguments of `lmgym/Negotiation-v0`."""

    kinds: int = 3
    """Kinds of items, from 1 to 4."""
    most: int = 4
    """Items of a kind at most, from 1 to 4; there are 1 or more."""
    turns: int = 5
    """Messages of each side, from 1 to 20."""

    def __post_init__(self) -> None:
        """Raise where a value is not allowed."""
        for name, high in (("kinds", len(ITEMS)), ("most", 4), ("turns", 20)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= high:
                raise LmgymError(f"{name}={value!r} is out of range; allowed are 1 to {high}")


class Bargain(NamedTuple):
    """A negotiation.

    Attributes:
        counts: items of each kind.
        values: what an item of each kind is worth to the first player, and to the second.
        moves: what both did, the first player first.
        messages: what both wrote.
    """

    counts: tuple[int, ...]
    values: tuple[tuple[int, ...], tuple[int, ...]]
    moves: tuple[int, ...] = ()
    messages: tuple[str, ...] = ()


class Negotiation(Game[Bargain]):
    """Two players divide items, and neither knows what they are worth to the other.

    An action below `accept` says how many items of each kind the mover would get, as the digits of
    a number, the first kind last; `accept` and `walk_away` are the last two.

    Example:
        >>> game = Negotiation(NegotiationArgs(kinds=2))
        >>> bargain = Bargain((2, 1), ((5, 0), (1, 8)))
        >>> offered = game.tell(bargain, "I love books. propose: 2 books")
        >>> print(game.observe(offered, 1))
        Items: 2 books, 1 hat.
        Worth to you: book 1, hat 8.
        Opponent: I love books. propose: 2 books
        Your turn, 1 of 5. You are offered 1 hat, worth 8.
        >>> game.returns(game.tell(offered, "I accept."))
        (1.0, 0.8)
    """

    Args = NegotiationArgs
    name = "negotiation"
    is_zero_sum = False
    lowest = 0.0
    args: NegotiationArgs

    def __init__(self, args: NegotiationArgs | None = None) -> None:
        super().__init__(args or NegotiationArgs())
        self.base = self.args.most + 1
        self.units: tuple[int, ...] = tuple(self.base**kind for kind in range(self.args.kinds))
        self.accept: int = self.base**self.args.kinds
        self.walk_away = self.accept + 1
        self.n_actions = self.accept + 2
        self.max_moves = 2 * self.args.turns
        self.n_features = 2 * self.args.kinds + self.max_moves * (self.args.kinds + 1) + 4
        self.max_message = 240
        self.max_text = 360 + self.max_moves * (self.max_message + 12)

    def start(self, rng: np.random.Generator) -> Bargain:
        """Draw items and values: all are worth 10 to each, and the two want some of the same.

        Every kind is worth something to somebody, and some kind to both.
        """
        while True:
            counts = tuple(rng.integers(1, self.base, size=self.args.kinds).tolist())
            known = _valuations(counts)
            if not known:
                continue
            first, second = (known[i] for i in rng.integers(len(known), size=2).tolist())
            if _have_both(first, second):
                return Bargain(counts, (first, second))

    def mover(self, state: Bargain) -> int | None:
        """One after the other, until they agree, or one walks away."""
        n_said = len(state.moves)
        is_over = n_said == self.max_moves or (n_said > 0 and state.moves[-1] >= self.accept)
        return None if is_over else n_said % 2

    def legal(self, state: Bargain) -> Sequence[int]:
        """Any split; once there is an offer, to accept it, and to walk away."""
        splits = _splits(state.counts, self.base)
        return [*splits, self.accept, self.walk_away] if state.moves else splits

    def play(self, state: Bargain, action: int) -> Bargain:
        """Do it, and write nothing besides."""
        return self._after(state, action, self.say(state, action))

    def tell(self, state: Bargain, text: str) -> Bargain:
        """Do it, and keep the words around it."""
        return self._after(state, self.read(state, text), tamed(text, _SPEAKERS))

    def returns(self, state: Bargain) -> tuple[float, float]:
        """What each gets, as a share of what everything is worth to them; 0 without a deal."""
        first, second = self.worths(state)
        return (first / TOTAL, second / TOTAL)

    def worths(self, state: Bargain) -> tuple[int, int]:
        """What each gets is worth to them; 0 without a deal."""
        split = self.split(state)
        if split is None:
            return (0, 0)
        return (_worth(state.values[0], split[0]), _worth(state.values[1], split[1]))

    def split(self, state: Bargain) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """What each player gets; None without a deal."""
        if not state.moves or state.moves[-1] != self.accept:
            return None
        taken = self.wanted(state.moves[-2])
        left = _rest(state.counts, taken)
        return (taken, left) if len(state.moves) % 2 == 0 else (left, taken)

    def wanted(self, action: int) -> tuple[int, ...]:
        """Items of each kind that an offer leaves to who makes it."""
        return tuple(action // unit % self.base for unit in self.units)

    def facts(self, state: Bargain) -> Mapping[str, Any]:
        """Whether there is a deal, who gets what, and how good it is for both together.

        `efficiency` is the share of the best joint value. A deal is Pareto-optimal where no split
        is better for one and no worse for the other; `nash_product` multiplies what both win.
        """
        split, worths = self.split(state), self.worths(state)
        best = sum(n * max(pair) for n, *pair in zip(state.counts, *state.values, strict=True))
        first, second = self.returns(state)
        return {
            "deal": split is not None,
            "split": None if split is None else tuple(amounts(part) for part in split),
            "joint_value": first + second,
            "efficiency": sum(worths) / best,
            "pareto_optimal": split is not None and self._is_pareto_optimal(state, worths),
            "nash_product": first * second,
        }

    def observe(self, state: Bargain, player: int) -> str:
        """The items, what they are worth to the player, and what was said."""
        pairs = zip(ITEMS, state.values[player], strict=False)
        worth = ", ".join(f"{item} {value}" for item, value in pairs)
        lines = [f"Items: {amounts(state.counts)}.", f"Worth to you: {worth}."]
        for number, message in enumerate(state.messages):
            lines.append(f"{'You' if number % 2 == player else 'Opponent'}: {message}")
        return "\n".join([*lines, self._turn(state, player)])

    def features(self, state: Bargain, player: int) -> NDArray[np.float32]:
        """The items, what each is worth, all offers, a deal, who walked away, the seat, the time.

        For each offer: the share of each kind that the player would get, and a 1.
        """
        n, counts = self.args.kinds, np.asarray(state.counts)
        seen = np.zeros(self.n_features, np.float32)
        seen[:n], seen[n : 2 * n] = counts / 4, np.asarray(state.values[player]) / TOTAL
        offers = seen[2 * n : -4].reshape(self.max_moves, n + 1)
        for number, action in enumerate(state.moves):
            if action < self.accept:
                share = np.asarray(self.wanted(action)) / counts
                offers[number, :n] = share if number % 2 == player else 1 - share
                offers[number, n] = 1
        last = state.moves[-1] if state.moves else 0
        is_deal, is_broken = last == self.accept, last == self.walk_away
        seen[-4:] = is_deal, is_broken, player, len(state.moves) / self.max_moves
        return seen

    def say(self, state: Bargain, action: int) -> str:
        """As "propose: 2 books, 1 hat", "accept" or "walk away"."""
        del state
        if action == self.accept:
            return _ACCEPT
        return _WALK if action == self.walk_away else f"propose: {amounts(self.wanted(action))}"

    def read(self, state: Bargain, text: str) -> int:
        """The one thing that a message does."""
        said = read_message(text, state.counts)
        if isinstance(said, tuple):
            return sum(n * unit for n, unit in zip(said, self.units, strict=True))
        if not state.moves:
            raise IllegalMoveError("there is no offer yet; propose something")
        return self.accept if said == _ACCEPT else self.walk_away

    def rules(self, player: int) -> str:
        """How to play."""
        seat = ("first", "second")[player]
        return (
            f"A negotiation. Two players divide {items(self.args.kinds)}. Each knows what an item"
            f" is worth to themselves alone; all together are worth {TOTAL} to each. In turn, each"
            " writes what they want to get, as: propose: 1 book, 2 hats. The rest is for the other."
            " Or one answers an offer, on a line of its own, by: accept, or: walk away. You may add"
            f" words to convince the other. Without a deal after {self.args.turns} messages each,"
            f" or where one walks away, both get nothing. You write {seat}, and want as much value"
            " as you can get."
        )

    def _after(self, state: Bargain, action: int, message: str) -> Bargain:
        moves, messages = (*state.moves, action), (*state.messages, message)
        return Bargain(state.counts, state.values, moves, messages)

    def _turn(self, state: Bargain, player: int) -> str:
        mover, n_said = self.mover(state), len(state.moves)
        if mover is None:
            split = self.split(state)
            if split is None:
                return "The negotiation is over without a deal."
            worth = self.worths(state)[player]
            return f"The negotiation is over: you get {amounts(split[player])}, worth {worth}."
        if mover != player:
            return "Wait."
        turn = f"Your turn, {n_said // 2 + 1} of {self.args.turns}."
        if not state.moves:
            return turn
        offered = _rest(state.counts, self.wanted(state.moves[-1]))
        worth = _worth(state.values[player], offered)
        return f"{turn} You are offered {amounts(offered)}, worth {worth}."

    def _is_pareto_optimal(self, state: Bargain, worths: tuple[int, int]) -> bool:
        for action in _splits(state.counts, self.base):
            taken = self.wanted(action)
            first = _worth(state.values[0], taken)
            second = _worth(state.values[1], _rest(state.counts, taken))
            if first >= worths[0] and second >= worths[1] and (first, second) != worths:
                return False
        return True


@cache
def _splits(counts: tuple[int, ...], base: int) -> tuple[int, ...]:
    """The actions that offer a split, in ascending order."""
    digits = product(*(range(n + 1) for n in reversed(counts)))
    n_kinds = len(counts)
    return tuple(
        sum(n * base ** (n_kinds - 1 - place) for place, n in enumerate(split)) for split in digits
    )


@cache
def _valuations(counts: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """What items may be worth, so that all are worth 10; none for some numbers of items."""
    ranges = (range(TOTAL // n + 1) for n in counts)
    return tuple(values for values in product(*ranges) if _worth(values, counts) == TOTAL)


def _have_both(first: Sequence[int], second: Sequence[int]) -> bool:
    """Whether every kind is worth something to one player, and some kind to both."""
    pairs = list(zip(first, second, strict=True))
    return all(a or b for a, b in pairs) and any(a and b for a, b in pairs)


def _worth(values: Sequence[int], counts: Sequence[int]) -> int:
    return sum(value * n for value, n in zip(values, counts, strict=True))


def _rest(counts: Sequence[int], taken: Sequence[int]) -> tuple[int, ...]:
    return tuple(n - m for n, m in zip(counts, taken, strict=True))
