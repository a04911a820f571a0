"""Preference pairs from a world: a policy answers, an annotator who knows the gold compares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from lmgym.errors import LmgymError
from lmgym.preferences.annotators import Annotator, BradleyTerryAnnotator
from lmgym.preferences.pairing import label_pairs, sample_pairs
from lmgym.preferences.pairs import PreferenceDataset
from lmgym.transcript import Transcript

if TYPE_CHECKING:
    import torch

    from lmgym.rollouts import RolloutCollector

__all__ = ["collect_pairs", "compare"]


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
    batch = collector.collect(
        rng,
        generator,
        n_groups=n if n_prompts is None else n_prompts,
        group_size=samples,
        split=split,
        temperature=temperature,
    )
    if batch.gold_rewards is None:
        raise LmgymError(
            f"{type(collector.task).__name__} has no gold reward to compare answers by; have people"
            " compare them (`lmgym reward annotate`), or use a world that has one"
        )
    return compare(
        batch.transcripts, batch.gold_rewards, n, rng, annotator, prompts=prompts, ranks=ranks
    )


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
