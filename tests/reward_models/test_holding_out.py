"""What is held out stays out, weights and soft labels count, and the best pass is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lmgym.preferences.pairs import PreferenceDataset, PreferencePair
from lmgym.reward_models import FitArgs, fit_reward_model
from lmgym.reward_models.features import Projection
from lmgym.reward_models.fitting import fit_head
from lmgym.reward_models.heads import Comparisons, fit_linear, gap_accuracy
from lmgym.reward_models.mlp import fit_mlp
from lmgym.reward_models.pooled import PooledEncoder
from lmgym.reward_models.selection import choose_regularisation
from lmgym.reward_models.table import Table

Array = NDArray[np.float64]


def _table(n: int, seed: int, *, mean: float = 0.0, spread: float = 1.0) -> Table:
    rng = np.random.default_rng(seed)
    raw = rng.normal(mean, spread, (2, n, 4))
    prompts = np.repeat(np.arange(n)[None], 2, axis=0)
    return Table(raw, rng.random(n), rng.uniform(0.5, 2, n), prompts)


def test_mlp_projection_is_fitted_to_what_it_trains_on_only() -> None:
    train, held_out = _table(20, 0), _table(20, 1, mean=50, spread=9)
    args = FitArgs(head="mlp", hidden=2, epochs=1, components=2, regularisation=1.0)
    projection, _, _ = fit_head(train, args, held_out)
    np.testing.assert_allclose(projection.mean, train.answers.mean(0))
    split = fit_head(train, args)[0]
    folds = train.folds(args.folds, np.random.default_rng(args.seed))
    np.testing.assert_allclose(split.mean, folds[0][0].answers.mean(0))


def test_held_out_loss_is_that_of_a_projection_of_the_training_part() -> None:
    train, held_out = _table(30, 0), _table(20, 1, mean=3, spread=4)
    args = FitArgs(components=2, regularisation=2.0)
    _, figures = choose_regularisation([(train, held_out)], args, np.random.default_rng(0))
    projection = Projection.fit(train.answers, 2, has_length=True)
    chosen, rejected = (projection.apply(side) for side in train.raw)
    rows = Comparisons(chosen, rejected, train.labels, train.weights)
    weights = fit_linear(rows, regularisation=2.0).weights[0]
    first, second = (projection.apply(side) for side in held_out.raw)
    likely = 1 / (1 + np.exp(-(first - second) @ weights))
    losses = -held_out.labels * np.log(likely) - (1 - held_out.labels) * np.log(1 - likely)
    expected = (held_out.weights * losses).sum() / held_out.weights.sum()
    assert figures["validation_loss"] == pytest.approx(expected, rel=1e-6)


def test_each_answer_of_a_pair_has_the_weight_of_the_pair() -> None:
    examples = Comparisons.of([[1.0], [2.0]], [[3.0], [4.0]], [1.0, 0.75], [5.0, 7.0]).examples()
    assert examples.features[:, 0].tolist() == [1, 2, 3, 4]
    assert examples.labels.tolist() == [1, 0.75, 0, 0.25]
    assert examples.weights.tolist() == [5, 7, 5, 7]


def test_accuracy_counts_pairs_by_their_weight() -> None:
    gaps, weights = np.array([1.0, -1.0]), np.array([3.0, 1.0])
    assert gap_accuracy(gaps, np.ones(2), weights) == pytest.approx(0.75)
    assert gap_accuracy(gaps, np.array([0.75, 1.0]), weights) == pytest.approx(1.5 / 2.5)


@pytest.mark.parametrize("objective", ["bradley_terry", "classification"])
def test_mlp_learns_nothing_from_pairs_of_weight_zero(objective: str) -> None:
    chosen, rejected = np.ones((40, 1)), -np.ones((40, 1))
    labels = np.repeat([1.0, 0.0], [10, 30])  # most pairs say the opposite
    pairs = Comparisons.of(chosen, rejected, labels, np.repeat([1.0, 0.0], [10, 30]))
    rng = np.random.default_rng(0)
    head = fit_mlp(pairs, pairs, rng, objective=objective, hidden=8, epochs=60)
    good, bad = head.rewards(np.array([[1.0], [-1.0]]))[0]
    assert good > bad


def test_log_length_has_deviation_5_beside_encodings_of_deviation_1() -> None:
    raw = np.random.default_rng(0).normal(2, 3, (40, 6))
    features = Projection.fit(raw, None, has_length=True).apply(raw)
    assert features[:, -1].std() == pytest.approx(5)
    assert features[:, :-1].var(0).mean() == pytest.approx(1)


def test_fingerprint_changes_with_the_pooling(save_llama: Callable[..., Path]) -> None:
    place = save_llama()
    before = PooledEncoder("tiny", place)
    (place / "1_Pooling").mkdir()
    (place / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    after = PooledEncoder("tiny", place)
    assert (before.reading.pooling, after.reading.pooling) == ("mean", "first")
    assert before.fingerprint != after.fingerprint


def _word_pairs(n: int, **facts: Any) -> PreferenceDataset:
    return PreferenceDataset.of(
        PreferencePair.of(f"w{i % 9}", f"w20 w{i % 7}", f"w30 w{i % 7}", **facts) for i in range(n)
    )


def _gap(place: Path, train: PreferenceDataset, **args: Any) -> tuple[float, Any]:
    """The unscaled gap between the two words after training."""
    given = FitArgs(head="transformer", encoder=f"hf:{place}", **args)
    model: Any = fit_reward_model(train, given, validation=_word_pairs(8))
    good, bad = model.score_texts(["w1"] * 2, ["w20 w3", "w30 w3"])
    return float(good - bad) * model.scale, model


def test_pair_of_probability_zero_teaches_the_reverse(save_llama: Callable[..., Path]) -> None:
    place = save_llama()
    options: dict[str, Any] = {"learning_rate": 0.01, "epochs": 1}
    certain, _ = _gap(place, _word_pairs(128), **options)
    swapped = PreferenceDataset.of(
        PreferencePair.of(pair.prompt, pair.rejected, pair.chosen, probability=0.0)
        for pair in _word_pairs(128)
    )
    reverse, _ = _gap(place, _word_pairs(128, probability=0.0), **options)
    same, _ = _gap(place, swapped, **options)
    assert reverse < 0 < certain
    assert same > 0


def test_transformer_hardly_hears_pairs_of_little_weight(save_llama: Callable[..., Path]) -> None:
    place = save_llama()
    opposed = _word_pairs(96, probability=0.0, weight=1e-6)
    both = PreferenceDataset.of([*_word_pairs(32), *opposed])
    assert _gap(place, both, learning_rate=0.01, epochs=2)[0] > 0


def test_transformer_keeps_the_weights_of_its_best_pass(save_llama: Callable[..., Path]) -> None:
    """Each pass over labels that are wrong is worse on what is held out than the one before."""
    place = save_llama()
    wrong = _word_pairs(64, probability=0.0)
    one, first = _gap(place, wrong, learning_rate=0.003, epochs=1)
    three, last = _gap(place, wrong, learning_rate=0.003, epochs=3)
    assert last.figures["validation_loss"] == pytest.approx(first.figures["validation_loss"])
    assert three == pytest.approx(one, abs=1e-5)
    losses = []
    for pair in _word_pairs(8):
        good, bad = (last.score([side]).outcome[0] * last.scale for side in pair.transcripts())
        losses.append(np.logaddexp(0, bad - good))
    assert np.mean(losses) == pytest.approx(last.figures["validation_loss"], abs=1e-4)
