"""Who says which of two answers is better, where a gold score is known.

An annotator takes the scores of the first and the second answers and returns labels: 1 where it
prefers the first, 0 where the second, 0.5 where it cannot tell. A person who has no score but eyes
is `lmgym.preferences.terminal`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lmgym.errors import LmgymError

__all__ = [
    "Annotator",
    "BradleyTerryAnnotator",
    "FlipAnnotator",
    "GoldAnnotator",
    "UndecidedAnnotator",
]

_Floats = NDArray[np.float64]


class Annotator(Protocol):
    """Labels comparisons."""

    def label(self, first: ArrayLike, second: ArrayLike, rng: np.random.Generator) -> _Floats:
        """The labels of n comparisons, in [0, 1], from the gold scores of both sides, (n,) each."""
        ...


@dataclass(frozen=True)
class GoldAnnotator:
    """Prefers the higher score; equal scores are a tie.

    Example:
        >>> GoldAnnotator().label([1.0, 0.5], [0.0, 0.5], np.random.default_rng(0))
        array([1. , 0.5])
    """

    def label(self, first: ArrayLike, second: ArrayLike, rng: np.random.Generator) -> _Floats:
        """Draws nothing from `rng`."""
        del rng
        return (np.sign(_gaps(first, second)) + 1) / 2


@dataclass(frozen=True)
class BradleyTerryAnnotator:
    """Prefers the first with probability sigmoid(gap / temperature) (Bradley and Terry 1952).

    Attributes:
        temperature: above 0, in units of the score; the larger, the more often it is wrong.

    Example:
        >>> annotator = BradleyTerryAnnotator(0.1)
        >>> annotator.label([1.0, 0.0], [0.0, 1.0], np.random.default_rng(0))
        array([1., 0.])
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        """Raise for a temperature that is none."""
        if not self.temperature > 0:
            raise LmgymError(f"temperature {self.temperature} is out of range; give one above 0")

    def probabilities(self, first: ArrayLike, second: ArrayLike) -> _Floats:
        """How likely the first of each comparison is preferred, shape (n,): soft labels."""
        return 0.5 * (1 + np.tanh(_gaps(first, second) / (2 * self.temperature)))

    def label(self, first: ArrayLike, second: ArrayLike, rng: np.random.Generator) -> _Floats:
        """One draw for each comparison."""
        probabilities = self.probabilities(first, second)
        return (rng.random(len(probabilities)) < probabilities).astype(np.float64)


@dataclass(frozen=True)
class FlipAnnotator:
    """Says the opposite of another annotator with some probability.

    Attributes:
        probability: of the opposite, in [0, 1].
        annotator: the other one.

    Example:
        >>> FlipAnnotator(1.0).label([1.0], [0.0], np.random.default_rng(0))
        array([0.])
    """

    probability: float
    annotator: Annotator = field(default_factory=GoldAnnotator)

    def __post_init__(self) -> None:
        """Raise for a probability that is none."""
        if not 0 <= self.probability <= 1:
            raise LmgymError(f"probability {self.probability} is out of range; give 0 to 1")

    def label(self, first: ArrayLike, second: ArrayLike, rng: np.random.Generator) -> _Floats:
        """The other's labels, some of them turned round."""
        labels = self.annotator.label(first, second, rng)
        is_flipped = rng.random(len(labels)) < self.probability
        return np.where(is_flipped, 1 - labels, labels)


@dataclass(frozen=True)
class UndecidedAnnotator:
    """Never tells: for pairs that somebody is asked about later.

    Example:
        >>> UndecidedAnnotator().label([1.0], [0.0], np.random.default_rng(0))
        array([0.5])
    """

    def label(self, first: ArrayLike, second: ArrayLike, rng: np.random.Generator) -> _Floats:
        """One half for each comparison; draws nothing from `rng`."""
        del rng
        return np.full(len(_gaps(first, second)), 0.5)


def _gaps(first: ArrayLike, second: ArrayLike) -> _Floats:
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.ndim != 1 or a.shape != b.shape or not np.isfinite(a - b).all():
        raise LmgymError(
            f"scores of shapes {a.shape} and {b.shape}; two flat lists of finite numbers of the"
            " same length are needed"
        )
    return a - b
