"""How far fitted strengths are from the truth: by a covariance, or by resampled strengths."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Protocol

import numpy as np

from ..arrays import Bools, Floats

__all__ = ["NormalSpread", "SampledSpread", "Spread"]


class Spread(Protocol):
    """Intervals of strengths and of leads between players."""

    def intervals(self, anchor: int | None) -> tuple[Floats, Floats]:
        """The least and the greatest lead over a player, or over the mean, shape (n,) each."""
        ...

    def is_ahead(self) -> Bools:
        """Whether the interval of the row's lead over the column is above 0, shape (n, n)."""
        ...


@dataclass(frozen=True, eq=False)
class NormalSpread:
    """Normal intervals.

    Attributes:
        strengths: shape (n,), of mean 0.
        covariance: shape (n, n).
        confidence: of the intervals.
    """

    strengths: Floats
    covariance: Floats
    confidence: float

    def intervals(self, anchor: int | None) -> tuple[Floats, Floats]:
        """The least and the greatest lead over a player, or over the mean, shape (n,) each."""
        if anchor is None:
            lead, variance = self.strengths, np.diag(self.covariance)
        else:
            lead, variance = self.strengths - self.strengths[anchor], self._variances[anchor]
        half = self._deviations * np.sqrt(np.maximum(variance, 0))
        return lead - half, lead + half

    def is_ahead(self) -> Bools:
        """Whether the interval of the row's lead over the column is above 0, shape (n, n)."""
        leads = self.strengths[:, None] - self.strengths
        return leads > self._deviations * np.sqrt(self._variances)

    @property
    def _deviations(self) -> float:
        return NormalDist().inv_cdf((1 + self.confidence) / 2)

    @cached_property
    def _variances(self) -> Floats:
        """Of leads, shape (n, n)."""
        own = np.diag(self.covariance)
        variances: Floats = np.maximum(own[:, None] + own - 2 * self.covariance, 0)
        return variances


@dataclass(frozen=True, eq=False)
class SampledSpread:
    """Percentiles of resampled strengths.

    Attributes:
        samples: shape (B, n), each of mean 0.
        confidence: of the intervals.
    """

    samples: Floats
    confidence: float

    def intervals(self, anchor: int | None) -> tuple[Floats, Floats]:
        """The least and the greatest lead over a player, or over the mean, shape (n,) each.

        The k-th of B sorted samples stands for the quantile k / (B + 1) (Weibull 1939): the chance
        that another draw of the same kind is below it.
        """
        leads = self.samples
        if anchor is not None:
            leads = leads - leads[:, [anchor]]
        low, high = np.quantile(leads, [self._tail, 1 - self._tail], axis=0, method="weibull")
        return low, high

    def is_ahead(self) -> Bools:
        """Whether the interval of the row's lead over the column is above 0, shape (n, n)."""
        n = self.samples.shape[1]
        others = np.zeros((n, n), np.int64)
        for row in self.samples:
            others += row[:, None] <= row
        return others + 1 <= self._tail * (len(self.samples) + 1)

    @property
    def _tail(self) -> float:
        return (1 - self.confidence) / 2
