"""Which answers to compare: within or across prompts, near or far apart in rank.

Answers to different prompts can be compared too, and every comparison of such a pair tells about
the scale that rewards of all prompts share (Sun, Shen and Ton 2025). How far apart the two answers
of a prompt are is its diversity, in terms of that work: low where both come from the middle ranks,
high where one is the best and the other the worst.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lmgym.errors import LmgymError, unknown
from lmgym.preferences.pairs import EqualAnswersError, PreferenceDataset, PreferencePair, Prompt

__all__ = ["PROMPTS", "RANKS", "label_pairs", "sample_pairs"]

PROMPTS = ("within", "across")
"""Whether both answers are to one prompt, or to two different ones."""
RANKS = ("random", "adjacent", "extreme")
"""Which two answers stand for a prompt: any, the two of middle rank, or the best and the worst."""


_Pair = list[tuple[int, int]]


def sample_pairs(
    gold: Sequence[ArrayLike],
    n: int,
    rng: np.random.Generator,
    *,
    prompts: str = "within",
    ranks: str = "random",
) -> NDArray[np.int64]:
    """Draw pairs of answers, which comes first by chance.

    Prompts are drawn uniformly and with replacement. Each is represented by two of its answers
    (`ranks`); a pair within a prompt is these two, a pair across prompts one of each. Equal scores
    are ranked by chance.

    Args:
        gold: for each prompt the scores of its answers.
        n: how many pairs.
        rng: draws them.
        prompts: "within" or "across".
        ranks: "random", "adjacent" or "extreme".

    Returns:
        Indices of shape (n, 2, 2): pair, side, and which prompt and which answer of it.

    Raises:
        LmgymError: where there are too few prompts or answers to draw from.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> sample_pairs([[0.1, 0.9, 0.5]], 1, rng, ranks="extreme").tolist()
        [[[0, 1], [0, 0]]]
    """
    for kind, given, known in (("prompts", prompts, PROMPTS), ("ranks", ranks, RANKS)):
        if given not in known:
            raise unknown(kind, given, known)
    scores = [np.asarray(row, dtype=np.float64) for row in gold]
    least = 2 if prompts == "within" else 1
    usable = [index for index, row in enumerate(scores) if len(row) >= least]
    if n < 0 or len(usable) < 3 - least:
        raise LmgymError(
            f"{n} pairs {prompts} prompts cannot be drawn from {len(scores)} prompts, of which"
            f" {len(usable)} have {least} or more answers; {3 - least} such are needed"
        )
    draw = _within if prompts == "within" else _across
    pairs = [draw(scores, usable, ranks, rng) for _ in range(n)]
    return np.array(pairs, dtype=np.int64).reshape(n, 2, 2)


def label_pairs(
    prompts: Sequence[Prompt],
    answers: Sequence[Sequence[str]],
    pairs: NDArray[np.int64],
    labels: ArrayLike,
) -> PreferenceDataset:
    """Preference pairs from sampled pairs and what an annotator says of them.

    Args:
        prompts: the prompts.
        answers: for each prompt its answers.
        pairs: as `sample_pairs` returns them, shape (n, 2, 2).
        labels: 1 where the first answer is better, 0 where the second, 0.5 for a tie, or a
            probability; shape (n,).

    Returns:
        The pairs; those of equal texts to one prompt are left out and counted.
    """
    found, n_equal = [], 0
    rows: list[_Pair] = pairs.tolist()
    for (first, second), label in zip(rows, np.asarray(labels).tolist(), strict=True):
        better, worse = (first, second) if label >= 0.5 else (second, first)
        try:
            pair = PreferencePair.of(
                prompts[better[0]],
                answers[better[0]][better[1]],
                answers[worse[0]][worse[1]],
                probability=max(label, 1 - label),
                rejected_prompt=None if better[0] == worse[0] else prompts[worse[0]],
            )
            found.append(pair)
        except EqualAnswersError:
            n_equal += 1
    return PreferenceDataset(tuple(found), n_equal)


def _within(
    scores: Sequence[NDArray[np.float64]], usable: list[int], ranks: str, rng: np.random.Generator
) -> _Pair:
    prompt = usable[rng.integers(len(usable))]
    return [(prompt, answer) for answer in _two(scores[prompt], ranks, rng)]


def _across(
    scores: Sequence[NDArray[np.float64]], usable: list[int], ranks: str, rng: np.random.Generator
) -> _Pair:
    chosen = rng.choice(len(usable), 2, replace=False)
    prompts = [usable[index] for index in chosen]
    return [(prompt, _two(scores[prompt], ranks, rng)[0]) for prompt in prompts]


def _two(scores: NDArray[np.float64], ranks: str, rng: np.random.Generator) -> list[int]:
    """Two answers of a prompt in random order; one answer stands for both where it is alone."""
    order = rng.permutation(len(scores))
    if ranks == "random" or len(order) == 1:
        return [int(order[0]), int(order[-1])]
    order = order[np.argsort(scores[order], kind="stable")]
    middle = len(order) // 2
    two = order[[middle - 1, middle]] if ranks == "adjacent" else order[[0, -1]]
    return [int(answer) for answer in rng.permutation(two)]
