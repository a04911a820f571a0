"""What an encoder is: texts in, one vector each; and encoders by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError, unknown
from lmgym.registry import load
from lmgym.reward_models.arguments import DTYPES
from lmgym.task import Role
from lmgym.transcript import Transcript

__all__ = ["ENCODERS", "Encoder", "FittedEncoder", "TextEncoder", "make_encoder"]

ENCODERS: dict[str, str] = {
    "hashing": "lmgym.reward_models.hashing:HashingEncoder",
    "tfidf": "lmgym.reward_models.tfidf:TfidfEncoder",
    "embedded": "lmgym.reward_models.pooled:embedded_encoder",
    "minilm": "lmgym.reward_models.pooled:minilm_encoder",
    "hf": "lmgym.reward_models.pooled:directory_encoder",
}
"""Encoders by name; what an entry names is called with dtype=, device= and what follows a colon."""


@runtime_checkable
class Encoder(Protocol):
    """Texts as vectors, each independent of the others in its batch to 1e-5 in fp32.

    Attributes:
        name: as `make_encoder` takes it.
        size: numbers a text.
        fingerprint: changes whenever a vector would.
    """

    name: str
    size: int
    fingerprint: str

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of texts, shape (n, size)."""
        ...

    def encode(self, transcripts: Sequence[Transcript]) -> NDArray[np.float32]:
        """Vectors of the agent's last messages, or of the openings where it said nothing yet.

        Shape (n, size).
        """
        ...


@runtime_checkable
class FittedEncoder(Encoder, Protocol):
    """An encoder that learns from training texts, and is kept beside the head."""

    def fit(self, texts: Sequence[str]) -> None:
        """Learn from training texts."""
        ...

    def save(self, directory: Path) -> None:
        """Write what was learned into a directory."""
        ...

    def load(self, directory: Path) -> None:
        """Read what was learned from a directory."""
        ...


class TextEncoder:
    """What encoders share: an answer is encoded as its text."""

    name: str
    size: int
    fingerprint: str

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of texts, shape (n, size)."""
        raise NotImplementedError

    def encode(self, transcripts: Sequence[Transcript]) -> NDArray[np.float32]:
        """Vectors of the agent's last messages, or of the openings where it said nothing yet."""
        return self.encode_texts([_last_said(transcript) for transcript in transcripts])


def _last_said(transcript: Transcript) -> str:
    is_answered = any(
        message.role is Role.ASSISTANT for message in transcript.messages[transcript.n_opening :]
    )
    return transcript.completion_text if is_answered else transcript.prompt_text


def make_encoder(name: str, *, dtype: str = "fp32", device: str = "cpu") -> Any:
    """An encoder by name.

    Args:
        name: hashing, tfidf (to be fitted), embedded, minilm, or hf:DIR.
        dtype: fp32, or bf16 for encoders that are models.
        device: where models compute.

    Example:
        >>> make_encoder("hashing").encode_texts(["two words"]).shape
        (1, 1024)
    """
    kind, _, argument = name.partition(":")
    if kind not in ENCODERS or (argument and kind != "hf"):
        raise unknown("encoder", name, [n for n in ENCODERS if n != "hf"], "or hf:DIR")
    if kind == "hf" and not argument:
        raise LmgymError("encoder 'hf' needs a directory; give hf:DIR")
    if dtype not in DTYPES:
        raise unknown("dtype", dtype, DTYPES)
    arguments = [argument] if argument else []
    return load(ENCODERS[kind])(*arguments, dtype=dtype, device=device)
