"""What `lmgym eval --best-of` measures: the best of N answers beside a single one."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.registry import AGENTS, load
from lmgym.rollouts import RolloutBatch, RolloutCollector
from lmgym.training.uncertainty import MeanInterval, mean_interval, rates_interval
from lmgym.transcript import Transcript

if TYPE_CHECKING:
    import torch

__all__ = ["BestOf", "Paid", "RecordingCollector", "Worth", "measure_best_of"]


class Paid(NamedTuple):
    """What the episodes of a batch were worth; the arrays have the shape (episodes,)."""

    successes: NDArray[np.float64]
    rewards: NDArray[np.float64]
    gold: NDArray[np.float64] | None

    @classmethod
    def of(cls, batch: RolloutBatch) -> Paid:
        """Without the transcripts, which are large; what could not be scored is paid NaN."""
        return cls(
            batch.successes, np.where(batch.scored, batch.rewards, np.nan), batch.gold_rewards
        )


class RecordingCollector(RolloutCollector):
    """Counts the ids that are drawn, and keeps what every batch was paid.

    Attributes:
        n_tokens: ids so far.
        sampled: what each batch was paid.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        """Start with nothing."""
        super().__init__(*args, **options)
        self.n_tokens = 0
        self.sampled: list[Paid] = []

    def collect(self, *args: Any, **options: Any) -> RolloutBatch:
        """As `RolloutCollector.collect`."""
        batch = super().collect(*args, **options)
        self.n_tokens += int(batch.lengths.sum())
        self.sampled.append(Paid.of(batch))
        return batch


@dataclass(frozen=True, slots=True)
class Worth:
    """What answers are worth, each a mean with its 95 % interval over problems.

    Attributes:
        success: share of answers that are right, by the world's verdict.
        reward: what they are paid, None where nothing could be scored.
        gold: the world's gold reward, where it has one.
        n_unscored: answers that could not be scored; `reward` is without them.
    """

    success: MeanInterval
    reward: MeanInterval | None
    gold: MeanInterval | None
    n_unscored: int

    @classmethod
    def of(cls, batches: Sequence[Paid], n: int = 1) -> Worth:
        """The worth of batches with `n` answers a problem."""
        rates = np.concatenate([batch.successes for batch in batches]).reshape(-1, n).mean(1)
        rewards = np.concatenate([batch.rewards for batch in batches])
        golds = [batch.gold for batch in batches if batch.gold is not None]
        return cls(
            MeanInterval(float(rates.mean()), *rates_interval(rates.tolist())),
            _mean(rewards, n),
            _mean(np.concatenate(golds), n) if golds else None,
            int(np.isnan(rewards).sum()),
        )

    def as_dict(self, prefix: str = "") -> dict[str, Any]:
        """The figures by name; an interval that is infinite is left out."""
        found: dict[str, Any] = {}
        means = {"success": self.success, "reward": self.reward, "gold_reward": self.gold}
        for name, mean in means.items():
            if mean is not None:
                found[prefix + name] = mean.mean
                if math.isfinite(mean.low):
                    found[f"{prefix}{name}_interval"] = [mean.low, mean.high]
        return found | {f"{prefix}unscored": self.n_unscored}


@dataclass(frozen=True, slots=True)
class BestOf:
    """The best of N answers to each problem by a reward, beside one answer by itself.

    Attributes:
        split: which problems.
        n: how many.
        answers: N.
        temperature: of the answers.
        best: the worth of those that the reward prefers.
        sample: the worth of a single one, estimated from all N.
        mean_length: ids of a best answer.
        transcripts: the best answers.
    """

    split: str
    n: int
    answers: int
    temperature: float
    best: Worth
    sample: Worth
    mean_length: float
    transcripts: list[Transcript]

    def as_dict(self) -> dict[str, Any]:
        """The figures, as `--out` keeps them."""
        return {
            "split": self.split,
            "n": self.n,
            "best_of": self.answers,
            "temperature": self.temperature,
            "mean_length": self.mean_length,
            **self.best.as_dict(),
            **self.sample.as_dict("sample_"),
        }


def measure_best_of(
    collector: RecordingCollector,
    generator: torch.Generator,
    answers: int,
    *,
    split: str,
    limit: int,
    temperature: float,
    batch_size: int,
    on_progress: Callable[[int, int], None],
) -> BestOf:
    """Sample answers to the first problems of a split, and keep the best of each.

    Args:
        collector: joins the policy, the world and the reward.
        generator: draws the answers.
        answers: N.
        split: which problems.
        limit: how many of them at most.
        temperature: of the answers.
        batch_size: answers at a time; those to one problem stay together.
        on_progress: called with the number of answers so far and of all.
    """
    module = importlib.import_module(load(AGENTS["best-of-n"]).__module__)
    player = module.BestOfN(collector, answers)
    rng = np.random.default_rng(0)  # of the worlds' replies
    task_ids = collector.task.task_ids(split, limit)
    if not task_ids:
        raise LmgymError(f"split {split!r} has no problems to evaluate on (limit {limit})")
    size = max(1, batch_size // answers)
    best: list[RolloutBatch] = []
    for start in range(0, len(task_ids), size):
        ids = task_ids[start : start + size]
        best.append(player.collect(rng, generator, task_ids=ids, temperature=temperature))
        on_progress((start + len(ids)) * answers, len(task_ids) * answers)
    transcripts = [t for batch in best for t in batch.transcripts]
    return BestOf(
        split,
        len(task_ids),
        answers,
        temperature,
        Worth.of([Paid.of(batch) for batch in best]),
        Worth.of(collector.sampled, answers),
        float(np.mean([t.n_tokens for t in transcripts])),
        transcripts,
    )


def _mean(values: NDArray[np.float64], n: int) -> MeanInterval | None:
    """Over problems, of the mean of each one's answers; NaN counts for nothing."""
    by_problem = [row[~np.isnan(row)] for row in values.reshape(-1, n)]
    means = [float(row.mean()) for row in by_problem if len(row)]
    return mean_interval(means) if means else None
