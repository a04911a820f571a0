"""Hashed n-grams as vectors: no download, no fitting, the same in every process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmgym.reward_models.encoder import TextEncoder

__all__ = ["HashingEncoder"]

_HALF = 512


class HashingEncoder(TextEncoder):
    """Words and pairs of words beside two to four letters, hashed with signs into 512 numbers each.

    Each half has the length 1, or 0 for an empty text (hashing trick: Weinberger et al., 2009).

    Example:
        >>> first, second = HashingEncoder().encode_texts(["a good answer", "A good answer"])
        >>> bool((first == second).all())
        True
    """

    name = "hashing"
    size = 2 * _HALF
    fingerprint = f"hashing-1-{2 * _HALF}"

    def __init__(self, dtype: str = "fp32", device: str = "cpu") -> None:
        """Make the two vectorizers; dtype and device are for encoders that are models."""
        from sklearn.feature_extraction.text import HashingVectorizer

        words: dict[str, Any] = {"ngram_range": (1, 2), "token_pattern": r"(?u)\w+|[^\w\s]"}
        letters: dict[str, Any] = {"ngram_range": (2, 4), "analyzer": "char_wb"}
        self._halves: list[Any] = [
            HashingVectorizer(n_features=_HALF, **kind) for kind in (words, letters)
        ]

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of texts, shape (n, 1024)."""
        if not texts:
            return np.zeros((0, self.size), np.float32)
        halves = [half.transform(texts).toarray() for half in self._halves]
        return np.concatenate(halves, 1).astype(np.float32)
