"""Training data as arrays: encoded answers, labels, weights and the prompts they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.reward_models.features import EncodesTexts, Projection, raw_features
from lmgym.reward_models.heads import Comparisons, Examples
from lmgym.transcript import Transcript

if TYPE_CHECKING:
    from lmgym.preferences.pairs import PreferencePair, Trial

__all__ = ["Labelled", "Table", "prompt_folds"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Labelled:
    """Answers with labels, as text.

    Attributes:
        first: the chosen answers, or the only ones.
        second: the rejected answers; None for logged trials.
        labels: that the first is better, or right, shape (n,).
        weights: shape (n,).
    """

    first: list[Transcript]
    second: list[Transcript] | None
    labels: Array
    weights: Array

    @classmethod
    def of(cls, data: Sequence[PreferencePair] | Sequence[Trial], objective: str) -> Labelled:
        """Of preferences, or of logged trials where the objective is classification."""
        from lmgym.preferences.pairs import PreferencePair, Trial

        rows: list[Any] = list(data)
        kinds = {type(row) for row in rows}
        if kinds not in ({PreferencePair}, {Trial}):
            found = ", ".join(sorted(kind.__name__ for kind in kinds)) or "nothing"
            raise LmgymError(
                "give preference pairs or logged trials, at least one and all of one kind;"
                f" given: {found}"
            )
        weights = np.array([row.weight for row in rows], np.float64)
        if kinds == {PreferencePair}:
            chosen, rejected = zip(*(row.transcripts() for row in rows), strict=True)
            labels = np.array([row.probability for row in rows], np.float64)
            return cls(list(chosen), list(rejected), labels, weights)
        if objective != "classification":
            raise LmgymError(
                f"objective={objective!r} compares two answers, and logged trials are single ones;"
                " use objective='classification', or make pairs of the trials"
            )
        labels = np.array([row.label for row in rows], np.float64)
        return cls([row.transcript for row in rows], None, labels, weights)

    @property
    def transcripts(self) -> list[Transcript]:
        """All answers."""
        return self.first + (self.second or [])

    @property
    def prompts(self) -> NDArray[np.int64]:
        """A number for each different prompt, shape (sides, n)."""
        contexts = [transcript.context_text for transcript in self.transcripts]
        _, numbers = np.unique(contexts, return_inverse=True)
        return numbers.reshape(-1, len(self))

    def __len__(self) -> int:
        """The number of rows, n."""
        return len(self.first)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Labelled answers, encoded.

    Attributes:
        raw: of the first and the second answers, shape (sides, n, D + 1).
        labels: shape (n,).
        weights: shape (n,).
        prompts: a number for each different prompt, shape (sides, n).
    """

    raw: Array
    labels: Array
    weights: Array
    prompts: NDArray[np.int64]

    @classmethod
    def of(cls, data: Labelled, encoder: EncodesTexts, inputs: str) -> Table:
        """Encode all answers at once."""
        raw = raw_features(encoder, data.transcripts, inputs)
        prompts = data.prompts
        return cls(raw.reshape(*prompts.shape, -1), data.labels, data.weights, prompts)

    def __len__(self) -> int:
        """The number of rows, n."""
        return len(self.labels)

    def __getitem__(self, rows: Any) -> Table:
        """Some of the rows."""
        return Table(
            self.raw[:, rows], self.labels[rows], self.weights[rows], self.prompts[:, rows]
        )

    @property
    def answers(self) -> Array:
        """All raw features, shape (sides * n, D + 1)."""
        return self.raw.reshape(-1, self.raw.shape[-1])

    def features(self, projection: Projection) -> Comparisons | Examples:
        """What a head is fitted to."""
        sides = [projection.apply(side) for side in self.raw]
        if len(sides) == 1:
            return Examples(sides[0], self.labels, self.weights)
        return Comparisons(sides[0], sides[1], self.labels, self.weights)

    def folds(self, n_folds: int, rng: np.random.Generator) -> list[tuple[Table, Table]]:
        """Training and held-out rows, no prompt on both sides; none where there are too few."""
        return [
            (self[train], self[held]) for train, held in prompt_folds(self.prompts, n_folds, rng)
        ]


def prompt_folds(
    prompts: NDArray[np.int64], n_folds: int, rng: np.random.Generator
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows to learn from and rows that are held out, no prompt on both sides, for each fold.

    A pair across prompts that fall into different folds is in neither. Fewer than two rows a fold
    make no folds at all.

    Args:
        prompts: a number for each different prompt, from 0 on, shape (sides, n).
        n_folds: how often the prompts are divided, at most.
        rng: deals the prompts out.
    """
    n_prompts = int(prompts.max()) + 1
    if n_prompts < 2 or prompts.shape[1] < 2 * n_folds:
        return []
    n_folds = min(n_folds, n_prompts)
    folds = (rng.permutation(n_prompts) % n_folds)[prompts]
    parts = [(folds != fold).all(0).nonzero()[0] for fold in range(n_folds)]
    held = [(folds == fold).all(0).nonzero()[0] for fold in range(n_folds)]
    return [(a, b) for a, b in zip(parts, held, strict=True) if a.size and b.size]
