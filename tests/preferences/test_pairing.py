"""Which answers are compared, and who labels them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmgym.errors import LmgymError
from lmgym.preferences.annotators import (
    Annotator,
    BradleyTerryAnnotator,
    FlipAnnotator,
    GoldAnnotator,
)
from lmgym.preferences.pairing import PROMPTS, RANKS, label_pairs, sample_pairs

GOLD = [[0.3, 0.9, 0.1, 0.5], [5.0, 1.0, 3.0, 2.0], [0.0, 0.2, 0.1, 0.3]]
MIDDLE, ENDS = [{0, 3}, {2, 3}, {1, 2}], [{1, 2}, {0, 1}, {0, 3}]


@pytest.mark.parametrize("prompts", PROMPTS)
@pytest.mark.parametrize("ranks", RANKS)
def test_pairs_are_of_two_answers_and_repeat_with_the_seed(prompts: str, ranks: str) -> None:
    options = {"prompts": prompts, "ranks": ranks}
    pairs = sample_pairs(GOLD, 200, np.random.default_rng(0), **options)
    assert pairs.shape == (200, 2, 2)
    assert (pairs == sample_pairs(GOLD, 200, np.random.default_rng(0), **options)).all()
    same_prompt = pairs[:, 0, 0] == pairs[:, 1, 0]
    assert (same_prompt == (prompts == "within")).all()
    assert (pairs[:, 0] != pairs[:, 1]).any(axis=1).all()
    assert set(pairs[:, :, 0].ravel()) == {0, 1, 2}


@pytest.mark.parametrize("prompts", PROMPTS)
@pytest.mark.parametrize(("ranks", "allowed"), [("adjacent", MIDDLE), ("extreme", ENDS)])
def test_ranks_say_which_answers_stand_for_a_prompt(
    prompts: str, ranks: str, allowed: list[set[int]]
) -> None:
    pairs = sample_pairs(GOLD, 200, np.random.default_rng(0), prompts=prompts, ranks=ranks)
    for prompt, expected in enumerate(allowed):
        assert set(pairs[pairs[:, :, 0] == prompt][:, 1].tolist()) == expected


def test_the_better_answer_comes_first_as_often_as_not() -> None:
    pairs = sample_pairs(GOLD, 2000, np.random.default_rng(0), ranks="extreme")
    gold = np.array(GOLD)[pairs[..., 0], pairs[..., 1]]
    assert abs((gold[:, 0] > gold[:, 1]).mean() - 0.5) < 0.04


def test_equal_scores_are_ranked_by_chance() -> None:
    pairs = sample_pairs([[1.0] * 4], 200, np.random.default_rng(0), ranks="extreme")
    assert set(pairs[..., 1].ravel().tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("gold", "prompts", "said"),
    [
        ([[1.0]], "within", "1 prompts, of which 0 have 2 or more answers; 1 such are needed"),
        ([[1.0, 2.0], []], "across", "of which 1 have 1 or more answers; 2 such are needed"),
        ([], "within", "0 prompts"),
        (GOLD, "between", "unknown prompts 'between'; known: within, across"),
    ],
)
def test_too_few_answers_are_an_error(gold: list[list[float]], prompts: str, said: str) -> None:
    with pytest.raises(LmgymError, match=said):
        sample_pairs(gold, 3, np.random.default_rng(0), prompts=prompts)


def test_unknown_ranks_are_an_error() -> None:
    with pytest.raises(LmgymError, match="unknown ranks 'extremes'; known: extreme"):
        sample_pairs(GOLD, 1, np.random.default_rng(0), ranks="extremes")


def test_labels_make_preference_pairs() -> None:
    pairs = np.array([[[0, 0], [0, 1]], [[0, 1], [0, 0]], [[0, 0], [1, 0]], [[0, 2], [0, 0]]])
    answers = [["a", "b", "a"], ["c"]]
    data = label_pairs(["x", "y"], answers, pairs, [1.0, 1.0, 0.2, 1.0])
    assert [(pair.chosen, pair.rejected) for pair in data] == [("a", "b"), ("b", "a"), ("c", "a")]
    assert [pair.probability for pair in data] == [1.0, 1.0, 0.8]
    assert data.n_equal == 1
    assert [prompt[0].content for prompt in data[2].prompts] == ["y", "x"]


# Annotators

scores = st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=1, max_size=9)


@given(scores)
def test_gold_labels_follow_the_scores(rows: list[tuple[float, float]]) -> None:
    first, second = np.array(rows).T
    labels = GoldAnnotator().label(first, second, np.random.default_rng(0))
    expected = [1.0 if a > b else 0.0 if a < b else 0.5 for a, b in rows]
    assert labels.tolist() == expected
    flipped = FlipAnnotator(1.0).label(first, second, np.random.default_rng(0))
    assert flipped.tolist() == [1 - label for label in expected]


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_bradley_terry_labels_come_as_often_as_the_model_says(temperature: float) -> None:
    annotator = BradleyTerryAnnotator(temperature)
    n = 20_000
    labels = annotator.label(np.full(n, 1.0), np.zeros(n), np.random.default_rng(0))
    expected = 1 / (1 + np.exp(-1 / temperature))
    assert annotator.probabilities([1.0], [0.0])[0] == pytest.approx(expected)
    assert labels.mean() == pytest.approx(expected, abs=0.01)


def test_bradley_terry_does_not_overflow() -> None:
    assert BradleyTerryAnnotator(1e-9).probabilities([0.0, 1e9], [1e9, 0.0]).tolist() == [0.0, 1.0]


def test_flips_come_as_often_as_was_asked() -> None:
    ones = np.ones(20_000)
    labels = FlipAnnotator(0.3).label(ones, 0 * ones, np.random.default_rng(0))
    assert labels.mean() == pytest.approx(0.7, abs=0.01)


@pytest.mark.parametrize("annotator", [GoldAnnotator(), BradleyTerryAnnotator()])
@pytest.mark.parametrize(
    ("first", "second"), [([1.0], [1.0, 2.0]), ([[1.0]], [[1.0]]), ([np.nan], [0.0])]
)
def test_scores_that_cannot_be_compared_are_an_error(
    annotator: Annotator, first: list[float], second: list[float]
) -> None:
    with pytest.raises(LmgymError, match="two flat lists of finite numbers"):
        annotator.label(first, second, np.random.default_rng(0))


def test_annotators_refuse_arguments_out_of_range() -> None:
    with pytest.raises(LmgymError, match="temperature 0 is out of range"):
        BradleyTerryAnnotator(0)
    with pytest.raises(LmgymError, match=r"probability 1.5 is out of range"):
        FlipAnnotator(1.5)
