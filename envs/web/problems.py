"""Problems: a site, a goal and how it is asked for, by address, in disjoint splits.

train       combinations of facts to learn from
validation  new seeds: the same sites in other states, the same combinations
iid         the same, once more ("test" is another word for it)
comp        new seeds, and a pair of facts that no other split changes together
words       sites in words and phrases that no other split uses
site        sites of a family that is held out

How many sites there are, each with its words and layout, is up to the world's arguments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, count
from zlib import crc32

import numpy as np

from lmgym.addresses import mix
from lmgym.errors import LmgymError

from .base_site import Site
from .families import FAMILIES, make_site
from .instructions import STYLES, write_instruction

__all__ = [
    "HELD_OUT_FAMILY",
    "N_TRAIN_STYLES",
    "SPLITS",
    "Problem",
    "draw",
    "most_changes",
    "read_address",
    "split_of_changes",
    "starts_elsewhere",
]

SPLITS = ("train", "validation", "iid", "comp", "words", "site")
HELD_OUT_FAMILY = "files"
"""The family of the split "site"; for a world of this family it is `table`."""

_RANGE, _STARTS = 10_000, 10
"""Seeds that a split has for itself, and how many of them each site has, to start in."""
_SAME_SITES = 4
"""The first splits, which have the same sites."""
_AGAIN = 1_000_003
"""Added to a seed whose start is taken."""
N_TRAIN_STYLES = 3
_HELD_OUT_PAIRS = 5
"""One pair of facts in so many is held out."""
_TRIES = 1_000
_REMEMBERED = 2_048
_FORM = re.compile(r"([a-z]+)/(\d{1,5})/((?:\d{1,2}\.\d\+)*\d{1,2}\.\d)/(\d)")


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem.

    Attributes:
        family: of the site.
        seed: of the site and the state that it starts in.
        goal: what the facts are to be, shape (D,).
        style: how the instruction is phrased.
    """

    family: str
    seed: int
    goal: tuple[int, ...]
    style: int

    @property
    def site(self) -> Site:
        """The site."""
        return _site(self.family, self.seed)

    @property
    def start(self) -> tuple[int, ...]:
        """What the facts are at first, shape (D,)."""
        return _start(self.family, self.seed)

    @property
    def changes(self) -> tuple[int, ...]:
        """Which facts are to change."""
        pairs = enumerate(zip(self.start, self.goal, strict=True))
        return tuple(i for i, (before, after) in pairs if before != after)

    @property
    def instruction(self) -> str:
        """What the agent is asked for."""
        return _instruction(self)

    @property
    def address(self) -> str:
        """What `read_address` makes the problem of."""
        changes = "+".join(f"{i}.{self.goal[i]}" for i in self.changes)
        return f"{self.family}/{self.seed}/{changes}/{self.style}"

    @property
    def split(self) -> str:
        """The split it belongs to."""
        return SPLITS[self.seed // _RANGE]


def _site(family: str, seed: int) -> Site:
    is_held_out = SPLITS[seed // _RANGE] == "words"
    return make_site(family, seed % _RANGE // _STARTS, is_held_out=is_held_out)


@lru_cache(maxsize=8 * _REMEMBERED)
def _start(family: str, seed: int) -> tuple[int, ...]:
    """The facts that a seed starts with; splits of the same sites share no start."""
    split, rest = divmod(seed, _RANGE)
    first = rest // _STARTS * _STARTS
    earlier = range(split if split < _SAME_SITES else 0)
    taken = {_start(family, s * _RANGE + first + i) for s in earlier for i in range(_STARTS)}
    tries = (_site(family, seed).start_of(seed + n * _AGAIN) for n in count())
    return next(start for start in tries if start not in taken)


@lru_cache(maxsize=_REMEMBERED)
def starts_elsewhere(family: str, seed: int) -> frozenset[tuple[int, ...]]:
    """The facts that validation, iid and comp start with on the site of a seed."""
    first = seed % _RANGE // _STARTS * _STARTS
    seeds = (s * _RANGE + first + i for s in range(1, _SAME_SITES) for i in range(_STARTS))
    return frozenset(_start(family, held_out) for held_out in seeds)


@lru_cache(maxsize=_REMEMBERED)
def _instruction(problem: Problem) -> str:
    return write_instruction(problem.site, problem.start, problem.goal, problem.style)


def split_of_changes(family: str, facts: Sequence[int]) -> str:
    """Whether facts that change together are of "train", or of "comp", where a pair is held out.

    Example:
        >>> split_of_changes("forms", [3])
        'train'
    """
    held_out = _held_out_pairs(family)
    return "comp" if any(pair in held_out for pair in combinations(sorted(facts), 2)) else "train"


@lru_cache
def _held_out_pairs(family: str) -> frozenset[tuple[int, int]]:
    """Pairs of facts that only the split comp changes together."""
    site = FAMILIES[family]

    def number(pair: tuple[int, int]) -> int:
        return mix(crc32(f"{family}:{site.keys[pair[0]]}:{site.keys[pair[1]]}".encode()))

    free = (place for place in range(len(site.keys)) if place not in site.dependent)
    pairs = sorted(combinations(free, 2), key=number)
    return frozenset(pairs[: len(pairs) // _HELD_OUT_PAIRS])


@lru_cache
def _fact_sets(family: str, n_changes: int, split: str) -> tuple[tuple[int, ...], ...]:
    """What facts the problems of "train" or "comp" change, so many at a time."""
    sets = combinations(range(len(FAMILIES[family].keys)), n_changes)
    return tuple(facts for facts in sets if split_of_changes(family, facts) == split)


def most_changes(family: str) -> int:
    """How many facts a problem outside of "comp" can change at most."""
    return max(n for n in range(1, len(FAMILIES[family].keys)) if _fact_sets(family, n, "train"))


def draw(
    rng: np.random.Generator, family: str, split: str, sizes: Sequence[int], n_sites: int
) -> Problem:
    """A problem of a split.

    Args:
        rng: draws it.
        family: of the site, whatever the split.
        split: which.
        sizes: numbers of facts to change; one of those that the split has is drawn.
        n_sites: how many sites the split has.

    Raises:
        LmgymError: where there is none.
    """
    kind = "comp" if split == "comp" else "train"
    known = [sets for size in sizes if (sets := _fact_sets(family, size, kind))]
    sets = known[int(rng.integers(len(known)))] if known else ()
    for _ in range(_TRIES if known else 0):
        problem = _drawn(rng, family, split, sets[int(rng.integers(len(sets)))], n_sites)
        if problem.site.why_unreachable(problem.start, problem.goal) is None:
            return problem
    raise LmgymError(
        f"split {split!r} of {family} has no problem that changes {' or '.join(map(str, sizes))}"
        " facts" + ("; it changes a held-out pair, so give difficulty=2 or more" * (kind == "comp"))
    )


def _drawn(
    rng: np.random.Generator, family: str, split: str, facts: Sequence[int], n_sites: int
) -> Problem:
    """A problem that changes some facts; it may be one that cannot be solved."""
    first = SPLITS.index(split) * _RANGE
    seed = first + int(rng.integers(n_sites * _STARTS))
    style = int(rng.integers(N_TRAIN_STYLES))
    if split == "words":
        style = N_TRAIN_STYLES + int(rng.integers(len(STYLES) - N_TRAIN_STYLES))
    blank = Problem(family, seed, (), style)
    goal, sizes = list(blank.start), blank.site.sizes
    for fact in facts:
        value = int(rng.integers(sizes[fact] - 1))
        goal[fact] = value + (value >= goal[fact])
    return Problem(family, seed, tuple(goal), style)


def read_address(address: str) -> Problem | None:
    """The problem at an address; None where there is none.

    Any goal that can be reached on a site has an address, whether or not its split draws it.
    """
    found = _FORM.fullmatch(address) if isinstance(address, str) else None
    if found is None or found[1] not in FAMILIES:
        return None
    seed, style = int(found[2]), int(found[4])
    if seed >= len(SPLITS) * _RANGE or style >= len(STYLES):
        return None
    problem = _with_changes(found[1], seed, style, list(_changes_of(found[3])))
    if problem is None or problem.address != address:
        return None
    if problem.site.why_unreachable(problem.start, problem.goal) is not None:
        return None
    is_held_out = problem.split == "words"
    return problem if is_held_out == (style >= N_TRAIN_STYLES) else None


def _changes_of(text: str) -> Iterator[tuple[int, int]]:
    for change in text.split("+"):
        fact, _, value = change.partition(".")
        yield int(fact), int(value)


def _with_changes(
    family: str, seed: int, style: int, changes: Sequence[tuple[int, int]]
) -> Problem | None:
    blank = Problem(family, seed, (), style)
    goal = list(blank.start)
    for fact, value in changes:
        if fact >= len(goal) or value >= blank.site.sizes[fact]:
            return None
        goal[fact] = value
    return Problem(family, seed, tuple(goal), style)
