"""The work behind `lmgym eval`; apart from its options, because it loads torch."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console

from lmgym.evaluation import Evaluation, evaluate
from lmgym.policies.loading import load_policy
from lmgym.rollouts import RolloutBatch, RolloutCollector
from lmgym.task import Task
from lmgym.training.presets import default_batch_size, is_large, use_threads
from lmgym.training.progress import TrainingDisplay

if TYPE_CHECKING:
    from lmgym.commands.evaluate import EvalArgs

__all__ = ["Measured", "measure"]


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
    use_threads(policy.n_parameters)
    few = is_large(policy.n_parameters)
    limit = args.limit or (50 if few else 512)
    samples = (0 if few else 4) if args.samples is None else args.samples
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
            batch_size=args.batch_size or default_batch_size(policy.n_parameters),
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
