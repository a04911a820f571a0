"""Over-optimisation by best-of-N: does the gold reward fall while the proxy rises, and who helps?

Two kinds of candidates. Gaussian ones of 16 numbers, of which one in fifty is 2.5 times as large:
the gold reward is linear, and collapses on the large ones. And cheers that people write for prompts
of `lmgym/Preference-v0`, whose gold reward is its hidden taste. A linear reward model is fitted to
500 comparisons with a quarter of the labels flipped, alone, as the mean of 8 bootstrap members,
as the worst of them, and as their mean less 4 times their variance. All choose among the same
fresh candidates, up to N = 4096, and every seed draws all of it anew (Gao et al., 2022; Coste et
al., 2024).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lmgym.commands.arguments import parse_options
from lmgym.commands.files import check_file
from lmgym.envs.preference.cheers import N_PROMPTS, cheer, prompt_at
from lmgym.envs.preference.gold import TasteReward
from lmgym.overoptimization import Curve, best_of_n_curve, mean_curve
from lmgym.preferences.annotators import FlipAnnotator
from lmgym.preferences.collection import compare
from lmgym.reward_models import FitArgs, fit_reward_model
from lmgym.reward_models.heads import Comparisons, LinearHead, fit_linear
from lmgym.rewards.ensembles import reduce_members
from lmgym.training.study_figure import draw_study
from lmgym.transcript import Transcript
from measuring import Claim, MeasuringArgs, claimed

Array = NDArray[np.float64]

SIZE, RARE, LARGE = 16, 0.02, 2.5
"""Numbers of a Gaussian candidate, the share of large ones, and how much larger they are."""
LIMIT, SLOPE = 6.0, 1.5
"""The length of a vector above which gold falls, and how steeply."""
PAIRS, FLIPS, MEMBERS, COEFFICIENT = 500, 0.25, 8, 4.0
"""Comparisons, the share of wrong labels, members of an ensemble, and the weight of variances."""
PROMPTS, SAMPLES, MOST = 16, 8192, 4096
"""Prompts a seed, candidates of each, and the largest N."""
TEXT_PROMPTS = 8
"""Prompts a seed where candidates are texts."""
SINGLE, MEAN, WORST, UNCERTAIN = "single", "mean of 8", "worst of 8", "mean - 4 variances"


@dataclass(frozen=True)
class BestOfNArgs(MeasuringArgs):
    """What to measure; a repetition is a seed, and the first is `seed`."""

    repetitions: int = 6
    """Seeds."""
    plot: str | None = None
    """Draw the first kind of candidates, averaged over seeds, into this .png file."""


@dataclass(frozen=True)
class Scored:
    """Candidates that models have scored.

    Attributes:
        single: by one model, shape (prompts, samples).
        members: by each of the bootstrap members, shape (K, prompts, samples).
        gold: shape (prompts, samples).
    """

    single: Array
    members: Array
    gold: Array


Study = Mapping[str, Curve]
"""The curves of one seed by the name of the model."""


def main(argv: Sequence[str]) -> int:
    """Measure, print, write, draw; 1 where a bar is missed."""
    (args,) = parse_options(
        {"overoptimization": BestOfNArgs},
        argv,
        "bench claims/overoptimization-best-of-n",
        __doc__ or "",
    )
    if args.plot is not None:
        check_file(args.plot, ".png")
    start = time.process_time()
    seeds = [args.seed + i for i in range(args.repetitions)]
    gaussian = [study(gaussians, seed) for seed in seeds]
    seconds = time.process_time() - start
    texts = [study(cheers, seed) for seed in seeds]
    curves = means(gaussian)
    if args.plot is not None:
        draw_study(curves, Path(args.plot), title="Best-of-N against reward models")
    claims = [
        *claims_of("Gaussian", gaussian, has_bars=True),
        *claims_of("texts", texts, has_bars=False),
    ]
    claims.append(Claim("CPU seconds of the Gaussian seeds", [seconds], unit="s", most=120))
    kinds = {"Gaussian": gaussian, "texts": texts}
    records = {kind: [curve.as_dict() for curve in means(s)] for kind, s in kinds.items()}
    return claimed(claims, args, curves=records)


def means(studies: Sequence[Study]) -> list[Curve]:
    """The mean curve of each model over the seeds."""
    return [mean_curve([each[name] for each in studies]) for name in studies[0]]


def study(score: Callable[[np.random.Generator], Scored], seed: int) -> Study:
    """The curves of all models on the same candidates."""
    scored = score(np.random.default_rng(seed))
    flat = scored.members.reshape(MEMBERS, -1)
    reduced = {
        SINGLE: scored.single,
        MEAN: reduce_members(flat, "mean")[0],
        WORST: reduce_members(flat, "wco")[0],
        UNCERTAIN: reduce_members(flat, "uwo", COEFFICIENT)[0],
    }
    numbers = [2**k for k in range(MOST.bit_length())]
    gold = scored.gold / scored.gold.std()
    return {
        name: best_of_n_curve(proxy.reshape(gold.shape), gold, numbers, label=name)
        for name, proxy in reduced.items()
    }


def gaussians(rng: np.random.Generator) -> Scored:
    """Vectors, and linear models of them."""

    def draw(*shape: int) -> tuple[Array, Array]:
        found = rng.normal(size=(*shape, SIZE))
        found[rng.random(shape) < RARE] *= LARGE
        excess = np.maximum(0.0, np.linalg.norm(found, axis=-1) - LIMIT)
        return found, found[..., 0] - SLOPE * excess

    (features, gold), rows = draw(PAIRS, 2), np.arange(PAIRS)
    winner = 1 - FlipAnnotator(FLIPS).label(gold[:, 0], gold[:, 1], rng).astype(np.int64)
    pairs = Comparisons.of(features[rows, winner], features[rows, 1 - winner])
    resampled = [pairs[rng.integers(PAIRS, size=PAIRS)] for _ in range(MEMBERS)]
    head = LinearHead.stack([fit_linear(each) for each in (pairs, *resampled)])
    candidates, gold = draw(PROMPTS, SAMPLES)
    scores = head.rewards(candidates.reshape(-1, SIZE)).reshape(-1, PROMPTS, SAMPLES)
    scores /= scores.std((1, 2), keepdims=True)
    return Scored(scores[0], scores[1:], gold)


def cheers(rng: np.random.Generator) -> Scored:
    """Texts that people write, and linear models of their hashed n-grams and lengths."""
    asked = [prompt_at(int(i)) for i in rng.integers(N_PROMPTS, size=PAIRS)]
    compared = [
        Transcript.from_strings(prompt, cheer(prompt, writer))
        for prompt in asked
        for writer in range(2)
    ]
    judge = TasteReward()
    gold = judge.score(compared).outcome
    data = compare(compared, gold, PAIRS, rng, FlipAnnotator(FLIPS))
    seed = int(rng.integers(1 << 31))
    single = fit_reward_model(data, FitArgs(seed=seed))
    ensemble = fit_reward_model(data, FitArgs(seed=seed, members=MEMBERS))
    proxies, members, golds = [], [], []
    for index in rng.integers(N_PROMPTS, size=TEXT_PROMPTS).tolist():
        prompt = prompt_at(index)
        answers = [Transcript.from_strings(prompt, cheer(prompt, n)) for n in range(MOST)]
        proxies.append(single.score(answers).outcome)
        members.append(ensemble.member_rewards(answers))
        golds.append(judge.score(answers).outcome)
    return Scored(np.array(proxies), np.stack(members, 1), np.array(golds))


def claims_of(kind: str, studies: Sequence[Study], *, has_bars: bool) -> list[Claim]:
    """What the seeds show of one kind of candidates; bars for the kind that has them."""
    falls = [fall(each[SINGLE]) for each in studies]
    claims = [
        Claim(f"{kind}, single: gold at its peak less at N = {MOST}", falls, "sd"),
        _seeds(f"{kind}, single: gold peaks and falls", falls, has_bars),
    ]
    for name in (MEAN, WORST, UNCERTAIN):
        gains = [last_gold(each[name]) - last_gold(each[SINGLE]) for each in studies]
        claims.append(Claim(f"{kind}, {name}: gold at N = {MOST} above single's", gains, "sd"))
        if name == UNCERTAIN:
            claims.append(_seeds(f"{kind}, {name}: it is above", gains, has_bars))
            fallen = [fall(each[name]) for each in studies]
            claims.append(
                Claim(f"{kind}, {name}: gold at its peak less at N = {MOST}", fallen, "sd")
            )
    return claims


def _seeds(what: str, gains: Sequence[float], has_bar: bool) -> Claim:
    least = len(gains) - 1 if has_bar else None
    return Claim(
        f"{what}, seeds of {len(gains)}", [float(sum(g > 0 for g in gains))], "seeds", least
    )


def fall(curve: Curve) -> float:
    """How far gold is at the largest N below its best."""
    assert curve.gold is not None
    return float(curve.gold.max() - curve.gold[-1])


def last_gold(curve: Curve) -> float:
    """Gold at the largest N."""
    assert curve.gold is not None
    return float(curve.gold[-1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
