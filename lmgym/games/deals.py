"""Starts of games by number: the same number is the same deal in every process."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, TypeVar

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import NDArray

from lmgym.addresses import split_of
from lmgym.games.game import Game

__all__ = ["N_DEALS", "SPLITS", "draw_deal", "start_of"]

S = TypeVar("S")

SPLITS = ("train", "validation", "test")
"""The splits of deals."""

N_DEALS = 2**31
"""Numbers are smaller than this."""


def draw_deal(rng: np.random.Generator, split: str) -> int:
    """The number of a deal of a split; most numbers are of "train"."""
    while True:
        deal = int(rng.random() * N_DEALS)
        if split_of(f"deal/{deal}") == split:
            return deal


def start_of(game: Game[S], deal: int) -> S:
    """The start that a number stands for."""
    seeds: Any = _Digest(deal)  # numpy's stubs know of its own `SeedSequence` alone
    return game.start(np.random.Generator(np.random.PCG64(seeds)))


class _Digest(ISeedSequence):
    """Seeds by a hash of a number, in a quarter of the time of numpy's `SeedSequence`."""

    def __init__(self, deal: int) -> None:
        self._deal = deal

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> NDArray[Any]:
        """So many words of a type, from a digest of as many bytes."""
        size = n_words * np.dtype(dtype).itemsize
        return np.frombuffer(blake2b(b"%d" % self._deal, digest_size=size).digest(), dtype)
