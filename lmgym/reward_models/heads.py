"""Heads on plain arrays: features in, rewards out; linear and one hidden layer.

A comparison says with which probability `chosen` is better than `rejected`. Bradley and Terry
(1952) give it the likelihood sigmoid(r(chosen) - r(rejected)). Classification looks at single
answers, winners 1 and losers 0, and takes the logit as the reward: any monotone function of the
reward orders answers alike (Sun, Shen and Ton, 2025).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lmgym.errors import LmgymError

__all__ = [
    "Comparisons",
    "Examples",
    "LinearHead",
    "MlpHead",
    "fit_linear",
    "gap_accuracy",
    "pair_accuracy",
]

Array = NDArray[np.float64]

_NEWTON_FEATURES = 300
"""Up to so many features the Hessian is inverted; it is exact, and fast while it is small."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparisons:
    """Pairs of answers as features.

    Attributes:
        chosen: shape (n, d).
        rejected: shape (n, d).
        probabilities: that the chosen one is better, shape (n,).
        weights: of the pairs, shape (n,).
    """

    chosen: Array
    rejected: Array
    probabilities: Array
    weights: Array

    @classmethod
    def of(
        cls,
        chosen: ArrayLike,
        rejected: ArrayLike,
        probabilities: ArrayLike = 1.0,
        weights: ArrayLike = 1.0,
    ) -> Comparisons:
        """Comparisons of arrays; one probability or weight may stand for all.

        Example:
            >>> Comparisons.of([[1.0]], [[0.0]]).probabilities
            array([1.])
        """
        first, second = np.asarray(chosen, np.float64), np.asarray(rejected, np.float64)
        if first.ndim != 2 or first.shape != second.shape or not len(first):
            raise LmgymError(
                f"features of shapes {first.shape} and {second.shape}; give two arrays of the same"
                " shape (n, d) with n at least 1"
            )
        return cls(
            first,
            second,
            _column("probabilities", probabilities, len(first), most=1.0),
            _column("weights", weights, len(first)),
        )

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self.chosen)

    def __getitem__(self, rows: Any) -> Comparisons:
        """Some of the pairs."""
        return Comparisons(
            self.chosen[rows], self.rejected[rows], self.probabilities[rows], self.weights[rows]
        )

    def reweighted(self, factors: Array) -> Comparisons:
        """The same pairs with their weights multiplied."""
        return Comparisons(self.chosen, self.rejected, self.probabilities, self.weights * factors)

    def examples(self) -> Examples:
        """Each answer for itself, labelled with the probability that it is the better one."""
        labels = np.concatenate([self.probabilities, 1 - self.probabilities])
        features = np.concatenate([self.chosen, self.rejected])
        return Examples(features, labels, np.tile(self.weights, 2))


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Single answers as features.

    Attributes:
        features: shape (n, d).
        labels: in [0, 1], shape (n,).
        weights: shape (n,).
    """

    features: Array
    labels: Array
    weights: Array

    @classmethod
    def of(cls, features: ArrayLike, labels: ArrayLike, weights: ArrayLike = 1.0) -> Examples:
        """Examples of arrays; one weight may stand for all."""
        given = np.asarray(features, np.float64)
        if given.ndim != 2 or not len(given):
            raise LmgymError(f"features of shape {given.shape}; give (n, d) with n at least 1")
        return cls(
            given,
            _column("labels", labels, len(given), most=1.0),
            _column("weights", weights, len(given)),
        )

    def __len__(self) -> int:
        """The number of answers."""
        return len(self.features)

    def __getitem__(self, rows: Any) -> Examples:
        """Some of the answers."""
        return Examples(self.features[rows], self.labels[rows], self.weights[rows])

    def reweighted(self, factors: Array) -> Examples:
        """The same answers with their weights multiplied."""
        return Examples(self.features, self.labels, self.weights * factors)


def _column(name: str, given: ArrayLike, n: int, most: float = np.inf) -> Array:
    column = np.asarray(given, np.float64)
    if column.ndim == 0:
        column = np.full(n, column)
    if column.shape != (n,):
        raise LmgymError(f"{name} of shape {column.shape} for {n} rows; give one number a row")
    wrong = np.flatnonzero(~((column >= 0) & (column <= most) & np.isfinite(column)))
    if wrong.size:
        row = int(wrong[0])
        allowed = f"0 to {most:g}" if np.isfinite(most) else "0 or more"
        raise LmgymError(f"{name}[{row}] is {column[row]}; allowed is {allowed}")
    return column


@dataclass(frozen=True, slots=True, eq=False)
class LinearHead:
    """Rewards of K members as weighted sums of features.

    Attributes:
        weights: shape (K, d).
        bias: shape (K,).

    Example:
        >>> LinearHead(np.array([[1.0, -1.0]]), np.zeros(1)).rewards(np.array([[3.0, 1.0]]))
        array([[2.]])
    """

    kind: ClassVar[str] = "linear"
    weights: Array
    bias: Array

    @classmethod
    def stack(cls, heads: Sequence[LinearHead]) -> LinearHead:
        """One head with the members of several."""
        return cls(
            np.concatenate([head.weights for head in heads]),
            np.concatenate([head.bias for head in heads]),
        )

    @property
    def n_features(self) -> int:
        """Features it takes, d."""
        return int(self.weights.shape[1])

    def rewards(self, features: Array) -> Array:
        """Of features of shape (n, d), shape (K, n)."""
        return self.weights @ features.T + self.bias[:, None]


@dataclass(frozen=True, slots=True, eq=False)
class MlpHead:
    """Rewards of K members with one hidden layer of rectified units.

    Attributes:
        hidden_weights: shape (K, h, d).
        hidden_bias: shape (K, h).
        weights: shape (K, h).
        bias: shape (K,).
    """

    kind: ClassVar[str] = "mlp"
    hidden_weights: Array
    hidden_bias: Array
    weights: Array
    bias: Array

    @classmethod
    def stack(cls, heads: Sequence[MlpHead]) -> MlpHead:
        """One head with the members of several."""
        return cls(
            np.concatenate([head.hidden_weights for head in heads]),
            np.concatenate([head.hidden_bias for head in heads]),
            np.concatenate([head.weights for head in heads]),
            np.concatenate([head.bias for head in heads]),
        )

    @property
    def n_features(self) -> int:
        """Features it takes, d."""
        return int(self.hidden_weights.shape[2])

    def rewards(self, features: Array) -> Array:
        """Of features of shape (n, d), shape (K, n)."""
        hidden = np.maximum(self.hidden_weights @ features.T + self.hidden_bias[:, :, None], 0)
        rewards: Array = np.einsum("kh,khn->kn", self.weights, hidden) + self.bias[:, None]
        return rewards


def fit_linear(
    data: Comparisons | Examples, *, objective: str = "bradley_terry", regularisation: float = 1.0
) -> LinearHead:
    """The linear head of least loss, one member.

    The loss is the sum of the rows' weighted cross-entropies and regularisation / 2 times the
    squared length of the weights; the bias of classification is free.

    Args:
        data: comparisons; for classification examples too.
        objective: bradley_terry or classification.
        regularisation: above 0.

    Example:
        >>> pairs = Comparisons.of([[1.0, 0.0]], [[0.0, 0.0]])
        >>> head = fit_linear(pairs, regularisation=1.0)
        >>> head.weights.round(3)  # w = sigmoid(-w)
        array([[0.401, 0.   ]])
    """
    if objective == "classification":
        examples = data.examples() if isinstance(data, Comparisons) else data
        return _logistic(examples, regularisation, has_bias=True)
    if isinstance(data, Examples):
        raise LmgymError(
            "bradley_terry compares two answers and was given single ones; give comparisons, or"
            " use objective='classification'"
        )
    differences = Examples(data.chosen - data.rejected, data.probabilities, data.weights)
    return _logistic(differences, regularisation, has_bias=False)


def _logistic(examples: Examples, regularisation: float, *, has_bias: bool) -> LinearHead:
    """Logistic regression on soft labels: every row twice, as 1 and as 0."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    n, labels, weights = len(examples), examples.labels, examples.weights
    is_small = examples.features.shape[1] <= _NEWTON_FEATURES
    model = LogisticRegression(
        C=1 / regularisation,
        fit_intercept=has_bias,
        solver="newton-cholesky" if is_small else "lbfgs",
        tol=1e-8,
        max_iter=1000,
    )
    with warnings.catch_warnings():
        # At the optimum Newton's line search finds no better point and warns before it stops.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(
            np.concatenate([examples.features, examples.features]),
            np.repeat([1, 0], n),
            sample_weight=np.concatenate([weights * labels, weights * (1 - labels)]),
        )
    bias = np.asarray(model.intercept_, np.float64).reshape(-1) if has_bias else np.zeros(1)
    return LinearHead(np.asarray(model.coef_, np.float64), bias)


def pair_accuracy(head: LinearHead | MlpHead, pairs: Comparisons) -> float:
    """How often the mean of the members puts the likelier answer first."""
    gaps = head.rewards(pairs.chosen).mean(0) - head.rewards(pairs.rejected).mean(0)
    return gap_accuracy(gaps, pairs.probabilities, pairs.weights)


def gap_accuracy(gaps: Array, probabilities: Array, weights: Array) -> float:
    """How often a gap has the sign of what is likelier; a gap of 0 counts one half.

    Pairs count by their weight times how far their label is from one half.

    Example:
        >>> gap_accuracy(np.array([2.0, -1.0]), np.array([1.0, 2 / 3]), np.ones(2))
        0.75
    """
    lean = 2 * probabilities - 1
    worth = weights * np.abs(lean)
    is_right = 0.5 + 0.5 * np.sign(gaps) * np.sign(lean)
    return float((worth * is_right).sum() / worth.sum()) if worth.sum() > 0 else 0.5
