"""Arguments of the web worlds, and the problems that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from zlib import crc32

import numpy as np

from lmgym.errors import LmgymError, unknown

from .families import FAMILIES
from .problems import (
    HELD_OUT_FAMILY,
    SPLITS,
    Problem,
    draw,
    most_changes,
    read_address,
    split_of_changes,
)

__all__ = ["MIXED", "Problems", "SiteArgs", "split_name"]

MIXED = "mixed"
"""All families but the one that is held out."""

_TRIES = 50
_MOST_SITES = 1_000


@dataclass(frozen=True)
class SiteArgs:
    """Arguments of both web worlds."""

    family: str = "forms"
    """What kind of site: forms, shop, mail, calendar, table or files."""
    difficulty: int = 2
    """Facts to change at most."""
    easiest: int = 1
    """Facts to change at least; numbers from here to difficulty are equally likely."""
    sites: int = 8
    """Different sites, each with its words and layout; each starts in ten states a split."""
    max_turns: int | None = None
    """Commands of an episode; by default 7 for each fact of the difficulty, and 3 more."""

    def __post_init__(self) -> None:
        """Raise where a value is not allowed."""
        if self.family not in self.families:
            raise unknown("family", self.family, self.families)
        for name in ("difficulty", "easiest", "sites", "max_turns"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise LmgymError(f"{name}={value!r} is no whole number; it counts, from 1 on")
        families = self.drawn_families
        most = min(map(most_changes, families))
        if not 1 <= self.easiest <= self.difficulty <= most:
            raise LmgymError(
                f"easiest={self.easiest}, difficulty={self.difficulty}: both count facts to change,"
                f" from 1 to {most} for family={self.family!r}, and easiest is not the larger one"
            )
        if not 1 <= self.sites <= _MOST_SITES:
            raise LmgymError(f"sites={self.sites} is out of range; allowed are 1 to {_MOST_SITES}")
        if self.max_turns is not None and self.max_turns < 1:
            raise LmgymError(f"max_turns={self.max_turns} is out of range; at least 1 is needed")

    @property
    def families(self) -> tuple[str, ...]:
        """What `family` can be."""
        return tuple(FAMILIES)

    @property
    def drawn_families(self) -> tuple[str, ...]:
        """The families that problems are drawn from, but for the split "site"."""
        if self.family != MIXED:
            return (self.family,)
        return tuple(name for name in FAMILIES if name != HELD_OUT_FAMILY)

    @property
    def horizon(self) -> int:
        """Commands of an episode."""
        return self.max_turns or 7 * self.difficulty + 3


@dataclass(frozen=True)
class Problems:
    """The problems that arguments allow, by split.

    Args:
        args: of the world.
    """

    args: SiteArgs
    _listed: dict[str, list[str]] = field(default_factory=dict, repr=False)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of facts to change."""
        return tuple(range(self.args.easiest, self.args.difficulty + 1))

    def draw(self, rng: np.random.Generator, split: str) -> Problem:
        """A problem of a split."""
        return draw(rng, self._family(rng, split), split, self.sizes, self.args.sites)

    def at(self, task_id: str) -> Problem | None:
        """The problem at an address, of any split; None where there is none."""
        return read_address(task_id)

    def task_ids(self, split: str, limit: int) -> list[str]:
        """Different problems of a split, the same in every process."""
        listed = self._listed.get(split, [])
        if len(listed) < limit:
            rng = np.random.default_rng(crc32(split.encode()))
            found: dict[str, None] = {}
            for _ in range(_TRIES * limit):
                if len(found) == limit:
                    break
                found[self.draw(rng, split).address] = None
            listed = self._listed[split] = list(found)
        return listed[:limit]

    def is_asked_in_training(self, family: str, start: Sequence[int], goal: Sequence[int]) -> bool:
        """Whether the split "train" may ask for a change of facts, wherever it starts."""
        changed = [i for i, (a, b) in enumerate(zip(start, goal, strict=True)) if a != b]
        if not 1 <= len(changed) <= self.args.difficulty:
            return False
        is_known = all(goal[i] < FAMILIES[family].sizes[i] for i in changed)
        return is_known and split_of_changes(family, changed) == "train"

    def _family(self, rng: np.random.Generator, split: str) -> str:
        if split == "site":
            return "table" if self.args.family == HELD_OUT_FAMILY else HELD_OUT_FAMILY
        known = self.args.drawn_families
        return known[0] if len(known) == 1 else known[int(rng.integers(len(known)))]


def split_name(split: str, known: Sequence[str] = SPLITS) -> str:
    """The split's own name: `test` is another word for `iid`."""
    name = "iid" if split == "test" else split
    if name not in known:
        raise unknown("split", split, [*known, "test"])
    return name
