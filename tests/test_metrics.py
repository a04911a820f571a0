"""Metrics of k samples: equal to what going through all subsets gives, and unbiased."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmgym.errors import LmgymError
from lmgym.metrics import (
    MOST_SAMPLES,
    Estimate,
    best_at_k,
    majority_at_k,
    parse_metrics,
    pass_at_k,
)
from lmgym.training.uncertainty import wilson_interval

RIGHT = {1, 2}
"""Values of answers that are right in these tests; two, so that ties among right ones occur."""


def mean_over_subsets(n: int, k: int, value: Callable[[Sequence[int]], float]) -> float:
    return float(np.mean([value(subset) for subset in itertools.combinations(range(n), k)]))


def voted(answers: Sequence[int | None], is_correct: Sequence[bool]) -> float:
    """Whether a vote is right: the mean over those who gave one of the most frequent answers."""
    votes = Counter(answer for answer in answers if answer is not None)
    if not votes:
        return 0.0
    winners = [answer for answer, count in votes.items() if count == max(votes.values())]
    pairs = list(zip(answers, is_correct, strict=True))
    return float(np.mean([np.mean([ok for a, ok in pairs if a == winner]) for winner in winners]))


ANSWERS = st.lists(st.one_of(st.none(), st.integers(1, 4)), min_size=1, max_size=8)


# Majorities


@given(ANSWERS)
def test_a_majority_is_the_mean_over_all_subsets(answers: list[int | None]) -> None:
    is_correct = [answer in RIGHT for answer in answers]
    expected = [
        mean_over_subsets(
            len(answers), k, lambda s: voted([answers[i] for i in s], [is_correct[i] for i in s])
        )
        for k in range(1, len(answers) + 1)
    ]
    np.testing.assert_allclose(majority_at_k(answers, is_correct), expected, atol=1e-12)


@given(st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=7))
def test_an_answer_that_is_right_at_times_counts_as_often(pairs: list[tuple[int, bool]]) -> None:
    answers, is_correct = [a for a, _ in pairs], [ok for _, ok in pairs]
    expected = [
        mean_over_subsets(
            len(pairs), k, lambda s: voted([answers[i] for i in s], [is_correct[i] for i in s])
        )
        for k in range(1, len(pairs) + 1)
    ]
    np.testing.assert_allclose(majority_at_k(answers, is_correct), expected, atol=1e-12)


def test_a_majority_of_one_is_one_sample() -> None:
    answers = [1, 1, 7, None, 5]
    assert majority_at_k(answers, [a == 1 for a in answers])[0] == pytest.approx(2 / 5)


def test_who_is_tied_shares_the_chance() -> None:
    assert majority_at_k([1, 3], [True, False]).tolist() == [0.5, 0.5]
    assert majority_at_k([1, 3, 4], [True, False, False])[2] == pytest.approx(1 / 3)


def test_who_says_nothing_has_no_vote() -> None:
    found = majority_at_k([1, None, None, None], [True, False, False, False])
    assert found.tolist() == pytest.approx([1 / 4, 1 / 2, 3 / 4, 1])
    assert majority_at_k([None, None], [False, False]).tolist() == [0, 0]


def test_a_majority_is_unbiased_from_more_samples_than_it_takes() -> None:
    chances, rng = np.array([0.35, 0.2, 0.15, 0.3]), np.random.default_rng(0)
    k, n, problems = 4, 9, 4000
    drawn = rng.choice(4, (problems, n), p=chances)
    estimates = [majority_at_k(row.tolist(), (row == 0).tolist())[k - 1] for row in drawn]
    truth = 0.0  # over all outcomes of k draws
    for outcome in itertools.product(range(4), repeat=k):
        is_correct = [answer == 0 for answer in outcome]
        truth += float(chances[list(outcome)].prod()) * voted(outcome, is_correct)
    error = np.std(estimates, ddof=1) / np.sqrt(problems)
    assert abs(np.mean(estimates) - truth) < 4 * error
    first_k = [voted(row[:k].tolist(), (row[:k] == 0).tolist()) for row in drawn]
    assert np.var(estimates) < 0.7 * np.var(first_k)  # what n > k is for


def test_as_many_samples_as_are_allowed_are_counted_exactly() -> None:
    answers = [1] * 500 + [3] * 500
    found = majority_at_k(answers, [a == 1 for a in answers])
    np.testing.assert_allclose(found, 0.5, rtol=1e-9)
    with pytest.raises(LmgymError, match="from 1 to 1000"):
        majority_at_k([1] * (MOST_SAMPLES + 1), [True] * (MOST_SAMPLES + 1))


# The best, and any


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=7))
def test_the_best_is_the_mean_over_all_subsets(pairs: list[tuple[int, bool]]) -> None:
    rewards, is_correct = [float(r) for r, _ in pairs], [float(ok) for _, ok in pairs]

    def of_subset(subset: Sequence[int]) -> float:
        top = max(rewards[i] for i in subset)
        return float(np.mean([is_correct[i] for i in subset if rewards[i] == top]))

    for k in range(1, len(pairs) + 1):
        expected = mean_over_subsets(len(pairs), k, of_subset)
        assert best_at_k(rewards, is_correct, k) == pytest.approx(expected)


def test_what_has_no_reward_is_taken_last() -> None:
    assert best_at_k([None, 0.0, 1.0], [1, 0, 0], 2) == 0
    assert best_at_k([None, 0.0], [1, 0], 1) == 0.5
    assert best_at_k([None, None], [1, 0], 2) == 0.5


@given(st.lists(st.booleans(), min_size=1, max_size=7))
def test_the_best_by_the_truth_passes_as_often_as_any_of_k(is_correct: list[bool]) -> None:
    values = [float(ok) for ok in is_correct]
    for k in range(1, len(values) + 1):
        expected = pass_at_k(len(values), sum(is_correct), k)
        assert best_at_k(values, values, k) == pytest.approx(expected)
        assert mean_over_subsets(
            len(values), k, lambda s: float(any(is_correct[i] for i in s))
        ) == pytest.approx(expected)


# Estimates


def test_an_estimate_has_the_error_of_a_mean_over_problems() -> None:
    rates = [0.0, 0.25, 0.25, 1.0, 0.5]
    found = Estimate.of_shares(rates)
    assert found.standard_error == pytest.approx(np.std(rates, ddof=1) / np.sqrt(5))
    assert found.interval is not None
    assert 0 < found.interval[0] < found.mean == 0.4 < found.interval[1] < 1


def test_of_verdicts_the_interval_is_wilsons() -> None:
    assert Estimate.of_shares([1.0] * 8 + [0.0] * 2).interval == pytest.approx(
        wilson_interval(8, 10)
    )


def test_one_problem_has_no_standard_error() -> None:
    found = Estimate.of_numbers([3.0])
    assert found.as_dict("gold_reward") == {"gold_reward": 3.0}
    assert "pass@1_standard_error" not in Estimate.of_shares([0.5]).as_dict("pass@1")


# Names


@pytest.mark.parametrize(
    ("text", "samples", "names", "n"),
    [
        ("greedy", None, ["greedy"], 0),
        ("pass@1,pass@8, maj@4", None, ["pass@1", "pass@8", "maj@4"], 8),
        ("pass@1,2,4,maj@8,greedy", 16, ["pass@1", "pass@2", "pass@4", "maj@8", "greedy"], 16),
        ("pass@k", 12, ["pass@1", "pass@2", "pass@4", "pass@8", "pass@12"], 12),
        ("maj@2,maj@2", None, ["maj@2"], 2),
    ],
)
def test_names_of_metrics_are_read(text: str, samples: int, names: list[str], n: int) -> None:
    metrics, found = parse_metrics(text, samples)
    assert ([metric.name for metric in metrics], found) == (names, n)


@pytest.mark.parametrize(
    ("text", "samples", "said"),
    [
        ("pass@8", 4, "pass@8 needs 8 samples of each problem and --samples is 4"),
        ("pass@k", None, "give --samples"),
        ("pass@k", 0, "give --samples"),
        ("pas@1", 4, "unknown metric 'pas@1'; known: pass@K"),
        ("pass@0", 4, "unknown metric 'pass@0'"),
        ("greedy,4", 4, "unknown metric '4'"),
        ("", 4, "metrics '' leave a name empty; write greedy, pass@K"),
        ("pass@1,", 4, "metrics 'pass@1,' leave a name empty"),
    ],
)
def test_a_wrong_metric_says_what_is_allowed(text: str, samples: int, said: str) -> None:
    with pytest.raises(LmgymError, match=said):
        parse_metrics(text, samples)
