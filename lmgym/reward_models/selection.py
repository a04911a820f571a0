"""Heads by their arguments, and the regularisation that does best on what is held out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lmgym.reward_models.arguments import FitArgs
from lmgym.reward_models.features import Projection
from lmgym.reward_models.heads import (
    Comparisons,
    Examples,
    LinearHead,
    MlpHead,
    fit_linear,
    pair_accuracy,
)
from lmgym.reward_models.mlp import fit_mlp
from lmgym.reward_models.table import Table

__all__ = ["GRIDS", "Rows", "accuracy", "choose_regularisation", "held_out_loss", "one_head"]

Rows = Comparisons | Examples
Head = LinearHead | MlpHead

GRIDS = {"linear": tuple(10.0 ** (k / 2) for k in range(-2, 9)), "mlp": (1.0, 10.0, 100.0)}
"""The regularisations that are tried."""

_UNTUNED = 10.0
"""The regularisation where there is nothing to choose it on."""


def one_head(
    rows: Rows, stop: Rows, args: FitArgs, regularisation: float, rng: np.random.Generator
) -> Head:
    """A head of one member; the mlp stops on the rows of `stop`."""
    if args.head == "linear":
        return fit_linear(rows, objective=args.objective, regularisation=regularisation)
    return fit_mlp(
        rows,
        stop,
        rng,
        objective=args.objective,
        regularisation=regularisation,
        hidden=args.hidden,
        learning_rate=args.learning_rate or 3e-3,
        epochs=args.epochs or 200,
    )


def choose_regularisation(
    folds: Sequence[tuple[Table, Table]], args: FitArgs, rng: np.random.Generator
) -> tuple[float, dict[str, float]]:
    """The regularisation of least loss over the held-out parts, with loss and accuracy there.

    Projections are fitted to the training part of each fold.
    """
    given = args.regularisation
    if not folds:
        return given or _UNTUNED, {}
    grid = GRIDS[args.head] if given is None else (given,)
    losses, accuracies = np.zeros(len(grid)), np.zeros(len(grid))
    for train, held_out in folds:
        projection = Projection.fit(train.answers, args.components, has_length=args.length)
        rows, tested = train.features(projection), held_out.features(projection)
        heads = [one_head(rows, tested, args, strength, rng) for strength in grid]
        share = len(held_out) / sum(len(part) for _, part in folds)
        losses += [share * held_out_loss(head, tested, args.objective) for head in heads]
        accuracies += [share * accuracy(head, tested) for head in heads]
    best = int(losses.argmin())
    return grid[best], {
        "validation_loss": float(losses[best]),
        "validation_accuracy": float(accuracies[best]),
    }


def held_out_loss(head: Head, rows: Rows, objective: str) -> float:
    """The weighted mean cross-entropy of rows that were held out, as the objective sees them."""
    if isinstance(rows, Comparisons) and objective == "classification":
        rows = rows.examples()
    if isinstance(rows, Comparisons):
        logits = head.rewards(rows.chosen).mean(0) - head.rewards(rows.rejected).mean(0)
        labels = rows.probabilities
    else:
        logits, labels = head.rewards(rows.features).mean(0), rows.labels
    losses = np.logaddexp(0, logits) - labels * logits
    return float(np.average(losses, weights=rows.weights))


def accuracy(head: Head, rows: Rows) -> float:
    """How often the better answer is first, or a single one is judged as its label."""
    if isinstance(rows, Comparisons):
        return pair_accuracy(head, rows)
    is_right = (head.rewards(rows.features).mean(0) > 0) == (rows.labels > 0.5)
    return float(np.average(is_right, weights=rows.weights))
