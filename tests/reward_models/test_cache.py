"""Encodings on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.reward_models.cache import EmbeddingCache
from lmgym.reward_models.encoder import TextEncoder


class Counter(TextEncoder):
    name, size = "counter", 2

    def __init__(self, fingerprint: str = "1", fails_on: str | None = None) -> None:
        self.fingerprint = fingerprint
        self.fails_on = fails_on
        self.asked: list[str] = []

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self.fails_on in texts:
            raise RuntimeError("interrupted")
        self.asked += texts
        return np.array([[len(text), len(self.fingerprint)] for text in texts], np.float32)


def test_text_is_encoded_once_even_by_another_process_later(tmp_path: Path) -> None:
    encoder = Counter()
    first = EmbeddingCache(tmp_path).encode_texts(encoder, ["bb", "a", "bb"])
    again = EmbeddingCache(tmp_path).encode_texts(encoder, ["a", "ccc"])
    assert sorted(encoder.asked) == ["a", "bb", "ccc"]
    assert first.tolist() == [[2, 1], [1, 1], [2, 1]]
    assert again.tolist() == [[1, 1], [3, 1]]


def test_encoders_do_not_share_vectors(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path)
    cache.encode_texts(Counter(), ["a"])
    assert cache.encode_texts(Counter("22"), ["a"]).tolist() == [[1, 2]]


def test_what_was_encoded_before_an_interruption_stays(tmp_path: Path) -> None:
    texts = [str(index) for index in range(600)]  # more than one file
    last = "the longest text is encoded last"
    with pytest.raises(RuntimeError, match="interrupted"):
        EmbeddingCache(tmp_path).encode_texts(Counter(fails_on=last), [*texts, last])
    encoder = Counter()
    EmbeddingCache(tmp_path).encode_texts(encoder, [*texts, last])
    assert len(encoder.asked) == 601 - 512


def test_progress_is_told_for_what_is_new(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    cache = EmbeddingCache(tmp_path)
    for _ in range(2):
        cache.encode_texts(Counter(), ["a", "b"], lambda *facts: told.append(facts))
    assert told == [("encode", 2, 2)]


def test_nothing_is_left_beside_the_files(tmp_path: Path) -> None:
    EmbeddingCache(tmp_path).encode_texts(Counter(), ["a"])
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert file.suffix == ".safetensors"


def test_broken_file_is_named(tmp_path: Path) -> None:
    EmbeddingCache(tmp_path).encode_texts(Counter(), ["a"])
    (file,) = tmp_path.rglob("*.safetensors")
    file.write_bytes(b"broken")
    with pytest.raises(LmgymError, match=f"{file.name} cannot be read"):
        EmbeddingCache(tmp_path).encode_texts(Counter(), ["a"])


def test_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(LmgymError, match="is a file; give a folder"):
        EmbeddingCache(file)
