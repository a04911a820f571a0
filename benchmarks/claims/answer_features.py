"""Features of answers to prompts, real or drawn, with a gold reward that is nearly linear in them.

Real ones are MiniLM's embeddings of the answers in PandaLM's test set, some five to each of 170
prompts, as their first principal components. Drawn ones are Gaussian, with more variance between
prompts than among the answers to one, as real embeddings have.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.preferences.readers import read_preferences
from lmgym.reward_models.cache import CachedEncoder, EmbeddingCache
from lmgym.reward_models.encoder import make_encoder
from lmgym.reward_models.heads import Comparisons, LinearHead, fit_linear

__all__ = ["Answers", "drawn_answers", "has_pandalm", "pandalm_answers", "tuned_head"]

Array = NDArray[np.float64]

BETWEEN, WITHIN, TAIL = 0.87, 0.43, 0.4
"""Standard deviations of drawn features between prompts and among the answers to one, and of the
logarithm of how far an answer lies from the others: as measured on PandaLM's (kurtosis 2.7)."""
GRID = (0.3, 1.0, 3.0, 10.0)
"""Strengths of the regularisation that `tuned_head` tries."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Features and gold scores of the answers to some prompts.

    Attributes:
        features: of each prompt's answers, shape (answers, d).
        gold: their scores, shape (answers,).
    """

    features: Sequence[Array]
    gold: Sequence[Array]

    def with_gold(self, rng: np.random.Generator) -> Answers:
        """The same answers with a new gold reward: linear and a tanh, standardised."""
        d = self.features[0].shape[1]
        linear, bent = rng.normal(size=(2, d)) / np.sqrt(d)
        gold = [rows @ linear + 0.5 * np.tanh(2 * rows @ bent) for rows in self.features]
        spread = float(np.concatenate(gold).std())
        return Answers(self.features, [scores / spread for scores in gold])

    def split(self, share: float, rng: np.random.Generator) -> tuple[Answers, Answers]:
        """Two parts, whole prompts in each."""
        order = rng.permutation(len(self.features))
        n = round(share * len(order))
        first, second = (
            Answers(
                [self.features[i] for i in part], [self.gold[i] for i in part] if self.gold else []
            )
            for part in (order[:n], order[n:])
        )
        return first, second

    def sides(self, pairs: NDArray[np.int64]) -> tuple[Array, Array, Array, Array]:
        """Features of the first and second answers of some pairs, and their gold scores."""
        places = [[(p, a) for p, a in side] for side in pairs.swapaxes(0, 1).tolist()]
        first, second = (np.array([self.features[p][a] for p, a in side]) for side in places)
        golds = [np.array([self.gold[p][a] for p, a in side]) for side in places]
        return first, second, golds[0], golds[1]


def drawn_answers(
    rng: np.random.Generator, n_prompts: int = 400, n_answers: int = 10, d: int = 40
) -> Answers:
    """Gaussian features whose scale falls with their number, as that of principal components."""
    scales = 1 / np.sqrt(1 + np.arange(d) / 8)
    scales /= np.sqrt((scales**2).mean())
    between = BETWEEN * scales * rng.normal(size=(n_prompts, 1, d))
    distances = np.exp(TAIL * rng.normal(size=(n_prompts, n_answers, 1)) - TAIL**2)
    within = WITHIN * scales * rng.normal(size=(n_prompts, n_answers, d))
    return Answers(list(between + distances * within), [])


def has_pandalm() -> bool:
    """Whether the answers are at hand."""
    return (Path(os.environ.get("LMGYM_DATA", "")) / "pandalm").is_dir()


def pandalm_answers(cache: str | None = None, d: int = 40) -> Answers:
    """Embeddings of the different answers to each of PandaLM's prompts that has three or more."""
    answers: dict[object, dict[str, None]] = {}
    for pair in read_preferences("pandalm"):
        answers.setdefault(pair.prompt, {}).update({pair.chosen: None, pair.rejected: None})
    groups = [list(texts) for texts in answers.values() if len(texts) >= 3]
    texts = [text for group in groups for text in group]
    encoder = make_encoder("minilm")
    vectors = (
        encoder.encode_texts(texts)
        if cache is None
        else CachedEncoder(encoder, EmbeddingCache(cache)).encode_texts(texts)
    ).astype(np.float64)
    centred = vectors - vectors.mean(0)
    directions = np.linalg.svd(centred, full_matrices=False)[2][:d]
    rows = centred @ directions.T
    rows /= np.sqrt(rows.var(0).mean())
    ends = np.cumsum([len(group) for group in groups])[:-1]
    return Answers(np.split(rows, ends), [])


def tuned_head(pairs: Comparisons, rng: np.random.Generator, n_folds: int = 4) -> LinearHead:
    """The Bradley-Terry head with the regularisation that predicts held-out labels best."""
    if len(pairs) < n_folds:
        raise LmgymError(f"{len(pairs)} pairs are too few for {n_folds} folds")
    fold_of = rng.permutation(len(pairs)) % n_folds
    losses = [
        sum(_loss(pairs[fold_of != f], pairs[fold_of == f], strength) for f in range(n_folds))
        for strength in GRID
    ]
    return fit_linear(pairs, regularisation=GRID[int(np.argmin(losses))])


def _loss(train: Comparisons, held: Comparisons, strength: float) -> float:
    head = fit_linear(train, regularisation=strength)
    gaps = head.rewards(held.chosen)[0] - head.rewards(held.rejected)[0]
    return float((np.logaddexp(0, gaps) - held.probabilities * gaps).sum())
