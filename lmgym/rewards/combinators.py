"""Several sources as one: sums, rubrics and gates.

What is uncertain adds up as if the sources erred independently: the std of a sum is the square
root of the sum of their squared weighted stds, and sources without one count as certain. An
episode that one of the sources cannot score is unscored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.rewards.batches import (
    Compound,
    any_unscored,
    common_level,
    score_due,
    scored_by,
    scored_rows,
    totals,
)
from lmgym.rewards.controls import ConstantReward
from lmgym.rewards.names import as_source
from lmgym.rewards.source import Reward, RewardBatch, RewardLevel, RewardSource
from lmgym.transcript import Transcript

__all__ = ["Gate", "Rubric", "WeightedSum"]

Weighted = Reward | tuple[float, Reward]


class WeightedSum(Compound):
    """The weighted sum of several sources, each of them a part.

    Part `name` is what the source of that name adds to the outcome; where it has several parts of
    its own, they are told as `name/part`. Outcome sources are asked only for finished episodes
    (those with a verdict) where another source pays densely.

    Args:
        terms: sources by name, each alone or as (weight, source).

    Raises:
        LmgymError: for no terms, weights that are not finite, or two different dense levels.

    Example:
        >>> source = WeightedSum({"right": "verifier", "form": (0.2, "format:[0-9]+")})
        >>> batch = source.score([Transcript.from_strings("1+1=", "3")])
        >>> batch.outcome, {name: part.tolist() for name, part in batch.parts.items()}
        (array([0.2]), {'right': [0.0], 'form': [0.2]})
    """

    def __init__(self, terms: Mapping[str, Weighted]) -> None:
        """Read the terms."""
        if not terms:
            raise LmgymError("a sum needs at least one source; give {name: source}")
        self.terms = {name: _weighted(name, term) for name, term in terms.items()}
        self._sources = tuple(source for _, source in self.terms.values())
        self.level = common_level(self._sources)
        self.is_causal = all(source.is_causal for source in self._sources)

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """Score with every source, and add."""
        terms = self.terms.items()
        scored = [
            (name, weight, score_due(source, transcripts, self.level))
            for name, (weight, source) in terms
        ]
        parts: dict[str, NDArray[np.float64]] = {}
        for name, weight, batch in scored:
            parts[name] = weight * batch.outcome
            if len(batch.parts) > 1:
                parts |= {f"{name}/{part}": weight * v for part, v in batch.parts.items()}
        return RewardBatch(
            np.sum([parts[name] for name, _, _ in scored], axis=0),
            _dense_sum([(weight, batch.dense) for _, weight, batch in scored]),
            parts,
            any_unscored(batch for _, _, batch in scored),
            _std_of_sum([(weight, batch.std) for _, weight, batch in scored]),
        )


class Rubric(WeightedSum):
    """Several named checks, as a weighted mean: 1 where all checks that pay 0 or 1 hold.

    Args:
        checks: sources by name, each alone or as (weight, source); functions
            `f(prompts, completions, **columns)` are sources too. Weights are positive.

    Example:
        >>> def brief(prompts, completions):
        ...     return [float(len(text) < 10) for text in completions]
        >>> rubric = Rubric({"right": (3, "verifier"), "brief": brief})
        >>> batch = rubric.score([Transcript.from_strings("1+1=", "3")])
        >>> batch.outcome, sorted(batch.parts)
        (array([0.25]), ['brief', 'right'])
    """

    def __init__(self, checks: Mapping[str, Weighted]) -> None:
        """Scale the weights to a sum of 1."""
        super().__init__(checks)
        for name, (weight, _) in self.terms.items():
            if weight <= 0:
                raise LmgymError(f"the check {name!r} has the weight {weight}; give a positive one")
        total = sum(weight for weight, _ in self.terms.values())
        self.terms = {name: (weight / total, s) for name, (weight, s) in self.terms.items()}


class Gate(Compound):
    """One source where a condition holds, another where it does not.

    Each source is asked only for its own transcripts, and neither for those that the condition
    cannot score: they are unscored. `parts["gate"]` is 1 where the condition
    held. Dense rewards that hang on a condition are known only at the end of an episode, so
    a gate of dense sources is not causal: it works in rollouts and not in `step`.

    Args:
        condition: holds where it pays more than `threshold` in total.
        then: pays where it holds.
        otherwise: pays where it does not: a number or a source.
        threshold: of the condition.

    Example:
        >>> gate = Gate("format:[0-9]+", then="verifier", otherwise=-1.0)
        >>> said = [Transcript.from_strings("1+1=", text) for text in ("3", "three")]
        >>> gate.score(said).outcome
        array([ 0., -1.])
    """

    def __init__(
        self,
        condition: Reward,
        then: Reward,
        otherwise: Reward | float = 0.0,
        *,
        threshold: float = 0.0,
    ) -> None:
        """Read the sources."""
        self.condition, self.then, self.threshold = as_source(condition), as_source(then), threshold
        if isinstance(otherwise, (int, float)):
            otherwise = ConstantReward(otherwise)
        self.otherwise = as_source(otherwise)
        self._sources = (self.condition, self.then, self.otherwise)
        self.level = common_level(self._sources[1:])
        is_known = self.level is RewardLevel.OUTCOME
        self.is_causal = is_known and all(source.is_causal for source in self._sources)

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """Ask the condition, then each source for its transcripts."""
        condition = scored_by(self.condition, transcripts)
        holds = totals(condition) > self.threshold
        fails = ~holds
        if condition.unscored is not None:
            holds, fails = holds & ~condition.unscored, fails & ~condition.unscored
        batches = (
            scored_rows(self.then, transcripts, holds),
            scored_rows(self.otherwise, transcripts, fails),
        )
        parts = {"gate": holds.astype(np.float64)}
        for batch in batches:
            for name, values in batch.parts.items():
                parts[name] = parts.get(name, 0.0) + values
        return RewardBatch(
            batches[0].outcome + batches[1].outcome,
            _dense_sum([(1.0, batch.dense) for batch in batches]),
            parts,
            any_unscored((condition, *batches)),
            _std_of_sum([(1.0, batch.std) for batch in batches]),
        )


def _weighted(name: str, term: Weighted) -> tuple[float, RewardSource]:
    weight, source = term if isinstance(term, tuple) else (1.0, term)
    if not isfinite(weight):
        raise LmgymError(f"the weight {weight} of {name!r} is not finite; give a number")
    return float(weight), as_source(source)


def _dense_sum(
    weighted: Sequence[tuple[float, Sequence[NDArray[np.float64]] | None]],
) -> list[NDArray[np.float64]] | None:
    terms = [[weight * units for units in dense] for weight, dense in weighted if dense is not None]
    return [np.sum(rows, axis=0) for rows in zip(*terms, strict=True)] if terms else None


def _std_of_sum(
    weighted: Sequence[tuple[float, NDArray[np.float64] | None]],
) -> NDArray[np.float64] | None:
    squares = [(weight * std) ** 2 for weight, std in weighted if std is not None]
    return np.sqrt(np.sum(squares, axis=0)) if squares else None
