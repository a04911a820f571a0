import math
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmgym.errors import LmgymError
from lmgym.training.uncertainty import (
    bootstrap_interval,
    mean_interval,
    pass_at_k,
    permutation_test,
    wilson_interval,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [  # Newcombe 1998, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_equals_published_values(
    successes: int, trials: int, low: float, high: float
) -> None:
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(0, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share(counts: tuple[int, int]) -> None:
    low, high = wilson_interval(*counts)
    assert 0 <= low <= (counts[0] / counts[1] if counts[1] else 0) <= high <= 1


@pytest.mark.parametrize("counts", [(-1, 2), (3, 2)])
def test_impossible_counts_are_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(LmgymError, match="must be between 0 and trials"):
        wilson_interval(*counts)


@pytest.mark.parametrize(
    ("n", "t"),  # the 0.975 quantile of Student's t at n - 1 degrees, from tables
    [(2, 12.706), (3, 4.303), (4, 3.182), (5, 2.776), (6, 2.571), (11, 2.228), (31, 2.042),
     (1001, 1.962)],
)  # fmt: skip
def test_mean_interval_uses_students_t(n: int, t: float) -> None:
    values = rng().normal(size=n)
    interval = mean_interval(list(values))
    half = (interval.high - interval.low) / 2
    assert half / (values.std(ddof=1) / math.sqrt(n)) == pytest.approx(t, abs=6e-4)
    assert interval.mean == pytest.approx(values.mean())


def test_one_value_has_no_interval() -> None:
    interval = mean_interval([3.0])
    assert (interval.mean, interval.low, interval.high) == (3.0, -math.inf, math.inf)


def test_bootstrap_is_near_the_normal_interval_and_repeatable() -> None:
    values = list(rng(1).normal(5.0, 2.0, size=400))
    interval = bootstrap_interval(values, rng(), n_resamples=4000)
    assert interval.low == pytest.approx(np.mean(values) - 1.96 * 2 / 20, abs=0.05)
    assert interval.high == pytest.approx(np.mean(values) + 1.96 * 2 / 20, abs=0.05)
    assert interval == bootstrap_interval(values, rng(), n_resamples=4000)


def test_unpaired_permutation_test_counts_relabellings() -> None:
    a, b = [2.1, 3.5, 4.0], [1.0, 2.0, 3.6, 0.4]
    pooled, observed = a + b, sum(a) / 3 - sum(b) / 4
    count = 0
    for rows in combinations(range(7), 3):
        first = sum(pooled[i] for i in rows)
        count += first / 3 - (sum(pooled) - first) / 4 >= observed - 1e-12
    got = permutation_test(a, b, rng(), alternative="greater")
    assert got == pytest.approx(count / 35)


def test_paired_permutation_test_counts_sign_flips() -> None:
    a, b = [0.5, 0.7, 0.9, 0.4], [0.4, 0.75, 0.2, 0.1]
    differences = [x - y for x, y in zip(a, b, strict=True)]
    flips = [sum(s * d for s, d in zip(signs, differences, strict=True))
             for signs in product((1, -1), repeat=4)]  # fmt: skip
    count = sum(abs(flip) >= abs(sum(differences)) - 1e-12 for flip in flips)
    assert permutation_test(a, b, rng(), is_paired=True) == pytest.approx(count / 16)


def test_alternatives_look_at_their_side() -> None:
    a, b = [5.0, 6.0, 7.0, 8.0], [1.0, 2.0, 3.0, 4.0]
    assert permutation_test(a, b, rng(), alternative="greater") == pytest.approx(1 / 70)
    assert permutation_test(a, b, rng(), alternative="two-sided") == pytest.approx(2 / 70)
    assert permutation_test(a, b, rng(), alternative="less") == 1


@pytest.mark.parametrize("is_paired", [True, False])
def test_sampled_p_values_are_near_exact_ones_and_never_zero(is_paired: bool) -> None:
    a, b = list(rng(2).normal(0.8, 1, 10)), list(rng(3).normal(0, 1, 10))
    exact = permutation_test(a, b, rng(), is_paired=is_paired, n_resamples=200_000)
    sampled = permutation_test(a, b, rng(), is_paired=is_paired, n_resamples=900)
    assert sampled == pytest.approx(exact, abs=0.03)
    apart = permutation_test([9.0 + i for i in range(20)], list(range(-20, 0)), rng())
    assert apart == pytest.approx(1 / 10_001)


def test_equal_samples_are_no_evidence() -> None:
    assert permutation_test([0.1, 0.2, 0.3], [0.1, 0.2, 0.3], rng()) == 1


def test_paired_samples_need_one_length() -> None:
    with pytest.raises(LmgymError, match="given 2 and 1 values"):
        permutation_test([1, 2], [1], rng(), is_paired=True)


def test_unknown_alternative_is_told() -> None:
    with pytest.raises(LmgymError, match="unknown alternative 'more'"):
        permutation_test([1], [1], rng(), alternative="more")  # type: ignore[arg-type]


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6])
def test_pass_at_k_is_the_mean_over_subsets(k: int) -> None:
    answers = [True, False, False, True, False, False]
    subsets = list(combinations(answers, k))
    assert pass_at_k(6, 2, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def test_pass_at_k_of_many_samples_stays_finite() -> None:
    assert pass_at_k(10_000, 1, 5_000) == pytest.approx(0.5)


@pytest.mark.parametrize("counts", [(4, 5, 1), (4, 1, 5), (4, 1, 0), (0, 0, 1)])
def test_impossible_pass_at_k_is_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(LmgymError, match="needs 1 <= k <= n"):
        pass_at_k(*counts)


def test_empty_samples_are_refused() -> None:
    with pytest.raises(LmgymError, match="at least one value"):
        mean_interval([])


def test_confidence_must_be_a_share() -> None:
    with pytest.raises(LmgymError, match=r"between 0 and 1, as 0\.95; given 95"):
        wilson_interval(1, 2, confidence=95)
