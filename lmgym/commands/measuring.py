"""The work behind `lmgym eval`; apart from its options, because it loads torch."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console

from lmgym.commands.worth import BestOf, RecordingCollector, Worth, measure_best_of
from lmgym.evaluation import Evaluation, evaluate
from lmgym.policies.loading import load_policy
from lmgym.rewards.names import as_source
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
        reward: what the greedy answers are worth by the reward that was asked for.
        n_parameters: of the policy.
        seconds: without loading the policy.
        tokens_per_second: ids that were drawn, greedy and sampled.
    """

    evaluation: Evaluation | BestOf
    reward: Worth | None
    n_parameters: int
    seconds: float
    tokens_per_second: float

    @property
    def figures(self) -> dict[str, Any]:
        """All figures of the answers, as `--out` keeps them."""
        figures = self.evaluation.as_dict()
        if self.reward is not None:
            rewards = self.reward.as_dict()
            figures |= {name: rewards[name] for name in _REWARDS if name in rewards}
        return figures


_REWARDS = ("reward", "reward_interval", "unscored")


def measure(args: EvalArgs, task: Task[Any], title: str) -> Measured:
    """Run the evaluation while the standard error shows how far it is."""
    source = None if args.reward is None else as_source(args.reward)
    policy = load_policy(args.model, device=args.device, dtype=args.dtype)
    use_threads(policy.n_parameters)
    few = is_large(policy.n_parameters)
    limit = args.limit or (50 if few else 512)
    samples = (0 if few else 4) if args.samples is None else args.samples
    collector = RecordingCollector(
        policy, task, source, context=args.context, max_tokens=args.max_tokens
    )
    n_answers = 1 + samples if args.best_of is None else args.best_of
    n_episodes = len(task.task_ids(args.split, limit)) * n_answers
    start = time.perf_counter()

    def show(done: int, total: int) -> None:
        del total
        rate = collector.n_tokens / (time.perf_counter() - start)
        display.update(done, {"tokens_per_second": rate})

    generator = torch.Generator().manual_seed(args.seed)
    options: dict[str, Any] = {
        "split": args.split,
        "limit": limit,
        "temperature": args.temperature,
        "batch_size": args.batch_size or default_batch_size(policy.n_parameters),
        "on_progress": show,
    }
    found: Evaluation | BestOf
    with TrainingDisplay(title, n_episodes, "episodes", console=Console(stderr=True)) as display:
        if args.best_of is None:
            found = evaluate(collector, generator, samples=samples, **options)
        else:
            found = measure_best_of(collector, generator, args.best_of, **options)
    seconds = time.perf_counter() - start
    rate = collector.n_tokens / seconds
    is_paid = source is not None and args.best_of is None
    reward = Worth.of(collector.greedy) if is_paid else None
    return Measured(found, reward, policy.n_parameters, seconds, rate)
