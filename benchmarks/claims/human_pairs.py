"""How often does a reward model put the answer first that people prefer?

PandaLM (999 pairs, three annotators each) and LLMBar (419 pairs in five subsets, four of them made
to mislead). Trained with the defaults of `fit_reward_model`, which choose the regularisation inside
the training part; tested on prompts that were held out, or on the other data set. Beside each
figure is the rule of length, longer or shorter, that is right more often on the training part.
LMGYM_DATA names the folder that holds pandalm and llmbar.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from lmgym.preferences.evaluation import Accuracy, evaluate_pairs, length_rule, pair_rates
from lmgym.preferences.pairs import PreferenceDataset
from lmgym.preferences.readers import read_preferences
from lmgym.reward_models import EmbeddingCache, FitArgs, fit_reward_model
from lmgym.reward_models.table import Labelled, prompt_folds
from measuring import Claim, MeasuringArgs, claimed

Array = NDArray[np.float64]
Split = tuple[PreferenceDataset, NDArray[np.int64]]
"""Pairs to learn from, and which of the tested pairs the model is asked about."""

ENCODERS = ("hashing", "minilm")


@dataclass(frozen=True)
class HumanPairsArgs(MeasuringArgs):
    """What to measure; a repetition is a seed of the folds."""

    repetitions: int = 5
    """Seeds of folds."""
    folds: int = 5
    """Parts, by prompt, that are tested in turn."""
    dtype: str = "fp32"
    """What MiniLM computes in."""
    cache: str | None = None
    """Folder where encodings are kept from run to run."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print accuracy beside the rule of length."""
    args = tyro.cli(HumanPairsArgs, args=argv, description=__doc__)
    data = {name: read_preferences(name) for name in ("pandalm", "llmbar")}
    rates: dict[str, dict[str, list[Array]]] = {}
    with _cache(args.cache) as cache:
        for seed in range(args.seed, args.seed + args.repetitions):
            for place, tested, splits in _studies(data, args.folds, seed):
                kinds = rates.setdefault(place, {})
                kinds.setdefault("length", []).append(_length_rates(tested, splits))
                for encoder in ENCODERS:
                    fit_args = FitArgs(encoder=encoder, dtype=args.dtype, seed=seed)
                    found = _model_rates(tested, splits, fit_args, cache)
                    kinds.setdefault(encoder, []).append(found)
    results = {
        place: {
            kind: _by_subset(data[_tested(place)], np.mean(values, 0))
            for kind, values in kinds.items()
        }
        for place, kinds in rates.items()
    }
    _show(results)
    return claimed(_claims(rates), replace(args, cache=None), accuracy=results)


def _studies(
    data: dict[str, PreferenceDataset], n_folds: int, seed: int
) -> Iterator[tuple[str, PreferenceDataset, list[Split]]]:
    """What is tested, with what each part of it is learned from."""
    rng = np.random.default_rng(seed)
    for name, pairs in data.items():
        prompts = Labelled.of(pairs, "bradley_terry").prompts
        folds = prompt_folds(prompts, n_folds, rng)
        yield f"{name}, held-out prompts", pairs, [(pairs.select(t), h) for t, h in folds]
    tested = data["llmbar"]
    yield "pandalm to llmbar", tested, [(data["pandalm"], np.arange(len(tested)))]


def _tested(place: str) -> str:
    return "pandalm" if place.startswith("pandalm,") else "llmbar"


def _model_rates(
    tested: PreferenceDataset, splits: list[Split], args: FitArgs, cache: EmbeddingCache
) -> Array:
    """1 where a model that saw none of the prompt is right, 0 where it is wrong; NaN for ties."""
    rates = np.full(len(tested), np.nan)
    for train, rows in splits:
        model = fit_reward_model(train, args, cache=cache)
        held_out = tested.select(rows)
        found = evaluate_pairs(model, held_out)
        rates[rows] = pair_rates(found.chosen, found.rejected, held_out)
    return rates


def _length_rates(tested: PreferenceDataset, splits: list[Split]) -> Array:
    """The same for the rule of length that the training part suggests."""
    rates = np.full(len(tested), np.nan)
    for train, rows in splits:
        sign = 1 if length_rule(train) == "longer" else -1
        held_out = tested.select(rows)
        chosen = [sign * len(pair.chosen) for pair in held_out]
        rejected = [sign * len(pair.rejected) for pair in held_out]
        rates[rows] = pair_rates(chosen, rejected, held_out)
    return rates


def _by_subset(data: PreferenceDataset, rates: Array) -> dict[str, Accuracy]:
    """Over all decided pairs, and over each subset where there are several."""
    names = np.array([pair.subset for pair in data])
    parts = {"all": names == names}
    if len(data.subsets) > 1:
        parts |= {name: names == name for name in data.subsets}
    found = {}
    for name, rows in parts.items():
        decided = rows & ~np.isnan(rates)
        prompts = [
            pair.prompts for pair, is_decided in zip(data, decided, strict=True) if is_decided
        ]
        found[name] = Accuracy.of(rates[decided], prompts)
    return found


def _show(results: dict[str, dict[str, dict[str, Accuracy]]]) -> None:
    table = Table("pairs", "subset", "n", *ENCODERS, "length")
    for place, kinds in results.items():
        for subset, baseline in kinds["length"].items():
            cells = (str(kinds[kind][subset]) for kind in ENCODERS)
            table.add_row(place, subset, str(baseline.n), *cells, str(baseline))
    Console().print(table)


def _claims(rates: dict[str, dict[str, list[Array]]]) -> list[Claim]:
    """Accuracy by seed; no bar, for these pairs were known when the defaults were set."""
    return [
        Claim(f"{place}: {kind}", [float(np.nanmean(values)) for values in seeds], unit="accuracy")
        for place, kinds in rates.items()
        for kind, seeds in kinds.items()
    ]


@contextmanager
def _cache(folder: str | None) -> Iterator[EmbeddingCache]:
    with tempfile.TemporaryDirectory() as temporary:
        yield EmbeddingCache(folder or temporary)


if __name__ == "__main__":
    sys.exit(main())
