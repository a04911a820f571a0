"""The head with a hidden layer, fitted by gradient descent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmgym.errors import LmgymError
from lmgym.reward_models.heads import Comparisons, Examples, MlpHead

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["fit_mlp"]

_BATCH = 256
_PATIENCE = 10


def fit_mlp(
    data: Comparisons | Examples,
    validation: Comparisons | Examples,
    rng: np.random.Generator,
    *,
    objective: str = "bradley_terry",
    regularisation: float = 1.0,
    hidden: int = 64,
    learning_rate: float = 3e-3,
    epochs: int = 200,
) -> MlpHead:
    """A head of one member, as it was when its loss on validation was least.

    Adam (Kingma and Ba, 2015), stopped when ten passes over the data brought nothing.

    Args:
        data: comparisons; for classification examples too.
        validation: of the same kind.
        rng: of the first weights and the order.
        objective: bradley_terry or classification.
        regularisation: as in `fit_linear`, of both layers.
        hidden: units.
        learning_rate: of Adam.
        epochs: passes over the data at most.
    """
    import torch

    train, held_out = _rows(data, objective), _rows(validation, objective)
    weights = _first_weights(train[0].shape[-1], hidden, rng)
    penalty = regularisation / 2 / max(float(train[2].sum()), 1e-9)
    optimizer = torch.optim.Adam(weights, lr=learning_rate)
    best, best_loss, waited = _copy(weights), float("inf"), 0
    for _ in range(epochs):
        order = rng.permutation(len(train[1]))
        for rows in np.array_split(order, -(-len(order) // _BATCH)):
            optimizer.zero_grad()
            size = weights[0].square().sum() + weights[2].square().sum()
            loss = _loss(weights, [column[rows] for column in train]) + penalty * size
            torch.autograd.backward(loss)
            optimizer.step()
        with torch.no_grad():
            held_out_loss = float(_loss(weights, held_out))
        waited += 1
        if held_out_loss < best_loss - 1e-5:
            best, best_loss, waited = _copy(weights), held_out_loss, 0
        if waited >= _PATIENCE:
            break
    first, first_bias, second, bias = (w.detach().double().numpy()[None] for w in best)
    return MlpHead(first, first_bias, second, bias)


def _rows(data: Comparisons | Examples, objective: str) -> list[Tensor]:
    """Features, labels and weights; of pairs, the features have shape (n, 2, d)."""
    import torch

    if objective == "classification" and isinstance(data, Comparisons):
        data = data.examples()
    if isinstance(data, Comparisons):
        features = np.stack([data.chosen, data.rejected], 1)
        columns = (features, data.probabilities, data.weights)
    elif objective == "classification":
        columns = (data.features, data.labels, data.weights)
    else:
        raise LmgymError(
            "bradley_terry compares two answers and was given single ones; give comparisons, or"
            " use objective='classification'"
        )
    return [torch.as_tensor(column, dtype=torch.float32) for column in columns]


def _first_weights(d: int, hidden: int, rng: np.random.Generator) -> list[Tensor]:
    """Uniform in ±1/sqrt(fan in), biases 0."""
    import torch

    first = rng.uniform(-1, 1, (hidden, d)) / np.sqrt(d)
    second = rng.uniform(-1, 1, hidden) / np.sqrt(hidden)
    arrays = (first, np.zeros(hidden), second, np.zeros(()))
    return [torch.tensor(a, dtype=torch.float32, requires_grad=True) for a in arrays]


def _loss(weights: list[Tensor], rows: list[Tensor]) -> Tensor:
    """The weighted mean of the cross-entropies."""
    import torch.nn.functional as F

    features, labels, worth = rows
    first, first_bias, second, bias = weights
    logits = F.linear(F.relu(F.linear(features, first, first_bias)), second) + bias
    if logits.ndim == 2:  # chosen and rejected
        logits = logits[:, 0] - logits[:, 1]
    losses = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return (worth * losses).sum() / worth.sum().clamp(min=1e-9)


def _copy(weights: list[Tensor]) -> list[Tensor]:
    return [w.detach().clone() for w in weights]
