"""Noise on rewards, as annotators and models make it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.rewards.batches import Compound, scored_by
from lmgym.rewards.chance import checked_seed, digest, draw_normals, draw_uniforms, written_keys
from lmgym.rewards.names import as_source
from lmgym.rewards.source import Reward, RewardBatch
from lmgym.rewards.units import prefixes
from lmgym.transcript import Transcript

__all__ = ["Noise"]


class Noise(Compound):
    """A source that errs: Gaussian noise on every number it pays, or flips of 0 and 1.

    The noise follows from the seed and from what was written up to the unit that is paid
    (`lmgym.rewards.chance`), so scoring is pure, and a unit's reward stays as it is while the
    episode goes on. The std stays that of the source.

    Args:
        source: what is disturbed.
        scale: standard deviation of the noise, in units of the reward.
        flip: probability that a number r is paid as 1 - r instead.
        seed: other seeds, other noise.

    Example:
        >>> said = [Transcript.from_strings("1+1=", str(n)) for n in range(8)]
        >>> Noise("verifier", flip=0.25).score(said).outcome
        array([0., 0., 1., 0., 0., 0., 0., 1.])
    """

    def __init__(
        self, source: Reward, *, scale: float = 0.0, flip: float = 0.0, seed: int = 0
    ) -> None:
        """Check the amounts."""
        if not (np.isfinite(scale) and scale >= 0):
            raise LmgymError(f"scale={scale} is no standard deviation; give a number from 0 up")
        if not 0 <= flip <= 1:
            raise LmgymError(f"flip={flip} is no probability; give a number from 0 to 1")
        self.source, self.scale, self.flip = as_source(source), scale, flip
        self.seed, self._sources = checked_seed(seed), (self.source,)
        self.level, self.is_causal = self.source.level, self.source.is_causal

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """Score, then disturb."""
        batch = scored_by(self.source, transcripts)
        outcome = self._disturbed(batch.outcome, written_keys(transcripts, self.seed))
        if batch.dense is None:
            return replace(batch, outcome=outcome)
        dense = [
            self._disturbed(units, self._unit_keys(transcript))
            for units, transcript in zip(batch.dense, transcripts, strict=True)
        ]
        return replace(batch, outcome=outcome, dense=dense)

    def _disturbed(self, values: NDArray[np.float64], keys: Sequence[bytes]) -> NDArray[np.float64]:
        if not keys:
            return values
        is_flipped = draw_uniforms([digest(b"flip", key) for key in keys]) < self.flip
        disturbed = np.where(is_flipped, 1 - values, values)
        return disturbed + self.scale * draw_normals(keys) if self.scale else disturbed

    def _unit_keys(self, transcript: Transcript) -> list[bytes]:
        """What was written up to the end of each unit, as 16 bytes."""
        if not transcript.segments:
            return written_keys(prefixes(transcript, self.level)[1:], self.seed)
        keys = []
        for index, segment in enumerate(transcript.segments):
            problem = repr((transcript.task_id, self.seed, index)).encode("utf-8", "surrogatepass")
            written, start, ids = blake2b(problem, digest_size=16), 0, np.array(segment.ids, "<i8")
            for end in segment.unit_ends(self.level):
                written.update(ids[start:end].tobytes())
                keys.append(written.digest())
                start = end
        return keys
