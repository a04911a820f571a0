"""Choosing comparisons by Fisher information against choosing them at random.

Shen et al. (2025) choose the comparisons whose labels tell most about a linear reward. Labels are
bought in rounds of 30 from a pool of all pairs within prompts; after each round a Bradley-Terry
head is fitted, which the next choice starts from. Quality is Spearman's correlation with the gold
reward within prompts that were held out. A seed's quality is the mean over four gold rewards; the
rules share golds, pools, labels and prompts. The bar is for drawn features: D-optimal choice with
half the labels against random choice with all of them. MiniLM's features of PandaLM's answers,
where LMGYM_DATA has them, have a pool of some 980 pairs, so half as many labels are bought.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from claims.answer_features import Answers, drawn_answers, has_pandalm, pandalm_answers
from lmgym.commands.arguments import parse_options
from lmgym.commands.files import check_file
from lmgym.errors import LmgymError
from lmgym.preferences.acquisition import RULES, acquire
from lmgym.preferences.annotators import BradleyTerryAnnotator
from lmgym.preferences.evaluation import spearman
from lmgym.reward_models.heads import Comparisons, fit_linear
from measuring import Claim, claimed

Array = NDArray[np.float64]

BAR_SHARE = 5 / 6
"""Share of the seeds in which half the labels should do."""
GOLDS = 4
"""Gold rewards a seed."""
ROUND = 30
"""Labels that are bought at once."""


@dataclass(frozen=True)
class FisherArgs:
    """Arguments of the benchmark."""

    seeds: int = 6
    """How many, from --seed on."""
    seed: int = 100
    """The first; settings were found with seeds below 10."""
    labels: int = 480
    """Labels at most, a multiple of 120; half as many of the real features."""
    temperature: float = 1 / 3
    """Of the labels' noise, in standard deviations of the gold reward."""
    ridge: float = 3.0
    """Regularisation of the heads, and where D-optimal choice begins."""
    cache: str | None = None
    """Folder where MiniLM's embeddings are kept."""
    out: str | None = None
    """Write the results to this .json file as well."""

    def __post_init__(self) -> None:
        """Raise where there would be nothing to measure, or nowhere to write."""
        if self.seeds < 1 or self.seed < 0:
            raise LmgymError(f"--seeds {self.seeds} --seed {self.seed} are out of range")
        if self.labels < 4 * ROUND or self.labels % (4 * ROUND):
            raise LmgymError(f"--labels {self.labels} is no multiple of {4 * ROUND}")
        if self.out is not None:
            check_file(self.out)


Curve = dict[int, float]
"""Quality by the number of labels."""


def main(argv: Sequence[str]) -> int:
    """Measure, print, write; 1 where the bar is missed."""
    (args,) = parse_options({"benchmark": FisherArgs}, argv, "bench claims/fisher", "")
    found = {"drawn features": measure(args, None, args.labels)}
    if has_pandalm():
        real = pandalm_answers(args.cache)
        found["MiniLM, PandaLM"] = measure(args, real, args.labels // 2)
    for features, curves in found.items():
        _show(features, curves)
    drawn = halves(found["drawn features"])
    n_equal = float(sum(gain >= 0 for gain in drawn))
    claims = [
        Claim(
            f"seeds of {args.seeds} in which half the labels are enough, drawn features",
            [n_equal],
            unit="seeds",
            least=round(BAR_SHARE * args.seeds),
        )
    ]
    for features, curves in found.items():
        most = max(curves["random"][0])
        what = f"fisher with {most // 2} labels less random with {most}, {features}"
        claims.append(Claim(what, halves(curves), unit=""))
        same = [f[most] - r[most] for f, r in zip(curves["fisher"], curves["random"], strict=True)]
        claims.append(Claim(f"fisher less random with {most} labels, {features}", same, unit=""))
    return claimed(claims, args, qualities=found)


def measure(args: FisherArgs, real: Answers | None, n_labels: int) -> dict[str, list[Curve]]:
    """The curve of each rule for each seed."""
    curves: dict[str, list[Curve]] = {rule: [] for rule in RULES}
    for seed in range(args.seed, args.seed + args.seeds):
        rng = np.random.default_rng(seed)
        answers = drawn_answers(rng) if real is None else real
        golds = [answers.with_gold(rng).split(0.75, rng) for _ in range(GOLDS)]
        for rule, found in curves.items():
            each = [learn(*parts, rule, args, n_labels, [seed, i]) for i, parts in enumerate(golds)]
            found.append({n: float(np.mean([curve[n] for curve in each])) for n in each[0]})
    return curves


def halves(curves: dict[str, list[Curve]]) -> list[float]:
    """Fisher's quality with half the labels less that of random choice with all, by seed."""
    most = max(curves["random"][0])
    pairs = zip(curves["fisher"], curves["random"], strict=True)
    return [fisher[most // 2] - chance[most] for fisher, chance in pairs]


def learn(
    train: Answers, test: Answers, rule: str, args: FisherArgs, n_labels: int, seed: list[int]
) -> Curve:
    """Quality after each round of buying labels by a rule; labels are the same for all rules."""
    differences, gaps = _pool(train)
    annotator = BradleyTerryAnnotator(args.temperature)
    labels = annotator.label(gaps, np.zeros(len(gaps)), np.random.default_rng([*seed, 1]))
    rng = np.random.default_rng([*seed, 2])
    bought, left = np.empty(0, np.int64), np.arange(len(gaps))
    weights, curve = np.zeros(differences.shape[1]), {}
    while len(bought) < n_labels:
        known = differences[bought]
        chosen = acquire(
            rule, differences[left], ROUND, rng, weights=weights, labelled=known, ridge=args.ridge
        )
        bought, left = np.append(bought, left[chosen]), np.delete(left, chosen)
        known = differences[bought]
        pairs = Comparisons.of(known, np.zeros_like(known), labels[bought])
        weights = fit_linear(pairs, regularisation=args.ridge).weights[0]
        rows = zip(test.features, test.gold, strict=True)
        curve[len(bought)] = float(np.mean([spearman(x @ weights, gold) for x, gold in rows]))
    return curve


def _pool(answers: Answers) -> tuple[Array, Array]:
    """Differences of features and of gold scores for every two answers to a prompt."""
    differences, gaps = [], []
    for features, gold in zip(answers.features, answers.gold, strict=True):
        first, second = np.triu_indices(len(gold), 1)
        differences.append(features[first] - features[second])
        gaps.append(gold[first] - gold[second])
    return np.concatenate(differences), np.concatenate(gaps)


def _show(features: str, curves: dict[str, list[Curve]]) -> None:
    most = max(curves["random"][0])
    budgets = [most // 4, most // 2, most]
    table = Table(features, *(f"{n} labels" for n in budgets), box=SIMPLE_HEAD)
    for rule, found in curves.items():
        table.add_row(rule, *(f"{np.mean([curve[n] for curve in found]):.3f}" for n in budgets))
    Console().print(table)
