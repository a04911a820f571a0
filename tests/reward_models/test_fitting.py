"""Fitting reward models: what is learned, what is held out, what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.preferences.pairs import PreferenceDataset, PreferencePair, Trial
from lmgym.reward_models import EmbeddingCache, FitArgs, RewardModel, fit_reward_model
from lmgym.reward_models.head_model import HeadRewardModel
from lmgym.reward_models.table import prompt_folds
from lmgym.rewards.source import RewardLevel, RewardSource
from lmgym.transcript import Transcript

Make = Callable[..., PreferenceDataset]


def _accuracy(model: RewardModel, pairs: Sequence[PreferencePair]) -> float:
    chosen, rejected = zip(*(pair.transcripts() for pair in pairs), strict=True)
    return float((model.score(chosen).outcome > model.score(rejected).outcome).mean())


@pytest.mark.parametrize("head", ["linear", "mlp"])
@pytest.mark.parametrize("objective", ["bradley_terry", "classification"])
def test_unseen_pairs_are_ranked(polite_pairs: Make, head: str, objective: str) -> None:
    args = FitArgs(head=head, objective=objective, hidden=16)
    model = fit_reward_model(polite_pairs(80), args)
    assert _accuracy(model, polite_pairs(40, seed=1)) > 0.9
    assert model.objective == objective
    assert model.figures["validation_accuracy"] > 0.9


def test_model_is_a_causal_outcome_source(pairs: PreferenceDataset) -> None:
    model = fit_reward_model(pairs)
    assert isinstance(model, RewardSource)
    assert model.level is RewardLevel.OUTCOME
    assert model.is_causal


def test_rewards_of_training_answers_have_mean_0_and_deviation_1(pairs: PreferenceDataset) -> None:
    model = fit_reward_model(pairs, FitArgs(members=3))
    members = model.member_rewards([t for side in (0, 1) for t in _side(pairs, side)])
    np.testing.assert_allclose(members.mean(1), 0, atol=1e-9)
    np.testing.assert_allclose(members.std(1), 1, atol=1e-9)


def _side(pairs: Sequence[PreferencePair], side: int) -> list[Transcript]:
    return [pair.transcripts()[side] for pair in pairs]


def test_score_does_not_depend_on_the_batch(pairs: PreferenceDataset) -> None:
    model = fit_reward_model(pairs)
    answers = _side(pairs, 0)
    alone = [model.score([answer]).outcome[0] for answer in answers]
    np.testing.assert_allclose(model.score(answers).outcome, alone, atol=1e-5)
    assert model.score([]).outcome.shape == (0,)


def test_members_tell_their_spread_and_one_alone_tells_none(pairs: PreferenceDataset) -> None:
    answers = _side(pairs, 0)
    single = fit_reward_model(pairs).score(answers)
    model = fit_reward_model(pairs, FitArgs(members=4, reduce="uwo", coefficient=2.0))
    several, members = model.score(answers), model.member_rewards(answers)
    assert single.std is None
    assert several.std is not None
    np.testing.assert_allclose(several.std, members.std(0))
    np.testing.assert_allclose(several.outcome, members.mean(0) - 2 * members.var(0))


def test_same_seed_gives_the_same_model(pairs: PreferenceDataset) -> None:
    answers = _side(pairs, 0)
    for args in (FitArgs(members=2), FitArgs(head="mlp", hidden=8, epochs=5)):
        first, second = (fit_reward_model(pairs, args).member_rewards(answers) for _ in range(2))
        assert (first == second).all()


def test_pair_learned_with_probability_one_half_teaches_nothing() -> None:
    pairs = [
        PreferencePair.of(f"{i}", f"thanks {i}", f"no {i}", probability=0.5) for i in range(20)
    ]
    model = fit_reward_model(pairs, FitArgs(regularisation=1.0))
    assert isinstance(model, HeadRewardModel)
    np.testing.assert_allclose(model.head.weights, 0, atol=1e-6)


def test_logged_trials_are_classified() -> None:
    trials = [Trial.of(f"q{i}", "right " * 3 if i % 2 else "wrong " * 3, i % 2) for i in range(40)]
    model = fit_reward_model(trials, FitArgs(objective="classification"))
    good, bad = model.score_texts(["q", "q"], ["right right", "wrong wrong"])
    assert good > bad
    assert model.figures["validation_accuracy"] == 1


def test_trials_cannot_be_compared() -> None:
    trials = [Trial.of("q", "right", 1)]
    with pytest.raises(LmgymError, match=r"logged trials are single ones; use objective='class"):
        fit_reward_model(trials)


def test_mixed_and_missing_data_are_refused(pairs: PreferenceDataset) -> None:
    mixed: Any = [pairs[0], Trial.of("q", "right", 1)]
    nothing: list[PreferencePair] = []
    for data in (mixed, nothing):
        with pytest.raises(LmgymError, match="at least one and all of one kind; given: "):
            fit_reward_model(data, FitArgs(objective="classification"))
    trials = [Trial.of("q", "right", 1)]
    with pytest.raises(LmgymError, match="two kinds, pairs and trials"):
        fit_reward_model(pairs, FitArgs(objective="classification"), validation=trials)


def test_regularisation_is_chosen_on_the_validation_data(polite_pairs: Make) -> None:
    train = polite_pairs(60)
    contrary = PreferenceDataset.of(pair.swapped() for pair in polite_pairs(30, seed=1))
    agreeing = fit_reward_model(train, validation=polite_pairs(30, seed=1)).figures
    opposed = fit_reward_model(train, validation=contrary).figures
    assert agreeing["regularisation"] < opposed["regularisation"]
    given = fit_reward_model(train, FitArgs(regularisation=7.0)).figures
    assert given["regularisation"] == 7.0


def test_no_prompt_is_on_both_sides_of_a_fold() -> None:
    rng = np.random.default_rng(0)
    prompts = rng.integers(12, size=(2, 200))  # across prompts
    for train, held_out in prompt_folds(prompts, 4, rng):
        assert not set(prompts[:, train].flat) & set(prompts[:, held_out].flat)
    same = np.repeat(rng.integers(12, size=(1, 60)), 2, axis=0)
    folds = prompt_folds(same, 4, rng)
    assert sorted(row for _, held_out in folds for row in held_out) == list(range(60))


def test_few_pairs_are_fitted_without_tuning() -> None:
    model = fit_reward_model([PreferencePair.of("q", "yes", "no")])
    assert "validation_accuracy" not in model.figures
    assert np.isfinite(model.score_texts(["q"], ["maybe"])).all()


def test_cache_is_filled_and_used(pairs: PreferenceDataset, tmp_path: Path) -> None:
    told: list[str] = []
    for _ in range(2):
        fit_reward_model(pairs, cache=tmp_path, on_progress=lambda what, *_: told.append(what))
    assert told == ["encode"]
    assert EmbeddingCache(tmp_path).folder == tmp_path


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"head": "tree"}, "unknown head 'tree'"),
        ({"objective": "hinge"}, "unknown objective 'hinge'"),
        ({"inputs": "prompt"}, "unknown inputs 'prompt'"),
        ({"reduce": "median"}, "unknown reduce 'median'"),
        ({"members": 0}, "members=0 is out of range; give 1 or more"),
        ({"components": -1}, "components=-1 is out of range"),
        ({"folds": 1}, "folds=1 is out of range; give 2 or more"),
        ({"regularisation": 0.0}, "regularisation=0.0 is out of range; give a number above 0"),
        ({"seed": -1}, "seed=-1 is out of range; give 0 or more"),
        ({"device": "banana"}, "unknown device 'banana'; give cpu, cuda"),
        ({"dtype": "fp8"}, "unknown dtype 'fp8'; known: "),
        ({"coefficient": float("nan")}, "coefficient=nan is out of range"),
        ({"members": 2, "bootstrap": False}, "linear heads on the same pairs are all equal"),
        ({"head": "transformer", "members": 2}, "it has one member"),
    ],
)
def test_arguments_out_of_range_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(LmgymError, match=message):
        FitArgs(**given)
