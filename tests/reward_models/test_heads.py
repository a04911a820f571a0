"""Heads on arrays: the optimum by hand, soft labels, weights, and what leaves them unchanged."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.reward_models.heads import (
    Comparisons,
    Examples,
    LinearHead,
    MlpHead,
    fit_linear,
    gap_accuracy,
    pair_accuracy,
)
from lmgym.reward_models.mlp import fit_mlp

Array = NDArray[np.float64]


def _comparisons(n: int = 80, d: int = 5, seed: int = 0) -> Comparisons:
    rng = np.random.default_rng(seed)
    chosen, rejected = rng.normal(size=(2, n, d))
    return Comparisons.of(chosen, rejected, rng.random(n), rng.uniform(0.5, 2, n))


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _bradley_terry_gradient(weights: Array, pairs: Comparisons, strength: float) -> Array:
    differences = pairs.chosen - pairs.rejected
    excess = pairs.weights * (_sigmoid(differences @ weights) - pairs.probabilities)
    gradient: Array = excess @ differences + strength * weights
    return gradient


@pytest.mark.parametrize("strength", [0.1, 3.0, 1000.0])
def test_bradley_terry_fit_is_where_the_gradient_by_hand_is_zero(strength: float) -> None:
    pairs = _comparisons()
    weights = fit_linear(pairs, regularisation=strength).weights[0]
    assert np.abs(_bradley_terry_gradient(weights, pairs, strength)).max() < 1e-6


def test_bradley_terry_fit_of_many_features_is_where_the_gradient_is_zero() -> None:
    pairs = _comparisons(60, 400)
    weights = fit_linear(pairs, regularisation=1.0).weights[0]
    assert np.abs(_bradley_terry_gradient(weights, pairs, 1.0)).max() < 1e-3


def test_classification_fit_is_where_the_gradient_by_hand_is_zero() -> None:
    rows = _comparisons().examples()
    head = fit_linear(rows, objective="classification", regularisation=2.0)
    logits = head.rewards(rows.features)[0]
    excess = rows.weights * (_sigmoid(logits) - rows.labels)
    assert np.abs(excess @ rows.features + 2.0 * head.weights[0]).max() < 1e-6
    assert abs(excess.sum()) < 1e-6, "the bias is not penalised"


def test_soft_label_equals_both_hard_labels_with_its_shares_as_weights() -> None:
    chosen, rejected = np.random.default_rng(1).normal(size=(2, 6, 3))
    soft = fit_linear(Comparisons.of(chosen, rejected, 0.75))
    both = np.concatenate([chosen, rejected]), np.concatenate([rejected, chosen])
    hard = fit_linear(Comparisons.of(*both, 1.0, np.repeat([0.75, 0.25], 6)))
    np.testing.assert_allclose(soft.weights, hard.weights, atol=1e-8)


def test_weight_two_equals_the_pair_twice() -> None:
    pairs = _comparisons(20)
    twice = Comparisons.of(
        np.concatenate([pairs.chosen, pairs.chosen]),
        np.concatenate([pairs.rejected, pairs.rejected]),
        np.tile(pairs.probabilities, 2),
        np.tile(pairs.weights, 2),
    )
    doubled = pairs.reweighted(np.full(20, 2.0))
    np.testing.assert_allclose(fit_linear(doubled).weights, fit_linear(twice).weights, atol=1e-8)


def test_pair_of_weight_zero_does_not_count() -> None:
    pairs = _comparisons(20)
    factors = np.array([1.0] * 10 + [0.0] * 10)
    without = fit_linear(pairs[:10]).weights
    np.testing.assert_allclose(fit_linear(pairs.reweighted(factors)).weights, without, atol=1e-8)


@pytest.mark.parametrize("objective", ["bradley_terry", "classification"])
def test_swapped_pair_with_the_other_probability_is_the_same_pair(objective: str) -> None:
    pairs = _comparisons()
    swapped = Comparisons.of(pairs.rejected, pairs.chosen, 1 - pairs.probabilities, pairs.weights)
    heads = [fit_linear(data, objective=objective) for data in (pairs, swapped)]
    np.testing.assert_allclose(heads[0].weights, heads[1].weights, atol=1e-8)


def test_shifting_all_answers_leaves_bradley_terry_unchanged() -> None:
    pairs = _comparisons()
    moved = Comparisons.of(pairs.chosen + 7, pairs.rejected + 7, pairs.probabilities, pairs.weights)
    np.testing.assert_allclose(fit_linear(pairs).weights, fit_linear(moved).weights, atol=1e-8)


def test_monotone_map_of_rewards_leaves_accuracy_unchanged() -> None:
    pairs = _comparisons()
    head = fit_linear(pairs)
    steeper = LinearHead(head.weights * 9, head.bias - 4)
    assert pair_accuracy(head, pairs) == pair_accuracy(steeper, pairs)


def test_accuracy_counts_ties_half_and_unsure_labels_less() -> None:
    gaps, ones = np.array([0.0, 1.0, 1.0]), np.ones(3)
    assert gap_accuracy(gaps, ones, ones) == pytest.approx((0.5 + 1 + 1) / 3)
    assert gap_accuracy(gaps, np.array([1.0, 0.25, 0.5]), ones) == pytest.approx(0.5 / 1.5)
    assert gap_accuracy(gaps, np.full(3, 0.5), ones) == 0.5


def test_certain_labels_of_one_kind_can_be_fitted() -> None:
    head = fit_linear(Examples.of([[0.0], [1.0]], 1.0), objective="classification")
    assert np.isfinite(head.rewards(np.array([[0.5]]))).all()


def test_bradley_terry_of_single_answers_is_refused() -> None:
    single = Examples.of([[0.0]], [1.0])
    with pytest.raises(LmgymError, match="compares two answers and was given single ones"):
        fit_linear(single)
    with pytest.raises(LmgymError, match="compares two answers and was given single ones"):
        fit_mlp(single, single, np.random.default_rng(0))


def test_malformed_arrays_are_refused_by_row() -> None:
    with pytest.raises(LmgymError, match=r"shapes \(1, 2\) and \(1, 3\)"):
        Comparisons.of(np.zeros((1, 2)), np.zeros((1, 3)))
    with pytest.raises(LmgymError, match=r"probabilities\[1\] is 1.5; allowed is 0 to 1"):
        Comparisons.of(np.zeros((2, 1)), np.zeros((2, 1)), [1.0, 1.5])
    with pytest.raises(LmgymError, match=r"weights\[0\] is nan; allowed is 0 or more"):
        Examples.of(np.zeros((1, 1)), [1.0], [np.nan])
    with pytest.raises(LmgymError, match=r"labels of shape \(2,\) for 1 rows"):
        Examples.of(np.zeros((1, 1)), [1.0, 0.0])


def test_mlp_rewards_are_those_of_the_formula() -> None:
    rng = np.random.default_rng(0)
    shapes = ((2, 4, 3), (2, 4), (2, 4), (2,))
    first, first_bias, second, bias = (rng.normal(size=shape) for shape in shapes)
    head, features = MlpHead(first, first_bias, second, bias), rng.normal(size=(5, 3))
    by_hand = [
        [
            sum(s * max(0, f @ x + b) for s, f, b in zip(*units, strict=True)) + bias[k]
            for x in features
        ]
        for k, units in enumerate(zip(second, first, first_bias, strict=True))
    ]
    np.testing.assert_allclose(head.rewards(features), by_hand, atol=1e-12)


def test_mlp_learns_what_no_linear_head_can() -> None:
    rng = np.random.default_rng(0)
    chosen, rejected = rng.normal(size=(2, 400, 2))
    is_first = np.abs(chosen[:, 0]) > np.abs(rejected[:, 0])  # the larger, whatever its sign
    pairs = Comparisons.of(chosen, rejected, is_first)
    head = fit_mlp(pairs[:300], pairs[300:], rng, regularisation=0.1)
    assert pair_accuracy(head, pairs[300:]) > 0.85
    assert pair_accuracy(fit_linear(pairs[:300]), pairs[300:]) < 0.65


@pytest.mark.parametrize("objective", ["bradley_terry", "classification"])
def test_same_seed_gives_the_same_mlp(objective: str) -> None:
    pairs = _comparisons()
    first, second = (
        fit_mlp(pairs, pairs, np.random.default_rng(3), objective=objective, epochs=3)
        for _ in range(2)
    )
    assert (first.hidden_weights == second.hidden_weights).all()
    assert (first.weights == second.weights).all()
