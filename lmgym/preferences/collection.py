"""Preference pairs from a world: a policy answers, an annotator who knows the gold compares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lmgym.errors import LmgymError
from lmgym.preferences.annotators import Annotator, BradleyTerryAnnotator
from lmgym.preferences.pairing import label_pairs, sample_pairs
from lmgym.preferences.pairs import PreferenceDataset, PreferencePair
from lmgym.task import Message
from lmgym.transcript import Transcript

if TYPE_CHECKING:
    import torch

    from lmgym.rollouts import RolloutCollector

__all__ = [
    "GoldGaps",
    "collect_answers",
    "collect_pairs",
    "compare",
]

_Floats = NDArray[np.float64]


def collect_pairs(
    collector: RolloutCollector,
    generator: torch.Generator | None,
    n: int,
    rng: np.random.Generator,
    *,
    annotator: Annotator | None = None,
    n_prompts: int | None = None,
    samples: int = 2,
    split: str = "train",
    temperature: float = 1.0,
    prompts: str = "within",
    ranks: str = "random",
) -> PreferenceDataset:
    """Have a policy answer, and the answers compared by the world's gold reward.

    Args:
        collector: joins the policy and the world; its reward plays no part.
        generator: draws the answers.
        n: pairs; those of equal texts are left out.
        rng: draws prompts, pairs and labels.
        annotator: by default Bradley-Terry noise of temperature 1.
        n_prompts: how many prompts are answered, by default one a pair.
        samples: answers to each prompt.
        split: where prompts are drawn from.
        temperature: of the answers.
        prompts: "within" or "across", as for `sample_pairs`.
        ranks: "random", "adjacent" or "extreme", as for `sample_pairs`.

    Raises:
        LmgymError: for a world without a gold reward.
    """
    if not collector.task.has_gold_reward:
        raise LmgymError(
            f"{type(collector.task).__name__} has no gold reward to compare answers by; have people"
            " compare them (`lmgym reward annotate`), or use a world that has one"
        )
    answers = collect_answers(
        collector,
        generator,
        n if n_prompts is None else n_prompts,
        rng,
        samples=samples,
        split=split,
        temperature=temperature,
    )
    gold = [transcript.gold_reward for transcript in answers]
    return compare(
        answers, np.array(gold, np.float64), n, rng, annotator, prompts=prompts, ranks=ranks
    )


def collect_answers(
    collector: RolloutCollector,
    generator: torch.Generator | None,
    n_prompts: int,
    rng: np.random.Generator,
    *,
    samples: int = 2,
    split: str = "train",
    temperature: float = 1.0,
    batch_size: int = 512,
    on_progress: Any = None,
) -> list[Transcript]:
    """Answers of a policy to prompts of a world, those to one prompt together.

    Args:
        collector: joins the policy and the world.
        generator: draws the answers.
        n_prompts: how many prompts are drawn.
        rng: draws them.
        samples: answers to each.
        split: where prompts are drawn from.
        temperature: of the answers.
        batch_size: answers at a time.
        on_progress: called with the number of finished prompts and of all.
    """
    found: list[Transcript] = []
    size = max(1, batch_size // samples)
    for start in range(0, n_prompts, size):
        batch = collector.collect(
            rng,
            generator,
            n_groups=min(size, n_prompts - start),
            group_size=samples,
            split=split,
            temperature=temperature,
        )
        found += batch.transcripts
        if on_progress is not None:
            on_progress(len(found) // samples, n_prompts)
    return found


def compare(
    transcripts: Sequence[Transcript],
    gold: ArrayLike,
    n: int,
    rng: np.random.Generator,
    annotator: Annotator | None = None,
    *,
    prompts: str = "within",
    ranks: str = "random",
) -> PreferenceDataset:
    """Pairs out of answers whose gold reward is known, whoever wrote them.

    Args:
        transcripts: of one turn each; those of one prompt are found by their prompt.
        gold: their gold rewards, shape (len(transcripts),).
        n: pairs; those of equal texts are left out.
        rng: draws pairs and labels.
        annotator: by default Bradley-Terry noise of temperature 1.
        prompts: "within" or "across", as for `sample_pairs`.
        ranks: "random", "adjacent" or "extreme", as for `sample_pairs`.

    Example:
        >>> said = [Transcript.from_strings("1+1=", text) for text in ("2", "3")]
        >>> data = compare(said, [9.0, 0.0], 1, np.random.default_rng(0))
        >>> data[0].chosen, data[0].rejected
        ('2', '3')
    """
    rows: dict[object, list[int]] = {}
    for row, transcript in enumerate(transcripts):
        rows.setdefault(transcript.messages[: transcript.n_opening], []).append(row)
    scores = np.asarray(gold, np.float64)
    golds = [scores[members] for members in rows.values()]
    pairs = sample_pairs(golds, n, rng, prompts=prompts, ranks=ranks)
    first, second = (
        np.array([golds[p][a] for p, a in side.tolist()]) for side in pairs.swapaxes(0, 1)
    )
    labels = (annotator or BradleyTerryAnnotator()).label(first, second, rng)
    openings = [transcripts[m[0]].messages[: transcripts[m[0]].n_opening] for m in rows.values()]
    answers = [[transcripts[row].completion_text for row in members] for members in rows.values()]
    return label_pairs(openings, answers, pairs, labels)


class GoldGaps:
    """How much better one answer of a pair is than the other, by what a world said of both.

    Args:
        transcripts: answers with their gold rewards.

    Example:
        >>> said = [Transcript.from_strings("1+1=", text) for text in ("2", "3")]
        >>> graded = [replace(t, gold_reward=g) for t, g in zip(said, (9.0, 0.0), strict=True)]
        >>> pairs = PreferenceDataset.of([PreferencePair.of("1+1=", "3", "2")])
        >>> gaps = GoldGaps(graded)
        >>> gaps.of(pairs)
        array([-9.])
        >>> gaps.label(pairs, BradleyTerryAnnotator(), np.random.default_rng(0))[0].chosen
        '2'
    """

    def __init__(self, transcripts: Sequence[Transcript]) -> None:
        """Keep the gold reward of each answer."""
        self._gold: Mapping[tuple[tuple[Message, ...], str], float] = {
            (t.messages[: t.n_opening], t.completion_text): _graded(t) for t in transcripts
        }

    def of(self, pairs: Sequence[PreferencePair]) -> _Floats:
        """Gold reward of `chosen` less that of `rejected`, shape (len(pairs),)."""
        chosen, rejected = self._sides(pairs)
        return chosen - rejected

    def label(
        self, pairs: Sequence[PreferencePair], annotator: Annotator, rng: np.random.Generator
    ) -> PreferenceDataset:
        """The pairs as an annotator who knows the gold rewards prefers them."""
        labels = annotator.label(*self._sides(pairs), rng).tolist()
        return PreferenceDataset.of(
            replace(
                pair if label >= 0.5 else pair.swapped(),
                probability=max(label, 1 - label),
                margin=None,
            )
            for pair, label in zip(pairs, labels, strict=True)
        )

    def _sides(self, pairs: Sequence[PreferencePair]) -> tuple[_Floats, _Floats]:
        chosen = [self._gold[pair.prompts[0], pair.chosen] for pair in pairs]
        rejected = [self._gold[pair.prompts[1], pair.rejected] for pair in pairs]
        return np.array(chosen, np.float64), np.array(rejected, np.float64)


def _graded(transcript: Transcript) -> float:
    if transcript.gold_reward is None or not math.isfinite(transcript.gold_reward):
        raise LmgymError(
            f"the answer {transcript.completion_text!r:.60} has no gold reward to compare it by"
        )
    return transcript.gold_reward
