"""Best of N: sample N answers to a problem and keep the one that is paid best.

`BestOfN` plays so at inference, as a collector for evaluations. `train` imitates what was kept, and
samples again with the new weights: RAFT (Dong et al., 2023), which is supervised fine-tuning on
the policy's own best answers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.policies.adapters import reference_policy
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policy_gradients.policy_optimizer import distance_metrics
from lmgym.rewards.kl import sequence_kl
from lmgym.rewards.source import Reward
from lmgym.rollouts import RolloutBatch, RolloutCollector
from lmgym.task import Task
from lmgym.training.arguments import LearnerArgs, Range
from lmgym.training.session import TrainingSession

from .sft import supervised_step

if TYPE_CHECKING:
    from lmgym.transcript import Transcript

__all__ = ["BestOfN", "BestOfNArgs", "best_rows", "train"]


@dataclass(frozen=True)
class BestOfNArgs(LearnerArgs):
    """Arguments of iterated best-of-N."""

    reward: str = "verifier"
    """What answers are compared by: verifier, rm:DIR, or another reward."""
    groups: int = 32
    """Problems a batch."""
    n: int = 8
    """Answers to each problem, of which the best is imitated."""
    steps: int = 1
    """Optimiser steps on the kept answers of a batch."""
    temperature: float = 1.0
    """Of sampling."""
    micro_tokens: int = 16_384
    """Tokens of one forward pass, padding included; lower it when memory runs out."""
    log_kl: bool = False
    """Log the KL to the starting policy; it takes one more forward pass."""

    ranges: ClassVar[dict[str, Range]] = LearnerArgs.ranges | {
        "groups": (1, 100_000),
        "n": (2, 10_000),
        "steps": (1, math.inf),
        "temperature": (0.01, 100),
        "micro_tokens": (1, math.inf),
    }


def train(
    args: BestOfNArgs, env: str, world_args: Mapping[str, Any], reward: Reward = None
) -> Path:
    """Train on a world; returns the run folder.

    Args:
        args: of the learner.
        env: id of the world.
        world_args: its arguments.
        reward: a function or source, in place of the name in `args`.
    """
    with TrainingSession("best-of-n", args, env, world_args, reward or args.reward) as session:
        policy = session.policy
        start = reference_policy(policy) if args.log_kl else None
        optimizer = torch.optim.AdamW(
            policy.model.parameters(), session.lr, betas=(0.9, 0.95), weight_decay=0.0
        )
        session.keep("optimizer", optimizer)
        for update in session.updates():
            began = time.perf_counter()
            batch = session.collector.collect(
                session.rng,
                session.generator,
                n_groups=args.groups,
                group_size=args.n,
                temperature=args.temperature,
            )
            metrics = {} if start is None else _distance(batch, start, args)
            rows, kept = _worth_imitating(batch, args.n)
            metrics["signal"] = len(kept) / args.groups
            if kept:
                metrics["reward/best"] = float(batch.rewards[rows].mean())
                metrics["loss"] = _imitate(policy, optimizer, kept, args, update)
            metrics["tokens_per_second"] = batch.lengths.sum() / (time.perf_counter() - began)
            session.log(metrics, batch)
    return session.run.path


class BestOfN:
    """Plays the best of N answers, in place of the collector that samples them.

    Args:
        collector: samples, and pays what the answers are compared by.
        n: how many are sampled for each that is kept.

    Example:
        >>> from lmgym.factory import make_source, make_task
        >>> from lmgym.policies.loading import load_policy
        >>> task = make_task("lmgym/Math-v0")
        >>> sampler = RolloutCollector(load_policy("embedded"), task, make_source("verifier"))
        >>> generator = torch.Generator().manual_seed(0)
        >>> batch = BestOfN(sampler, 8).collect(np.random.default_rng(0), generator, n_groups=3)
        >>> len(batch.transcripts)
        3
    """

    def __init__(self, collector: RolloutCollector, n: int) -> None:
        """Raise where there is nothing to compare answers by."""
        if collector.schedule.source is None:
            raise LmgymError("best-of-N compares answers by a reward; the collector has none")
        if n < 1:
            raise LmgymError(f"best of {n} answers; give an N of 1 or more")
        self.collector = collector
        self.n = n

    @property
    def task(self) -> Task[Any]:
        """The world."""
        return self.collector.task

    def collect(
        self,
        rng: np.random.Generator,
        generator: torch.Generator | None,
        *,
        n_groups: int = 1,
        group_size: int = 1,
        split: str = "train",
        task_ids: Sequence[str] | None = None,
        temperature: float = 1.0,
        greedy: bool = False,
    ) -> RolloutBatch:
        """As `RolloutCollector.collect`, each episode the best of N.

        With `greedy` the likeliest answer is played, once: N of them would all be the same.
        """
        n = 1 if greedy else self.n
        batch = self.collector.collect(
            rng,
            generator,
            n_groups=n_groups,
            group_size=group_size * n,
            split=split,
            task_ids=task_ids,
            temperature=temperature,
            greedy=greedy,
        )
        return batch.select(best_rows(batch, n))


def best_rows(batch: RolloutBatch, n: int) -> NDArray[np.int64]:
    """Rows of the best of each n in a row: the first of those of equal reward.

    An episode without a score is taken only where none of its n has one.
    """
    rewards = np.where(batch.scored, batch.rewards, -np.inf).reshape(-1, n)
    best: NDArray[np.int64] = rewards.argmax(1) + n * np.arange(len(rewards))
    return best


def _worth_imitating(batch: RolloutBatch, n: int) -> tuple[NDArray[np.int64], list[Transcript]]:
    """The best rows of the groups in which answers differ in their reward, and their episodes."""
    highest = np.where(batch.scored, batch.rewards, -np.inf).reshape(-1, n).max(1)
    lowest = np.where(batch.scored, batch.rewards, np.inf).reshape(-1, n).min(1)
    rows = best_rows(batch, n)[highest > lowest]
    return rows, [batch.transcripts[row] for row in rows]


def _imitate(
    policy: LanguagePolicy,
    optimizer: torch.optim.Optimizer,
    kept: Sequence[Transcript],
    args: BestOfNArgs,
    update: int,
) -> float:
    """The mean loss of the steps on what was kept."""
    losses = [
        supervised_step(
            policy,
            optimizer,
            kept,
            max_grad_norm=args.max_grad_norm,
            micro_tokens=args.micro_tokens,
            update=update,
        )
        for _ in range(args.steps)
    ]
    return float(np.mean(losses))


def _distance(batch: RolloutBatch, start: LanguagePolicy, args: BestOfNArgs) -> dict[str, float]:
    """The KL of the policy that sampled to the one that training started from."""
    found = sequence_kl(
        batch.transcripts, start, temperature=args.temperature, micro_tokens=args.micro_tokens
    )
    return distance_metrics(float(found.k1.mean()))
