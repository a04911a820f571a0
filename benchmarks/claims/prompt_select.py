"""Does a choice of the prompt per question, learned from logged trials, beat the best prompt?

Prompt-OIRL (Sun et al., 2023) on the released outcomes of six prompts on GSM8K, and on the
generated logs of `lmgym/PromptSelect-v0`, whose families of questions have a best prompt each. All
that is chosen is chosen by cross-validation on the questions to learn from; the test questions are
looked at once for each seed. LMGYM_DATA names the folder that holds prompt_oirl and gsm8k.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.optimize import minimize
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import roc_auc_score

from lmgym.envs.prompt_select.offline import fit_chooser, outcomes_of
from lmgym.envs.prompt_select.task import PromptSelectArgs, PromptSelectTask
from lmgym.reward_models import EmbeddingCache, make_encoder
from measuring import Claim, MeasuringArgs, claimed

Array = NDArray[np.float64]
Learner = Callable[[Array, Array, Array, np.random.Generator], Array]
"""Features and outcomes to learn from and features to predict for; scores, shape (n, K)."""


@dataclass(frozen=True)
class PromptSelectClaims(MeasuringArgs):
    """What to measure; a repetition is a seed."""

    repetitions: int = 5
    """Seeds of folds, resamples, forests and generated logs."""
    cache: str | None = None
    """Folder where encodings are kept from run to run."""
    folds: int = 10
    """Parts of the cross-validation that compares the learners."""


@dataclass(frozen=True)
class Log:
    """Questions to learn from and of the test, as features and outcomes."""

    features: dict[str, Array]
    outcomes: Array
    test_features: dict[str, Array]
    test_outcomes: Array

    @classmethod
    def of(cls, task: PromptSelectTask, encoders: list[str], cache: str | None) -> Log:
        """Read a log and encode its questions; validation is learned from too."""
        seen = [*task.questions("train"), *task.questions("validation")]
        texts = [question.text for question in (*seen, *task.questions("test"))]
        parts = [outcomes_of(task, split) for split in ("train", "validation", "test")]
        encoded = {name: _encoded(name, texts, cache) for name in encoders}
        return cls(
            {name: array[: len(seen)] for name, array in encoded.items()},
            np.concatenate(parts[:2]),
            {name: array[len(seen) :] for name, array in encoded.items()},
            parts[2],
        )


def _encoded(name: str, texts: list[str], cache: str | None) -> Array:
    if name == "counts":
        counted = np.array([counts(text) for text in texts])
        scaled: Array = (counted - counted.mean(0)) / (counted.std(0) + 1e-9)
        return scaled
    encoder = make_encoder(name)
    if cache is None:
        return np.asarray(encoder.encode_texts(texts), np.float64)
    return np.asarray(EmbeddingCache(cache).encode_texts(encoder, texts), np.float64)


def counts(text: str) -> list[float]:
    """What makes a word problem long: characters, sentences, numbers, their size, fractions."""
    numbers = [float(found.replace(",", "")) for found in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]
    sizes = [len(text), max(numbers, default=0), sum(numbers) / max(len(numbers), 1)]
    marks = [len(re.findall(mark, text)) for mark in ("[.?!]", ",", r"\$", "%", "/", "[A-Z]")]
    return [*np.log1p(sizes).tolist(), len(numbers), *map(float, marks)]


def heads(x: Array, y: Array, new: Array, rng: np.random.Generator) -> Array:
    """A logistic model a prompt, five resamples; the penalty by the value of its choices."""
    return fit_chooser(x, y, rng, members=5).chances(new)


def unpenalised(x: Array, y: Array, new: Array, rng: np.random.Generator) -> Array:
    """The same with a small penalty, as where predicting outcomes is all that counts."""
    return fit_chooser(x, y, rng, members=5, penalties=(10.0,)).chances(new)


def policy(x: Array, y: Array, new: Array, rng: np.random.Generator) -> Array:
    """The softmax policy of greatest mean outcome: all outcomes are known, so it has a gradient."""
    rows = rng.integers(len(x), size=len(x))
    mean, directions = x.mean(0), np.linalg.svd(x - x.mean(0), full_matrices=False)[2][:32]
    seen = (x - mean) @ directions.T
    scale = seen.std(0)
    bias = np.ones((len(seen), 1))
    inputs = np.concatenate([bias, seen / scale], 1)[rows]
    outcomes, shape = y[rows], (inputs.shape[1], y.shape[1])

    def loss(flat: Array) -> tuple[float, Array]:
        weights = flat.reshape(shape)
        chances = _softmax(inputs @ weights)
        value = (chances * outcomes).sum(1, keepdims=True)
        slope = 2e-3 * weights - inputs.T @ (chances * (outcomes - value)) / len(inputs)
        return float(1e-3 * (weights**2).sum() - value.mean()), slope.ravel()

    found = minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B").x.reshape(shape)
    told = np.concatenate([np.ones((len(new), 1)), (new - mean) @ directions.T / scale], 1)
    return _softmax(told @ found)


def forest(x: Array, y: Array, new: Array, rng: np.random.Generator) -> Array:
    """Trees of all outcomes at once."""
    directions = np.linalg.svd(x - x.mean(0), full_matrices=False)[2][:32]
    trees = RandomForestRegressor(
        60, min_samples_leaf=20, max_features=0.3, random_state=int(rng.integers(1 << 31))
    )
    predicted: Array = trees.fit(x @ directions.T, y).predict(new @ directions.T)
    return predicted


def _softmax(logits: Array) -> Array:
    raised = np.exp(logits - logits.max(1, keepdims=True))
    chances: Array = raised / raised.sum(1, keepdims=True)
    return chances


LEARNERS: dict[str, tuple[str, Learner]] = {
    "heads on MiniLM": ("minilm", heads),
    "heads on hashed n-grams": ("hashing", heads),
    "heads on MiniLM, small penalty": ("minilm", unpenalised),
    "heads on counts, small penalty": ("counts", unpenalised),
    "value of a softmax policy, MiniLM": ("minilm", policy),
    "forest on MiniLM": ("minilm", forest),
}


def gains(scores: Array, outcomes: Array, fixed: int) -> Array:
    """What choosing by scores is worth more than one prompt, in points, a question each."""
    chosen = outcomes[np.arange(len(outcomes)), scores.argmax(1)]
    found: Array = 100 * (chosen - outcomes[:, fixed])
    return found


def cross_validated(log: Log, encoder: str, learner: Learner, args: PromptSelectClaims) -> Array:
    """The gains of held-out questions, over the prompt that is best on the others."""
    rng = np.random.default_rng((args.seed, 77))
    x, y = log.features[encoder], log.outcomes
    parts = rng.permutation(len(x)) % args.folds
    found = np.zeros(len(x))
    for part in range(args.folds):
        held = parts == part
        scores = learner(x[~held], y[~held], x[held], rng)
        found[held] = gains(scores, y[held], int(y[~held].mean(0).argmax()))
    return found


def tested(log: Log, encoder: str, learner: Learner, args: PromptSelectClaims) -> dict[str, Any]:
    """Gains and predictions on the test questions, a seed each."""
    fixed = int(log.outcomes.mean(0).argmax())
    seeds = range(args.seed, args.seed + args.repetitions)
    x, y, new = log.features[encoder], log.outcomes, log.test_features[encoder]
    scores = [learner(x, y, new, np.random.default_rng(seed)) for seed in seeds]
    per_question = np.array([gains(one, log.test_outcomes, fixed) for one in scores])
    return {
        "gains": per_question.mean(1).tolist(),
        "paired_interval": _interval(per_question.mean(0)),
        "auc": [roc_auc_score(log.test_outcomes.ravel(), one.ravel()) for one in scores],
    }


def _interval(values: Array) -> list[float]:
    """The mean of questions, and 1.96 standard errors to both sides."""
    half = 1.96 * values.std(ddof=1) / len(values) ** 0.5
    return [values.mean() - half, values.mean() + half]


def compared(log: Log, args: PromptSelectClaims) -> dict[str, dict[str, Any]]:
    """Every learner by cross-validation and on the test."""
    results: dict[str, dict[str, Any]] = {}
    for name, (encoder, learner) in LEARNERS.items():
        if encoder in log.features:
            held_out = cross_validated(log, encoder, learner, args)
            facts = {"held_out_gain": held_out.mean(), "held_out_interval": _interval(held_out)}
            results[name] = facts | tested(log, encoder, learner, args)
    return results


def levels(log: Log) -> dict[str, float]:
    """What needs no features, on the test."""
    means = log.outcomes.mean(0)
    test = log.test_outcomes
    alone = np.broadcast_to(means, test.shape)
    return {
        "best fixed prompt": float(test[:, int(means.argmax())].mean()),
        "random prompt": float(test.mean()),
        "oracle": float(test.max(1).mean()),
        "auc of the prompts alone": float(roc_auc_score(test.ravel(), alone.ravel())),
        "questions to learn from": len(log.outcomes),
        "test questions": len(test),
    }


def on_generated(args: PromptSelectClaims) -> tuple[list[float], list[dict[str, float]]]:
    """What the heads gain, and what needs no features, on another generated log for each seed."""
    gained, facts = [], []
    for seed in range(args.seed, args.seed + args.repetitions):
        log = Log.of(PromptSelectTask(PromptSelectArgs(log_seed=seed)), ["hashing"], args.cache)
        alone = replace(args, seed=seed, repetitions=1)
        gained += tested(log, "hashing", heads, alone)["gains"]
        facts.append({"log seed": seed, **levels(log)})
    return gained, facts


def show(results: dict[str, dict[str, Any]]) -> None:
    """Print a line a learner."""
    table = Table("learner", "held out, points", "test, points", "paired 95 %", "AUC")
    for name, row in results.items():
        low, high = row["held_out_interval"]
        test_low, test_high = row["paired_interval"]
        table.add_row(
            name,
            f"{row['held_out_gain']:+.2f} [{low:+.2f}, {high:+.2f}]",
            f"{np.mean(row['gains']):+.2f} ({min(row['gains']):+.2f} to {max(row['gains']):+.2f})",
            f"[{test_low:+.2f}, {test_high:+.2f}]",
            f"{np.mean(row['auc']):.3f}",
        )
    Console().print(table)


def main(argv: list[str] | None = None) -> int:
    """Measure; 1 where a bar is missed."""
    args = tyro.cli(PromptSelectClaims, args=argv, description=__doc__)
    real = Log.of(
        PromptSelectTask(PromptSelectArgs(trials="prompt_oirl")),
        ["minilm", "hashing", "counts"],
        args.cache,
    )
    results, facts = compared(real, args), levels(real)
    show(results)
    chosen = max(results, key=lambda name: results[name]["held_out_gain"])
    gained, made = on_generated(args)
    lead = [auc - facts["auc of the prompts alone"] for auc in results[chosen]["auc"]]
    claims = [
        Claim(
            f"real log: {chosen}, above the best fixed prompt",
            results[chosen]["gains"],
            unit="points",
            least=1,
        ),
        Claim("real log: AUC of its predictions above that of the prompts alone", lead, unit="AUC"),
        Claim(
            "generated logs: heads above the best fixed prompt",
            gained,
            unit="points",
            least=20,
        ),
    ]
    measured = {"real": {"levels": facts, "learners": results}, "generated": made}
    return claimed(claims, replace(args, cache=None), **measured)


if __name__ == "__main__":
    sys.exit(main())
