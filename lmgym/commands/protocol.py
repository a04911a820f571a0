"""What an evaluation is, so that it can be repeated: checked before it, written down with it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lmgym.answers import EXTRACTOR
from lmgym.errors import LmgymError
from lmgym.metrics import MOST_SAMPLES, Metric, parse_metrics
from lmgym.task import Task, Verdict
from lmgym.training.records import plain_value, versions
from lmgym.verification import parse_number

if TYPE_CHECKING:
    from lmgym.commands.evaluate import EvalArgs
    from lmgym.policies.language_policy import LanguagePolicy
    from lmgym.rewards.source import RewardSource

__all__ = [
    "are_numbers",
    "check_metrics",
    "check_source",
    "check_votes",
    "check_world",
    "is_judged",
    "metrics_of",
    "settings_of",
    "weights_hash",
]

_PROBED = 64
"""Problems that are looked at to tell what a world is like."""
_LARGEST_HASHED = 1 << 31
"""Bytes of weights; above, the hash would take longer than many an evaluation."""


def check_metrics(args: EvalArgs) -> None:
    """Raise where options do not go together, as far as they tell by themselves."""
    if args.best_of is not None:
        others = {"--metrics": args.metrics, "--plot": args.plot, "--all-answers": args.all_answers}
        for name, value in others.items():
            if value:
                raise LmgymError(
                    f"{name} does not go with --best-of {args.best_of}, which measures the answers"
                    f" that it keeps; use --metrics best@{args.best_of}"
                )
        return
    metrics, samples = metrics_of(args, args.samples or 0)
    if args.plot is not None and samples < 2:
        raise LmgymError("--plot draws figures against k; give --samples 2 or more")
    if samples > MOST_SAMPLES:
        longest = max(metrics, key=lambda metric: metric.k).name
        given = f"--metrics {longest}" if args.samples is None else f"--samples {samples}"
        raise LmgymError(f"{given} is out of range; at most {MOST_SAMPLES:,} samples are counted")
    best = [metric.name for metric in metrics if metric.kind == "best"]
    if best and args.reward is None:
        raise LmgymError(
            f"{best[0]} compares answers by a reward; name it, as --reward rm:DIR or --reward"
            " verifier"
        )
    if args.reward is not None and not best and Metric("greedy") not in metrics:
        raise LmgymError(
            f"--reward {args.reward} has nothing to pay: it tells what greedy answers are paid, and"
            " the best of K; add greedy or best@K to --metrics"
        )


def metrics_of(args: EvalArgs, default_samples: int) -> tuple[list[Metric], int]:
    """What is measured, and how many samples of a problem it takes."""
    if args.metrics is not None:
        return parse_metrics(args.metrics, args.samples)
    samples = default_samples if args.samples is None else args.samples
    return [Metric("greedy"), *([Metric("pass", 1)] if samples else [])], samples


def check_world(args: EvalArgs, task: Task[Any], task_ids: Sequence[str]) -> None:
    """Raise where the world does not tell what the metrics ask for."""
    if not task_ids:
        raise LmgymError(f"split {args.split!r} has no problems to evaluate on")
    asked, _ = metrics_of(args, 0)
    world = type(task).__name__
    needs_verdict = [metric.name for metric in asked if metric.kind != "best"]
    is_asked = args.metrics is not None or args.plot is not None
    if is_asked and needs_verdict and not is_judged(task, task_ids):
        raise LmgymError(
            f"{world} does not say which answers are right, so {needs_verdict[0]} is not known;"
            " leave --metrics and --plot out, or use best@K, which tells rewards"
        )
    rng = np.random.default_rng(0)
    golds = [task.reset(rng, task_id=task_id).gold for task_id in task_ids[:_PROBED]]
    check_votes(asked, golds, world)


def check_votes(metrics: Sequence[Metric], golds: Sequence[str | None], world: str) -> None:
    """Raise where a majority is asked of answers that are not all numbers."""
    votes = [metric.name for metric in metrics if metric.kind == "maj"]
    if votes and not are_numbers(golds):
        other = next(gold for gold in golds if not are_numbers([gold]))
        raise LmgymError(
            f"{votes[0]} counts answers that are numbers ({EXTRACTOR}), and a right answer of"
            f" {world} is {other!r:.40}; use pass@K, or problems with numbers for answers"
        )


def is_judged(task: Task[Any], task_ids: Sequence[str]) -> bool:
    """Whether a world says what is right: whether an empty answer to some problem is judged."""
    rng = np.random.default_rng(0)
    states = (task.reset(rng, task_id=task_id).state for task_id in task_ids[:_PROBED])
    return any(task.reply(state, "", rng).verdict is not Verdict.ENDED for state in states)


def are_numbers(golds: Sequence[str | None]) -> bool:
    """Whether all right answers are numbers, so that answers can be compared by value.

    Example:
        >>> are_numbers(["12", "1/2"]), are_numbers(["12", "3*4"]), are_numbers([None])
        (True, False, False)
    """
    return all(gold is not None and parse_number(gold) is not None for gold in golds)


def check_source(args: EvalArgs, source: RewardSource | None) -> None:
    """Raise where best@k is asked of a reward that compares the answers of a group."""
    best = [metric.name for metric in metrics_of(args, 0)[0] if metric.kind == "best"]
    if best and source is not None and not source.is_causal:
        raise LmgymError(
            f"--reward {args.reward} pays an answer by the others of its group, so what it would"
            f" say of K of them is not known; use maj@K, or --best-of in place of {best[0]}"
        )


def settings_of(
    env: str,
    args: EvalArgs,
    world_args: Any,
    policy: LanguagePolicy,
    *,
    prompts: str,
    n_problems: int,
) -> dict[str, Any]:
    """What decides which answers there are, as plain values; the sizes of episodes are added later.

    Args:
        env: id of the world.
        args: the options.
        world_args: the world's.
        policy: what answers.
        prompts: the hash of the prompts as the model reads them.
        n_problems: how many there are.
    """
    settings = {
        "env": env,
        "world": world_args,
        "split": args.split,
        "problems": n_problems,
        "prompts": {"version": prompts, "renderer": policy.renderer.name},
        "extractor": EXTRACTOR,
        "model": {
            "name": args.model,
            "weights": weights_hash(policy),
            "dtype": args.dtype,
            "device": args.device,
            "parameters": policy.n_parameters,
        },
        "sampling": {"temperature": args.temperature, "top_p": 1.0, "seed": args.seed},
        "reward": args.reward,
        "versions": versions(),
    }
    plain: dict[str, Any] = plain_value(settings)
    return plain


def weights_hash(policy: LanguagePolicy) -> str | None:
    """A hash of all weights by their names; None for models of more than 2 GiB."""
    import torch

    weights = policy.model.state_dict()
    if sum(weight.nbytes for weight in weights.values()) > _LARGEST_HASHED:
        return None
    digest = hashlib.sha256()
    for name in sorted(weights):
        weight = weights[name].detach().contiguous().cpu()
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        digest.update(weight.reshape(-1).view(torch.uint8).numpy())
    return f"sha256:{digest.hexdigest()[:16]}"
