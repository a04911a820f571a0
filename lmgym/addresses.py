"""Problems by address: integers that look random and are the same in every process.

A world names a problem by a few integers; `mix` turns them into 64 well-mixed bits without any
generator state, and `split_of` sorts a problem into a split by its canonical form, so that two
spellings of one problem never end up on both sides.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np
from numpy.typing import NDArray

__all__ = ["mix", "mix_many", "split_of"]

_MASK = 0xFFFFFFFFFFFFFFFF
_ONE = np.uint64(1)
_FACTORS = [np.uint64(f) for f in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)]
_SHIFTS = [np.uint64(s) for s in (30, 27, 31)]
_SPLITS = ("test", "validation", *["train"] * 8)
_SALT = 2097
"""Chosen so that the smallest families, 55 problems of one digit, have 5 or more in each split."""


def mix(value: int) -> int:
    """64 mixed bits of `value`: the finalizer of SplitMix64 (Steele, Lea and Flood, 2014).

    Example:
        >>> mix(0)
        16294208416658607535
    """
    z = (value + 1) * 0x9E3779B97F4A7C15 & _MASK
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & _MASK
    return z ^ z >> 31


def mix_many(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """`mix` of each value; sums beyond 64 bits wrap around, as they do there.

    Example:
        >>> int(mix_many(np.array([7], np.uint64))[0]) == mix(7)
        True
    """
    z = (values + _ONE) * _FACTORS[0]
    z = (z ^ z >> _SHIFTS[0]) * _FACTORS[1]
    z = (z ^ z >> _SHIFTS[1]) * _FACTORS[2]
    mixed: NDArray[np.uint64] = z ^ z >> _SHIFTS[2]
    return mixed


def split_of(canonical: str) -> str:
    """The split of a problem: 10 % test, 10 % validation, the rest train."""
    bucket = mix(crc32(canonical.encode("utf-8", "surrogatepass")) + _SALT) % 10
    return _SPLITS[bucket]
