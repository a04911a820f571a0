"""Is classification a better way to a reward than Bradley-Terry where labels are noisy?

Sun, Shen and Ton (2025) claim so. Here each objective has its own regularisation, chosen on
validation pairs that are as noisy as the training pairs; both see the same pairs, and are tested
with clean labels on prompts that neither saw. On PandaLM's human pairs with MiniLM's encodings, and
on a gold reward that linear heads can nearly represent. Both heads' times are measured on one core.
LMGYM_DATA names the folder that holds pandalm; without it the real pairs are left out.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table as Shown

from lmgym.preferences.readers import read_preferences
from lmgym.reward_models import EmbeddingCache, FitArgs, make_encoder
from lmgym.reward_models.cache import CachedEncoder
from lmgym.reward_models.fitting import fit_head
from lmgym.reward_models.heads import Comparisons, fit_linear, pair_accuracy
from lmgym.reward_models.mlp import fit_mlp
from lmgym.reward_models.table import Labelled, Table, prompt_folds
from lmgym.training.uncertainty import mean_interval
from measuring import Claim, MeasuringArgs, claimed, cpu_seconds

Array = NDArray[np.float64]

OBJECTIVES = ("bradley_terry", "classification")
_SIZE = 32
_threads: Any = importlib.import_module("threadpoolctl")  # it comes without types


@dataclass(frozen=True)
class NoiseArgs(MeasuringArgs):
    """What to measure; a repetition is a seed."""

    repetitions: int = 10
    """Paired seeds of splits, flips and the gold reward."""
    flips: str = "0,10,20,30"
    """Shares of labels that are wrong, in per cent."""
    head: str = "linear"
    """linear or mlp."""
    cache: str | None = None
    """Folder where encodings are kept from run to run."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print a line for each data set and share of flips."""
    args = tyro.cli(NoiseArgs, args=argv, description=__doc__)
    flips = [int(word) / 100 for word in args.flips.split(",")]
    with ExitStack() as stack:
        stack.enter_context(_threads.threadpool_limits(1))
        torch.set_num_threads(1)
        folder = args.cache or stack.enter_context(tempfile.TemporaryDirectory())
        real = _pandalm(folder)
        accuracies: dict[str, dict[str, list[float]]] = {}
        for seed in range(args.seed, args.seed + args.repetitions):
            sources = {f"gold, {n} pairs": _gold(n, seed) for n in (300, 1500)}
            if real is not None:
                sources["PandaLM"] = _split(real, seed)
            for name, parts in sources.items():
                for share in flips:
                    place = accuracies.setdefault(f"{name}, {share:.0%} flipped", {})
                    for objective, found in _accuracies(parts, share, args.head, seed).items():
                        place.setdefault(objective, []).append(found)
        seconds = _fit_seconds(args.repetitions)
    results = {place: _summary(values) for place, values in accuracies.items()}
    _show(results)
    return claimed(_claims(accuracies, seconds), replace(args, cache=None), accuracy=results)


def _pandalm(folder: str) -> Table | None:
    """The human pairs, encoded."""
    if not (Path(os.environ.get("LMGYM_DATA", "")) / "pandalm").is_dir():
        return None
    labelled = Labelled.of(read_preferences("pandalm"), "bradley_terry")
    is_decided = labelled.labels != 0.5
    reader = CachedEncoder(make_encoder("minilm"), EmbeddingCache(folder))
    return Table.of(labelled, reader, "answer")[is_decided]


def _split(table: Table, seed: int) -> tuple[Table, Table, Table]:
    """Training, validation and test pairs with no prompt in common: 60, 20 and 20 %."""
    rng = np.random.default_rng(seed)
    rest, test = prompt_folds(table.prompts, 5, rng)[0]
    train, validation = prompt_folds(table[rest].prompts, 4, rng)[0]
    return table[rest][train], table[rest][validation], table[test]


def _gold(n: int, seed: int) -> tuple[Table, Table, Table]:
    """Two answers a prompt; prompts differ more than answers, and the gold is linear and bent.

    Labels are drawn by Bradley and Terry's model at temperature 1/3, those of the test are certain.
    """
    rng = np.random.default_rng(seed)
    linear, bent = rng.normal(size=(2, _SIZE)) / np.sqrt(_SIZE)
    parts = []
    for size, is_test in ((n, False), (n // 3, False), (2000, True)):
        prompts = rng.normal(0, 0.92, (size, _SIZE))
        answers = prompts + rng.normal(0, 0.35, (2, size, _SIZE))  # (sides, n, size)
        gold = answers @ linear + np.tanh(2 * answers @ bent)
        chance = 1 / (1 + np.exp(-3 * (gold[0] - gold[1])))
        labels = np.where(is_test, chance > 0.5, rng.random(size) < chance).astype(np.float64)
        raw = np.concatenate([answers, np.zeros((2, size, 1))], 2)  # no lengths
        numbers = np.tile(np.arange(size), (2, 1))
        parts.append(Table(raw, labels, np.ones(size), numbers))
    train, validation, test = parts
    return train, validation, test


def _accuracies(
    parts: tuple[Table, Table, Table], share: float, head: str, seed: int
) -> dict[str, float]:
    """Accuracy on the test of each objective, fitted to the same flipped labels."""
    rng = np.random.default_rng((seed, 1))
    train, validation, test = parts
    noisy = [_flipped(part, share, rng) for part in (train, validation)]
    found = {}
    for objective in OBJECTIVES:
        args = FitArgs(
            objective=objective, head=head, seed=seed, length=bool(train.raw[..., -1].any())
        )
        projection, fitted, _ = fit_head(noisy[0], args, noisy[1])
        rows = test.features(projection)
        assert isinstance(rows, Comparisons)
        found[objective] = pair_accuracy(fitted, rows)
    return found


def _flipped(table: Table, share: float, rng: np.random.Generator) -> Table:
    is_wrong = rng.random(len(table)) < share
    return replace(table, labels=np.where(is_wrong, 1 - table.labels, table.labels))


def _fit_seconds(repetitions: int) -> dict[str, list[float]]:
    """CPU time of one fit to 1,700 pairs of 97 features, on one thread."""
    rng = np.random.default_rng(0)
    chosen, rejected = rng.normal(size=(2, 1700, 97))
    chance = 1 / (1 + np.exp(-(chosen - rejected) @ rng.normal(size=97) / 5))
    pairs = Comparisons.of(chosen, rejected, rng.random(1700) < chance)
    fits = {
        "linear": lambda: fit_linear(pairs, regularisation=100.0),
        "mlp": lambda: fit_mlp(pairs[:1360], pairs[1360:], rng, regularisation=100.0),
    }
    return {name: [cpu_seconds(fit) for _ in range(repetitions)] for name, fit in fits.items()}


def _summary(values: dict[str, list[float]]) -> dict[str, Any]:
    """Mean accuracies, and the paired difference with Student's interval."""
    gains = _gains(values)
    means = {objective: float(np.mean(values[objective])) for objective in OBJECTIVES}
    wins = sum(gain > 0 for gain in gains)
    return {**means, "classification_less_bradley_terry": mean_interval(gains), "wins": wins}


def _gains(values: dict[str, list[float]]) -> list[float]:
    pairs = zip(values["classification"], values["bradley_terry"], strict=True)
    return [classification - bradley_terry for classification, bradley_terry in pairs]


def _show(results: dict[str, dict[str, Any]]) -> None:
    table = Shown("pairs", "Bradley-Terry", "classification", "difference [95 %]", "seeds it wins")
    for place, found in results.items():
        gain = found["classification_less_bradley_terry"]
        accuracies = (f"{found[objective]:.3f}" for objective in OBJECTIVES)
        interval = f"{gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
        table.add_row(place, *accuracies, interval, str(found["wins"]))
    Console().print(table)


def _claims(
    accuracies: dict[str, dict[str, list[float]]], seconds: dict[str, list[float]]
) -> list[Claim]:
    gains = [
        Claim(f"{place}: classification less Bradley-Terry", _gains(values), unit="accuracy")
        for place, values in accuracies.items()
    ]
    work = "head fitted to 1,700 pairs of 97 features"
    return [
        *gains,
        Claim(f"linear {work}", seconds["linear"], unit="CPU s", most=0.05),
        Claim(f"mlp {work}", seconds["mlp"], unit="CPU s", most=2),
    ]


if __name__ == "__main__":
    sys.exit(main())
