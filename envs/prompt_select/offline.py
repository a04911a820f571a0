"""Choosing prompts from logged trials alone: a model of who answers right, and its best prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.preferences.pairs import Trial
from lmgym.reward_models.features import Projection
from lmgym.reward_models.heads import Examples, fit_linear

from .task import PromptSelectTask

__all__ = ["PromptChooser", "fit_chooser", "logged_trials", "outcomes_of"]

Array = NDArray[np.float64]

PENALTIES = (10.0, 100.0, 1e3, 1e4, 1e7)
"""What is tried; the last one leaves nothing but how good each prompt is on the whole."""


@dataclass(frozen=True, slots=True, eq=False)
class PromptChooser:
    """For each prompt a logistic model of its answers being right; the likeliest is chosen.

    The offline learner of Prompt-OIRL (Sun et al., 2023) with a head for each prompt in place of
    an embedding of the prompt's text.

    Attributes:
        projection: from a question's features to what the heads see.
        weights: one row for each of K prompts, shape (K, d).
        bias: shape (K,).
        penalty: the one that was chosen.
        values: by penalty, the mean outcome of what is chosen for questions that were held out.
    """

    projection: Projection
    weights: Array
    bias: Array
    penalty: float
    values: dict[float, float]

    def chances(self, features: Array) -> Array:
        """How likely each prompt is right, shape (n, K), from features of shape (n, D)."""
        seen = self.projection.apply(_padded(features))
        chances: Array = 1 / (1 + np.exp(-(seen @ self.weights.T + self.bias)))
        return chances

    def choose(self, features: Array) -> NDArray[np.intp]:
        """The prompt for each question, shape (n,)."""
        chosen: NDArray[np.intp] = self.chances(features).argmax(1)
        return chosen


def fit_chooser(
    features: Array,
    outcomes: Array,
    rng: np.random.Generator,
    *,
    components: int | None = 32,
    members: int = 1,
    folds: int = 5,
    penalties: Sequence[float] = PENALTIES,
) -> PromptChooser:
    """Fit the heads; the penalty is the one whose choices are right most often on what is held out.

    Args:
        features: of questions, shape (n, D).
        outcomes: 1 where the answer was right, shape (n, K).
        rng: draws the folds and the resamples.
        components: principal components of the features that are kept; None keeps all.
        members: heads that are averaged, each of a resample of the questions; 1 uses all of them.
        folds: parts that are held out in turn.
        penalties: what is tried, of the squared weights; of equal ones the greatest is taken.

    Raises:
        LmgymError: where features and outcomes are not of as many questions.
    """
    if len(features) != len(outcomes) or len(features) < folds:
        raise LmgymError(
            f"{len(features)} questions have features and {len(outcomes)} outcomes; give as many,"
            f" and {folds} at least"
        )
    parts = rng.permutation(len(features)) % folds
    values = dict.fromkeys(sorted(penalties, reverse=True), 0.0)
    for part in range(folds if len(values) > 1 else 0):
        is_held = parts == part
        projection = Projection.fit(_padded(features[~is_held]), components, has_length=False)
        seen = projection.apply(_padded(features))
        for penalty in values:
            weights, bias = _heads(seen[~is_held], outcomes[~is_held], penalty)
            chosen = (seen[is_held] @ weights.T + bias).argmax(1)
            values[penalty] += float(_taken(outcomes[is_held], chosen).sum()) / len(features)
    best = max(values, key=lambda penalty: values[penalty])
    projection = Projection.fit(_padded(features), components, has_length=False)
    seen = projection.apply(_padded(features))
    samples = [rng.integers(len(seen), size=len(seen)) for _ in range(members)]
    drawn = samples if members > 1 else [np.arange(len(seen))]
    heads = [_heads(seen[rows], outcomes[rows], best) for rows in drawn]
    weights, bias = (np.mean(arrays, 0) for arrays in zip(*heads, strict=True))
    return PromptChooser(projection, weights, bias, best, values)


def outcomes_of(task: PromptSelectTask, split: str) -> Array:
    """What was logged for the questions of a split, in their order, shape (n, K).

    Example:
        >>> from lmgym.factory import make_task
        >>> outcomes_of(make_task("lmgym/PromptSelect-v0"), "test")[0]
        array([1., 0., 1., 0.])
    """
    return np.array([question.outcomes for question in task.questions(split)], np.float64)


def logged_trials(task: PromptSelectTask, split: str) -> list[Trial]:
    """The log as answers with labels, K for each question in its order, for `fit_reward_model`.

    A reward model of them pays what an agent of this world says: its question is the opening, its
    answer the number of a prompt.

    Example:
        >>> from lmgym.factory import make_task
        >>> trials = logged_trials(make_task("lmgym/PromptSelect-v0"), "test")
        >>> [(trial.transcript.completion_text, trial.label) for trial in trials[:2]]
        [('0', 1.0), ('1', 0.0)]
    """
    return [
        Trial.of(task.messages(question), choice, label, task_id=question.address)
        for question in task.questions(split)
        for choice, label in zip(task.choices, question.outcomes, strict=True)
    ]


def _heads(features: Array, outcomes: Array, penalty: float) -> tuple[Array, Array]:
    """A logistic model for each prompt: weights (K, d) and biases (K,)."""
    ones = np.ones(len(features))
    heads = [
        fit_linear(
            Examples(features, labels, ones), objective="classification", regularisation=penalty
        )
        for labels in outcomes.T
    ]
    weights = np.concatenate([head.weights for head in heads])
    return weights, np.concatenate([head.bias for head in heads])


def _taken(outcomes: Array, chosen: NDArray[np.intp]) -> Array:
    taken: Array = outcomes[np.arange(len(chosen)), chosen]
    return taken


def _padded(features: Array) -> Array:
    """With a column for the answer's length, as `Projection` expects it: there is no answer."""
    return np.concatenate([features, np.zeros((len(features), 1))], 1)
