"""Fitting all weights of a language model, with one number as its output, to preferences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lmgym.errors import LmgymError
from lmgym.reward_models.arguments import FitArgs
from lmgym.reward_models.cache import Progress
from lmgym.reward_models.heads import gap_accuracy
from lmgym.reward_models.hf_files import load_sequence_model, load_tokenizer, model_directory
from lmgym.reward_models.pooled import EMBEDDED, token_batches
from lmgym.reward_models.sequence_model import Rendered, SequenceRewardModel
from lmgym.reward_models.table import Labelled, prompt_folds

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["fit_transformer"]

_PAIRS = 32
"""Pairs a step."""
_PATIENCE = 2
_RATES = ((1_000_000, 1e-3), (50_000_000, 1e-4))
"""Learning rates up to so many weights; 1e-5 above."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """Both conversations as the model reads them."""

    chosen: Rendered
    rejected: Rendered
    probability: float
    weight: float

    @property
    def length(self) -> int:
        return max(len(self.chosen), len(self.rejected))


def fit_transformer(
    data: Labelled,
    args: FitArgs,
    *,
    validation: Labelled | None = None,
    on_progress: Progress | None = None,
) -> SequenceRewardModel:
    """A sequence-classification model with one label, fitted by Bradley and Terry's likelihood.

    AdamW (Loshchilov and Hutter, 2019); the weights of the pass over the pairs that did best on
    what is held out are kept, and two passes that bring nothing end it. The rewards have mean 0
    and standard deviation 1 over the answers that were trained on.

    Args:
        data: pairs.
        args: how; `encoder` names the model, embedded or hf:DIR.
        validation: what is held out; by default a part of `data`, by prompt.
        on_progress: called with what is done, how much of it, and of how much.
    """
    rng = np.random.default_rng(args.seed)
    model = _fresh(args, rng)
    pairs = _pairs(model, data)
    held_out = pairs if validation is None else _pairs(model, validation)
    folds = prompt_folds(data.prompts, args.folds, rng) if validation is None else []
    if folds:
        pairs, held_out = ([pairs[row] for row in rows] for rows in folds[0])
    loss, accuracy = _train(model, pairs, held_out, args, rng, on_progress)
    rewards = model.rewards_of([side for pair in pairs for side in (pair.chosen, pair.rejected)])
    model.shift, model.scale = float(rewards.mean()), float(rewards.std()) or 1.0
    model.figures = {"validation_loss": loss, "validation_accuracy": accuracy, "n": len(data)}
    return model


def _fresh(args: FitArgs, rng: np.random.Generator) -> SequenceRewardModel:
    """The model with a new head, its weights normal with variance 1 / inputs."""
    import torch

    kind, _, directory = args.encoder.partition(":")
    if kind not in ("embedded", "hf"):
        raise LmgymError(
            f"head='transformer' trains a model of its own and encoder={args.encoder!r} is none;"
            " give embedded or hf:DIR"
        )
    path = model_directory(directory if kind == "hf" else EMBEDDED)
    model, new = load_sequence_model(path, args.device)
    tokenizer = load_tokenizer(path)
    for name, weights in model.named_parameters():
        if name in new:
            first = rng.normal(size=tuple(weights.shape)) / np.sqrt(weights.shape[-1])
            weights.data.copy_(torch.from_numpy(first * (weights.ndim > 1)))
    if model.config.pad_token_id is None and tokenizer.pad_token != tokenizer.eos_token:
        model.config.pad_token_id = tokenizer.pad_token_id
    return SequenceRewardModel(model, tokenizer, args.encoder)


def _pairs(model: SequenceRewardModel, data: Labelled) -> list[_Pair]:
    sides = (map(model.render, data.first), map(model.render, data.second or []))
    return [
        _Pair(chosen, rejected, float(probability), float(weight))
        for chosen, rejected, probability, weight in zip(
            *sides, data.labels, data.weights, strict=True
        )
    ]


def _train(
    model: SequenceRewardModel,
    pairs: list[_Pair],
    held_out: list[_Pair],
    args: FitArgs,
    rng: np.random.Generator,
    on_progress: Progress | None,
) -> tuple[float, float]:
    """Train in place; the least loss on what is held out, and the accuracy there."""
    import torch

    network = model.model
    size = sum(weights.numel() for weights in network.parameters())
    rate = args.learning_rate or next((rate for most, rate in _RATES if size <= most), 1e-5)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.01)
    epochs = args.epochs or 3
    steps = -(-len(pairs) // _PAIRS)
    best, kept, waited = (float("inf"), 0.5), _weights(network), 0
    for epoch in range(epochs):
        for step, rows in enumerate(np.array_split(rng.permutation(len(pairs)), steps)):
            optimizer.zero_grad()
            _add_gradients(model, [pairs[row] for row in rows], args)
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            if on_progress is not None:
                on_progress("train", epoch * steps + step + 1, epochs * steps)
        found = _evaluate(model, held_out)
        waited += 1
        if found[0] < best[0]:
            best, kept, waited = found, _weights(network), 0
        if waited >= _PATIENCE:
            break
    if not np.isfinite(best[0]):
        raise LmgymError(
            f"the loss on what is held out is {best[0]} after training; give a lower learning_rate"
        )
    network.load_state_dict(kept)
    return best


def _weights(network: Any) -> dict[str, Tensor]:
    return {name: weights.detach().clone() for name, weights in network.state_dict().items()}


def _add_gradients(model: SequenceRewardModel, pairs: list[_Pair], args: FitArgs) -> None:
    """Gradients of the weighted mean loss of some pairs, read in micro-batches."""
    import torch
    import torch.nn.functional as F

    total = sum(pair.weight for pair in pairs)
    device = model.model.device
    for rows in token_batches([2 * pair.length for pair in pairs], args.batch_tokens):
        some = [pairs[row] for row in rows]
        sides = [pair.chosen for pair in some] + [pair.rejected for pair in some]
        with torch.autocast(device.type, torch.bfloat16, enabled=args.dtype == "bf16"):
            chosen, rejected = model.logits(sides).chunk(2)
        labels = torch.tensor([pair.probability for pair in some], device=device)
        weights = torch.tensor([pair.weight for pair in some], device=device)
        losses = F.binary_cross_entropy_with_logits(chosen - rejected, labels, reduction="none")
        torch.autograd.backward((weights * losses).sum() / total)


def _evaluate(model: SequenceRewardModel, pairs: Sequence[_Pair]) -> tuple[float, float]:
    """Loss and accuracy; as `held_out_loss` and `pair_accuracy` have them of heads."""
    chosen = model.rewards_of([pair.chosen for pair in pairs])
    gaps = chosen - model.rewards_of([pair.rejected for pair in pairs])
    labels = np.array([pair.probability for pair in pairs])
    weights = np.array([pair.weight for pair in pairs])
    loss = np.average(np.logaddexp(0, gaps) - labels * gaps, weights=weights)
    return float(loss), gap_accuracy(gaps, labels, weights)
