"""Which comparisons are labelled next."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.preferences.acquisition import RULES, acquire


def pool(m: int = 40, d: int = 3) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.random.default_rng(1).normal(size=(m, d))


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_chooses_different_comparisons_and_repeats_with_the_seed(rule: str) -> None:
    options: dict[str, Any] = {"weights": [1.0, -1.0, 0.5]}
    chosen = acquire(rule, pool(), 10, np.random.default_rng(0), **options)
    assert len(set(chosen.tolist())) == 10
    assert (chosen == acquire(rule, pool(), 10, np.random.default_rng(0), **options)).all()
    everything = acquire(rule, pool(), 40, np.random.default_rng(0), **options)
    assert sorted(everything.tolist()) == [*range(40)]
    assert len(acquire(rule, pool(), 0, np.random.default_rng(0))) == 0


def test_entropy_takes_the_nearest_to_a_coin_toss_and_max_difference_the_farthest() -> None:
    w = np.array([1.0, 2.0, 3.0])
    by_gap = np.argsort(np.abs(pool() @ w))
    rng = np.random.default_rng(0)
    assert acquire("entropy", pool(), 5, rng, weights=w).tolist() == by_gap[:5].tolist()
    far = acquire("max_difference", pool(), 5, rng, weights=w)
    assert far.tolist() == by_gap[:-6:-1].tolist()


def test_without_an_estimate_entropy_is_random() -> None:
    chosen = acquire("entropy", pool(), 5, np.random.default_rng(0))
    assert (chosen == acquire("random", pool(), 5, np.random.default_rng(0))).all()


def test_fisher_is_the_greedy_maximum_of_the_log_determinant() -> None:
    differences, w, ridge = pool(12), np.array([0.5, -1.0, 2.0]), 0.1
    known = pool(3) + 1
    p = 1 / (1 + np.exp(-differences @ w))
    q = 1 / (1 + np.exp(-known @ w))
    information = ridge * np.eye(3) + (known * (q * (1 - q))[:, None]).T @ known
    expected: list[int] = []
    for _ in range(6):
        gains = [
            -np.inf
            if i in expected
            else np.linalg.slogdet(information + p[i] * (1 - p[i]) * np.outer(d, d))[1]
            for i, d in enumerate(differences)
        ]
        best = int(np.argmax(gains))
        expected.append(best)
        information += p[best] * (1 - p[best]) * np.outer(differences[best], differences[best])
    chosen = acquire(
        "fisher", differences, 6, np.random.default_rng(0), weights=w, labelled=known, ridge=ridge
    )
    assert chosen.tolist() == expected


def test_fisher_survives_certain_comparisons() -> None:
    chosen = acquire("fisher", [[1e6], [1.0]], 1, np.random.default_rng(0), weights=[1.0])
    assert chosen.tolist() == [1]


@pytest.mark.parametrize(
    ("rule", "n", "options", "said"),
    [
        ("fischer", 1, {}, "unknown acquisition rule 'fischer'; known: fisher"),
        ("random", 41, {}, r"41 comparisons of differences of shape \(40, 3\)"),
        ("fisher", 1, {"ridge": 0}, "ridge 0 is out of range"),
    ],
)
def test_what_cannot_be_chosen_is_an_error(
    rule: str, n: int, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(LmgymError, match=said):
        acquire(rule, pool(), n, np.random.default_rng(0), **options)
