"""What members make of the same transcripts, reduced to one reward."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lmgym.errors import LmgymError
from lmgym.rewards import (
    ConstantReward,
    EnsembleReward,
    RewardBatch,
    RewardLevel,
    check_reward,
    reduce_members,
)
from lmgym.task import Verdict
from lmgym.transcript import Transcript

SAID = [Transcript.from_strings("?", text, verdict=Verdict.ENDED) for text in ("a", "ab", "b\nc")]
SCORES = arrays(
    np.float64, st.tuples(st.integers(1, 6), st.integers(0, 5)), elements=st.floats(-9, 9)
)


@given(SCORES, st.floats(0, 5))
def test_reductions_are_those_of_the_paper(scores: np.ndarray, coefficient: float) -> None:
    mean, worst = np.mean(scores, axis=0), np.min(scores, axis=0)
    expected = {"mean": mean, "wco": worst, "uwo": mean - coefficient * np.var(scores, axis=0)}
    for reduce, outcome in expected.items():
        got, std = reduce_members(scores, reduce, coefficient)
        assert np.allclose(got, outcome)
        assert np.allclose(std, np.std(scores, axis=0))


@pytest.mark.parametrize("shape", [(), (3,), (0, 3), (2, 3, 1)])
def test_scores_of_another_shape_are_told(shape: tuple[int, ...]) -> None:
    with pytest.raises(LmgymError, match=r"the scores have the shape .*; give \(K, n\)"):
        reduce_members(np.zeros(shape))


def test_an_unknown_reduction_is_told() -> None:
    with pytest.raises(LmgymError, match=r"reduction of an ensemble 'median'; known: .*uwo"):
        EnsembleReward(["verifier"], "median")


@pytest.mark.parametrize("coefficient", [-1.0, float("nan")])
def test_a_bad_coefficient_is_told(coefficient: float) -> None:
    with pytest.raises(LmgymError, match=f"coefficient={coefficient} is out of range"):
        reduce_members([[1.0]], "uwo", coefficient)


@pytest.mark.parametrize(("reduce", "paid"), [("mean", 2.0), ("wco", 1.0), ("uwo", 1.0)])
def test_members_are_reduced(reduce: str, paid: float) -> None:
    members = [ConstantReward(1.0), ConstantReward(3.0)]
    batch = EnsembleReward(members, reduce).score(SAID)
    assert batch.outcome.tolist() == [paid] * 3
    assert batch.std == pytest.approx([1.0] * 3)
    assert batch.parts["mean"].tolist() == [2.0] * 3
    assert batch.parts["disagreement"].tolist() == [paid - 2.0] * 3


class Steps:
    """Pays every step the same."""

    level = RewardLevel.STEP
    is_causal = True

    def __init__(self, amount: float, unscored: int = 9) -> None:
        self.amount, self.unscored = amount, unscored

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        n = len(transcripts)
        dense = [np.full(t.n_units("step"), self.amount) for t in transcripts]
        return RewardBatch(np.zeros(n), dense, unscored=np.arange(n) == self.unscored)


def test_dense_members_are_reduced_unit_by_unit() -> None:
    ensemble = EnsembleReward([Steps(1.0), Steps(3.0)], "uwo", coefficient=0.5)
    batch = ensemble.score(SAID)
    assert ensemble.level is RewardLevel.STEP
    assert batch.dense is not None
    assert [units.tolist() for units in batch.dense] == [[1.5], [1.5], [1.5, 1.5]]
    assert batch.std == pytest.approx([1.0, 1.0, 2.0])


def test_what_one_member_cannot_score_is_unscored() -> None:
    unscored = EnsembleReward([Steps(1.0, unscored=1), Steps(2.0)]).score(SAID).unscored
    assert unscored is not None
    assert unscored.tolist() == [False, True, False]


class Nothing(Steps):
    """Leaves out the rewards of steps, which stands for zeros."""

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        return RewardBatch(np.zeros(len(transcripts)))


def test_a_member_that_leaves_out_dense_rewards_pays_zeros() -> None:
    dense = EnsembleReward([Steps(2.0), Nothing(0.0)], "mean").score(SAID).dense
    assert dense is not None
    assert [units.tolist() for units in dense] == [[1.0], [1.0], [1.0, 1.0]]


def test_members_of_two_levels_are_told() -> None:
    with pytest.raises(LmgymError, match="the members pay at the levels outcome, step; give"):
        EnsembleReward([Steps(1.0), "verifier"])


def test_no_members_are_told() -> None:
    with pytest.raises(LmgymError, match="an ensemble without members judges nothing"):
        EnsembleReward([])


@pytest.mark.parametrize("reduce", ["mean", "wco", "uwo"])
def test_an_ensemble_keeps_its_promises(reduce: str) -> None:
    check_reward(EnsembleReward([Steps(1.0), Steps(-2.0)], reduce), SAID)
