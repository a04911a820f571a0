"""Chance without a generator: draws that follow from what was written.

A source is pure, so its chance comes from the transcripts: from the problem, the messages and,
where they are recorded, the log-probabilities of the ids. The same text in the same batch gets the
same draw, whenever it is scored; equal texts of one batch are told apart by their order, so that
the members of a group that agree can still be paid differently.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.transcript import Transcript

__all__ = ["checked_seed", "digest", "draw_normals", "draw_uniforms", "written_keys"]


def checked_seed(seed: int) -> int:
    """The seed, where it is one."""
    if not isinstance(seed, (int, np.integer)):
        raise LmgymError(f"seed={seed!r} is no whole number; give one, equal seeds draw the same")
    return int(seed)


def written_keys(transcripts: Sequence[Transcript], seed: int) -> list[bytes]:
    """16 bytes for each transcript, different for equal ones of the batch."""
    seen: Counter[bytes] = Counter()
    keys = []
    for transcript in transcripts:
        written = _written(transcript)
        keys.append(digest(b"%d/%d/" % (seed, seen[written]), written))
        seen[written] += 1
    return keys


def digest(*parts: bytes) -> bytes:
    """16 bytes that stand for the parts."""
    return blake2b(b"".join(parts), digest_size=16).digest()


def draw_uniforms(keys: Sequence[bytes]) -> NDArray[np.float64]:
    """A number in [0, 1) for each key, shape (n,)."""
    return _uniforms(keys)[:, 0]


def draw_normals(keys: Sequence[bytes]) -> NDArray[np.float64]:
    """A standard normal number for each key, shape (n,) (Box and Muller, 1958)."""
    first, second = _uniforms(keys).T
    drawn: NDArray[np.float64] = np.sqrt(-2 * np.log1p(-first)) * np.cos(2 * np.pi * second)
    return drawn


def _uniforms(keys: Sequence[bytes]) -> NDArray[np.float64]:
    """Two independent numbers for each key, shape (n, 2)."""
    words = np.frombuffer(b"".join(keys), np.dtype("<u8")).reshape(len(keys), 2)
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _written(transcript: Transcript) -> bytes:
    said = [(message.role, message.content) for message in transcript.messages]
    facts = (transcript.task_id, said, transcript.draft, _logprobs(transcript))
    return repr(facts).encode("utf-8", "surrogatepass")


def _logprobs(transcript: Transcript) -> list[int]:
    return [hash(s.logprobs) for s in transcript.segments if s.logprobs is not None]
