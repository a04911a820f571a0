"""The work behind `lmgym eval`; apart from its options, because it loads torch."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console

from lmgym.commands.evaluate import EvalArgs
from lmgym.evaluation import Evaluation, evaluate
from lmgym.policies.loading import load_policy
from lmgym.rollouts import RolloutBatch, RolloutCollector
from lmgym.task import Task
from lmgym.training.progress import TrainingDisplay

__all__ = ["Measured", "measure"]

_LARGE = 10_000_000
"""Parameters above which a policy is measured on less by default."""

_SMALL = 1_000_000
"""Parameters up to which one thread of torch is the fastest."""


@dataclass(frozen=True, slots=True)
class Measured:
    """An evaluation and what it took.

    Attributes:
        evaluation: the figures.
        n_parameters: of the policy.
        seconds: without loading the policy.
        tokens_per_second: ids that were drawn, greedy and sampled.
    """

    evaluation: Evaluation
    n_parameters: int
    seconds: float
    tokens_per_second: float


def measure(args: EvalArgs, task: Task[Any], title: str) -> Measured:
    """Run the evaluation while the standard error shows how far it is."""
    policy = load_policy(args.model, device=args.device, dtype=args.dtype)
    if policy.n_parameters <= _SMALL:
        torch.set_num_threads(1)
    is_large = policy.n_parameters > _LARGE
    limit = args.limit or (50 if is_large else 512)
    samples = (0 if is_large else 4) if args.samples is None else args.samples
    collector = _CountingCollector(
        policy, task, None, context=args.context, max_tokens=args.max_tokens
    )
    n_episodes = len(task.task_ids(args.split, limit)) * (1 + samples)
    start = time.perf_counter()

    def show(done: int, total: int) -> None:
        del total
        rate = collector.n_tokens / (time.perf_counter() - start)
        display.update(done, {"tokens_per_second": rate})

    with TrainingDisplay(title, n_episodes, "episodes", console=Console(stderr=True)) as display:
        evaluation = evaluate(
            collector,
            torch.Generator().manual_seed(args.seed),
            split=args.split,
            limit=limit,
            samples=samples,
            temperature=args.temperature,
            batch_size=args.batch_size or (16 if is_large else 512),
            on_progress=show,
        )
    seconds = time.perf_counter() - start
    return Measured(evaluation, policy.n_parameters, seconds, collector.n_tokens / seconds)


class _CountingCollector(RolloutCollector):
    """Counts the ids that are drawn."""

    n_tokens = 0

    def collect(self, *args: Any, **options: Any) -> RolloutBatch:
        batch = super().collect(*args, **options)
        self.n_tokens += int(batch.lengths.sum())
        return batch
