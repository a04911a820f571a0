"""From transcripts to the numbers that a head sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lmgym.task import Message, Role
from lmgym.transcript import Transcript

__all__ = ["EncodesTexts", "Projection", "conversation", "raw_features"]

Array = NDArray[np.float64]

_LENGTH_SCALE = 5.0
"""How much larger than an encoding's features the log-length is, so that its weight is hardly
penalised: one number, and often the best single one."""


class EncodesTexts(Protocol):
    """What features need of an encoder, or of a cache before one."""

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of texts, shape (n, size)."""
        ...


def conversation(transcript: Transcript) -> tuple[Message, ...]:
    """The messages that end with the agent's last one, or with what it has written of one."""
    messages = transcript.messages
    if transcript.draft:
        return (*messages, Message(Role.ASSISTANT, transcript.draft))
    for index in range(len(messages) - 1, transcript.n_opening - 1, -1):
        if messages[index].role is Role.ASSISTANT:
            return messages[: index + 1]
    return (*messages, Message(Role.ASSISTANT, ""))


def raw_features(
    encoder: EncodesTexts, transcripts: Sequence[Transcript], inputs: str
) -> NDArray[np.float64]:
    """Encodings with the log-length of the answer as the last column, shape (n, D + 1).

    Args:
        encoder: encodes each different text once.
        transcripts: what is scored.
        inputs: "answer"; "prompt_and_answer", which adds the product of both encodings; or
            "conversation", one encoding of both texts together.
    """
    answers = [transcript.completion_text for transcript in transcripts]
    contexts = [transcript.context_text for transcript in transcripts]
    if inputs == "conversation":
        texts = [f"{context}\n{answer}" for context, answer in zip(contexts, answers, strict=True)]
        encoded = _encode(encoder, texts)
    elif inputs == "prompt_and_answer":
        both = _encode(encoder, answers + contexts)
        answer, context = both[: len(answers)], both[len(answers) :]
        # Vectors of length 1 stay about as long.
        product = answer * context * np.sqrt(both.shape[1], dtype=np.float32)
        encoded = np.concatenate([answer, product], 1)
    else:
        encoded = _encode(encoder, answers)
    lengths = np.log1p([len(answer) for answer in answers])
    return np.concatenate([encoded, lengths.reshape(-1, 1)], 1, dtype=np.float64)


def _encode(encoder: EncodesTexts, texts: list[str]) -> NDArray[np.float32]:
    different = list(dict.fromkeys(texts))
    rows = {text: row for row, text in enumerate(different)}
    return encoder.encode_texts(different)[[rows[text] for text in texts]]


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """Centres encodings, keeps their principal components and brings all to one scale.

    Attributes:
        mean: of the encodings and the log-length, shape (D + 1,).
        directions: the principal components, shape (D, k); None keeps the encoding.
        scale: what each feature is divided by, shape (k + has_length,).
    """

    mean: Array
    directions: Array | None
    scale: Array

    @classmethod
    def fit(cls, raw: Array, components: int | None, *, has_length: bool) -> Projection:
        """From the raw features of training answers, shape (n, D + 1).

        No components, 0 or None, keep the encoding as it is.
        """
        mean = raw.mean(0)
        encoded = raw[:, :-1] - mean[:-1]
        directions = None
        if components and components < encoded.shape[1]:
            directions = _principal(encoded, min(components, len(encoded)))
            encoded = encoded @ directions
        scale = np.full(encoded.shape[1], np.sqrt(encoded.var(0).sum() / max(encoded.shape[1], 1)))
        if has_length:
            scale = np.append(scale, raw[:, -1].std() / _LENGTH_SCALE)
        return cls(mean, directions, np.where(scale > 1e-12, scale, 1.0))

    def apply(self, raw: Array) -> Array:
        """The features of raw features of shape (n, D + 1), shape (n, d)."""
        centred = raw - self.mean
        encoded = centred[:, :-1]
        if self.directions is not None:
            encoded = encoded @ self.directions
        if len(self.scale) > encoded.shape[1]:
            encoded = np.concatenate([encoded, centred[:, -1:]], 1)
        return encoded / self.scale


def _principal(centred: Array, k: int) -> Array:
    """The k directions of greatest variance, shape (D, k), each with its largest entry positive."""
    from scipy.linalg import eigh

    n, size = centred.shape
    is_wide = size > n  # then the smaller matrix has the same eigenvalues
    matrix = centred @ centred.T if is_wide else centred.T @ centred
    values, vectors = eigh(matrix, subset_by_index=[len(matrix) - k, len(matrix) - 1])
    kept = values > values[-1] * 1e-10
    found = vectors[:, kept][:, ::-1]
    if is_wide:
        found = centred.T @ found
        found /= np.linalg.norm(found, axis=0)
    signs = np.sign(found[np.abs(found).argmax(0), np.arange(found.shape[1])])
    return np.ascontiguousarray(found * signs)
