"""Accuracy of a reward on pairs, beside a rule of length."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lmgym.errors import LmgymError
from lmgym.preferences.evaluation import (
    Accuracy,
    evaluate_pairs,
    kendall,
    length_rule,
    pair_rates,
    spearman,
)
from lmgym.preferences.pairs import PreferenceDataset, PreferencePair
from lmgym.preferences.rewardbench import SECTIONS, result_record, section_scores
from lmgym.rewards.source import RewardBatch, RewardLevel
from lmgym.training.uncertainty import wilson_interval
from lmgym.transcript import Transcript


class Scores:
    """Pays what a function says of the answer."""

    level = RewardLevel.OUTCOME
    is_causal = True

    def __init__(self, value: Callable[[str], float], *, is_unscored: bool = False) -> None:
        self.value, self.is_unscored = value, is_unscored
        self.batches: list[int] = []

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        self.batches.append(len(transcripts))
        values = [self.value(transcript.completion_text) for transcript in transcripts]
        unscored = np.array([self.is_unscored and value == 0 for value in values])
        return RewardBatch(np.array(values), unscored=unscored)


def pairs(*texts: tuple[str, str], probability: float = 1.0) -> PreferenceDataset:
    return PreferenceDataset.of(
        PreferencePair.of(f"prompt {i}", *both, subset=both[0][0], probability=probability)
        for i, both in enumerate(texts)
    )


DATA = pairs(("a3", "b1"), ("a2", "b1"), ("a1", "b1"), ("c1", "d9"))
LAST = Scores(lambda text: float(text[-1]))


def test_accuracy_counts_ties_one_half_and_has_wilsons_interval() -> None:
    found = evaluate_pairs(LAST, DATA)
    assert found.accuracy.value == 2.5 / 4
    assert {name: (each.value, each.n) for name, each in found.subsets.items()} == {
        "a": (2.5 / 3, 3),
        "c": (0.0, 1),
    }
    assert found.chosen.tolist() == [3.0, 2.0, 1.0, 1.0]
    assert found.rejected.tolist() == [1.0, 1.0, 1.0, 9.0]
    plain = evaluate_pairs(LAST, DATA.select([0, 1, 3])).accuracy
    assert (plain.low, plain.high) == pytest.approx(wilson_interval(2, 3))


def test_a_label_below_one_half_means_that_the_rejected_answer_is_better() -> None:
    data = pairs(("1", "2"), probability=0.2)
    assert pair_rates([1.0], [2.0], data).tolist() == [1.0]
    assert pair_rates([2.0], [1.0], data).tolist() == [0.0]


def test_labels_that_are_ties_count_for_nothing() -> None:
    ties = pairs(("t1", "t2"), probability=0.5)
    found = evaluate_pairs(LAST, PreferenceDataset((*DATA, *ties)))
    assert (found.accuracy.n, found.n_ties) == (4, 1)
    assert set(found.subsets) == {"a", "c"}
    with pytest.raises(LmgymError, match="all labels of the 1 pairs are ties"):
        evaluate_pairs(LAST, ties)


def test_the_rule_of_length_is_the_better_one_or_the_one_that_is_given() -> None:
    data = pairs(("a", "bcd"), ("a", "bc"), ("abcd", "b"))
    found = evaluate_pairs(LAST_LENGTH, data)
    assert (length_rule(data), found.rule) == ("shorter", "shorter")
    assert found.length.value == pytest.approx(2 / 3)
    assert found.accuracy.value == pytest.approx(1 / 3)
    assert found.length_subsets["a"].value == pytest.approx(2 / 3)
    longer = evaluate_pairs(LAST_LENGTH, data, rule="longer")
    assert longer.length.value == longer.accuracy.value


LAST_LENGTH = Scores(len)


def test_pairs_are_scored_in_batches_while_somebody_is_told() -> None:
    source, told = Scores(len), []
    found = evaluate_pairs(
        source, DATA, batch_size=3, on_progress=lambda done, total: told.append((done, total))
    )
    assert source.batches == [3, 3, 1, 1]
    assert told == [(3, 4), (4, 4)]
    assert (found.chosen == evaluate_pairs(Scores(len), DATA).chosen).all()


def test_an_answer_left_unscored_is_an_error_that_names_the_pair() -> None:
    source = Scores(lambda text: float(text != "d9"), is_unscored=True)
    with pytest.raises(LmgymError, match=r"pair 4 \(''\) has an answer left unscored"):
        evaluate_pairs(source, DATA)


@pytest.mark.parametrize("reward", [math.nan, math.inf])
def test_a_reward_that_is_no_finite_number_is_an_error_that_names_the_pair(reward: float) -> None:
    source = Scores(lambda text: reward if text == "b1" else 0.0)
    with pytest.raises(LmgymError, match=r"pair 1 \(''\) has a reward that is no finite number"):
        evaluate_pairs(source, DATA)


def test_pairs_of_one_prompt_that_go_together_count_as_one() -> None:
    rates = np.repeat([1.0, 0.0, 1.0, 1.0, 1.0], 10)
    together = Accuracy.of(rates, [row // 10 for row in range(50)])
    assert (together.value, together.n) == (0.8, 50)
    assert (together.low, together.high) == pytest.approx(wilson_interval(4, 5))
    apart = Accuracy.of(rates, [*range(50)])
    assert apart == Accuracy.of(rates)
    assert (apart.low, apart.high) == pytest.approx(wilson_interval(40, 50))
    sure = Accuracy.of(np.ones(50), [row // 10 for row in range(50)])
    assert (sure.low, sure.high) == pytest.approx(wilson_interval(5, 5))


def test_an_interval_has_the_variance_of_its_prompts() -> None:
    """Two prompts of two pairs and one of one: the deviations of each from 0.6 are summed up."""
    found = Accuracy.of(np.array([1.0, 0.0, 1.0, 1.0, 0.0]), ["a", "a", "b", "b", "c"])
    variance = 3 / 2 * ((-0.2) ** 2 + 0.8**2 + (-0.6) ** 2) / 5**2
    trials = max(25 / 9, 0.6 * 0.4 / variance)
    assert (found.low, found.high) == pytest.approx(wilson_interval(0.6 * trials, trials))


def test_pairs_that_balance_each_other_are_not_counted_twice() -> None:
    found = Accuracy.of(np.array([*[1.0, 0.0] * 8, 1, 1, 0, 0]), [row // 2 for row in range(20)])
    assert (found.low, found.high) == pytest.approx(wilson_interval(10, 20))


def test_the_interval_of_pairs_knows_their_prompts() -> None:
    many = PreferenceDataset.of(
        PreferencePair.of(f"prompt {i // 20}", f"a{i}", f"{'bc'[i // 20]}{20 * (i // 20)}")
        for i in range(40)
    )
    found = evaluate_pairs(Scores(lambda text: {"a": 1.0, "b": 0.0, "c": 2.0}[text[0]]), many)
    assert (found.accuracy.value, found.accuracy.n) == (0.5, 40)
    low, high = wilson_interval(1, 2)
    assert (found.accuracy.low, found.accuracy.high) == pytest.approx((low, high))


values = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=9)


@given(values)
def test_correlations_of_ranks_are_those_of_scipy(rows: list[tuple[int, int]]) -> None:
    a, b = np.array(rows, dtype=np.float64).T
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert math.isnan(spearman(a, b))
        assert math.isnan(kendall(a, b))
        return
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b)[0])
    assert kendall(a, b) == pytest.approx(stats.kendalltau(a, b)[0])


# RewardBench


def test_the_sections_hold_the_23_subsets_of_rewardbench() -> None:
    names = [name for subsets in SECTIONS.values() for name in subsets]
    assert len(names) == len(set(names)) == 23
    assert sum(SECTIONS["Reasoning"].values()) == 2 * SECTIONS["Reasoning"]["math-prm"]


def test_sections_are_weighted_means_and_the_score_their_mean() -> None:
    accuracies = {name: 0.5 for subsets in SECTIONS.values() for name in subsets}
    accuracies |= {"math-prm": 1.0, "mt-bench-easy": 0.0, "of mine": 0.0}
    scores = section_scores(accuracies)
    assert scores["Reasoning"] == pytest.approx(0.75)
    assert scores["Chat"] == pytest.approx(0.5 * 330 / 358)
    assert scores["score"] == pytest.approx(np.mean([scores[section] for section in SECTIONS]))


def test_sections_without_a_subset_are_left_out() -> None:
    assert section_scores({"donotanswer": 0.3}) == {"Safety": pytest.approx(0.3)}
    assert section_scores({"of mine": 0.3}) == {}


def test_a_result_file_names_the_model_and_each_subset() -> None:
    record = result_record("mine", {"hep-go": 0.5})
    assert record["model"] == "mine"
    assert record["hep-go"] == 0.5
    assert {"model_type", "chat_template"} < set(record)
