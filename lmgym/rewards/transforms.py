"""One source, its numbers changed: clipped, shifted or normalised.

The parts stay those of the source, so that what it said can be read beside what is paid.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, isnan

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.rewards.batches import Compound, changed, fingerprint_of, scored_by, totals
from lmgym.rewards.names import as_source
from lmgym.rewards.source import Reward, RewardBatch
from lmgym.transcript import Transcript

__all__ = ["Clip", "RunningNormalization", "Shift"]


class Clip(Compound):
    """Every number that a source pays, outcome or unit, held between two bounds.

    The std stays as it is, an upper bound: clipping brings numbers no further apart.

    Args:
        source: what is clipped.
        low: the least that is paid.
        high: the most that is paid.

    Example:
        >>> said = Transcript.from_strings("?", "a" * 500)
        >>> Clip("length:characters", high=100).score([said]).outcome
        array([100.])
    """

    def __init__(self, source: Reward, low: float = -np.inf, high: float = np.inf) -> None:
        """Check the bounds."""
        if isnan(low) or isnan(high) or low > high:
            raise LmgymError(f"low={low}, high={high} leave nothing; low <= high must hold")
        self.source, self.low, self.high = as_source(source), low, high
        self._sources = (self.source,)
        self.level, self.is_causal = self.source.level, self.source.is_causal

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """Clip the numbers."""
        return changed(scored_by(self.source, transcripts), self._clipped, self._clipped)

    def _clipped(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip(values, self.low, self.high)


class Shift(Compound):
    """A constant on top of every number that a source pays, outcome or unit.

    On outcomes it changes no preference among episodes. On units it pays for their number: where
    episodes differ in length the best policy changes (a positive shift makes it dawdle, a negative
    one hurry), which `PotentialShaping` never does.

    Args:
        source: what is shifted.
        by: the constant.

    Example:
        >>> Shift("verifier", -0.5).score([Transcript.from_strings("1+1=", "3")]).outcome
        array([-0.5])
    """

    def __init__(self, source: Reward, by: float) -> None:
        """Take level and timing from the source."""
        if not isfinite(by):
            raise LmgymError(f"by={by} is not finite; give a number")
        self.source, self.by = as_source(source), by
        self._sources = (self.source,)
        self.level, self.is_causal = self.source.level, self.source.is_causal

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """Add the constant."""
        batch = scored_by(self.source, transcripts)
        return changed(batch, lambda outcome: outcome + self.by, lambda units: units + self.by)


class RunningNormalization:
    """A source whose totals have mean 0 and standard deviation 1 over the episodes taken in.

    The statistics are a state, and `score` never changes it: the same batch is paid the same until
    the next `update`, which its owner calls, once before training (Stiennon et al., 2020) or
    between updates of the policy. Before the first one nothing is changed. An episode is paid
    (r - mean) / std in total: the mean is taken from the outcome, units are only scaled.

    Args:
        source: what is normalised.

    Example:
        >>> source = RunningNormalization("length:characters")
        >>> said = [Transcript.from_strings("?", "a" * n) for n in (2, 4, 6)]
        >>> source.update(said)
        >>> source.mean, source.count, source.score(said[1:]).outcome.round(3)
        (4.0, 3, array([0.   , 1.225]))
    """

    def __init__(self, source: Reward) -> None:
        """Start without statistics."""
        self.source = as_source(source)
        self.level, self.is_causal = self.source.level, self.source.is_causal
        self.count, self.mean, self._squares = 0, 0.0, 0.0

    @property
    def std(self) -> float:
        """Standard deviation of the totals so far; 1 where they differ by rounding at most."""
        std = (self._squares / max(1, self.count)) ** 0.5
        return std if std > 1e-8 * max(1.0, abs(self.mean)) else 1.0

    @property
    def fingerprint(self) -> str:
        """What tells it apart, the statistics included, for `Cached`."""
        state = (self.count, self.mean, self._squares)
        return f"{type(self).__name__}({fingerprint_of(self.source)}, {state})"

    def update(self, transcripts: Sequence[Transcript]) -> None:
        """Take in what the source pays for these episodes, but for those it cannot score."""
        batch = scored_by(self.source, transcripts)
        paid = totals(batch)
        paid = paid if batch.unscored is None else paid[~batch.unscored]
        if not len(paid):
            return
        count, difference = self.count + len(paid), float(paid.mean()) - self.mean
        # merged as by Chan, Golub and LeVeque (1983)
        self._squares += float(((paid - paid.mean()) ** 2).sum())
        self._squares += difference**2 * self.count * len(paid) / count
        self.mean += difference * len(paid) / count
        self.count = count

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """Normalise by the statistics as they are."""
        mean, scale = self.mean, 1 / self.std
        batch = scored_by(self.source, transcripts)
        return changed(
            batch, lambda outcome: (outcome - mean) * scale, lambda units: units * scale, scale
        )
