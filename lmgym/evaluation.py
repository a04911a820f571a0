"""How often a policy is right on a split: greedy, and sampled."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lmgym.errors import LmgymError
from lmgym.hindsight import journey_of
from lmgym.rollouts import RolloutBatch, RolloutCollector
from lmgym.task import Task
from lmgym.training.uncertainty import mean_interval, rates_interval, wilson_interval
from lmgym.transcript import Transcript

if TYPE_CHECKING:
    import torch

__all__ = ["Collector", "Evaluation", "evaluate"]

Interval = tuple[float, float]


class Collector(Protocol):
    """Plays episodes of a task: a `RolloutCollector`, or what plays in its place."""

    @property
    def task(self) -> Task[Any]:
        """The world."""
        ...

    def collect(
        self,
        rng: np.random.Generator,
        generator: torch.Generator | None,
        *,
        group_size: int = 1,
        task_ids: Sequence[str] | None = None,
        temperature: float = 1.0,
        greedy: bool = False,
    ) -> RolloutBatch:
        """Play `group_size` episodes of each problem; see `RolloutCollector.collect`."""
        ...


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Success on `n` problems of a split, by the world's own verdict.

    Attributes:
        greedy: share of problems solved by the most likely answer, with Wilson's 95 % interval.
        pass_at_1: expected share solved by one sample, with a 95 % interval over problems; None
            where nothing was sampled.
        samples: samples a problem.
        mean_length: ids of a greedy episode.
        transcripts: the greedy episodes.
        gold_reward: mean of the world's graded ground truth over the greedy episodes, with
            Student's 95 % interval over problems; None where the world has none.
        figures: further figures of the greedy episodes, where the world has any (`Task.figures`).
    """

    split: str
    n: int
    greedy: float
    greedy_interval: Interval
    pass_at_1: float | None
    pass_at_1_interval: Interval | None
    samples: int
    temperature: float
    mean_length: float
    transcripts: list[Transcript] = field(repr=False, default_factory=list)
    gold_reward: float | None = None
    gold_reward_interval: Interval | None = None
    figures: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The figures, as they stand in `lmgym.json`."""
        figures: dict[str, Any] = {
            "split": self.split,
            "n": self.n,
            "greedy": self.greedy,
            "greedy_interval": list(self.greedy_interval),
            "mean_length": self.mean_length,
        }
        if self.pass_at_1_interval is not None:
            figures["pass@1"] = self.pass_at_1
            figures["pass@1_interval"] = list(self.pass_at_1_interval)
            figures["samples"] = self.samples
            figures["temperature"] = self.temperature
        if self.gold_reward is not None:
            figures["gold_reward"] = self.gold_reward
        if self.gold_reward_interval is not None:
            figures["gold_reward_interval"] = list(self.gold_reward_interval)
        if self.figures:
            figures["figures"] = self.figures
        return figures


def evaluate(
    collector: Collector,
    generator: torch.Generator | None,
    *,
    split: str = "test",
    limit: int = 512,
    samples: int = 4,
    temperature: float = 1.0,
    batch_size: int = 512,
    on_progress: Any = None,
) -> Evaluation:
    """Measure a policy on the first `limit` problems of a split.

    Args:
        collector: joins the policy and the task. A `RolloutCollector` pays no reward meanwhile;
            what plays in its place does as it needs.
        generator: draws the samples.
        split: which problems.
        limit: how many of them at most.
        samples: sampled answers a problem; 0 measures the greedy answer alone.
        temperature: of the samples.
        batch_size: episodes at a time.
        on_progress: called with the number of finished episodes and of all.
    """
    if type(collector) is RolloutCollector:  # others may choose answers by it, or record it
        collector = collector.unpaid()
    rng = np.random.default_rng(0)  # of the worlds' replies
    task_ids = collector.task.task_ids(split, limit)
    if not task_ids:
        raise LmgymError(f"split {split!r} has no problems to evaluate on (limit {limit})")
    total = len(task_ids) * (1 + samples)
    done = 0

    def run(group_size: int, greedy: bool) -> Iterator[RolloutBatch]:
        nonlocal done
        for ids in _chunks(task_ids, max(1, batch_size // group_size)):
            yield collector.collect(
                rng,
                generator,
                task_ids=ids,
                group_size=group_size,
                temperature=temperature,
                greedy=greedy,
            )
            done += len(ids) * group_size
            if on_progress is not None:
                on_progress(done, total)

    greedy_batches = list(run(1, greedy=True))
    correct = np.concatenate([batch.successes for batch in greedy_batches])
    transcripts = [t for batch in greedy_batches for t in batch.transcripts]
    rates = (
        [b.successes.reshape(-1, samples).mean(1) for b in run(samples, False)] if samples else []
    )
    sampled = np.concatenate(rates).tolist() if rates else None
    gold_reward, gold_interval = _gold(greedy_batches)
    task = collector.task
    further = {}
    if task.has_figures:
        further = task.figures([journey_of(task, t).states for t in transcripts])
    return Evaluation(
        split=split,
        n=len(task_ids),
        greedy=float(correct.mean()),
        greedy_interval=wilson_interval(int(correct.sum()), len(correct)),
        pass_at_1=None if sampled is None else float(np.mean(sampled)),
        pass_at_1_interval=None if sampled is None else rates_interval(sampled),
        samples=samples,
        temperature=temperature,
        mean_length=float(np.mean([t.n_tokens for t in transcripts])),
        transcripts=transcripts,
        gold_reward=gold_reward,
        gold_reward_interval=gold_interval,
        figures=further,
    )


def _gold(batches: Sequence[RolloutBatch]) -> tuple[float | None, Interval | None]:
    """The mean gold reward of all episodes, and its interval where there is more than one."""
    graded = [batch.gold_rewards for batch in batches if batch.gold_rewards is not None]
    if not graded:
        return None, None
    found = mean_interval(np.concatenate(graded).tolist())
    return found.mean, (found.low, found.high) if math.isfinite(found.low) else None


def _chunks(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
