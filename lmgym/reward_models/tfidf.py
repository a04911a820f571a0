"""Weighted words as vectors: the vocabulary is fitted to the training answers."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.reward_models.encoder import TextEncoder
from lmgym.reward_models.storage import read_json

__all__ = ["TfidfEncoder"]

_FILE = "tfidf.json"


class TfidfEncoder(TextEncoder):
    """Words and pairs of words, by how often they occur here and how rarely elsewhere.

    Sublinear counts times smoothed inverse document frequencies, brought to length 1 (Salton and
    Buckley, 1988). `fit` comes first.

    Args:
        max_size: words and pairs that are kept, the most frequent.

    Example:
        >>> encoder = TfidfEncoder()
        >>> encoder.fit(["a good answer", "a bad answer"])
        >>> encoder.encode_texts(["good"]).shape
        (1, 8)
    """

    name = "tfidf"

    def __init__(self, dtype: str = "fp32", device: str = "cpu", max_size: int = 2048) -> None:
        """Know nothing yet; dtype and device are for encoders that are models."""
        self.max_size = max_size
        self._vectorizer: Any = None
        self.size = 0
        self.fingerprint = ""

    def fit(self, texts: Sequence[str]) -> None:
        """Choose the words and weigh them."""
        vectorizer = _vectorizer(max_features=self.max_size)
        try:
            vectorizer.fit(texts)
        except ValueError as error:
            raise LmgymError(f"{len(texts)} texts hold no words to fit to ({error})") from None
        self._keep(vectorizer)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of texts, shape (n, size)."""
        if self._vectorizer is None:
            raise LmgymError("the encoder 'tfidf' knows no words yet; call fit(texts) first")
        if not texts:
            return np.zeros((0, self.size), np.float32)
        vectors: NDArray[np.float32] = self._vectorizer.transform(texts).toarray()
        return vectors.astype(np.float32)

    def save(self, directory: Path) -> None:
        """Write the words and their weights."""
        (directory / _FILE).write_text(self._words(), encoding="utf-8")

    def load(self, directory: Path) -> None:
        """Read the words and their weights."""
        file = directory / _FILE
        kept = read_json(file)
        words, weights = kept.get("words"), kept.get("weights")
        if not _are_words(words) or not _are_numbers(weights) or len(words) != len(weights):
            raise LmgymError(f"{file} holds no words with their weights; it is broken")
        vectorizer = _vectorizer(vocabulary={word: index for index, word in enumerate(words)})
        vectorizer.idf_ = np.array(weights, np.float64)
        self._keep(vectorizer)

    def _keep(self, vectorizer: Any) -> None:
        self._vectorizer = vectorizer
        self.size = len(vectorizer.idf_)
        self.fingerprint = f"tfidf-1-{hashlib.sha256(self._words().encode()).hexdigest()}"

    def _words(self) -> str:
        words = [str(word) for word in self._vectorizer.get_feature_names_out()]
        return json.dumps({"words": words, "weights": self._vectorizer.idf_.tolist()})


def _are_words(given: Any) -> TypeGuard[list[str]]:
    """Whether these are different words."""
    is_text = isinstance(given, list) and all(isinstance(word, str) for word in given)
    return is_text and 0 < len(set(given)) == len(given)


def _are_numbers(given: Any) -> TypeGuard[list[float]]:
    return isinstance(given, list) and all(
        isinstance(number, float | int) and abs(number) < math.inf for number in given
    )


def _vectorizer(**options: Any) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(
        ngram_range=(1, 2), token_pattern=r"(?u)\w+", sublinear_tf=True, dtype=np.float64, **options
    )
