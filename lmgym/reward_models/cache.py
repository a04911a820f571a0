"""Encodings on disk, so that a text is encoded once."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.reward_models.encoder import Encoder
from lmgym.reward_models.storage import read_tensors, write_tensors

__all__ = ["CachedEncoder", "EmbeddingCache", "Progress"]

Progress = Callable[[str, int, int], None]
"""Told what is done, how much of it, and of how much."""

_SHARD = 512
_KEY_BYTES = 32


class EmbeddingCache:
    """A folder of encodings, by the encoder's fingerprint and the SHA-256 of the text.

    Each batch of new texts is written as a file of its own and renamed into place, so several
    processes may use one folder: at worst they encode a text twice.

    Args:
        folder: made when the first encoding is written; None keeps encodings in memory only.

    Example:
        >>> import tempfile
        >>> from lmgym.reward_models.hashing import HashingEncoder
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     EmbeddingCache(folder).encode_texts(HashingEncoder(), ["a", "b"]).shape
        (2, 1024)
    """

    def __init__(self, folder: str | Path | None) -> None:
        """Read nothing yet."""
        self.folder = None if folder is None else Path(folder)
        if self.folder is not None and self.folder.exists() and not self.folder.is_dir():
            raise LmgymError(f"{str(folder)!r} is a file; give a folder for the encodings")
        self._known: dict[str, dict[bytes, NDArray[np.float32]]] = {}

    def encode_texts(
        self, encoder: Encoder, texts: Sequence[str], on_progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Vectors of texts, shape (n, size); only those that are not in the folder are computed."""
        if not texts:
            return np.zeros((0, encoder.size), np.float32)
        known = self._vectors(encoder)
        keys = [_key(text) for text in texts]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        # Alike lengths together: less padding.
        todo = sorted(missing, key=lambda key: len(missing[key]))
        for start in range(0, len(todo), _SHARD):
            some = todo[start : start + _SHARD]
            vectors = encoder.encode_texts([missing[key] for key in some])
            if not np.isfinite(vectors).all():
                raise LmgymError(
                    f"the encoder {encoder.name!r} gives vectors that are not finite; its weights"
                    " are broken, or its numbers too coarse for them (dtype)"
                )
            self._write(encoder, some, vectors)
            known.update(zip(some, vectors, strict=True))
            if on_progress is not None:
                on_progress("encode", start + len(some), len(todo))
        return np.stack([known[key] for key in keys])

    def _vectors(self, encoder: Encoder) -> dict[bytes, NDArray[np.float32]]:
        """What the folder holds of an encoder."""
        if encoder.fingerprint not in self._known:
            found: dict[bytes, NDArray[np.float32]] = {}
            place = self._place(encoder)
            for file in [] if place is None else sorted(place.glob("*.safetensors")):
                found.update(_read_shard(file, encoder.size))
            self._known[encoder.fingerprint] = found
        return self._known[encoder.fingerprint]

    def _write(self, encoder: Encoder, keys: list[bytes], vectors: NDArray[np.float32]) -> None:
        place = self._place(encoder)
        if place is None:
            return
        place.mkdir(parents=True, exist_ok=True)
        table = np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), _KEY_BYTES)
        file = place / f"{uuid.uuid4().hex}.safetensors"
        write_tensors(file, {"keys": table, "vectors": vectors})

    def _place(self, encoder: Encoder) -> Path | None:
        if self.folder is None:
            return None
        return self.folder / hashlib.sha256(encoder.fingerprint.encode()).hexdigest()[:16]


class CachedEncoder:
    """An encoder that looks into a cache first."""

    def __init__(
        self, encoder: Encoder, cache: EmbeddingCache, on_progress: Progress | None = None
    ) -> None:
        """Keep both."""
        self.encoder, self.cache, self.on_progress = encoder, cache, on_progress

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of texts, shape (n, size)."""
        return self.cache.encode_texts(self.encoder, texts, self.on_progress)


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _read_shard(file: Path, size: int) -> dict[bytes, NDArray[np.float32]]:
    tensors = read_tensors(file)
    keys, vectors = tensors.get("keys"), tensors.get("vectors")
    is_whole = keys is not None and vectors is not None and vectors.shape == (len(keys), size)
    if keys is None or vectors is None or not is_whole or not np.isfinite(vectors).all():
        raise LmgymError(f"{file} holds no encodings of size {size}; delete it")
    return {key.tobytes(): vector for key, vector in zip(keys, vectors, strict=True)}
